"""Memories carried from one record store to another and back: everything, once, checked."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from postgres_server import APP, Databases, server
from record_stores import (
    ACTOR,
    ANYTHING,
    DAY,
    ELSEWHERE,
    EPOCH,
    GLOBAL,
    HOME,
    NOW,
    Store,
    add,
    draft,
    embedding,
    found,
    live,
    picture,
    rewritten,
    texts,
    vectors,
)
from test_commands import command, refused

from memory_mcp.audit.entries import Origin
from memory_mcp.cli.carrying import carry
from memory_mcp.errors import RequestError
from memory_mcp.models import Changes, Embedding, Memory, Operation, Provenance, Scope, Version
from memory_mcp.portable import CarriedMemory
from memory_mcp.tiers.postgres.carry import PostgresCarrier
from memory_mcp.tiers.sqlite.carry import SqliteCarrier
from memory_mcp.tiers.sqlite.store import SqliteStore

WORDS = ("vim", "emacs", "dog", "tool", "ada")


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    made = Databases(tmp_path)
    yield made
    made.drop()


async def a_life(store: Store) -> None:
    """Everything that can happen to memories, in two namespaces."""
    await add(
        store, "uses vim", key="editor", tags=("tool", "ä"), importance=0.1 + 0.2, metadata={"speaker": "Ada", "n": 1e22, "deep": [None]}
    )
    await add(store, "uses emacs", key="editor", now=NOW + DAY)
    dog = await add(store, "dog Rex", GLOBAL, expires_at=NOW + 9 * DAY, occurred_at=NOW - DAY, retention="short_term")
    await store.revise([GLOBAL], dog, rewritten("dog Max"), ACTOR, NOW + DAY)
    await store.revise([GLOBAL], dog, Changes(tags=("x",)), ACTOR, NOW + DAY)
    two_passages = Embedding(embedding("a").vectors.repeat(2, 0), EPOCH)
    await store.add(draft("a long text", kind="rule"), two_passages, within=[HOME])
    gone = await add(store, "cat Tom", embedded=False)
    await store.forget([HOME], [gone], ACTOR, NOW + DAY)
    await add(store, "not embedded yet", embedded=False, metadata={"relations": ["Ann | wrote | letters | 2026-01-01"], "entity": "Ann"})
    await store.count_uses("local", {dog: 2}, NOW)
    for n in range(450):
        await add(store, f"filler {n}")


async def story(store: Store) -> tuple[list[Memory], dict[object, list[Version]], list[Operation]]:
    memories = await store.newest([HOME, GLOBAL], ANYTHING, limit=9_999)
    versions = {memory.id: await store.history([memory.scope], memory.id) for memory in memories if memory.kind != "filler"}
    return memories, versions, await store.operations("local", limit=9_999)


def silent(_what: str, _done: int, _total: int) -> None: ...


async def test_there_and_back_everything_is_the_same(databases: Databases, tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "one") as file, databases.open() as database, SqliteStore.open(tmp_path / "two") as again:
        await a_life(file)
        stores: list[Store] = [file, database, again]
        assert await carry(SqliteCarrier(file, "local"), PostgresCarrier(database, "local"), silent) == 456
        assert await carry(PostgresCarrier(database, "local"), SqliteCarrier(again, "local"), silent) == 456
        tales = [await story(store) for store in stores]
        pictures = [await picture(store, scope, WORDS) for scope in (HOME, GLOBAL) for store in stores]
        both = [await vectors(store, HOME) for store in stores]
        stated = [await store.relations([HOME], ["ann"], now=NOW, limit=9) for store in stores]
        spoken = [await store.mentions([HOME], ["ann", "letters"], now=NOW, limit=9) for store in stores]

        assert tales[0] == tales[1] == tales[2]
        assert pictures[0] == pictures[1] == pictures[2]
        assert pictures[3] == pictures[4] == pictures[5]
        assert both[0] == both[1] == both[2]
        assert stated[0] == stated[1] == stated[2] != []
        assert spoken[0] == spoken[1] == spoken[2]
        assert set(spoken[0]) == {"ann", "letters"}
        for store in stores:
            assert await store.verify_chain() is None
            assert await store.check() == []
            counts = await store.counts("local")
            assert (counts.unembedded, counts.operations) == (1, 459)
            last = (await store.operations("local", limit=1))[0]
            await store.undo(HOME, last.number, ACTOR, NOW + DAY)  # life goes on
            assert await found(store, "vim") == []


class Stopping(PostgresCarrier):
    """Breaks off in the middle."""

    async def put(self, memories: list[CarriedMemory]) -> None:  # type: ignore[override]
        if len(memories) < 200:
            raise KeyboardInterrupt
        await super().put(memories)


async def test_a_log_with_gaps_arrives_with_gaps_that_it_vouches_for(databases: Databases, tmp_path: Path) -> None:
    """Other tenants' entries lie between, and some were pruned; the numbers stay what memories refer to."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    async with SqliteStore.open(tmp_path / "one") as file, databases.open() as database, SqliteStore.open(tmp_path / "two") as again:
        await file.record("local", "denied", ACTOR, long_ago, {"tool": "forget"})
        await add(file, "of this tenant")
        await add(file, "of another", Scope("acme", "home"))
        await file.record("local", "denied", Provenance(user="ann", origin=Origin("203.0.113.7")), NOW, {"tool": "recall"})
        assert await file.prune("local", NOW - DAY, ACTOR, NOW) == 1
        await file.record("@server", "encrypt", ACTOR, NOW, {"memories": 2})
        assert await carry(SqliteCarrier(file, "@server"), PostgresCarrier(database, "@server"), silent) == 0
        assert await carry(SqliteCarrier(file, "local"), PostgresCarrier(database, "local"), silent) == 1
        assert await carry(PostgresCarrier(database, "local"), SqliteCarrier(again, "local"), silent) == 1
        logs = [list(reversed(await store.operations("local", limit=99))) for store in (file, database, again)]
        for store in (file, database, again):
            assert await store.verify_chain() is None
        await database.undo(HOME, 2, ACTOR, NOW)

        assert [[(entry.number, entry.action) for entry in log] for log in logs] == [
            [(2, "remember"), (4, "denied"), (5, "prune")],
            [(2, "remember"), (4, "denied"), (5, "prune"), (6, "migrate")],
            [(2, "remember"), (4, "denied"), (5, "prune"), (6, "migrate"), (7, "migrate")],
        ]
        assert logs[2][:3] == logs[0]
        assert [entry.action for entry in await database.operations("@server", limit=9)] == ["migrate", "encrypt"]
        assert logs[2][1].actor.origin.address == "203.0.113.7"
        assert await live(database) == []


async def test_a_copy_that_was_broken_off_goes_on(databases: Databases, tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "one") as file, databases.open() as database:
        await a_life(file)
        source = SqliteCarrier(file, "local")
        with pytest.raises(KeyboardInterrupt):
            await carry(source, Stopping(database, "local"), silent)
        half = (await PostgresCarrier(database, "local").inventory()).memories

        assert half == 400
        assert await carry(source, PostgresCarrier(database, "local"), silent) == 456
        assert await story(database) == await story(file)
        with pytest.raises(RequestError, match="finished copy"):
            await carry(source, PostgresCarrier(database, "local"), silent)


class Lying(PostgresCarrier):
    """Loses a letter on the way."""

    async def put(self, memories: list[CarriedMemory]) -> None:  # type: ignore[override]
        memories[0] = replace(memories[0], columns={**memories[0].columns, "content": "?"})
        await super().put(memories)


async def test_a_copy_that_differs_is_found_out(databases: Databases, tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "one") as file, databases.open() as database:
        await add(file, "one")
        with pytest.raises(RequestError, match="differ"):
            await carry(SqliteCarrier(file, "local"), Lying(database, "local"), silent)


async def test_other_memories_are_in_the_way(databases: Databases, tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "one") as file, databases.open() as database:
        await add(file, "one")
        await add(database, "two")
        with pytest.raises(RequestError, match="other memories"):
            await carry(SqliteCarrier(file, "local"), PostgresCarrier(database, "local"), silent)


async def test_every_tenant_goes_along_and_a_file_takes_one(databases: Databases, tmp_path: Path) -> None:
    async with databases.open("from") as database:
        for name, scope in (("one", HOME), ("two", GLOBAL), ("three", ELSEWHERE)):
            await add(database, name, scope)
    source, target = (server().dsn(databases.make(name), APP) for name in ("from", "to"))
    files = [f"sqlite://{tmp_path / name}" for name in ("both", "hers")]
    both = refused(command("migrate", "--from", source, "--to", files[0], home=tmp_path))
    nobody = refused(command("migrate", "--from", source, "--to", files[0], "--tenant", "nobody", home=tmp_path))
    alone = refused(command("migrate", "--tenant", "local", home=tmp_path))
    hers = command("migrate", "--from", source, "--to", files[1], "--tenant", ELSEWHERE.tenant, home=tmp_path)
    second = refused(command("migrate", "--from", source, "--to", files[1], "--tenant", "local", home=tmp_path))
    done = command("migrate", "--from", source, "--to", target, home=tmp_path)

    assert "--tenant" in both
    assert "nobody" in nobody
    assert "--from or --to" in alone
    assert "Copied and checked 1 memory" in hers.stdout, hers.stderr
    assert "--tenant" in second
    assert "Copied and checked 3 memories" in done.stdout, done.stderr
    async with SqliteStore.open(tmp_path / "hers") as file, databases.open("to") as database:
        assert await texts(file, ELSEWHERE) == await texts(database, ELSEWHERE) == ["three"]
        assert await texts(file, HOME, GLOBAL) == []
        assert sorted(await texts(database, HOME, GLOBAL)) == ["one", "two"]
        assert await database.verify_chain() is None


async def test_on_the_command_line(databases: Databases, tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "one") as file:
        await add(file, "one")
    there = server().dsn(databases.make(), APP)
    done = command("migrate", "--from", f"sqlite://{tmp_path / 'one'}", "--to", there, home=tmp_path)
    back = command("migrate", "--from", there, "--to", f"sqlite://{tmp_path / 'two' / 'memories.db'}", home=tmp_path)

    assert "Copied and checked 1 memory" in done.stdout, done.stderr
    assert "Copied and checked 1 memory" in back.stdout, back.stderr
    assert "no memory store" in refused(command("migrate", "--from", "sqlite:///nowhere", "--to", there, home=tmp_path))
    assert "named like" in refused(command("migrate", "--from", "mysql://x", home=tmp_path))
