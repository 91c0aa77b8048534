"""What maintenance does to a store: merging, keeping for good, and one process at a time."""

from dataclasses import replace
from datetime import timedelta

import pytest
from record_stores import ACTOR, ELSEWHERE, HOME, NOW, OpenStore, add, draft, embedding, live, new_id, revision

from memory_mcp.errors import MemoryNotFoundError
from memory_mcp.models import Changes

LATER = NOW + timedelta(hours=1)


async def test_merged_memories_end_in_favour_of_the_one_that_stays(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept, first, second = [await add(store, text) for text in ("port 8080", "Port 8080", "the port 8080")]
        before = await revision(store, HOME)
        operation = await store.merge(HOME, kept, [first, second, first], ACTOR, LATER)

        assert [memory.content for memory in await live(store, HOME)] == ["port 8080"]
        assert (operation.action, set(operation.subjects)) == ("merge", {first, second})
        assert {memory.superseded_by for memory in await store.get_many([HOME], [first, second])} == {kept}
        assert await revision(store, HOME) > before

        await store.undo(HOME, operation.number, ACTOR, LATER)
        assert sorted(memory.content for memory in await live(store, HOME)) == sorted(["port 8080", "Port 8080", "the port 8080"])
        assert await store.verify_chain() is None


async def test_only_live_memories_of_the_scope_are_merged_all_or_none(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept, other = await add(store, "port 8080"), await add(store, "Port 8080")
        foreign = await add(store, "port 8080", ELSEWHERE)
        for keep, others in ((kept, [other, foreign]), (kept, [new_id()]), (new_id(), [other]), (kept, [kept]), (kept, [])):
            with pytest.raises(MemoryNotFoundError):
                await store.merge(HOME, keep, others, ACTOR, LATER)

        assert len(await live(store, HOME)) == 2


async def test_a_memory_that_is_kept_for_good_expires_no_more_until_that_is_undone(open_store: OpenStore) -> None:
    async with open_store() as store:
        given = replace(draft("the guest wifi is down"), retention="short_term", expires_at=LATER)
        stored = (await store.add(given, embedding(given.content), within=[HOME])).id
        operation = await store.revise([HOME], stored, Changes(lasting=True), ACTOR, NOW)
        (memory,) = await store.get_many([HOME], [stored])
        await store.undo(HOME, operation.number, ACTOR, NOW)
        (again,) = await store.get_many([HOME], [stored])

    assert (memory.retention, memory.expires_at) == ("long_term", None)
    assert (again.retention, again.expires_at) == ("short_term", LATER)


async def test_one_process_at_a_time_tends_a_store(open_store: OpenStore) -> None:
    async with open_store() as store, open_store() as other:
        async with store.tending() as first, other.tending() as second:
            assert (first, second) == (True, False)
        async with other.tending() as now:
            assert now
