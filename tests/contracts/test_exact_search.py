"""The search of a record store that needs no other tier."""

from typing import Any

import numpy as np
import pytest
from brute_force import as_rows, closest, passes
from record_stores import EPOCH, HOME, NOW, OpenStore, draft, vector

from memory_mcp.contracts import RecordStore
from memory_mcp.models import Embedding, Filter
from memory_mcp.tiers.sqlite import reads

FILTERS = [Filter(), Filter(now=NOW), Filter(tags=frozenset({"third"}), now=NOW), Filter(kinds=frozenset({"rule"}))]


@pytest.mark.parametrize("where", FILTERS)
@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_it_agrees_with_comparing_every_passage(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch, where: Filter, limit: int
) -> None:
    """Short texts and long ones, some of them the same to the model, in more portions than one."""
    monkeypatch.setattr(reads, "_CHUNK", 16)
    async with open_store() as store:
        await fill(store)
        rows = [row for row in as_rows((await store.vector_changes(HOME, 0, EPOCH)).points) if passes(row, where)]
        queries = np.array([vector(text) for text in ("one", "another", "a third")])
        answers: Any = await store.search(HOME, queries, where, limit=limit, epoch=EPOCH)

        assert rows
        for query, hits in zip(queries, answers, strict=True):
            expected = closest(rows, query, limit)
            assert [hit.id for hit in hits] == [hit.id for hit in expected]
            assert [hit.passage for hit in hits] == [hit.passage for hit in expected]
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], abs=2e-3)


async def fill(store: RecordStore) -> None:
    for n in range(50):
        passages = np.array([vector(f"meaning {n // 2}, passage {number}") for number in range(1 + n // 2 % 3)])
        given = {"kind": "rule" if n % 7 == 0 else "fact", "tags": ("third",) if n % 3 == 0 else ()}
        await store.add(draft(f"text {n}", **given), Embedding(passages, EPOCH), within=())
