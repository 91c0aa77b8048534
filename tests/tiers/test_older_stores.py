"""Stores of earlier versions: what was before the knowledge graph is read behind everything else, once, and by pieces."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import apsw
import pytest
from postgres_server import OWNER, Databases, server
from record_stores import ACTOR, ANYTHING, ELSEWHERE, HOME, INDEX, NOW, OpenStore, Store, add, draft, postgres_stores, sqlite_stores

from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.subjects import by_id
from memory_mcp.upkeep.mentions import mention_older

BEFORE_SQLITE, BEFORE_POSTGRES = 5, 4
"""The schemas' versions before the graph."""


def older_sqlite(folder: Path) -> tuple[OpenStore, Callable[[], None]]:
    def make_older() -> None:
        connection = apsw.Connection(str(folder / "store" / FILE_NAME))
        connection.create_scalar_function("by_id", partial(by_id, connection))
        connection.execute(
            """CREATE TABLE entries AS SELECT o.number, c.scope, o.at, c.action, by_id(o.subjects) AS subjects, c.actor, o.undoes, o.hash
                   FROM operations o JOIN acts c ON c.number = o.act;
               DROP TABLE operations; DROP TABLE acts; DROP TABLE mentions; DROP TABLE entities; DROP TABLE relations;
               DROP TABLE pruned; DROP TABLE log_head; ALTER TABLE entries RENAME TO operations"""
        )
        connection.pragma("user_version", BEFORE_SQLITE)
        connection.close()

    return sqlite_stores(folder), make_older


def older_postgres(folder: Path) -> tuple[OpenStore, Callable[[], None]]:
    def make_older() -> None:
        with server().connect(Databases(folder).make(), OWNER) as owner:
            owner.execute("SET search_path TO memory_mcp, public")
            owner.execute("DROP TABLE mentions, relations, pruned")
            owner.execute("ALTER TABLE operations DROP COLUMN origin, DROP COLUMN details")
            owner.execute("DROP FUNCTION prune_operations")
            owner.execute(f"DELETE FROM schema_version WHERE version > {BEFORE_POSTGRES}")

    return postgres_stores(folder), make_older


SPELLED = "UPDATE memories SET key = 'User.Editor' WHERE key = 'user.editor'"


def spell_in_sqlite(folder: Path) -> tuple[OpenStore, Callable[[], None]]:
    def spell() -> None:
        connection = apsw.Connection(str(folder / "store" / FILE_NAME))
        connection.execute(SPELLED)
        connection.close()

    return sqlite_stores(folder), spell


def spell_in_postgres(folder: Path) -> tuple[OpenStore, Callable[[], None]]:
    def spell() -> None:
        with server().connect(Databases(folder).make()) as administrator:
            administrator.execute("SET search_path TO memory_mcp, public")
            administrator.execute(SPELLED)

    return postgres_stores(folder), spell


@pytest.mark.parametrize("older", [spell_in_sqlite, spell_in_postgres])
async def test_a_key_that_was_kept_as_it_is_spelled_stays_the_same_key(
    older: Callable[[Path], tuple[OpenStore, Callable[[], None]]], tmp_path: Path
) -> None:
    open_store, spell = older(tmp_path)
    async with open_store() as store:
        vim = await add(store, "uses vim", key="user.editor")
    spell()
    async with open_store() as store:
        emacs = await store.add(draft("uses emacs", key="User.Editor"), None, within=[HOME])
        (kate,) = await store.add_many([draft("uses kate", key="User.Editor")])
        (memory,) = await store.newest([HOME], ANYTHING, limit=9)

    assert (emacs.replaced, kate.replaced) == ((vim,), (emacs.id,))
    assert memory.key == "User.Editor"


@pytest.mark.parametrize("older", [older_sqlite, older_postgres])
async def test_older_memories_are_read_in_the_background(
    older: Callable[[Path], tuple[OpenStore, Callable[[], None]]], tmp_path: Path
) -> None:
    open_store, make_older = older(tmp_path)
    async with open_store() as store:
        kept = [await add(store, f"letter {number} from Ann", metadata={"relations": "Ann | wrote | letters"}) for number in range(250)]
        other = await add(store, "a letter from Ann", ELSEWHERE)
        gone, ended = await add(store, "what Ann took back"), await add(store, "what Ann corrected")
        await store.forget([HOME], [gone], ACTOR, NOW)
        await add(store, "corrected", supersedes=(ended,), within=[HOME])
    make_older()

    async with open_store() as store:
        await store.keep_tiers([INDEX])
        assert await mentioned(store) == set()
        assert await store.mention_older(10) == 10
        assert len(await mentioned(store)) == 10
        new = await add(store, "and one more from Ann")
        with anyio.fail_after(30):
            await mention_older(store)

        assert await mentioned(store) == {*kept, new}
        assert (await store.mentions([ELSEWHERE], ["ann"], now=NOW, limit=5))["ann"].memories == (other,)
        assert len(await store.relations([HOME], ["ann"], now=NOW, limit=1000)) == 250
        assert "mentions" not in await store.notes()
        assert await store.mention_older(10) == 0


async def mentioned(store: Store) -> set[object]:
    found = await store.mentions([HOME], ["ann"], now=NOW, limit=1000)
    return {memory for of in found.values() for memory in of.memories}
