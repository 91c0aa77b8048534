"""What the record store notes reaches the tier, whatever breaks on the way; and what the tier holds is then what the store has."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from brute_force import Carried
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_stores import ACTOR, ELSEWHERE, EPOCH, GLOBAL, HOME, NOW, OTHER_EPOCH, Store, add, embedding, new_id, revision, rewritten

from memory_mcp.errors import TierError, TierUnavailableError
from memory_mcp.models import Delta, Note, Scope
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.upkeep import carrier as carrying
from memory_mcp.upkeep.carrier import Carrier, every_scope, level
from memory_mcp.upkeep.comparison import compare_scope
from memory_mcp.upkeep.reindex import rebuild

TIER = "index"


class Faulty(Carried):
    """Breaks where it is told to, and tells what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Callable[[Scope], Exception | None] = lambda scope: None
        self.fault_after: Exception | None = None
        self.applied: list[tuple[Scope, int]] = []
        self.arrived = anyio.Event()

    async def apply(self, scope: Scope, delta: Delta, epoch: str) -> None:
        if error := self.fault(scope):
            raise error
        await super().apply(scope, delta, epoch)
        self.applied.append((scope, len(delta.points) + len(delta.removed)))
        self.arrived.set()
        self.arrived = anyio.Event()
        if self.fault_after is not None:
            raise self.fault_after

    async def held(self, scope: Scope, epoch: str) -> dict[UUID, int]:
        return {memory_id: len(passages) for memory_id, passages in self._points.get((scope, epoch), {}).items()}


class AwayError(TierUnavailableError):
    def __init__(self) -> None:
        super().__init__(TIER, "away")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[SqliteStore, Faulty, Carrier]]:
    async with SqliteStore.open(folder, derived_tiers=[TIER]) as store:
        index = Faulty()
        yield store, index, Carrier(TIER, index, store, lambda: EPOCH, idle_seconds=0.05)


async def ids_in(store: Store, scope: Scope) -> set[UUID]:
    return set((await store.vector_changes(scope, 0, EPOCH)).points.ids)


async def is_level(store: Store, index: Faulty, scopes: Sequence[Scope] = (HOME, GLOBAL, ELSEWHERE)) -> bool:
    for scope in scopes:
        if await revision(store, scope) != (await index.covers(scope, EPOCH) or 0):
            return False
        assert set(await index.held(scope, EPOCH)) == await ids_in(store, scope)
    return not (await store.notes()).get(TIER)


async def drain(carrier: Carrier) -> None:
    while await carrier.work_once():
        pass


async def test_every_change_of_every_scope_is_carried(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        ids = [await add(store, f"text {n}", scope) for n in range(6) for scope in (HOME, ELSEWHERE)]
        await drain(carrier)
        assert await is_level(store, index)
        await store.forget([HOME], ids[:2:2], ACTOR, NOW)
        await store.revise([HOME], ids[4], rewritten("another text"), ACTOR, NOW)
        assert not await is_level(store, index)
        await drain(carrier)
        assert await is_level(store, index)
        assert carrier.figures() == {"carried": 14, "scopes_lagging": 0}


async def test_nothing_is_carried_twice_nor_while_nothing_changes(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        await add(store, "one")
        await drain(carrier)
        assert not await carrier.work_once()
        await add(store, "two")
        await drain(carrier)

    assert index.applied == [(HOME, 1), (HOME, 1)]


async def test_what_was_there_before_the_tier_is_carried_at_the_start(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        for n in range(3):
            await add(store, f"text {n}")
    async with opened(tmp_path) as (store, index, carrier):
        await drain(carrier)

        assert await is_level(store, index)


async def test_without_a_model_nothing_is_done_and_nothing_is_lost(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, _):
        epochs: list[str | None] = [None]
        carrier = Carrier(TIER, index, store, lambda: epochs[0])
        await add(store, "one")
        assert not await carrier.work_once()
        epochs[0] = EPOCH
        await drain(carrier)

        assert await is_level(store, index)


async def test_a_change_of_the_model_is_carried_as_it_is_embedded(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, _):
        carrier = Carrier(TIER, index, store, lambda: OTHER_EPOCH)
        one = await add(store, "one")
        await store.adopt_epoch(OTHER_EPOCH)
        await drain(carrier)
        assert await index.held(HOME, OTHER_EPOCH) == {}
        notes = await store.claim("embed", limit=9, lease_seconds=60)
        await store.settle_embeddings(notes, [embedding("one", OTHER_EPOCH)])
        await drain(carrier)

        assert await index.held(HOME, OTHER_EPOCH) == {one: 1}


async def test_a_worker_killed_after_carrying_and_before_settling_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "_LEASE_SECONDS", 0.0)
    async with opened(tmp_path) as (store, index, carrier):
        await add(store, "one")
        settle, at_settling = store.settle, anyio.Event()

        async def killed(notes: Sequence[Note]) -> None:
            at_settling.set()
            await anyio.sleep_forever()

        monkeypatch.setattr(store, "settle", killed)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carrier.run)
            with anyio.fail_after(5):
                await at_settling.wait()
            tasks.cancel_scope.cancel()
        monkeypatch.setattr(store, "settle", settle)
        assert set(await index.held(HOME, EPOCH)) == await ids_in(store, HOME)
        assert await store.notes() == {TIER: 1}
        await drain(Carrier(TIER, index, store, lambda: EPOCH))

        assert await is_level(store, index)


async def test_a_tier_that_was_away_is_caught_up_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "_FIRST_REST_SECONDS", 0.02)
    async with opened(tmp_path) as (store, index, carrier):
        index.fault = lambda scope: AwayError()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carrier.run)
            for n in range(5):
                await add(store, f"text {n}")
                carrier.want(HOME)
                await anyio.sleep(0.02)
            assert index.applied == []
            index.fault = lambda scope: None
            with anyio.fail_after(10):
                while not await is_level(store, index):  # noqa: ASYNC110 - only the store knows
                    await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()


async def test_notes_that_could_not_be_given_back_are_settled_when_the_store_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        await add(store, "one")

        async def away(*given: object) -> None:
            raise AwayError

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(store, "settle", away)
            meanwhile.setattr(store, "postpone", away)
            with pytest.raises(TierUnavailableError):
                await drain(carrier)
        assert (await store.notes())[TIER] == 1
        await drain(carrier)

        assert await is_level(store, index)


async def test_an_answer_that_was_lost_is_asked_for_again(tmp_path: Path) -> None:
    """The tier did what it was told, and its answer did not arrive."""
    async with opened(tmp_path) as (store, index, carrier):
        await add(store, "one")
        index.fault_after = AwayError()
        with pytest.raises(TierUnavailableError):
            await drain(carrier)
        index.fault_after = None
        await drain(carrier)

        assert await is_level(store, index)


async def test_a_scope_that_cannot_be_carried_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        for scope in (HOME, GLOBAL, ELSEWHERE):
            await add(store, f"text of {scope}", scope)
        index.fault = lambda scope: TierError(TIER, "never") if scope == HOME else None
        await drain(carrier)
        assert await is_level(store, index, (GLOBAL, ELSEWHERE)) is False  # the note of the one is still there
        assert {scope for scope, _ in index.applied} == {GLOBAL, ELSEWHERE}
        index.fault = lambda scope: None
        carrier.want(HOME)
        await drain(carrier)

        assert set(await index.held(HOME, EPOCH)) == await ids_in(store, HOME)


async def test_two_workers_on_one_store_share_the_work(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, first):
        second = Carrier(TIER, index, store, lambda: EPOCH)
        for n in range(40):
            await add(store, f"text {n}", (HOME, GLOBAL)[n % 2])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain, first)
            tasks.start_soon(drain, second)

        assert await is_level(store, index)


async def test_a_tier_that_lost_everything_is_filled_again_when_somebody_misses_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        await add(store, "one")
        await drain(carrier)
        index.lose()
        carrier.want(HOME)
        await drain(carrier)

        assert await is_level(store, index)


async def test_a_tier_that_comes_back_empty_between_the_look_and_the_writing_is_filled_whole(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        await add(store, "one")
        await drain(carrier)
        await add(store, "two")
        index.fault = lambda scope: index.lose()
        with pytest.raises(TierUnavailableError):
            await drain(carrier)
        index.fault = lambda scope: None
        await drain(carrier)

        assert await is_level(store, index)


async def test_pages_without_a_vector_begin_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "FIRST_PAGE", 2)
    async with opened(tmp_path) as (store, index, carrier):
        for n in range(5):
            await add(store, f"bare {n}", embedded=False)
        await add(store, "with one")
        index.fault = lambda scope: index.lose() if not index._points else None  # as where there is no collection before the first vector
        await drain(carrier)

        assert await is_level(store, index)


async def test_an_older_copy_of_the_store_takes_the_place_of_everything(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        await add(store, "one")
        await index.apply(HOME, await store.vector_changes(HOME, 0, EPOCH), EPOCH)
        index._marks[HOME, EPOCH] = 2**60
        await index.upsert(HOME, (await store.vector_changes(HOME, 0, EPOCH)).points, EPOCH)
        await drain(carrier)

        assert await index.covers(HOME, EPOCH) == await revision(store)


async def test_pages_grow_where_texts_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "FIRST_PAGE", 2)
    monkeypatch.setattr(carrying, "LARGEST_PAGE", 10)
    pages: list[int] = []
    async with opened(tmp_path) as (store, index, _):
        for n in range(25):
            await add(store, f"text {n}")
        assert await level(index, store, HOME, EPOCH, told=pages.append)
        assert not await level(index, store, HOME, EPOCH, told=pages.append)

    assert pages == [2, 10, 10, 3]


class Beside(Faulty):
    """An index that can be built beside itself."""

    def __init__(self) -> None:
        super().__init__()
        self.next = Faulty()

    def beside(self) -> Faulty:
        return self.next

    async def finish(self, epoch: str) -> None:
        self._points, self._marks = self.next._points, self.next._marks
        self.next = Faulty()


async def test_a_rebuilt_index_holds_what_was_written_meanwhile_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        index = Beside()
        for n in range(5):
            await add(store, f"text {n}", (HOME, ELSEWHERE)[n % 2])
        index.next.fault = lambda scope: AwayError() if scope == ELSEWHERE else None
        with pytest.raises(TierUnavailableError):
            await rebuild(index, store, EPOCH)
        assert await index.covers(HOME, EPOCH) is None
        index.next.fault = lambda scope: None
        done = index.next.applied
        late = [await add(store, "late")]
        told: list[int] = []
        carried = await rebuild(index, store, EPOCH, told=told.append)

        assert await is_level(store, index)
        assert late[0] in await index.held(HOME, EPOCH)
        assert (carried, sum(told), done) == (3, 3, [(HOME, 3), (HOME, 1), (ELSEWHERE, 2)])


async def test_what_is_lost_and_what_is_left_is_counted(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, index, carrier):
        ids = [await add(store, f"text {n}") for n in range(6)]
        never = await compare_scope(index, store, HOME, EPOCH)
        await drain(carrier)
        level = await compare_scope(index, store, HOME, EPOCH)
        await index.delete(HOME, ids[:2], EPOCH)
        foreign = await store.vector_changes(HOME, 0, EPOCH)
        await store.forget([HOME], ids[5:], ACTOR, NOW)
        await drain(carrier)
        await index.upsert(HOME, foreign.points, EPOCH)
        await index.delete(HOME, ids[:1], EPOCH)
        await add(store, "not carried yet")
        found = await compare_scope(index, store, HOME, EPOCH)

    assert (never.memories, never.lagging, never.lost, never.left) == (6, None, 0, 0)
    assert (level.memories, level.lagging, level.lost, level.left) == (6, 0, 0, 0)
    assert (found.memories, found.lagging, found.lost, found.left) == (6, 1, 1, 1)


@settings(max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["add", "forget", "revise", "carry", "break", "lose"]), st.integers(0, 5)), max_size=15))
async def test_in_the_end_the_tier_holds_what_the_store_has(tmp_path: Path, steps: list) -> None:
    async with opened(tmp_path / str(new_id())) as (store, index, carrier):
        ids: list[UUID] = []
        for kind, number in steps:
            match kind:
                case "add":
                    ids.append(await add(store, f"text {new_id()}", (HOME, GLOBAL)[number % 2], embedded=number != 5))
                case "forget" | "revise" if ids:
                    memory_id = ids[number % len(ids)]
                    try:
                        if kind == "forget":
                            await store.forget([HOME, GLOBAL], [memory_id], ACTOR, NOW)
                        else:
                            await store.revise([HOME, GLOBAL], memory_id, rewritten(f"text {new_id()}"), ACTOR, NOW)
                    except LookupError:
                        pass
                case "carry" | "break":
                    index.fault_after = AwayError() if kind == "break" else None
                    with suppress(TierUnavailableError):
                        await carrier.work_once()
                    index.fault_after = None
                case "lose":
                    index.lose()
        for scope in await every_scope(store):
            carrier.want(scope)
        await drain(carrier)

        assert await is_level(store, index, (HOME, GLOBAL))
