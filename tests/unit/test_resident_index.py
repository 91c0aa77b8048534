import threading
from collections.abc import Callable, Sequence
from uuid import UUID

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from brute_force import Point, Records, as_points, unit_rows

from memory_mcp.errors import TierError, TierUnavailableError
from memory_mcp.models import Delta, Filter, Hit, Matrix, Scope
from memory_mcp.tiers.resident.block import Block, bytes_needed
from memory_mcp.tiers.resident.index import ResidentIndex

SCOPE, SECOND, THIRD = (Scope("local", name) for name in ("a", "b", "c"))
EPOCH = "model@1/8"
ANYTHING = Filter()
ROWS = unit_rows(np.random.default_rng(5), 4000, 8)


def some(count: int, *, first: int = 0) -> list[Point]:
    return [Point(UUID(int=first + i), ROWS[first + i]) for i in range(count)]


def index_of(records: Records, *, budget_bytes: int = 2**30) -> ResidentIndex:
    return ResidentIndex(records, anyio.CapacityLimiter(2), budget_bytes=budget_bytes)


async def found(index: ResidentIndex, scope: Scope = SCOPE, epoch: str = EPOCH) -> set[int]:
    (hits,) = await index.search(scope, ROWS[:1], ANYTHING, limit=10_000, epoch=epoch)
    return {hit.id.int for hit in hits}


class Interrupted(Records):
    """Records whose every reading of changes first awaits what the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], object] = anyio.lowlevel.checkpoint

    async def vector_changes(self, scope: Scope, since: int, epoch: str) -> Delta:
        delta = await super().vector_changes(scope, since, epoch)
        await self.before()  # type: ignore[misc]
        return delta


async def test_a_scope_is_loaded_when_it_is_first_asked_for() -> None:
    records = Records()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)

    assert records.asked == []
    assert await index.covers(SCOPE, EPOCH) == 1
    assert await found(index) == set(range(10))
    assert records.asked == [(SCOPE, 0)]


async def test_a_search_catches_up_by_itself_and_only_with_what_changed() -> None:
    records = Records()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)
    await found(index)
    records.write(SCOPE, some(5, first=10), EPOCH)
    records.write(SCOPE, [], EPOCH, removed=[UUID(int=3)])

    assert await found(index) == set(range(15)) - {3}
    assert await index.covers(SCOPE, EPOCH) == 3
    assert records.asked == [(SCOPE, 0), (SCOPE, 1)]


async def test_a_scope_never_written_is_held_and_empty() -> None:
    index = index_of(Records())

    assert await index.covers(SCOPE, EPOCH) == 0
    assert await found(index) == set()


@pytest.mark.parametrize(("memories", "here"), [(1000, True), (4000, False), (1, False)], ids=["few", "many", "one of many passages"])
async def test_a_large_scope_is_searched_in_a_worker_thread_with_the_same_answer(
    monkeypatch: pytest.MonkeyPatch, memories: int, here: bool
) -> None:
    loop, search = threading.get_ident(), Block.search
    places = []

    def watched(block: Block, vectors: Matrix, where: Filter, limit: int) -> list[list[Hit]]:
        places.append(threading.get_ident() == loop)
        return search(block, vectors, where, limit)

    monkeypatch.setattr(Block, "search", watched)
    records = Records()
    records.write(SCOPE, [Point(UUID(int=i % memories), row) for i, row in enumerate(ROWS if memories != 1000 else ROWS[:1000])], EPOCH)
    answers = await index_of(records).search(SCOPE, ROWS[:4], ANYTHING, limit=10_000, epoch=EPOCH)

    assert [{hit.id.int for hit in hits} for hits in answers] == [set(range(memories))] * 4
    assert places == [here]


async def test_a_delta_that_is_whole_replaces_everything() -> None:
    class Forgetful(Records):
        async def vector_changes(self, scope: Scope, since: int, epoch: str) -> Delta:
            return await super().vector_changes(scope, 0, epoch)

    records = Forgetful()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)
    await found(index)
    records.write(SCOPE, some(5, first=20), EPOCH, removed=[UUID(int=i) for i in range(10)])

    assert await found(index) == set(range(20, 25))


async def test_a_store_restored_to_an_earlier_revision_is_read_anew() -> None:
    records = Records()
    for n in range(5):
        records.write(SCOPE, some(2, first=2 * n), EPOCH)
    index = index_of(records)
    await found(index)
    records.replace(SCOPE, some(3, first=50), EPOCH, revision=2)

    assert await found(index) == {50, 51, 52}
    assert await index.covers(SCOPE, EPOCH) == 2


async def test_another_epoch_is_another_block_and_the_former_is_dropped() -> None:
    records = Records()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)
    await found(index)
    records.write(SCOPE, [Point(UUID(int=7), np.eye(3, dtype=np.float32)[0])], "other@1/3")
    (hits,) = await index.search(SCOPE, np.eye(3, dtype=np.float32)[:1], ANYTHING, limit=9, epoch="other@1/3")

    assert [hit.id.int for hit in hits] == [7]
    assert index.figures()["rows"] == 1
    assert index.figures()["scopes"] == 1


async def test_a_load_that_fails_leaves_the_former_state() -> None:
    records = Interrupted()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)
    await found(index)
    before = index.figures()["rows"]
    records.write(SCOPE, some(5, first=10), EPOCH)

    async def fail() -> None:
        raise TierUnavailableError("records", "away")

    records.before = fail
    with pytest.raises(TierUnavailableError):
        await found(index)
    assert index.figures()["rows"] == before
    records.before = anyio.lowlevel.checkpoint
    assert await found(index) == set(range(15))


async def test_a_delta_that_cannot_be_searched_is_refused_whole() -> None:
    records = Records()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)
    await found(index)
    records.write(SCOPE, [Point(UUID(int=50), ROWS[0] * np.float32(np.nan))], EPOCH, removed=[UUID(int=1)])

    with pytest.raises(TierError, match="not finite"):
        await found(index)
    assert index.figures()["rows"] == 10
    records.write(SCOPE, some(1, first=50), EPOCH)
    assert await found(index) == {0, *range(2, 10), 50}


async def test_a_search_that_is_given_up_goes_on_loading_for_the_next_one() -> None:
    """Else a scope that takes longer to read than anybody waits would never be held."""
    records, go_on = Interrupted(), anyio.Event()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)
    records.before = go_on.wait
    with anyio.move_on_after(0.01):
        await found(index)
    go_on.set()

    with anyio.fail_after(5):
        assert await found(index) == set(range(10))
    assert records.asked == [(SCOPE, 0)]


async def test_searches_that_came_while_one_was_at_work_are_carried_out_together() -> None:
    records, go_on = Interrupted(), anyio.Event()
    records.write(SCOPE, some(100), EPOCH)
    index = index_of(records)
    answers: dict[int, list[Hit]] = {}
    looks = 0

    async def revisions(scopes: Sequence[Scope]) -> tuple[int, ...]:
        nonlocal looks
        looks += 1
        return await Records.revisions(records, scopes)

    async def ask(number: int) -> None:
        (answers[number],) = await index.search(SCOPE, ROWS[number : number + 1], ANYTHING, limit=3, epoch=EPOCH)

    async with anyio.create_task_group() as tasks:
        records.before = go_on.wait
        for number in range(40):
            tasks.start_soon(ask, number)
        await anyio.wait_all_tasks_blocked()
        records.revisions = revisions  # type: ignore[method-assign]
        tasks.start_soon(ask, 40)
        await anyio.wait_all_tasks_blocked()
        with anyio.CancelScope() as given_up:
            given_up.cancel()
            await ask(41)
        records.write(SCOPE, some(1, first=100), EPOCH)
        go_on.set()

    assert sorted(answers) == list(range(41))
    for number, hits in answers.items():
        assert hits == (await index.search(SCOPE, ROWS[number : number + 1], ANYTHING, limit=3, epoch=EPOCH))[0]
    assert looks <= 41 + 3  # those of the line above, and one or two for all before


async def test_a_turn_that_fails_fails_for_those_who_were_in_it_alone() -> None:
    records = Interrupted()
    records.write(SCOPE, some(10), EPOCH)
    index = index_of(records)

    async def ask(vectors: np.ndarray) -> None:
        with pytest.raises(TierError):
            await index.search(SCOPE, vectors, ANYTHING, limit=10_000, epoch=EPOCH)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask, np.full((1, 8), np.nan, np.float32))
        assert await found(index) == set(range(10))


async def test_many_first_searches_share_one_load() -> None:
    records = Interrupted()
    records.write(SCOPE, some(3000), EPOCH)
    index = index_of(records)
    answers: list[set[int]] = []

    async def ask() -> None:
        answers.append(await found(index))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ask)

    assert answers == [set(range(3000))] * 8
    assert records.asked == [(SCOPE, 0)]


async def test_searches_while_catching_up_see_one_revision_or_the_next() -> None:
    """Each revision moves all ids on; a mixture would show as ids of two revisions."""
    records = Interrupted()
    records.write(SCOPE, some(20), EPOCH)
    index = index_of(records)

    async def write() -> None:
        for n in range(1, 20):
            removed = [point.id for point in some(20, first=20 * (n - 1))]
            records.write(SCOPE, some(20, first=20 * n), EPOCH, removed=removed)
            await anyio.lowlevel.checkpoint()

    async def look() -> None:
        for _ in range(20):
            assert len({number // 20 for number in await found(index)}) == 1

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            for _ in range(4):
                tasks.start_soon(look)

    assert await found(index) == set(range(380, 400))


async def test_the_least_recently_used_scopes_make_room() -> None:
    records = Records()
    for scope in (SCOPE, SECOND, THIRD):
        records.write(scope, some(100), EPOCH)
    index = index_of(records, budget_bytes=2 * bytes_needed(100, 8) + 100)
    await found(index, SCOPE)
    await found(index, SECOND)
    await found(index, SCOPE)
    assert await found(index, THIRD) == set(range(100))

    figures = index.figures()
    assert (figures["scopes"], figures["rows"], figures["evictions"]) == (2, 200, 1)
    assert figures["bytes"] <= figures["budget_bytes"]
    records.asked.clear()
    await found(index, SCOPE)
    assert records.asked == []
    await found(index, SECOND)
    assert records.asked == [(SECOND, 0)]


async def test_a_scope_that_never_fits_is_not_covered_and_evicts_nobody() -> None:
    records = Records()
    records.write(SCOPE, some(1000), EPOCH)
    records.write(SECOND, some(10), EPOCH)
    index = index_of(records, budget_bytes=bytes_needed(500, 8))
    await found(index, SECOND)

    assert await index.covers(SCOPE, EPOCH) is None
    with pytest.raises(TierUnavailableError, match="too large"):
        await found(index, SCOPE)
    assert index.figures()["scopes_too_large"] == 1
    assert index.figures()["evictions"] == 0
    assert records.asked == [(SECOND, 0), (SCOPE, 0)]


async def test_a_scope_too_large_is_followed_by_counting_until_it_fits() -> None:
    records = Records()
    records.write(SCOPE, some(1000), EPOCH)
    index = index_of(records, budget_bytes=bytes_needed(500, 8))
    await index.covers(SCOPE, EPOCH)
    records.write(SCOPE, some(1, first=1000), EPOCH)
    assert await index.covers(SCOPE, EPOCH) is None
    records.write(SCOPE, [], EPOCH, removed=[UUID(int=i) for i in range(10, 1001)])

    assert await index.covers(SCOPE, EPOCH) == 3
    assert await found(index) == set(range(10))
    assert records.asked == [(SCOPE, 0), (SCOPE, 1), (SCOPE, 2), (SCOPE, 0)]


async def test_a_scope_that_outgrows_the_budget_is_let_go_whole() -> None:
    records = Records()
    records.write(SCOPE, some(100), EPOCH)
    index = index_of(records, budget_bytes=bytes_needed(500, 8))
    assert await index.covers(SCOPE, EPOCH) == 1
    records.write(SCOPE, some(1000, first=100), EPOCH)

    assert await index.covers(SCOPE, EPOCH) is None
    assert index.figures()["bytes"] == 0
    assert index.figures()["rows"] == 0


async def test_writes_reach_only_a_scope_that_is_held_in_their_epoch() -> None:
    index = index_of(Records())
    await index.covers(SCOPE, EPOCH)
    for scope, epoch in ((SECOND, EPOCH), (SCOPE, "other@1/8"), (SCOPE, EPOCH)):
        await index.upsert(scope, as_points(some(3)), epoch)
    await index.delete(SCOPE, [UUID(int=0)], EPOCH)

    assert await found(index) == {1, 2}
    assert await found(index, SECOND) == set()


async def test_memory_that_runs_out_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(_: Sequence[object]) -> None:
        raise MemoryError

    records = Records()
    records.write(SCOPE, some(3), EPOCH)
    monkeypatch.setattr("memory_mcp.tiers.resident.index.Block", exhausted)
    with pytest.raises(TierUnavailableError, match="smaller budget"):
        await index_of(records).covers(SCOPE, EPOCH)
