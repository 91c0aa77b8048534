"""Backups made beside a working store, and the ways in which restoring one may and may not go."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from stat import S_IMODE
from uuid import uuid4

import anyio
import apsw
import pytest
from record_stores import HOME, add, live, texts

from memory_mcp.errors import RequestError, SchemaTooNewError, StoreBusyError, StoreDamagedError, TierError
from memory_mcp.tiers.sqlite import presence
from memory_mcp.tiers.sqlite.backup import backup, restore
from memory_mcp.tiers.sqlite.store import SqliteStore

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEPT = "memories.db.before-restore-20261120-120000-000000"


async def filled(folder: Path, *contents: str) -> Path:
    async with SqliteStore.open(folder) as store:
        for content in contents:
            await add(store, content)
    return folder


async def contents_of(folder: Path) -> list[str]:
    async with SqliteStore.open(folder) as store:
        assert await store.check() == []
        assert await store.verify_chain() is None
        return sorted(await texts(store))


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\x5a" * 8192
    path.write_bytes(data)


@contextmanager
def another_process_with(folder: Path, *contents: str) -> Iterator[None]:
    """Have the store open in a process that stores some texts and is killed in the end, so that its WAL stays."""
    command = [sys.executable, __file__, str(folder), *contents]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        try:
            yield
        finally:
            process.kill()


async def hold_open(folder: Path, *contents: str) -> None:
    """What that process does."""
    async with SqliteStore.open(folder) as store:
        for content in contents:
            await add(store, content, id=uuid4())
        print("open", flush=True)
        await anyio.sleep_forever()


async def test_a_backup_taken_beside_a_working_store_holds_all_that_was_acknowledged(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "data") as store:
        await add(store, "Tea is kept in the second drawer.")
        made = backup(tmp_path / "data", tmp_path / "copy.db")
        await add(store, "Coffee is kept in the third drawer.")
        kept = await live(store)
    restore(tmp_path / "other", tmp_path / "copy.db", NOW)

    assert made.memories == 1
    assert made.size_bytes == (tmp_path / "copy.db").stat().st_size
    assert S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "data", "other"]
    assert len(kept) == 2
    assert await contents_of(tmp_path / "other") == ["Tea is kept in the second drawer."]


async def test_a_restored_store_is_not_the_one_that_indexes_elsewhere_were_filled_from(tmp_path: Path) -> None:
    """Its revisions go on from the backup's: what was derived from later ones could not be told apart."""
    folder = await filled(tmp_path / "data", "one")
    async with SqliteStore.open(folder) as store:
        before = await store.identity()
        backup(folder, tmp_path / "copy.db")
    restore(folder, tmp_path / "copy.db", NOW)
    async with SqliteStore.open(folder) as store:
        after = await store.identity()

    assert before
    assert after not in ("", before)
    assert await contents_of(folder) == ["one"]


async def test_a_backup_replaces_nothing_unless_told_to(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", "one")
    target = tmp_path / "copy.db"
    target.write_text("mine")
    with pytest.raises(RequestError, match="--force"):
        backup(folder, target)
    assert target.read_text() == "mine"

    backup(folder, target, force=True)
    assert await contents_of_backup(target, tmp_path) == ["one"]
    for forbidden in (tmp_path, folder / "memories.db"):
        with pytest.raises(RequestError):
            backup(folder, forbidden, force=True)


async def contents_of_backup(path: Path, tmp_path: Path) -> list[str]:
    restore(tmp_path / "restored", path, NOW)
    return await contents_of(tmp_path / "restored")


async def test_a_backup_of_nothing_or_to_nowhere_is_refused(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", "one")
    with pytest.raises(RequestError, match="no memory store"):
        backup(tmp_path / "empty", tmp_path / "copy.db")
    with pytest.raises(TierError, match="cannot be written"):
        backup(folder, tmp_path / "absent" / "copy.db")
    assert not (tmp_path / "empty").exists()


async def test_a_store_that_cannot_be_written_can_be_backed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = await filled(tmp_path / "data", "one")
    (folder / "memories.open").unlink()
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: allowed(path, mode) and not (mode == os.W_OK and Path(path).is_relative_to(folder))
    )
    backup(folder, tmp_path / "copy.db")
    monkeypatch.undo()

    assert not (folder / "memories.open").exists()
    assert await contents_of_backup(tmp_path / "copy.db", tmp_path) == ["one"]


async def test_a_damaged_store_gives_no_backup(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", *(f"memory number {n}" for n in range(50)))
    damaged(folder / "memories.db")
    with pytest.raises(StoreDamagedError, match="restore"):
        backup(folder, tmp_path / "copy.db")

    assert [path.name for path in tmp_path.iterdir()] == ["data"]


async def test_restoring_keeps_what_was_there(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", "old")
    backup(folder, tmp_path / "copy.db")
    await filled(folder, "new")
    restored = restore(folder, tmp_path / "copy.db", NOW)
    kept = restored.kept

    assert await contents_of(folder) == ["old"]
    assert kept == folder / KEPT
    assert S_IMODE((folder / "memories.db").stat().st_mode) == 0o600
    assert await contents_of_backup(kept, tmp_path) == ["new", "old"]


async def test_what_only_the_wal_held_is_kept_too(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", "old")
    backup(folder, tmp_path / "copy.db")
    with another_process_with(folder, "new"):
        pass
    assert (folder / "memories.db-wal").stat().st_size > 0
    kept = restore(folder, tmp_path / "copy.db", NOW).kept

    assert kept is not None
    assert await contents_of(folder) == ["old"]
    assert await contents_of_backup(kept, tmp_path) == ["new", "old"]


@pytest.mark.parametrize("present", ["damaged", "garbage", "empty", "missing beside its wal"])
async def test_a_damaged_store_does_not_stand_in_the_way(tmp_path: Path, present: str) -> None:
    folder = await filled(tmp_path / "data", *(f"memory number {n}" for n in range(50)))
    backup(folder, tmp_path / "copy.db")
    store = folder / "memories.db"
    if present == "damaged":
        damaged(store)
    elif present == "missing beside its wal":
        store.unlink()
        (folder / "memories.db-wal").write_bytes(b"something")
    else:
        store.write_bytes(b"not a database" * 1000 if present == "garbage" else b"")
    before = store.read_bytes() if store.exists() else None
    restore(folder, tmp_path / "copy.db", NOW)

    assert len(await contents_of(folder)) == 50
    assert ((folder / KEPT).read_bytes() if before is not None else None) == before


async def test_a_store_that_another_process_has_open_is_not_replaced(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", "old")
    backup(folder, tmp_path / "copy.db")
    await filled(folder, "new")
    with another_process_with(folder), pytest.raises(TierError, match="in use"):
        restore(folder, tmp_path / "copy.db", NOW)
    assert await contents_of(folder) == ["new", "old"]

    restore(folder, tmp_path / "copy.db", NOW)  # the process was killed: nothing of it is left in the way
    assert await contents_of(folder) == ["old"]


async def test_no_store_is_opened_while_it_is_being_replaced(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", "old")
    with presence.alone(folder) as alone:
        assert alone
        with pytest.raises(StoreBusyError):
            async with SqliteStore.open(folder, lock_wait_seconds=0.1):
                pass
    assert await contents_of(folder) == ["old"]


async def unlike_a_store(folder: Path, how: str) -> Path:
    source = folder / "copy.db"
    made = await filled(folder / "made", *(f"memory number {n}" for n in range(50)))
    backup(made, source)
    if how == "damaged":
        damaged(source)
    elif how == "truncated":
        source.write_bytes(source.read_bytes()[:9000])
    elif how == "text":
        source.write_text("a shopping list\n" * 100)
    elif how == "empty":
        source.write_bytes(b"")
    else:
        connection = apsw.Connection(str(source))
        if how == "newer":
            connection.pragma("user_version", 999)
        elif how == "another program's":
            connection.pragma("application_id", 42)
        connection.close()
    return source


@pytest.mark.parametrize("how", ["damaged", "truncated", "text", "empty", "newer", "another program's"])
async def test_what_is_no_healthy_backup_changes_nothing(tmp_path: Path, how: str) -> None:
    folder = await filled(tmp_path / "data", "present")
    source = await unlike_a_store(tmp_path, how)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(SchemaTooNewError if how == "newer" else StoreDamagedError) as caught:
        restore(folder, source, NOW)

    assert str(source) in str(caught.value) or how == "newer"
    assert sorted(path.name for path in folder.iterdir()) == before
    assert await contents_of(folder) == ["present"]


async def test_there_is_nothing_to_restore_from(tmp_path: Path) -> None:
    folder = await filled(tmp_path / "data", "present")
    for source in (tmp_path / "absent.db", tmp_path, folder / "memories.db"):
        with pytest.raises(RequestError):
            restore(folder, source, NOW)


async def test_forgotten_words_are_not_left_in_a_backup(tmp_path: Path) -> None:
    """Space that deleted rows left in the file is not copied."""
    async with SqliteStore.open(tmp_path / "data") as store:
        await add(store, "present")
        assert await live(store, HOME)
    backup(tmp_path / "data", tmp_path / "copy.db")
    connection = apsw.Connection(str(tmp_path / "copy.db"))

    assert connection.pragma("freelist_count") == 0
    assert connection.pragma("journal_mode") == "delete"


if __name__ == "__main__":
    anyio.run(hold_open, Path(sys.argv[1]), *sys.argv[2:])
