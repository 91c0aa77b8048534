"""A store whose files are moved, replaced or deleted under it: what nobody would find is not called stored."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from record_stores import add, draft, texts

from memory_mcp.errors import StoreMovedError
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.tiers.sqlite.store import SqliteStore
from tests.memories import CALLER, open_service, settings_without_model

FILE, WAL = "memories.db", "memories.db-wal"


def delete(folder: Path) -> None:
    for path in folder.glob(f"{FILE}*"):
        path.unlink()


def replace(folder: Path) -> None:
    shutil.copy(folder / FILE, folder / "other")
    os.replace(folder / "other", folder / FILE)


def lose_the_wal(folder: Path) -> None:
    (folder / WAL).unlink()


@pytest.mark.parametrize("befall", [delete, replace, lose_the_wal])
async def test_nothing_is_written_where_nobody_would_find_it(tmp_path: Path, befall: Callable[[Path], None]) -> None:
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "before")
        assert store.in_place()
        befall(tmp_path)

        assert not store.in_place()
        with pytest.raises(StoreMovedError, match="Nothing was written"):
            await add(store, "after")
        with pytest.raises(StoreMovedError):
            await store._write(lambda connection: connection.execute("VACUUM"), alone=True)
        with pytest.raises(StoreMovedError):
            await texts(store)


async def test_stats_tell_why_nothing_can_be_stored(tmp_path: Path) -> None:
    async with open_service(settings_without_model(tmp_path), ready=False) as service:
        await service.remember(RememberRequest("The ladder stands in the attic"), CALLER)
        before = (await service.stats(CALLER)).tiers["sqlite"]["health"]
        replace(tmp_path)
        with pytest.raises(StoreMovedError) as caught:
            await service.remember(RememberRequest("The ladder stands in the cellar"), CALLER)
        after = service.figures["sqlite"]()["health"]

    assert (before, after) == ("ok", str(caught.value))


async def test_what_was_moved_away_is_whole_and_its_wal_is_not_played_into_what_took_its_place(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "other") as store:
        await add(store, "of the other store")
    async with SqliteStore.open(tmp_path / "store") as store:
        await add(store, "of this store")
        os.replace(tmp_path / "store" / FILE, tmp_path / "put aside")
        os.replace(tmp_path / "other" / FILE, tmp_path / "store" / FILE)
    (tmp_path / "again").mkdir()
    os.replace(tmp_path / "put aside", tmp_path / "again" / FILE)

    async with SqliteStore.open(tmp_path / "store") as other, SqliteStore.open(tmp_path / "again") as former:
        assert await texts(other) == ["of the other store"]
        assert await texts(former) == ["of this store"]
        assert [await other.check(), await former.check()] == [[], []]


async def test_a_store_that_was_only_used_is_in_place(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store, SqliteStore.open(tmp_path) as twin:
        for number in range(3):
            await store.add(draft(f"text {number} " + "word " * 200_000), None, within=())
            await twin.scour(compact=True)

        assert store.in_place()
        assert twin.in_place()
