"""Outcomes and questions are counted, in their scopes alone, and go with what they belong to."""

from datetime import timedelta

import pytest
from record_stores import ACTOR, ELSEWHERE, HOME, NOW, OpenStore, add, new_id, revision

from memory_mcp.contracts import QUESTIONS_KEPT
from memory_mcp.errors import MemoryNotFoundError
from memory_mcp.models import Asked, Filter, Tally

LATER = NOW + timedelta(hours=1)


async def test_outcomes_add_up_and_make_answers_that_tell_of_them_stale(open_store: OpenStore) -> None:
    async with open_store() as store:
        first, other = await add(store, "restart the worker"), await add(store, "clear the cache")
        before = await revision(store, HOME)
        await store.report([HOME], first, good=True, seconds=30.0, now=NOW)
        await store.report([HOME], first, good=True, seconds=None, now=LATER)
        between = await revision(store, HOME)
        told = await store.report([HOME], first, good=False, seconds=99.0, now=NOW)

        assert told == Tally(2, 1, 30.0, 1, LATER)
        assert await store.tallies([HOME, ELSEWHERE], [first, other, new_id()]) == {first: told}
        assert await store.tallies([HOME], []) == {}
        assert before < between < await revision(store, HOME)
        assert not (await store.changed(HOME, before)).memories  # what is searched has not changed
        for memories in (await store.get_many([HOME], [first, other]), (await store.newest([HOME], Filter(), limit=9))[::-1]):
            assert {one.id: (one.worked, one.failed) for one in memories} == {first: (2, 1), other: (0, 0)}
        past = await store.as_of([HOME], Filter(), LATER, None, "restart", limit=9)
        assert [(one.worked, one.failed) for one, _ in past if one.id == first] == [(2, 1)]


async def test_outcomes_stay_in_their_scope_and_need_a_memory(open_store: OpenStore) -> None:
    async with open_store() as store:
        here = await add(store, "restart the worker")
        await add(store, "something else", scope=ELSEWHERE)
        for scopes, memory_id in (([ELSEWHERE], here), ([HOME], new_id()), ([], here)):
            with pytest.raises(MemoryNotFoundError):
                await store.report(scopes, memory_id, good=True, seconds=None, now=NOW)
        await store.report([HOME], here, good=True, seconds=None, now=NOW)

        assert await store.tallies([ELSEWHERE], [here]) == {}
        await store.forget([HOME], [here], ACTOR, NOW)
        with pytest.raises(MemoryNotFoundError):
            await store.report([HOME], here, good=True, seconds=None, now=NOW)


async def test_questions_add_up_and_the_latest_come_first(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "one")
        await add(store, "two", scope=ELSEWHERE)
        await store.count_questions(HOME, [Asked("where is it?", 2, 1, NOW), Asked("who?", 1, 0, NOW)])
        await store.count_questions(HOME, [Asked("where is it?", 1, 1, LATER)])
        await store.count_questions(ELSEWHERE, [Asked("hidden?", 1, 0, NOW)])

        assert await store.questions([HOME], NOW) == [Asked("where is it?", 3, 2, LATER), Asked("who?", 1, 0, NOW)]
        assert await store.questions([HOME], LATER) == [Asked("where is it?", 3, 2, LATER)]
        assert await store.questions([], NOW) == []


async def test_only_the_latest_questions_are_kept(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "one")
        several = [Asked(f"question {number}", 1, 0, NOW + timedelta(seconds=number)) for number in range(QUESTIONS_KEPT + 20)]
        await store.count_questions(HOME, several)

        kept = await store.questions([HOME], NOW)
        assert [one.text for one in kept] == [one.text for one in reversed(several[20:])]


async def test_nothing_is_kept_of_a_scope_never_written_to(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.count_questions(HOME, [Asked("anybody there?", 1, 1, NOW)])

        assert await store.questions([HOME], NOW) == []
        assert await store.scopes(HOME.tenant) == []
