"""The store's file: who may read it, what is refused, what is found out, and that nothing is thrown away."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import apsw
import numpy as np
import pytest
from record_stores import ACTOR, ANYTHING, ELSEWHERE, EPOCH, HOME, NOW, add, draft, fingerprint, rewritten, texts, vector, vectors

from memory_mcp.errors import SchemaTooNewError, StoreDamagedError, StoreFullError, StoreReadOnlyError, TierError
from memory_mcp.models import Embedding
from memory_mcp.tiers.sqlite import database
from memory_mcp.tiers.sqlite.store import SqliteStore

FILE, WAL = "memories.db", "memories.db-wal"


async def some_store(folder: Path) -> None:
    async with SqliteStore.open(folder) as store:
        for n in range(200):
            await add(store, f"text {n} of some length, so that there is more than a page or two")


async def refused(folder: Path) -> None:
    async with SqliteStore.open(folder):
        pytest.fail("it was opened")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        async with SqliteStore.open(tmp_path / "deep" / "folder") as store:
            await add(store, "private")
            files = {path.name: mode(path) for path in (tmp_path / "deep" / "folder").glob("*")}
    finally:
        os.umask(previous)

    assert mode(tmp_path / "deep" / "folder") == 0o700
    assert {FILE, WAL, "memories.db-shm", "memories.lock"} <= files.keys()
    assert set(files.values()) == {0o600}


async def test_it_is_opened_as_the_rules_want_it(tmp_path: Path) -> None:
    await some_store(tmp_path)
    connection = database.connect(tmp_path / FILE, None)
    pragmas = {name: connection.pragma(name) for name in ("journal_mode", "synchronous", "wal_autocheckpoint", "foreign_keys")}
    connection.close()

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0, "foreign_keys": 1}


async def test_a_closed_store_is_whole_in_its_file(tmp_path: Path) -> None:
    await some_store(tmp_path)
    os.makedirs(tmp_path / "copy")
    shutil.copyfile(tmp_path / FILE, tmp_path / "copy" / FILE)
    async with SqliteStore.open(tmp_path / "copy") as store:
        assert len(await texts(store)) == 200
    assert os.stat(tmp_path / WAL).st_size == 0


async def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    await some_store(tmp_path)
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.pragma("user_version", 99)
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    before = read(tmp_path / FILE)
    with pytest.raises(SchemaTooNewError, match=r"newer memory_mcp \(schema 99; this program knows \d+\).*left untouched: upgrade"):
        await refused(tmp_path)

    assert read(tmp_path / FILE) == before


def read(path: Path) -> bytes:
    return path.read_bytes()


def garbage(path: Path) -> None:
    path.write_text("Dear diary,\n" * 1000)


def short_garbage(path: Path) -> None:
    path.write_text("Dear diary")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_in_the_header(path: Path) -> None:
    os.truncate(path, 60)


def cut_in_the_first_page(path: Path) -> None:
    os.truncate(path, 2000)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def overwritten_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def scribbled(path: Path) -> None:
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in range(pages - 8, pages):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)


def another_programs(path: Path) -> None:
    path.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def another_applications(path: Path) -> None:
    path.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA application_id = 1234; CREATE TABLE theirs (a)")
    connection.close()


DAMAGES = [
    garbage,
    short_garbage,
    truncated,
    cut_in_the_header,
    cut_in_the_first_page,
    emptied,
    overwritten_header,
    another_programs,
    another_applications,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """It is never replaced by an empty store, and each further attempt says the same."""
    await some_store(tmp_path)
    damage(tmp_path / FILE)
    before = read(tmp_path / FILE)
    for _ in range(2):
        with pytest.raises(StoreDamagedError, match="Restore a backup"):
            await refused(tmp_path)

        assert read(tmp_path / FILE) == before


async def test_a_lost_file_is_not_replaced_while_its_wal_is_there(tmp_path: Path) -> None:
    """What it holds may be all that is left."""
    await some_store(tmp_path)
    os.rename(tmp_path / FILE, tmp_path / "moved.db")
    with pytest.raises(StoreDamagedError):
        await refused(tmp_path)
    os.rename(tmp_path / "moved.db", tmp_path / FILE)

    async with SqliteStore.open(tmp_path) as store:
        assert len(await texts(store)) == 200


async def test_damage_in_the_middle_is_found_by_a_full_check(tmp_path: Path) -> None:
    await some_store(tmp_path)
    scribbled(tmp_path / FILE)
    async with SqliteStore.open(tmp_path) as store:
        assert await store.check()


async def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    os.makedirs(tmp_path / FILE)
    with pytest.raises(TierError, match="cannot be opened"):
        await refused(tmp_path)


async def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    short_garbage(tmp_path / "folder")
    with pytest.raises(TierError, match="cannot be opened"):
        await refused(tmp_path / "folder")


async def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "sqlite_version", lambda: (3, 51, 2))
    with pytest.raises(TierError, match=r"3\.51\.3 or later"):
        await refused(tmp_path)


def test_this_sqlite_is_new_enough() -> None:
    assert database.sqlite_version() >= database.OLDEST_SAFE_SQLITE


async def test_no_page_left(tmp_path: Path) -> None:
    """The call that does not fit is refused whole; what fits again works again."""
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "before")

        def limit(connection: apsw.Connection) -> None:
            connection.pragma("max_page_count", connection.pragma("page_count") + 3)

        await store._write(limit)
        with pytest.raises(StoreFullError) as caught:
            await add(store, "x" * 100_000)
        await store.claim("embed", limit=1, lease_seconds=1)  # of which there is nothing to write
        told = store.trouble
        await add(store, "small enough")

        assert told == str(caught.value)
        assert store.trouble == ""
        assert caught.value.retryable
        assert sorted(await texts(store)) == ["before", "small enough"]
        await store._write(lambda connection: connection.pragma("max_page_count", 1_000_000))
        await add(store, "x" * 100_000)
        assert len(await texts(store)) == 3
        assert await store.verify_chain() is None
        assert await store.check() == []


async def test_what_may_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrowest stand-in for a disk that cannot be written; the real one is tested in another process."""
    await some_store(tmp_path)
    before = read(tmp_path / FILE)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    async with SqliteStore.open(tmp_path) as store:
        assert len(await texts(store)) == 200
        for call in (
            store.add(draft("new"), None, within=()),
            store.forget([HOME], [], ACTOR, NOW),
            store.claim("embed", limit=1, lease_seconds=1),
            store.count_uses("local", {}, NOW),
        ):
            with pytest.raises(StoreReadOnlyError):
                await call
        assert "read-only" in store.trouble

    assert read(tmp_path / FILE) == before


async def test_a_read_only_store_is_looked_at_as_closely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    garbage(tmp_path / FILE)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(StoreDamagedError):
        await refused(tmp_path)


TAMPERING = {
    "action": (
        "INSERT INTO acts SELECT 9, scope, 'import', actor, origin FROM acts LIMIT 1; UPDATE operations SET act = 9 WHERE number = 3",
        3,
    ),
    "an action": ("UPDATE acts SET action = 'merge' WHERE action = 'update'", 5),
    "time": ("UPDATE operations SET at = at + 1 WHERE number = 1", 1),
    "who": (
        "INSERT INTO actors SELECT 9, 'somebody-else', user, agent, source FROM actors; "
        "INSERT INTO acts SELECT 9, scope, action, 9, origin FROM acts LIMIT 1; UPDATE operations SET act = 9 WHERE number = 2",
        2,
    ),
    "a name": ("UPDATE actors SET client = 'somebody-else'", 1),
    "which memory": ("UPDATE operations SET subjects = zeroblob(32) WHERE number = 4", 4),
    "another memory": ("UPDATE operations SET subjects = (SELECT subjects FROM operations WHERE number = 1) WHERE number = 4", 4),
    "no such memory": ("UPDATE operations SET subjects = CAST(x'7fffffff' || substr(subjects, 5) AS BLOB) WHERE number = 4", 4),
    "an id": ("UPDATE memories SET id = randomblob(16) WHERE number = 2", 2),
    "scope": ("UPDATE operations SET act = (SELECT act FROM operations WHERE number = 4) WHERE number = 2", 2),
    "hash": ("UPDATE operations SET hash = randomblob(32) WHERE number = 5", 5),
    "first removed": ("DELETE FROM operations WHERE number = 1", 1),
    "one removed": ("DELETE FROM operations WHERE number = 3", 3),
    "last removed": ("DELETE FROM operations WHERE number = 6", 6),
    "two swapped": ("UPDATE operations SET number = CASE number WHEN 2 THEN -3 ELSE -2 END WHERE number IN (2, 3)", 1),
    "all removed": ("DELETE FROM operations", 1),
}


@pytest.mark.parametrize(("change", "first"), TAMPERING.values(), ids=list(TAMPERING))
async def test_tampering_with_the_log_is_found(tmp_path: Path, change: str, first: int) -> None:
    async with SqliteStore.open(tmp_path) as store:
        ids = [await add(store, f"text {n}") for n in range(3)]
        await add(store, "foreign", ELSEWHERE)
        await store.revise([HOME], ids[0], rewritten("new"), ACTOR, NOW)
        await store.forget([HOME], [ids[1]], ACTOR, NOW)
        assert await store.verify_chain() is None

    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute(change)
    assert connection.total_changes() > 0
    connection.close()

    async with SqliteStore.open(tmp_path) as store:
        assert await store.verify_chain() == first


async def test_a_store_from_before_there_were_passages_goes_on_and_is_owed_those_of_long_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store"
    scripts = database.migrations()
    with monkeypatch.context() as former:
        former.setattr(database, "migrations", lambda: scripts[:1])
        folder.mkdir()
        connection = database.connect(database.prepare(folder), None)
        database.migrate(connection)
        connection.execute("INSERT INTO scopes (number, tenant, namespace, revision) VALUES (1, 'local', 'home', 2)")
        connection.execute("INSERT INTO actors (number, client, user, agent, source) VALUES (1, '', '', '', '')")
        connection.execute("INSERT INTO epochs (number, name, active) VALUES (1, ?, 1), (2, 'unused@1/3', 0)", (EPOCH,))
        for number, text in enumerate(("short", "long " * 200), start=1):
            connection.execute(
                """INSERT INTO memories (number, id, scope, content, kind, domain, tags, metadata, key, session_id, importance, confidence,
                   short_term, created, fingerprint, salt, actor, change, operation)
                   VALUES (?, ?, 1, ?, 'fact', 'general', '[]', '{}', '', '', 0.5, 1.0, 0, 1, ?, x'00', 1, ?, 1)""",
                (number, UUID(int=number).bytes, text, fingerprint(text), number),
            )
            connection.execute("INSERT INTO vectors VALUES (?, 1, ?)", (number, vector(text).astype("<f2").tobytes()))
        connection.close()

    async with SqliteStore.open(folder) as store:
        before = await vectors(store, HOME)
        notes = await store.claim("embed", limit=10, lease_seconds=60)
        passages = np.stack([vector("one part"), vector("another")])
        await store.settle_embeddings(notes, [Embedding(passages, EPOCH)])
        (hits,) = await store.search(HOME, vector("another")[None], ANYTHING, limit=5, epoch=EPOCH)
        delta = await store.vector_changes(HOME, 0, EPOCH)

    assert set(before) == {UUID(int=1), UUID(int=2)}
    assert [note.memory_id for note in notes] == [UUID(int=2)]
    assert (hits[0].id, hits[0].passage) == (UUID(int=2), 1)
    assert sorted(memory_id.int for memory_id in delta.points.ids) == [1, 2, 2]
