"""What happens to a call when the database is away, silent, crowded or read-only; and that nothing acknowledged is lost."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from postgres_server import APP, OWNER, Databases, server
from proxies import Proxy, proxy_to
from psycopg import AsyncConnection
from record_stores import ACTOR, ANYTHING, ELSEWHERE, EPOCH, HOME, NOW, add, draft, embedding, new_id, revision, texts, vector, vectors

from memory_mcp.errors import StoreReadOnlyError, TierUnavailableError
from memory_mcp.models import Meant
from memory_mcp.tiers.postgres import schema
from memory_mcp.tiers.postgres.store import PostgresStore


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    made = Databases(tmp_path)
    yield made
    made.drop()


@asynccontextmanager
async def behind_a_proxy(databases: Databases, **given: Any) -> AsyncIterator[tuple[PostgresStore, Proxy]]:
    database = databases.make()
    async with proxy_to(server().socket) as proxy:
        dsn = server().dsn(database, APP, "127.0.0.1", proxy.port)
        async with databases.open(dsn=dsn, owner_dsn="", **given) as store:
            yield store, proxy


class TestSeveralStores:
    async def test_each_sees_what_another_wrote_at_once(self, databases: Databases) -> None:
        async with databases.open() as one, databases.open() as other:
            for n in range(20):
                writer, reader = (one, other) if n % 2 else (other, one)
                before = await revision(reader)
                stored = await add(writer, f"text {n}")

                assert await revision(reader) > before
                assert [memory.id for memory in await reader.get_many([HOME], [stored])] == [stored]
                assert stored in (await vectors(reader, HOME))

    async def test_the_right_to_tend_is_free_before_the_server_hears_that_a_connection_ended(
        self, databases: Databases, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def unheard(connection: AsyncConnection[Any]) -> None:
            unclosed.append(connection)

        unclosed: list[AsyncConnection[Any]] = []
        async with databases.open() as one, databases.open() as other:
            with monkeypatch.context() as patch:
                patch.setattr(AsyncConnection, "close", unheard)
                async with one.tending() as first:
                    pass
            async with other.tending() as second:
                pass
            for connection in unclosed:
                await connection.close()

        assert (first, second, len(unclosed)) == (True, True, 1)

    async def test_the_same_text_stored_by_several_at_once_is_one_memory(self, databases: Databases) -> None:
        async with databases.open() as one, databases.open() as other:
            calls = [store.add(draft("the same"), embedding("the same"), within=[HOME]) for _ in range(10) for store in (one, other)]
            done = await asyncio.gather(*calls)

            assert sorted(added.status for added in done) == ["already_known"] * 19 + ["stored"]
            assert len({added.id for added in done}) == 1
            assert await texts(one) == ["the same"]

    async def test_a_key_set_by_several_at_once_has_one_value(self, databases: Databases) -> None:
        async with databases.open() as one, databases.open() as other:
            calls = [
                store.add(draft(f"value {n} of {store is one}", key="k"), embedding(f"{n}"), within=[HOME])
                for n in range(10)
                for store in (one, other)
            ]
            done = await asyncio.gather(*calls)

            assert len(await texts(one)) == 1
            assert sorted(added.status for added in done) == ["stored"] + ["superseded"] * 19
            assert [entry.number for entry in await one.operations("local", limit=99)] == list(range(20, 0, -1))
            assert await one.verify_chain() is None

    async def test_writes_to_different_tenants_and_an_epoch_meanwhile_all_succeed(self, databases: Databases) -> None:
        async with databases.open() as one, databases.open() as other:
            calls: list[Any] = [
                store.add(draft(f"text {n} {store is one}", scope), embedding(f"{n}"), within=[scope])
                for n in range(15)
                for store, scope in ((one, HOME), (other, ELSEWHERE))
            ]
            calls[10:10] = [one.adopt_epoch("model@3/8"), other.adopt_epoch(EPOCH)]
            await asyncio.gather(*calls)
            await one.adopt_epoch(EPOCH)

            assert len(await texts(one, HOME)) == len(await texts(one, ELSEWHERE)) == 15

    async def test_a_note_is_claimed_by_one(self, databases: Databases) -> None:
        async with databases.open() as one, databases.open() as other:
            for n in range(20):
                await add(one, f"text {n}", embedded=False)
            claims = await asyncio.gather(*(store.claim("embed", limit=3, lease_seconds=60) for _ in range(5) for store in (one, other)))

            assert sorted(note.number for notes in claims for note in notes) == sorted({n.number for notes in claims for n in notes})
            assert sum(map(len, claims)) == 20

    async def test_what_is_counted_while_a_memory_is_erased_does_not_outlive_it(self, databases: Databases) -> None:
        async with databases.open() as one, databases.open() as other, anyio.create_task_group() as tasks:
            recalled = await add(one, "recalled and erased")
            with server().connect(databases.make()) as third, third.transaction():
                third.execute("SELECT FROM memory_mcp.memories FOR SHARE")  # holds the erasure up after it has taken the counts away
                tasks.start_soon(one.erase, "local", [recalled], ACTOR, NOW)
                await until_waiting(databases, 1)
                tasks.start_soon(other.count_uses, "local", {recalled: 3}, NOW)
                await until_waiting(databases, 2)
            tasks.cancel_scope.deadline = anyio.current_time() + 20

        async with databases.open() as store:
            assert await store.meant("local", Meant(ids=(recalled,))) == []
            assert await store.remains("local", [recalled]) == []


async def until_waiting(databases: Databases, count: int) -> None:
    """Until so many wait for a lock, or none of them will."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    with server().connect("postgres") as admin, anyio.move_on_after(2):
        while (row := admin.execute(waiting, (databases.make(),)).fetchone()) is None or row[0] < count:  # noqa: ASYNC110 - another process counts
            await anyio.sleep(0.02)


class TestSilence:
    async def test_a_server_that_hangs_is_waited_for_no_longer_than_set(self, databases: Databases) -> None:
        async with behind_a_proxy(databases, answer_seconds=2, pool_seconds=2, pool_size=2) as (store, proxy):
            await add(store, "before")
            proxy.hang()
            for call in (store.revisions([HOME]), add(store, "meanwhile"), store.search_text([HOME], "before", ANYTHING, limit=5)):
                began = time.monotonic()
                with pytest.raises(TierUnavailableError) as caught:
                    await call

                assert caught.value.retryable
                assert time.monotonic() - began < 15
            assert store.figures()["health"] == str(caught.value)
            proxy.resume()
            proxy.cut()

            await until_well(store)
            assert await texts(store) == ["before"]
            assert store.figures()["health"] == "ok"

    async def test_a_caller_with_less_patience_is_let_go_at_once(self, databases: Databases) -> None:
        async with behind_a_proxy(databases, answer_seconds=5) as (store, proxy):
            await add(store, "before")
            connection = store._sessions
            began = time.monotonic()
            with anyio.move_on_after(0.2) as scope:
                await connection.read("local", lambda tx: tx.value("SELECT pg_sleep(4)"))
            assert scope.cancelled_caught
            assert time.monotonic() - began < 2
            assert proxy.accepted

    async def test_a_statement_that_takes_too_long_is_ended_by_the_server(self, databases: Databases) -> None:
        async with databases.open(answer_seconds=2) as store:
            with pytest.raises(TierUnavailableError, match="took too long"):
                await store._sessions.read("local", lambda tx: tx.value("SELECT pg_sleep(60)"))

            assert await texts(store) == []

    async def test_a_write_once_begun_is_carried_to_its_end_when_its_caller_is_cancelled(self, databases: Databases) -> None:
        async with databases.open() as store:
            outcomes = []
            for n in range(30):
                with anyio.move_on_after(n / 5000):
                    await add(store, f"text {n}")
                    outcomes.append(f"text {n}")
            kept = await texts(store)

            assert set(outcomes) <= set(kept)
            assert len(await store.operations("local", limit=99)) == len(kept)
            assert await store.verify_chain() is None


class TestDistance:
    """A server far away is asked as few times as can be."""

    async def test_a_read_is_one_round_trip_and_one_that_nobody_waits_for(self, databases: Databases) -> None:
        async with behind_a_proxy(databases, pool_size=1) as (store, proxy):
            ids = [await add(store, f"text {n}") for n in range(3)]
            now, asked = await revision(store), vector("text")[None]
            reads: dict[str, Callable[[], Awaitable[Any]]] = {
                "revisions": lambda: store.revisions([HOME]),
                "get_many": lambda: store.get_many([HOME], ids),
                "newest": lambda: store.newest([HOME], ANYTHING, limit=5),
                "changed": lambda: store.changed(HOME, now - 1),
                "changed, all": lambda: store.changed(HOME, 0),
                "vector_changes": lambda: store.vector_changes(HOME, now - 1, EPOCH),
                "vector_changes, all": lambda: store.vector_changes(HOME, 0, EPOCH),
                "vector_changes, a page": lambda: store.vector_changes(HOME, 0, EPOCH, limit=2),
                "search": lambda: store.search(HOME, asked, ANYTHING, limit=5, epoch=EPOCH),
                "compare": lambda: store.compare(HOME, asked, ids, EPOCH),
            }
            taken = {}
            for name, read in reads.items():
                await store.revisions([HOME])  # and wait for the end of what was read before
                before = proxy.round_trips
                await read()
                taken[name] = proxy.round_trips - before
            before = proxy.round_trips
            await store.search_text([HOME], "text", ANYTHING, limit=5)

            assert taken == dict.fromkeys(reads, 2)  # one of them ends the read before
            assert proxy.round_trips - before == 3

    async def test_an_answer_of_many_pages_is_whole(self, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("memory_mcp.tiers.postgres.reads._CHUNK", 3)
        monkeypatch.setattr("memory_mcp.tiers.postgres.search._CHUNK", 3)
        async with databases.open() as store:
            for n in range(12):
                await add(store, f"text {n}")
            middle = (await store.vector_changes(HOME, 0, EPOCH, limit=5)).revision

            assert len((await store.changed(HOME, 0)).memories) == 12
            assert len((await store.vector_changes(HOME, 0, EPOCH)).points) == 12
            assert len((await store.changed(HOME, middle)).memories) == len((await store.vector_changes(HOME, middle, EPOCH)).points) == 7


class TestCrowds:
    async def test_without_a_free_connection_a_call_is_refused_in_time(self, databases: Databases) -> None:
        async with databases.open(pool_size=1, pool_seconds=1) as store, anyio.create_task_group() as tasks:
            tasks.start_soon(store._sessions.read, "local", lambda tx: tx.value("SELECT pg_sleep(4)"))
            await anyio.sleep(0.1)
            began = time.monotonic()
            with pytest.raises(TierUnavailableError, match=r"busy.*try again") as caught:
                await texts(store)

            assert caught.value.retryable
            assert time.monotonic() - began < 3.5

    async def test_a_queue_that_is_too_long_is_refused_at_once(self, databases: Databases) -> None:
        async with databases.open(pool_size=1, max_waiting=5) as store:
            results = await asyncio.gather(*(add(store, f"text {n}") for n in range(60)), return_exceptions=True)
            failed = [result for result in results if isinstance(result, BaseException)]
            stored = [result for result in results if isinstance(result, UUID)]

            assert failed
            assert all(isinstance(error, TierUnavailableError) for error in failed)
            assert len(await texts(store)) == len(stored)


async def until_well(store: PostgresStore) -> None:
    with anyio.fail_after(20):
        while True:
            try:
                await store.revisions([HOME])
            except TierUnavailableError:
                await anyio.sleep(0.05)
            else:
                return


class TestRestart:
    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    async def test_nothing_acknowledged_is_lost_and_the_store_recovers_by_itself(self, databases: Databases, mode: str) -> None:
        acknowledged: list[str] = []
        errors: list[TierUnavailableError] = []

        async def write(store: PostgresStore, name: str) -> None:
            for n in range(400):
                content = f"text {n} of {name}"
                try:
                    await add(store, content)
                except TierUnavailableError as error:
                    errors.append(error)
                    await anyio.sleep(0.02)
                else:
                    acknowledged.append(content)
                    if len(acknowledged) == 20:
                        some.set()
                if down.is_set() and len(acknowledged) > at_restart + 20:
                    return

        some, down, at_restart = anyio.Event(), anyio.Event(), 0
        async with databases.open(pool_seconds=2) as store, anyio.create_task_group() as tasks:
            for name in ("one", "two", "three"):
                tasks.start_soon(write, store, name)
            await some.wait()
            await anyio.to_thread.run_sync(server().stop, mode)
            at_restart = len(acknowledged)
            await anyio.sleep(0.3)
            await anyio.to_thread.run_sync(server().start)
            down.set()
        async with databases.open() as store:
            kept = await texts(store)

            assert set(acknowledged) <= set(kept)
            assert len(kept) == len(set(kept))
            assert len(acknowledged) > at_restart
            assert errors
            assert all(error.retryable for error in errors)
            assert await store.verify_chain() is None

    async def test_an_idle_store_does_not_even_notice(self, databases: Databases) -> None:
        async with databases.open() as store:
            await add(store, "before")
            server().stop()
            server().start()

            await add(store, "after")
            assert sorted(await texts(store)) == ["after", "before"]

    async def test_a_server_that_is_away_at_the_start_is_said_to_be(self, databases: Databases) -> None:
        database = databases.make()
        async with proxy_to(Path("/nowhere")) as proxy:
            dsn = server().dsn(database, APP, "127.0.0.1", proxy.port)
            with pytest.raises(TierUnavailableError, match="cannot be reached"):
                async with databases.open(dsn=dsn):
                    pytest.fail("it was opened")


def commit_of(content: str) -> Callable[[bytes], bool]:
    """Of what is sent, tells the commit of the write that sends this: reads end by one, too, and so do connections that are opened."""
    sent = False

    def is_it(data: bytes) -> bool:
        nonlocal sent
        sent = sent or content.encode() in data
        return sent and b"COMMIT\0" in data

    return is_it


class TestLostAnswers:
    async def test_a_commit_whose_answer_is_lost_is_found_out_to_have_been_one(self, databases: Databases) -> None:
        async with behind_a_proxy(databases) as (store, proxy):
            await add(store, "before")
            proxy.swallow = commit_of("in doubt")
            given = draft("in doubt")
            added = await store.add(given, embedding("in doubt"), within=[HOME])

            assert proxy.hidden.is_set()
            assert (added.id, added.status) == (given.id, "stored")
            assert sorted(await texts(store)) == ["before", "in doubt"]
            assert await store.verify_chain() is None

    async def test_where_nobody_can_tell_it_is_said_and_repeating_does_not_double(self, databases: Databases) -> None:
        async with behind_a_proxy(databases, answer_seconds=2, pool_seconds=2) as (store, proxy):
            await add(store, "before")
            given, is_commit = draft("in doubt"), commit_of("in doubt")

            def then_hang(data: bytes) -> bool:
                if committing := is_commit(data):
                    proxy.hang()  # for whoever comes next
                return committing

            proxy.swallow = then_hang
            with pytest.raises(TierUnavailableError, match="Repeat the call"):
                await store.add(given, embedding("in doubt"), within=[HOME])
            proxy.resume()
            proxy.cut()
            await until_well(store)
            again = await store.add(given, embedding("in doubt"), within=[HOME])

            assert (again.id, again.status) == (given.id, "already_known")
            assert sorted(await texts(store)) == ["before", "in doubt"]

    async def test_a_server_that_falls_silent_as_it_saves_may_have_saved(self, databases: Databases) -> None:
        async with behind_a_proxy(databases, answer_seconds=1, pool_seconds=1) as (store, proxy):
            async with anyio.create_task_group() as tasks:  # over two connections: one is at hand to ask for the outcome, and silent, too
                tasks.start_soon(add, store, "one")
                tasks.start_soon(add, store, "two")
            given, is_commit = draft("in doubt"), commit_of("in doubt")

            def hang(data: bytes) -> bool:
                if is_commit(data):
                    proxy.swallow = lambda _: False
                    proxy.hang()
                return False

            proxy.swallow = hang
            with pytest.raises(TierUnavailableError, match="Repeat the call"):
                await store.add(given, embedding("in doubt"), within=[HOME])
            proxy.resume()
            await until_well(store)

            assert (await store.add(given, embedding("in doubt"), within=[HOME])).status == "already_known"


async def test_a_read_only_database_is_read_and_says_that_it_cannot_be_written(databases: Databases) -> None:
    database = databases.make()
    async with databases.open() as store:
        one = await add(store, "one")
    with server().connect("postgres") as admin:
        admin.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on".encode())
    async with databases.open() as store:
        assert await texts(store) == ["one"]
        for call in (
            store.add(draft("two"), None, within=()),
            store.forget([HOME], [one], ACTOR, NOW),
            store.claim("embed", limit=1, lease_seconds=1),
            store.count_uses("local", {one: 1}, NOW),
        ):
            with pytest.raises(StoreReadOnlyError, match="read-only") as caught:
                await call
        assert await texts(store) == ["one"]
        assert store.figures()["health"] == str(caught.value)


@pytest.mark.parametrize("hnsw", [False, True])
async def test_a_search_agrees_with_comparing_every_vector(databases: Databases, hnsw: bool) -> None:
    async with databases.open(hnsw=hnsw, exact_rows=0) as store:
        for n in range(60):
            await add(store, f"text {n}", kind="rule" if n % 20 == 0 else "fact")
        await store.forget([HOME], [(await store.newest([HOME], ANYTHING, limit=1))[0].id], ACTOR, NOW)
        if hnsw:
            assert await schema.index_vectors(server().dsn(databases.make(), OWNER), wanted=True)
        delta = await store.vector_changes(HOME, 0, EPOCH)
        asked = vector("something")
        ((*hits,),) = await store.search(HOME, asked[None], ANYTHING, limit=10, epoch=EPOCH)
        scores = delta.points.vectors @ asked

        assert [hit.id for hit in hits] == [delta.points.ids[row] for row in (-scores).argsort()[:10]]
        assert [hit.score for hit in hits] == pytest.approx(sorted(scores, reverse=True)[:10], abs=2e-3)
        assert await store.search(HOME, asked[None], ANYTHING, limit=5, epoch="unheard of") == [[]]
        assert new_id() not in {hit.id for hit in hits}
