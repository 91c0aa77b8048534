"""The writer lane and the readers inside one process: cancelled, crowded, closed."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest
from record_stores import ANYTHING, DAY, DIMENSION, EPOCH, HOME, INDEX, Store, add, draft, embedding, live, texts, vector

from memory_mcp.errors import StoreBusyError, TierError
from memory_mcp.models import Filter
from memory_mcp.tiers.sqlite import outbox, reads, writes
from memory_mcp.tiers.sqlite.lock import StoreLock
from memory_mcp.tiers.sqlite.store import SqliteStore


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The lock as another process would hold it: locks of two descriptors know nothing of each other."""
    lock = StoreLock(folder / "memories.lock")
    assert lock.acquire(5)
    try:
        yield
    finally:
        lock.release()
        lock.close()


async def test_calls_that_arrive_together_share_a_commit(tmp_path: Path) -> None:
    commits = 0

    def count(*_: object) -> bool:
        nonlocal commits
        commits += 1
        return False

    async with SqliteStore.open(tmp_path) as store:
        await store._write(lambda connection: connection.set_commit_hook(count))
        with held(tmp_path):
            calls = asyncio.gather(*(store.add(draft(f"text {n}"), None, within=()) for n in range(100)))
            await anyio.sleep(0.05)
        await calls

        assert commits <= 3
        assert len(await texts(store)) == 100


async def test_a_cancelled_write_that_never_began_is_not_there(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        with held(tmp_path):
            call = asyncio.ensure_future(store.add(draft("given up"), None, within=()))
            await anyio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        await add(store, "after")

        assert await texts(store) == ["after"]
        assert len(await store.operations(HOME.tenant, limit=10)) == 1


async def test_a_cancelled_write_that_began_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, proceed, plain = threading.Event(), threading.Event(), writes.add

    def slow_add(*arguments: Any, **named: Any) -> Any:
        began.set()
        assert proceed.wait(5)
        return plain(*arguments, **named)

    async with SqliteStore.open(tmp_path) as store:
        monkeypatch.setattr(writes, "add", slow_add)
        call = asyncio.ensure_future(store.add(draft("carried out"), embedding("carried out"), within=()))
        assert await anyio.to_thread.run_sync(began.wait, 5)
        call.cancel()
        await anyio.sleep(0.02)
        assert not call.done()
        proceed.set()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert await texts(store) == ["carried out"]
        assert await store.verify_chain() is None


async def test_a_write_that_began_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once begun there is no saying "nothing was written", however long it takes."""
    proceed, plain = threading.Event(), writes.add

    def slow_add(*arguments: Any, **named: Any) -> Any:
        assert proceed.wait(5)
        return plain(*arguments, **named)

    async with SqliteStore.open(tmp_path, lock_wait_seconds=0.5) as store:
        monkeypatch.setattr(writes, "add", slow_add)
        call = asyncio.ensure_future(store.add(draft("slow"), None, within=()))
        await anyio.sleep(0.8)
        assert not call.done()
        proceed.set()

        assert (await call).status == "stored"


async def test_whoever_waits_too_long_hears_that_it_is_busy(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path, lock_wait_seconds=0.5) as store:
        await add(store, "before")
        with held(tmp_path):
            calls = [store.add(draft(f"text {n}"), None, within=()) for n in range(10)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert await texts(store) == ["before"]
            told = store.trouble
        await store.claim("embed", limit=1, lease_seconds=1)  # as the background does all the time

        assert {type(result) for result in results} == {StoreBusyError}
        assert "busy" in told
        assert store.trouble == ""
        assert all("Nothing was written" in str(result) for result in results)
        await add(store, "after")
        assert sorted(await texts(store)) == ["after", "before"]


async def test_two_stores_on_one_folder_in_one_process(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as one, SqliteStore.open(tmp_path) as two:
        names = [f"{name} {n}" for n in range(50) for name in ("one", "two")]
        stores = {"one": one, "two": two}
        await asyncio.gather(*(stores[name.split()[0]].add(draft(name), None, within=()) for name in names))

        assert set(await texts(one)) == set(await texts(two)) == set(names)
        assert await one.verify_chain() is None
    async with SqliteStore.open(tmp_path) as store:
        assert len(await texts(store)) == 100


async def test_closing_one_store_leaves_the_other_at_work(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as one:
        await add(one, "first")
        async with SqliteStore.open(tmp_path) as two:
            await add(two, "second")
        await add(one, "third")

        assert sorted(await texts(one)) == ["first", "second", "third"]
        assert await one.check() == []


async def test_what_has_queued_is_carried_out_before_the_end(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        calls = [asyncio.ensure_future(store.add(draft(f"text {n}"), None, within=())) for n in range(300)]
        await anyio.lowlevel.checkpoint()
    results = await asyncio.gather(*calls)

    assert {added.status for added in results} == {"stored"}
    async with SqliteStore.open(tmp_path) as store:
        assert len(await texts(store)) == 300


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "one")
    with anyio.fail_after(5):
        for call in (texts(store), add(store, "two"), store.revisions([HOME])):
            with pytest.raises(TierError, match="closed"):
                await call


async def test_closing_does_not_wait_for_a_lock_it_cannot_have(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with SqliteStore.open(tmp_path) as store:
            await add(store, "one")
            other = held(tmp_path)
            other.__enter__()
        other.__exit__(None, None, None)
    async with SqliteStore.open(tmp_path) as store:
        assert await texts(store) == ["one"]


async def test_many_reads_at_once(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "one")
        answers = await asyncio.gather(*(texts(store) for _ in range(200)))

        assert answers == [["one"]] * 200
        assert len(store._opened) <= 4


async def test_a_reading_connection_cannot_write(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "one")
        with pytest.raises(TierError):
            await store._read(lambda connection: connection.execute("DELETE FROM memories"))

        assert await texts(store) == ["one"]


async def test_a_search_of_every_vector_misses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors are read some at a time; none falls between."""
    monkeypatch.setattr(reads, "_CHUNK", 3)
    contents = [f"text {n}" for n in range(20)]
    async with SqliteStore.open(tmp_path) as store:
        for content in contents:
            await add(store, content)
        queries = np.stack([vector(content) for content in contents])
        found = await store.search(HOME, queries, Filter(), limit=1, epoch=EPOCH)
        (every,) = await store.search(HOME, queries[:1], Filter(), limit=99, epoch=EPOCH)
        ids = {memory.content: memory.id for memory in await live(store)}

    assert queries.shape == (20, DIMENSION)
    assert [hits[0].id for hits in found] == [ids[content] for content in contents]
    assert {hit.id for hit in every} == set(ids.values())
    assert [hit.score for hit in every] == sorted((hit.score for hit in every), reverse=True)


async def test_a_clock_set_back_does_not_put_a_note_off_for_years(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = outbox._now
    async with SqliteStore.open(tmp_path, derived_tiers=[INDEX]) as store:
        await add(store, "one")
        monkeypatch.setattr(outbox, "_now", lambda: plain() + 365 * DAY // DAY.resolution)
        assert len(await store.claim(INDEX, limit=9, lease_seconds=60)) == 1
        monkeypatch.setattr(outbox, "_now", plain)

        assert len(await store.claim(INDEX, limit=9, lease_seconds=60)) == 1


async def test_it_is_every_seam_of_a_record_store(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as opened:
        store: Store = opened

        assert await store.newest([HOME], ANYTHING, limit=1) == []
