"""All that is kept, by its state; much taken in at once; and the log's entries by their numbers."""

from dataclasses import replace
from uuid import UUID

import pytest
from record_stores import ACTOR, DAY, ELSEWHERE, GLOBAL, HOME, NOW, SECOND, OpenStore, Store, add, draft, embedding, live, rewritten, texts

from memory_mcp.errors import RequestError
from memory_mcp.models import Changes, Draft, Filter, Memory, Provenance
from memory_mcp.states import STATES, State, state_of

IMPORT = Provenance(client="memory-mcp", agent="import:1", source="import")
AGAIN = replace(IMPORT, agent="import:2")
LATER = NOW + DAY


def carried(*contents: str, actor: Provenance = IMPORT, **fields: object) -> list[Draft]:
    return [draft(content, provenance=actor, **fields) for content in contents]


async def shelves(store: Store) -> dict[State, list[str]]:
    """What lies where, a day later."""
    found = {state: await store.browse([HOME], Filter(), [state], now=LATER, limit=100) for state in STATES}
    assert all(state_of(memory, LATER) == state for state, memories in found.items() for memory in memories)
    return {state: [memory.content for memory in memories] for state, memories in found.items()}


async def scene(store: Store) -> dict[str, UUID]:
    ids = {"old": await add(store, "vim", key="editor"), "brief": await add(store, "rain", expires_at=NOW + SECOND)}
    ids |= {"new": await add(store, "emacs", key="editor", now=NOW + SECOND), "gone": await add(store, "a draft", tags=("draft",))}
    ids |= {"erased": await add(store, "a secret"), "foreign": await add(store, "hers", ELSEWHERE)}
    await store.forget([HOME], [ids["gone"]], ACTOR, NOW)
    await store.erase(HOME.tenant, [ids["erased"]], ACTOR, NOW)
    return ids


async def test_each_memory_lies_on_one_shelf_and_what_was_erased_on_none(open_store: OpenStore) -> None:
    async with open_store() as store:
        await scene(store)
        assert await shelves(store) == {"live": ["emacs"], "archived": ["rain"], "superseded": ["vim"], "forgotten": ["a draft"]}
        held = await store.holdings([HOME, GLOBAL], now=LATER)
        drafts = await store.browse([HOME, ELSEWHERE], Filter(tags=frozenset({"draft"})), STATES, now=LATER, limit=9)

    assert held == {HOME: dict.fromkeys(STATES, 1)}
    assert [memory.content for memory in drafts] == ["a draft"]


async def test_pages_follow_each_other_whatever_is_stored_or_forgotten_between_them(open_store: OpenStore) -> None:
    async with open_store() as store:
        for number in range(7):  # some of one moment
            await add(store, f"note {number}", occurred_at=NOW + number // 3 * DAY)
        whole = await store.browse([HOME], Filter(), STATES, now=LATER, limit=100)
        seen: list[Memory] = []
        while page := await store.browse(
            [HOME], Filter(), STATES, now=LATER, limit=2, after=(seen[-1].when, seen[-1].id) if seen else None
        ):
            seen += page
            await store.forget([HOME], [page[-1].id], ACTOR, LATER)
            await add(store, f"meanwhile {len(seen)}", occurred_at=NOW + 9 * DAY)

    assert [memory.id for memory in seen] == [memory.id for memory in whole]


async def test_many_are_one_operation_found_at_once_and_owed_their_vectors(open_store: OpenStore) -> None:
    async with open_store() as store:
        known = await add(store, "known already")
        made = await store.add_many(carried("first of many", "known already", "second of many", created=NOW - 9 * DAY))
        hits = await store.search_text([HOME], "many", Filter(), limit=9)
        memories = {memory.content: memory for memory in await live(store)}
        (operation, *_) = await store.operations(HOME.tenant, limit=1)
        owed = await store.claim("embed", limit=9, lease_seconds=1)

        assert [one.status for one in made] == ["stored", "already_known", "stored"]
        assert (made[1].id, made[1].operation) == (known, None)
        assert (operation.action, set(operation.subjects), operation.actor) == ("import", {made[0].id, made[2].id}, IMPORT)
        assert {hit.id for hit in hits} == {note.memory_id for note in owed} == {made[0].id, made[2].id}
        assert (memories["first of many"].created_at, memories["first of many"].provenance) == (NOW - 9 * DAY, IMPORT)
        assert memories["first of many"].operation == operation.number
        assert await store.verify_chain() is None


async def test_carrying_again_stores_nothing_twice(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "emacs", key="editor", now=NOW)
        older = carried("plain") + carried("vim", key="editor", created=NOW - 9 * DAY)
        first, again = await store.add_many(older), await store.add_many([replace(one, id=draft("").id) for one in older])

        assert [one.status for one in again] == ["already_known", "already_known"]
        assert [one.id for one in again] == [one.id for one in first]
        assert sorted(await texts(store)) == ["emacs", "plain"]  # what was current here was stored later than that
        assert (await shelves(store))["superseded"] == ["vim"]


async def test_a_newer_value_that_is_carried_here_takes_the_place_of_an_older_one(open_store: OpenStore) -> None:
    async with open_store() as store:
        old = await add(store, "vim", key="editor", now=NOW)
        (made,) = await store.add_many(carried("emacs", key="editor", created=NOW + SECOND, now=LATER))

        assert (made.status, made.replaced) == ("superseded", (old,))
        assert await texts(store) == ["emacs"]


async def test_each_of_many_sees_what_those_before_it_have_ended(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "vim", key="editor", now=NOW - DAY)
        made = await store.add_many([*carried("emacs", key="editor"), *carried("vim"), *carried("plain"), *carried("emacs and vim")])

        assert [one.status for one in made] == ["superseded", "stored", "stored", "stored"]
        assert sorted(await texts(store)) == ["emacs", "emacs and vim", "plain", "vim"]
        assert len({one.operation for one in made}) == 1
        await store.undo(HOME, made[0].operation, IMPORT, LATER)
        assert [(memory.content, memory.key) for memory in await live(store)] == [("vim", "editor")]


@pytest.mark.parametrize("named", ["first", "last", "newest"])
async def test_an_import_is_undone_whole_whichever_of_its_batches_is_named(open_store: OpenStore, named: str) -> None:
    async with open_store() as store:
        await add(store, "vim", key="editor")
        one = await store.add_many(carried("one") + carried("emacs", key="editor", now=LATER))
        other = await store.add_many(carried("unrelated", actor=AGAIN))
        two = await store.add_many(carried("two"))
        number = {"first": one[0].operation, "last": two[0].operation, "newest": None}[named]
        undone = await store.undo(HOME, number, IMPORT, LATER)

        assert [entry.undoes for entry in undone] == [two[0].operation, one[0].operation]
        assert sorted(await texts(store)) == ["unrelated", "vim"]
        assert sorted((await shelves(store))["forgotten"]) == ["emacs", "one", "two"]
        again = await store.undo(HOME, None, IMPORT, LATER)  # the other import is the newest now
        assert [entry.undoes for entry in again] == [other[0].operation]
        with pytest.raises(RequestError, match="nothing to undo"):
            await store.undo(HOME, None, replace(IMPORT, client="another"), LATER)
        with pytest.raises(RequestError, match="undone already"):
            await store.undo(HOME, one[0].operation, IMPORT, LATER)
        assert await store.verify_chain() is None


async def test_what_was_changed_since_an_import_stays_when_that_is_undone(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept, plain = await store.add_many(carried("to be corrected", "plain"))
        (gone,) = await store.add_many(carried("to be erased"))
        await store.revise([HOME], kept.id, rewritten("corrected"), ACTOR, LATER)
        await store.erase(HOME.tenant, [gone.id], ACTOR, LATER)
        undone = await store.undo(HOME, gone.operation, ACTOR, LATER)

        assert [entry.subjects for entry in undone] == [(plain.id,)]
        assert await texts(store) == ["corrected"]
        await store.forget([HOME], [kept.id], ACTOR, LATER)
        with pytest.raises(RequestError, match="cannot be undone any more"):
            await store.undo(HOME, gone.operation, ACTOR, LATER)


async def test_the_last_few_count_an_import_once(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.add(draft("before", provenance=IMPORT), embedding("before"), within=())
        for text in ("one", "two", "three"):
            await store.add_many(carried(text))
        await store.add(draft("after", provenance=IMPORT), embedding("after"), within=())
        undone = await store.undo(HOME, None, IMPORT, LATER, count=2)

        assert [entry.undoes for entry in undone] == [5, 4, 3, 2]
        assert await texts(store) == ["before"]


async def test_entries_of_the_log_tell_who_changed_a_memory(open_store: OpenStore) -> None:
    async with open_store() as store:
        stored = await add(store, "vim", tags=("a",))
        operation = await store.revise([HOME], stored, Changes(tags=("b",)), IMPORT, LATER)
        (memory,) = await store.get_many([HOME], [stored])
        entries = await store.entries(HOME.tenant, [memory.operation, 99])

        assert (memory.operation, memory.provenance) == (operation.number, ACTOR)
        assert {number: (entry.action, entry.actor) for number, entry in entries.items()} == {operation.number: ("update", IMPORT)}
        assert await store.entries(ELSEWHERE.tenant, [memory.operation]) == {}
