"""Whichever tiers there are, in whichever order and state: nobody meets what belongs to another scope."""

from uuid import UUID

import anyio
import numpy as np
from brute_force import Exact, Point, Records, unit_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from qdrants import IN_MEMORY, opened

from memory_mcp.contracts import Comparison, VectorIndex
from memory_mcp.errors import TierUnavailableError
from memory_mcp.models import Filter, Hit, Matrix, Points, Scope
from memory_mcp.tiers.beside import Beside
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.index import ResidentIndex
from memory_mcp.tiers.stack import VectorStack

EPOCH, DIMENSION = "model@1/8", 8
SCOPES = [Scope("local", "a"), Scope("local", "b"), Scope("stranger", "a"), Scope('local", "a', "")]
ASKED = unit_rows(np.random.default_rng(2), 1, DIMENSION)


class Fails:
    """A tier that is away every now and then."""

    def __init__(self, tier: VectorIndex, turns: list[bool]) -> None:
        self._tier, self._turns, self._number = tier, turns or [False], 0

    def _turn(self) -> None:
        self._number += 1
        if self._turns[self._number % len(self._turns)]:
            raise TierUnavailableError("tier", "away")

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        self._turn()
        return await self._tier.covers(scope, epoch)

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        self._turn()
        return await self._tier.search(scope, vectors, where, limit=limit, epoch=epoch, at=at)

    async def compare(self, scope: Scope, vectors: Matrix, ids: list[UUID], epoch: str, at: int | None = None) -> Comparison:
        self._turn()
        return await self._tier.compare(scope, vectors, ids, epoch, at)

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        raise AssertionError

    async def delete(self, scope: Scope, ids: list[UUID], epoch: str) -> None:
        raise AssertionError


WRITES = st.tuples(st.just("write"), st.integers(0, 3), st.lists(st.integers(0, 5), max_size=3, unique=True), st.integers(1, 2))
STEPS = st.lists(
    st.one_of(WRITES, st.tuples(st.just("carry"), st.integers(0, 3), st.sampled_from([1, None])), st.tuples(st.just("ask"))), max_size=14
)


@settings(max_examples=60, derandomize=True)
@given(
    steps=STEPS,
    order=st.lists(st.sampled_from(["resident", "tiny", "qdrant"]), unique=True),
    turns=st.lists(st.booleans(), max_size=4),
)
async def test_no_tiers_in_any_order_answer_with_what_is_anothers(steps: list, order: list[str], turns: list[bool]) -> None:
    """The scopes hold memories of the same ids, told apart by a tag and by their vectors."""
    rng = np.random.default_rng(9)
    records = Records()
    async with opened(IN_MEMORY) as (index, _):
        clock = iter(range(0, 10**6, 5))  # nothing that was read is believed for long
        known = {
            "resident": ResidentIndex(records, anyio.CapacityLimiter(1)),
            "tiny": ResidentIndex(records, anyio.CapacityLimiter(1), budget_bytes=5000),
            "qdrant": Beside("qdrant", index, records, Block, lambda scope: None, clock=lambda: float(next(clock))),
        }
        stack = VectorStack({name: Fails(known[name], turns) for name in order}, Exact(records))

        async def ask() -> None:
            for number, scope in enumerate(SCOPES):
                own = {point.id: point.vector for point in records.present(scope, EPOCH)}
                (hits,) = await stack.search(scope, ASKED, Filter(), limit=50, epoch=EPOCH)
                assert {hit.id for hit in hits} == set(own)
                for other in range(len(SCOPES)):
                    (tagged,) = await stack.search(scope, ASKED, Filter(tags=frozenset({str(other)})), limit=50, epoch=EPOCH)
                    assert {hit.id for hit in tagged} == (set(own) if other == number else set())
                compared = await stack.compare(scope, ASKED, [UUID(int=i) for i in range(6)], EPOCH)
                truth = await Exact(records).compare(scope, ASKED, [UUID(int=i) for i in range(6)], EPOCH)
                assert np.allclose(compared.similarity, truth.similarity, atol=1e-5, equal_nan=True)
                assert len(compared.sample) in (0, len(truth.sample))

        for step in steps:
            match step:
                case ("write", number, ids, passages):
                    rows = [Point(UUID(int=i), row, tags=(str(number),)) for i in ids for row in unit_rows(rng, passages, DIMENSION)]
                    gone = {point.id for point in records.present(SCOPES[number], EPOCH)} - {row.id for row in rows}
                    records.write(SCOPES[number], rows, EPOCH, removed=sorted(gone)[:1])
                case ("carry", number, limit):
                    scope = SCOPES[number]
                    mark = await index.covers(scope, EPOCH) or 0
                    if (await records.revisions((scope,)))[0] > mark:
                        await index.apply(scope, await records.vector_changes(scope, mark, EPOCH, limit=limit), EPOCH)
                case ("ask",):
                    await ask()
        await ask()
