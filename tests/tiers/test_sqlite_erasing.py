"""What erasing does to the file: when it can be scoured, and what waits for that."""

import asyncio
from pathlib import Path
from uuid import UUID

import anyio
import apsw
import pytest
from pydantic import SecretStr
from record_stores import ACTOR, HOME, NOW, add, found, texts

from memory_mcp.errors import TierError
from memory_mcp.tiers.sqlite import erasing
from memory_mcp.tiers.sqlite.settings import EncryptionSettings
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.upkeep.searching import search_files

ONE = UUID(int=2**100)
TEXT = "Quirinius plays the zimbeln in Zwickau"


async def traces(folder: Path) -> set[str]:
    return set((await asyncio.to_thread(search_files, folder, [TEXT, "uirinius", "imbeln"]))[1])


async def test_whoever_still_reads_what_was_there_holds_the_scouring_up_and_it_stays_owed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "_PATIENCE_SECONDS", 0.1)
    async with SqliteStore.open(tmp_path) as store:
        one = await add(store, TEXT)
        reader = apsw.Connection(str(tmp_path / "memories.db"))
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM memories").fetchall()
        await store.erase("local", [one], ACTOR, NOW)
        assert not await store.scour(compact=False)
        assert await store.scouring_owed()
        assert await traces(tmp_path) != set()
        reader.close()
        assert await store.scour(compact=False)

        assert not await store.scouring_owed()
        assert await traces(tmp_path) == set()


async def test_what_was_erased_and_not_scoured_is_owed_by_the_next(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        one = await add(store, TEXT)
        await add(store, "Candles are in aisle nine")
        await store.erase("local", [one], ACTOR, NOW)
    async with SqliteStore.open(tmp_path) as store:
        assert await store.scouring_owed()
        await store.scour(compact=True)

        assert await traces(tmp_path) == set()
        assert await found(store, "candles") == ["Candles are in aisle nine"]
        assert await store.check() == []


async def test_scouring_goes_on_between_the_writes_of_others(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        ids = [await add(store, f"{TEXT} {n}") for n in range(20)]

        async def write(n: int) -> None:
            await add(store, f"Candles are in aisle {n}")

        async with anyio.create_task_group() as tasks:
            for n in range(60):
                tasks.start_soon(write, n)
                if n % 20 == 0:
                    tasks.start_soon(lambda some=ids[n // 4 : n // 4 + 5]: store.erase("local", some, ACTOR, NOW))
                    tasks.start_soon(lambda: store.scour(compact=True))
        await store.erase("local", ids, ACTOR, NOW)
        await store.scour(compact=False)

        assert len(await texts(store, HOME)) == 60
        assert await traces(tmp_path) == set()
        assert await store.verify_chain() is None
        assert await store.check() == []


async def test_what_is_done_alone_fails_alone(tmp_path: Path) -> None:
    def fail(db: apsw.Connection) -> None:
        db.execute("SELECT * FROM no_such_table")

    async with SqliteStore.open(tmp_path) as store:
        with pytest.raises(apsw.SQLError):
            await store._write(fail, alone=True)
        await add(store, "still there")

        assert await texts(store) == ["still there"]
    with pytest.raises(TierError):
        await store.scour(compact=False)


async def test_room_is_given_back(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        ids = [await add(store, f"{TEXT} {n} " + "and so on " * 2_000) for n in range(40)]
        before = (await store.counts("local")).bytes_on_disk
        await store.erase("local", ids, ACTOR, NOW)
        await store.scour(compact=True)
        after = (await store.counts("local")).bytes_on_disk

    assert after < before / 2


async def test_former_stores_are_cleaned_with_the_key_they_have_or_named(tmp_path: Path) -> None:
    """One that is plain, one of the present key, one of another key, and one that is no store at all."""
    sealed, other = (
        EncryptionSettings(key=SecretStr("a passphrase to test with")),
        EncryptionSettings(key=SecretStr("quite another passphrase")),
    )
    for n, encryption in enumerate((EncryptionSettings(), sealed, other)):
        async with SqliteStore.open(tmp_path / str(n), encryption) as store:
            await add(store, TEXT, id=ONE)
        (tmp_path / str(n) / "memories.db").rename(tmp_path / f"memories.db.before-restore-{n}")
    (tmp_path / "memories.db.before-restore-3").write_bytes(b"no store" * 1_000)
    cleaned, closed = erasing.erase_in_kept(tmp_path, sealed, "local", [ONE], NOW)
    again = erasing.erase_in_kept(tmp_path, sealed, "local", [ONE], NOW)

    assert [path.name[-1] for path in cleaned] == ["0", "1"]
    assert [path.name[-1] for path in closed] == ["2", "3"]
    assert again == ([], closed)
    assert await traces(tmp_path) == set()
