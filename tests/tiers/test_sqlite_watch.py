"""Revisions are told without reading them again until somebody writes, and then at once."""

import random
from pathlib import Path

import pytest
from record_stores import ACTOR, ELSEWHERE, HOME, NOW, add

from memory_mcp.errors import TierError
from memory_mcp.tiers.sqlite import database
from memory_mcp.tiers.sqlite.store import SqliteStore


async def test_revisions_are_read_once_until_anybody_writes(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store, SqliteStore.open(tmp_path) as other:
        seen, reads = [await store.revisions([HOME, ELSEWHERE])], []
        for writer in (store, other, store):
            await add(writer, f"a fact, {len(seen)}")
            before = store.reads
            seen.append(await store.revisions([HOME, ELSEWHERE]))
            for _ in range(10):
                assert await store.revisions([HOME, ELSEWHERE]) == seen[-1]
                assert await store.revisions([ELSEWHERE]) == seen[-1][1:]
            reads.append(store.reads - before)

    assert [revision[1] for revision in seen] == [0] * 4
    assert [revision[0] for revision in seen] == sorted({revision[0] for revision in seen})
    assert reads == [1, 1, 1]


async def test_two_stores_always_tell_the_same(tmp_path: Path) -> None:
    chance = random.Random(3)
    told: list[tuple[tuple[int, ...], ...]] = []
    async with SqliteStore.open(tmp_path) as one, SqliteStore.open(tmp_path) as other:
        for number in range(100):
            scope = chance.choice([HOME, ELSEWHERE])
            stored = await add(chance.choice([one, other]), f"fact {number}", scope=scope)
            if number % 3 == 0:
                await chance.choice([one, other]).forget([scope], [stored], ACTOR, NOW)
            told.append((await one.revisions([HOME, ELSEWHERE]), await other.revisions([HOME, ELSEWHERE])))

    assert all(mine == theirs for mine, theirs in told)
    assert len({mine for mine, _ in told}) == 100


async def test_looking_keeps_nobody_from_folding_the_wal_into_the_file(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "a fact")
        for _ in range(3):
            await store.revisions([HOME])
        connection = database.connect(tmp_path / database.FILE_NAME, None)
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1, 0, 0)
        connection.close()
        (revision,) = await store.revisions([HOME])

    assert busy == 0
    assert revision > 0


async def test_a_closed_store_tells_nothing(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "a fact")
        await store.revisions([HOME])

    with pytest.raises(TierError):
        await store.revisions([HOME])
