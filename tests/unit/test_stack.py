"""The vector tiers as one: who is asked, who is passed over, and what is told of it."""

import numpy as np
import pytest

from memory_mcp.contracts import Comparison
from memory_mcp.errors import ScopeNotCoveredError, TierError, TierUnavailableError
from memory_mcp.models import Filter, Hit, Matrix, Scope
from memory_mcp.tiers.guard import Guard
from memory_mcp.tiers.guarded import GuardedIndex
from memory_mcp.tiers.stack import VectorStack

SCOPE, WHERE = Scope("local", "home"), Filter()
QUESTION = np.ones((1, 4), np.float32) / 2


class Tier:
    """Answers, or fails with what it is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.calls = error, 0

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        self.calls += 1
        if self.error:
            raise self.error
        return [[]]

    async def compare(self, scope: Scope, vectors: Matrix, ids: object, epoch: str, at: int | None = None) -> Comparison:
        self.calls += 1
        if self.error:
            raise self.error
        return Comparison(np.empty((0, 1), np.float32), np.empty(0, np.intp), np.empty((0, 1), np.float32))


def stack_of(*tiers: Tier) -> tuple[VectorStack, Tier]:
    last = Tier()
    names = ["hot", "cold"][: len(tiers)]
    return VectorStack(dict(zip(names, tiers, strict=True)), last), last  # type: ignore[arg-type]


async def ask(stack: VectorStack, times: int = 1) -> None:
    for _ in range(times):
        await stack.search(SCOPE, QUESTION, WHERE, limit=5, epoch="e")


async def test_the_hottest_tier_answers() -> None:
    stack, last = stack_of(Tier(), Tier())
    await ask(stack)
    await stack.compare(SCOPE, QUESTION, [], "e")

    assert stack.answered == {"hot": 2, "cold": 0, "records": 0}
    assert (last.calls, list(stack.away())) == (0, [])
    assert (stack.guard("hot").figures()["calls"], stack.guard("hot").figures()["health"]) == (2, "ok")


async def test_a_tier_that_does_not_hold_the_scope_is_no_failure() -> None:
    stack, _ = stack_of(Tier(ScopeNotCoveredError("hot")), Tier())
    await ask(stack, 10)

    assert stack.answered == {"hot": 0, "cold": 10, "records": 0}
    assert (list(stack.away()), stack.guard("hot").figures()["errors"]) == ([], 0)


@pytest.mark.parametrize("error", [TierUnavailableError("hot", "away"), TierError("hot", "another dimension")])
async def test_a_tier_that_fails_is_passed_over_and_named_until_it_answers_again(error: TierError) -> None:
    hot = Tier(error)
    stack, last = stack_of(hot)
    await ask(stack)
    assert (stack.answered["records"], last.calls, list(stack.away())) == (1, 1, ["hot"])

    hot.error = None
    await ask(stack)
    assert (stack.answered["hot"], list(stack.away())) == (1, [])


async def test_a_remote_tier_that_keeps_failing_is_left_alone() -> None:
    hot = Tier(TierUnavailableError("hot", "away"))
    guard = Guard("hot", failures=2)
    stack, last = stack_of(GuardedIndex(hot, guard, Guard("hot")))  # type: ignore[arg-type]
    await ask(stack, 20)

    assert (hot.calls, last.calls) == (2, 20)
    assert (guard.figures()["health"], guard.figures()["breaker"], list(stack.away())) == ("away", "open", ["hot"])
    assert stack.guard("records").figures()["calls"] == 20
