"""An index that lags and what is searched beside it, against comparing everything that there is now."""

from uuid import UUID

import anyio
import numpy as np
import pytest
from brute_force import Carried, Exact, Point, Records, as_points, unit_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_mcp.errors import ScopeNotCoveredError
from memory_mcp.models import Filter, Scope
from memory_mcp.tiers import beside
from memory_mcp.tiers.beside import BEHIND_SECONDS, MARK_SECONDS, Beside
from memory_mcp.tiers.resident.block import Block

SCOPE, EPOCH, DIMENSION = Scope("local", "a"), "model@1/8", 8
ANYTHING = Filter()
ASKED = unit_rows(np.random.default_rng(5), 2, DIMENSION)


class World:
    """Records, an index that is carried to page by page, and what is under test over both."""

    def __init__(self) -> None:
        self.records, self.index, self.now = Records(), Carried(), 100.0
        self.wanted: list[Scope] = []
        self.beside = Beside("index", self.index, self.records, Block, self.wanted.append, clock=lambda: self.now)
        self._rng = np.random.default_rng(1)

    def write(self, ids: list[int], *, passages: int = 1, removed: list[int] | None = None, kind: str = "fact") -> None:
        rows = [Point(UUID(int=i), row, kind=kind) for i in ids for row in unit_rows(self._rng, passages, DIMENSION)]
        self.records.write(SCOPE, rows, EPOCH, removed=[UUID(int=i) for i in removed or []])

    async def carry(self, limit: int | None = None) -> None:
        mark = await self.index.covers(SCOPE, EPOCH) or 0
        await self.index.apply(SCOPE, await self.records.vector_changes(SCOPE, mark, EPOCH, limit=limit), EPOCH)

    async def check(self, where: Filter = ANYTHING, limit: int = 5) -> bool:
        """Whether there is an answer; if there is, it is the true one."""
        (at,) = await self.records.revisions((SCOPE,))
        named = [UUID(int=i) for i in range(12)]
        try:
            found = await self.beside.search(SCOPE, ASKED, where, limit=limit, epoch=EPOCH, at=at)
            compared = await self.beside.compare(SCOPE, ASKED, named, EPOCH)
        except ScopeNotCoveredError:
            return False
        exact = Exact(self.records)
        expected = await exact.search(SCOPE, ASKED, where, limit=limit, epoch=EPOCH)
        truth = await exact.compare(SCOPE, ASKED, named, EPOCH)

        assert [[(hit.id, hit.passage) for hit in hits] for hits in found] == [[(hit.id, hit.passage) for hit in hits] for hits in expected]
        assert np.allclose(compared.similarity, truth.similarity, atol=1e-5, equal_nan=True)
        assert compared.passage.tolist() == truth.passage.tolist()
        assert np.allclose(np.sort(compared.sample, 0), np.sort(truth.sample, 0), atol=1e-5)
        return True


IDS = st.lists(st.integers(0, 11), max_size=4, unique=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), IDS, st.integers(1, 3), IDS),
        st.tuples(st.just("carry"), st.sampled_from([1, 2, None])),
        st.tuples(st.just("wait"), st.sampled_from([0.1, MARK_SECONDS + 0.1])),
        st.tuples(st.just("lose")),
        st.tuples(st.just("check"), st.sampled_from([ANYTHING, Filter(kinds=frozenset({"fact"}))]), st.integers(1, 20)),
    ),
    max_size=25,
)


@settings(max_examples=150, derandomize=True)
@given(steps=STEPS)
async def test_an_answer_is_the_true_one_whatever_was_carried(steps: list) -> None:
    world = World()
    for step in steps:
        match step:
            case ("write", ids, passages, removed):
                world.write(ids, passages=passages, removed=[i for i in removed if i not in ids], kind=("fact", "event")[passages % 2])
            case ("carry", limit):
                await world.carry(limit)
            case ("wait", seconds):
                world.now += seconds
            case ("lose",):
                world.index.lose()
                world.now += MARK_SECONDS + 0.1
            case ("check", where, limit):
                await world.check(where, limit)
    await world.carry()
    world.now += MARK_SECONDS + BEHIND_SECONDS
    assert await world.check()


async def test_what_is_not_held_is_said_and_wanted_and_not_asked_for_again_at_once() -> None:
    world = World()
    world.write([1, 2])
    assert not await world.check()
    asked = len(world.records.asked)
    assert not await world.check()
    await world.carry()
    assert not await world.check()
    world.now += BEHIND_SECONDS

    assert await world.check()
    assert set(world.wanted) == {SCOPE}
    assert len(world.records.asked) == asked + 1  # for carrying


async def test_a_scope_that_lags_too_far_is_not_covered_until_it_was_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "MOST_PASSAGES", 10)
    world = World()
    world.write([1])
    await world.carry()
    assert await world.check()
    world.write([2, 3], passages=5)
    assert await world.check()
    world.write([4])
    assert not await world.check()
    assert await world.beside.covers(SCOPE, EPOCH) is None
    await world.carry()
    world.now += MARK_SECONDS + BEHIND_SECONDS

    assert await world.check()
    assert world.beside.figures()["passages_beside"] == 0


async def test_what_the_index_has_caught_up_with_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "REBASE_PASSAGES", 5)
    world = World()
    world.write([0])
    await world.carry()
    for start in range(1, 9):
        world.write([start])
        assert await world.check()
    before = world.beside.figures()["passages_beside"]
    await world.carry()
    world.now += MARK_SECONDS + 0.1
    assert await world.check()

    assert (before, world.beside.figures()["passages_beside"]) == (8, 0)


async def test_of_many_scopes_the_least_used_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "KEPT_PASSAGES", 10)
    world = World()
    for number in range(8):
        scope = Scope("local", str(number))
        await world.index.apply(scope, await world.records.vector_changes(scope, 0, EPOCH), EPOCH)
        world.records.write(scope, [Point(UUID(int=100 * number + i), ASKED[0]) for i in range(3)], EPOCH)
        (hits,) = await world.beside.search(scope, ASKED[:1], ANYTHING, limit=5, epoch=EPOCH)
        assert len(hits) == 3

    assert world.beside.figures() == {"scopes_beside": 3, "passages_beside": 9}


async def test_of_many_scopes_that_lag_in_nothing_so_many_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "KEPT_SCOPES", 5)
    world = World()
    for number in range(8):
        scope = Scope("local", str(number))
        await world.index.apply(scope, await world.records.vector_changes(scope, 0, EPOCH), EPOCH)
        await world.beside.search(scope, ASKED[:1], ANYTHING, limit=5, epoch=EPOCH)

    assert world.beside.figures() == {"scopes_beside": 5, "passages_beside": 0}


async def test_that_it_lags_is_told_once_for_each_revision() -> None:
    world = World()
    world.write([1])
    await world.carry()
    for _ in range(3):
        world.write([2])
        for _ in range(4):
            assert await world.check()

    assert len(world.wanted) == 3


async def test_searches_at_once_read_what_is_new_once() -> None:
    world = World()
    world.write([1])
    await world.carry()
    await world.check()
    world.write([2])
    before = len(world.records.asked)
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(world.check)

    assert len(world.records.asked) == before + 1


def test_of_two_forms_of_a_memory_the_newer_counts() -> None:
    rows = as_points([Point(UUID(int=1), ASKED[0])])
    block = Block(rows)
    (old,), (new,) = block.search(ASKED[:1], ANYTHING, 1), block.search(-ASKED[:1], ANYTHING, 1)

    assert beside.merged(old, new, set(), 5) == new
    assert beside.merged(old, [], {UUID(int=1)}, 5) == []
