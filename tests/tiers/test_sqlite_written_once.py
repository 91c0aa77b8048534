"""A store whose log, mentions and text index were written at length, by the program of schema 7, is taken over whole.

`stores/schema-7.db.gz` is such a file, with fourteen operations: two from before entries told of an origin, two that were pruned
since, memories that were added, revised, superseded, imported, forgotten and erased, one of them in another tenant.
"""

import gzip
from pathlib import Path
from uuid import UUID

import apsw
from record_stores import ACTOR, DAY, ELSEWHERE, HOME, NOW, add, found, sqlite_stores, texts

from memory_mcp.audit.entries import LogFilter, Origin
from memory_mcp.models import Provenance
from memory_mcp.tiers.sqlite import subjects
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.store import SqliteStore

WRITTEN = Path(__file__).parent / "stores" / "schema-7.db.gz"
NEWEST, HASH = 14, "75eb0341a0c64efa5e51342be0a03d1efe1c4fab"
WEB = Provenance(client="web", user="ann", origin=Origin("203.0.113.7", "writer", "jwt/ann"))
LIVE = [
    "The first letter came from Ann Smith.",
    "ANN SMITH drinks black tea.",
    "Carl keeps src/app/main.py tidy.",
    "imported one, by Dora",
    "imported two",
]


def older_store(folder: Path) -> Path:
    """The file of a store, as the older program left it."""
    (folder / "store").mkdir()
    file = folder / "store" / FILE_NAME
    file.write_bytes(gzip.decompress(WRITTEN.read_bytes()))
    return file


async def test_the_log_goes_on_from_the_same_hash(tmp_path: Path) -> None:
    older_store(tmp_path)
    open_store = sqlite_stores(tmp_path)
    async with open_store() as store:
        (chain,) = await store.chains()
        log = {entry.number: entry for entry in await store.operations("local", limit=99)}
        from_web = await store.operations("local", limit=99, where=LogFilter(who="203.0.113.7"))
        await add(store, "and on it goes", provenance=WEB, id=UUID(int=1 << 100))
        (longer,) = await store.chains()

    assert (chain.newest, chain.hash, chain.broken, chain.entries) == (NEWEST, HASH, None, 12)
    assert (longer.newest, longer.broken) == (NEWEST + 1, None)
    assert [(number, entry.action, len(entry.subjects)) for number, entry in sorted(log.items())] == [
        *((1, "remember", 1), (2, "remember", 1), (5, "remember", 1), (6, "remember", 1), (7, "update", 1)),
        *((8, "remember", 2), (9, "import", 2), (10, "forget", 1), (12, "remember", 1), (13, "erase", 1), (14, "prune", 0)),
    ]
    assert [entry.number for entry in from_web] == [10, 7, 6, 5]
    assert {entry.actor for entry in from_web} == {WEB}
    assert log[1].actor.origin == Origin()
    assert log[7].subjects == log[5].subjects


async def test_memories_are_found_as_before(tmp_path: Path) -> None:
    older_store(tmp_path)
    async with sqlite_stores(tmp_path)() as store:
        assert await texts(store) == LIVE
        assert await found(store, "letters") == [LIVE[0]]  # by a stem of the text,
        assert await found(store, "post") == [LIVE[0]]  # a tag,
        assert await found(store, "keeper") == [LIVE[2]]  # the key
        assert await found(store, "zurich") == [LIVE[1]]  # and a value
        assert await found(store, "quokka") == await found(store, "stranger") == []
        assert await found(store, "stranger", ELSEWHERE) == ["A stranger met Ann Smith."]
        spoken_of = await store.mentions([HOME], ["ann smith", "dora", "eve adams", "src/app/main.py"], now=NOW, limit=9)
        assert {key: (one.entity.name, one.entity.type, len(one.memories)) for key, one in spoken_of.items()} == {
            "ann smith": ("Ann Smith", "name", 2),
            "dora": ("Dora", "name", 1),
            "src/app/main.py": ("src/app/main.py", "path", 1),
        }
        assert [str(relation.statement) for relation in await store.relations([HOME], None, now=NOW, limit=9)] == [
            "Ann Smith | drinks | green tea"
        ]
        assert await store.check() == []


async def test_older_operations_can_be_undone_and_pruned(tmp_path: Path) -> None:
    file = older_store(tmp_path)
    async with sqlite_stores(tmp_path)() as store:
        await store.undo(HOME, 10, WEB, NOW)
        await store.undo(HOME, 9, ACTOR, NOW)
        await store.undo(HOME, 8, ACTOR, NOW)
        await store.undo(HOME, 7, WEB, NOW)
        assert await texts(store) == [
            "The first letter came from Ann Smith.",
            "Bob keeps src/app/main.py tidy.",
            "Ann Smith drinks green tea.",
            "A word that nobody else says: quokka.",
        ]
        assert await found(store, "green") == ["Ann Smith drinks green tea."]
        assert await store.verify_chain() is None

        assert await store.prune("local", NOW + DAY, ACTOR, NOW + 2 * DAY) == 11
        assert await store.verify_chain() is None
    # of the acts are left those of entries 1, 2, 5 and 6, which could still be undone, and of the pruning itself
    connection = apsw.Connection(str(file))
    assert {row[0] for row in connection.execute("SELECT action FROM acts")} == {"remember", "prune"}
    connection.close()


async def test_an_id_that_no_memory_has_is_kept_in_the_log(tmp_path: Path) -> None:
    """As it is where a log was carried here without all that it tells of."""
    async with SqliteStore.open(tmp_path) as store:
        known = await add(store, "known")
    connection = apsw.Connection(str(tmp_path / FILE_NAME))
    told = b"".join(memory_id + bytes([n]) * subjects.DIGEST_BYTES for n, memory_id in enumerate((known.bytes, b"\x07" * 16, known.bytes)))
    stored = subjects.by_number(connection, told)

    assert len(stored) == 16 + 32 + 16
    assert subjects.by_id(connection, stored) == told
    assert [memory_id == known for memory_id in subjects.ids_in(told)] == [True, False, True]
    assert subjects.by_id(connection, subjects.by_number(connection, told[:40])) == told[:40]
    connection.close()
