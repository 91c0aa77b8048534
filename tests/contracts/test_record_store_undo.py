"""What can be taken back, in which order, and what stays in the log of it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_stores import (
    ACTOR,
    DAY,
    ELSEWHERE,
    GLOBAL,
    HOME,
    INDEX,
    NOW,
    SECOND,
    OpenStore,
    Picture,
    Store,
    add,
    draft,
    embedding,
    found,
    live,
    new_id,
    picture,
    revision,
    rewritten,
    texts,
    vectors,
)

from memory_mcp.errors import ConflictError, MemoryNotFoundError, RequestError
from memory_mcp.models import Changes, Operation, Provenance, Scope

LATER = NOW + DAY
SOMEBODY = Provenance(client="somebody-else")


async def scene(store: Store) -> Picture:
    """Some memories with a past, to come back to."""
    await add(store, "uses vim", key="editor", tags=("tool",), importance=0.1 + 0.2, confidence=1 / 3)
    await add(store, "dog Rex", metadata={"speaker": "Ada"}, expires_at=NOW + 9 * DAY)
    await add(store, "cat Tom", embedded=False)
    await add(store, "old news", expires_at=NOW + SECOND)
    return await picture(store, HOME, WORDS)


WORDS = ("vim", "emacs", "dog", "rex", "cat", "news", "tool", "ada", "editor")


async def remembered(store: Store) -> None:
    await add(store, "quite new")


async def superseded_by_key(store: Store) -> None:
    await add(store, "uses emacs", key="editor", now=LATER)


async def superseded_by_id(store: Store) -> None:
    ids = tuple(memory.id for memory in await live(store))
    await store.add(draft("all of it", supersedes=ids, now=LATER), None, within=[HOME])


async def replaced_the_expired(store: Store) -> None:
    await add(store, "old news", now=LATER)


async def rewrote(store: Store) -> None:
    await store.revise([HOME], await id_of(store, "dog Rex"), rewritten("dog Max"), ACTOR, LATER)


async def rewrote_without_a_vector(store: Store) -> None:
    await store.revise([HOME], await id_of(store, "dog Rex"), rewritten("dog Max", embedded=False), ACTOR, LATER)


async def relabelled(store: Store) -> None:
    changes = Changes(tags=("x",), metadata={}, importance=0.9, expires_at=LATER)
    await store.revise([HOME], await id_of(store, "uses vim"), changes, ACTOR, LATER)


async def rewrote_to_an_expired_text(store: Store) -> None:
    await store.revise([HOME], await id_of(store, "dog Rex"), rewritten("old news"), ACTOR, LATER)


async def forgot(store: Store) -> None:
    await store.forget([HOME], [await id_of(store, "uses vim"), await id_of(store, "cat Tom")], ACTOR, LATER)


async def id_of(store: Store, content: str) -> object:
    return next(memory.id for memory in await live(store) if memory.content == content)


CHANGES = [
    remembered,
    superseded_by_key,
    superseded_by_id,
    replaced_the_expired,
    rewrote,
    rewrote_without_a_vector,
    relabelled,
    rewrote_to_an_expired_text,
    forgot,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_every_kind_of_change_can_be_taken_back(open_store: OpenStore, change: Callable[[Store], Awaitable[None]]) -> None:
    async with open_store() as store:
        before = await scene(store)
        await change(store)
        done = (await store.operations("local", limit=1))[0]
        moved = await revision(store)
        (undone,) = await store.undo(HOME, done.number, ACTOR, LATER + SECOND)
        log = {entry.number: entry for entry in await store.operations("local", limit=99)}

        assert await picture(store, HOME, WORDS) == before
        assert await revision(store) > moved
        assert (undone.action, undone.undoes, undone.scope, undone.actor, undone.at) == ("undo", done.number, HOME, ACTOR, LATER + SECOND)
        assert set(undone.subjects) == set(done.subjects)
        assert log[done.number].undone_by == undone.number
        assert await store.verify_chain() is None
        assert await store.check() == []


async def test_what_was_undone_stays_undone_after_opening_again(open_store: OpenStore) -> None:
    async with open_store() as store:
        before = await scene(store)
        await rewrote(store)
        await store.undo(HOME, None, ACTOR, LATER)
    async with open_store() as store:
        assert await picture(store, HOME, WORDS) == before


async def test_the_newest_not_undone_of_the_client(open_store: OpenStore) -> None:
    other = Provenance(client="another-client")
    async with open_store() as store:
        await add(store, "mine 1")
        await add(store, "mine 2")
        await add(store, "elsewhere", GLOBAL)
        await add(store, "theirs", provenance=other)
        await store.undo(HOME, None, ACTOR, LATER)
        assert sorted(await texts(store)) == ["mine 1", "theirs"]
        await store.undo(HOME, None, ACTOR, LATER)
        assert await texts(store) == ["theirs"]

        with pytest.raises(RequestError):
            await store.undo(HOME, None, ACTOR, LATER)
        assert (await texts(store), await texts(store, GLOBAL)) == (["theirs"], ["elsewhere"])


async def test_the_last_change_has_to_be_undone_first(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "apple")
        second = await store.revise([HOME], one, rewritten("pear"), ACTOR, LATER)
        third = await store.revise([HOME], one, Changes(tags=("t",)), ACTOR, LATER)
        with pytest.raises(ConflictError, match=str(third.number)):
            await store.undo(HOME, second.number, ACTOR, LATER)
        assert await texts(store) == ["pear"]

        await store.undo(HOME, third.number, ACTOR, LATER)
        await store.undo(HOME, second.number, ACTOR, LATER)
        assert await texts(store) == ["apple"]
        assert await found(store, "pear") == []


async def test_what_was_merged_into_a_memory_is_not_lost_by_an_undo_of_what_made_that(open_store: OpenStore) -> None:
    async with open_store() as store:
        made = await store.add(draft("apple"), embedding("apple"), within=())
        rewriting = await store.revise([HOME], made.id, rewritten("pear"), ACTOR, LATER)
        twin = await add(store, "pear!", provenance=SOMEBODY)
        merged = await store.merge(HOME, made.id, [twin], SOMEBODY, LATER)
        relabelled = await store.revise([HOME], made.id, Changes(tags=("t",)), ACTOR, LATER)
        await store.undo(HOME, relabelled.number, ACTOR, LATER)
        with pytest.raises(ConflictError, match=f"Undo {merged.number} first"):
            await store.undo(HOME, rewriting.number, ACTOR, LATER)
        assert await texts(store) == ["pear"]

        await store.undo(HOME, merged.number, ACTOR, LATER)
        await store.undo(HOME, None, ACTOR, LATER, count=2)
        assert await texts(store) == ["pear!"]


async def test_what_others_say_and_was_merged_into_an_import_is_not_lost_by_undoing_that(open_store: OpenStore) -> None:
    importing = Provenance(client="memory-mcp", agent="import:1", source="import")
    async with open_store() as store:
        twin = await add(store, "apple!")
        drafts = [draft(content, provenance=importing) for content in ("apple", "pear", "pear!", "plum")]
        apple, pear, second_pear, _ = await store.add_many(drafts)
        await store.merge(HOME, apple.id, [twin], SOMEBODY, LATER)
        await store.merge(HOME, pear.id, [second_pear.id], SOMEBODY, LATER)
        (undone,) = await store.undo(HOME, None, importing, LATER)

        assert len(undone.subjects) == 2
        assert await texts(store) == ["apple"]
        with pytest.raises(RequestError, match="nothing to undo"):
            await store.undo(HOME, None, importing, LATER)


async def test_the_last_few_all_of_them_or_none(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "apple")
        before = await picture(store, HOME, ("apple", "pear", "plum"))
        await store.revise([HOME], one, rewritten("pear"), ACTOR, LATER)
        await add(store, "theirs", provenance=Provenance(client="another-client"))
        await store.revise([HOME], one, rewritten("plum"), ACTOR, LATER)
        await store.forget([HOME], [one], ACTOR, LATER)
        with pytest.raises(RequestError, match="Only 4"):
            await store.undo(HOME, None, ACTOR, LATER, count=5)
        assert await texts(store) == ["theirs"]
        done = await store.undo(HOME, None, ACTOR, LATER, count=3)

        assert [entry.undoes for entry in done] == [5, 4, 2]
        assert sorted(await texts(store)) == ["apple", "theirs"]
        assert (await picture(store, HOME, ("apple", "pear", "plum"))).memories[:1] == before.memories
        assert await found(store, "plum pear") == []
        assert await store.verify_chain() is None


async def test_the_last_few_are_left_alone_where_one_of_them_cannot_be_undone(open_store: OpenStore) -> None:
    other = Provenance(client="another-client")
    async with open_store() as store:
        one = await add(store, "apple")
        await add(store, "pear")
        await store.revise([HOME], one, rewritten("plum"), other, LATER)
        with pytest.raises(ConflictError, match="Undo 3 first"):
            await store.undo(HOME, None, ACTOR, LATER, count=2)

        assert sorted(await texts(store)) == ["pear", "plum"]
        assert len(await store.operations("local", limit=9)) == 3


async def test_operations_on_other_memories_do_not_stand_in_the_way(open_store: OpenStore) -> None:
    async with open_store() as store:
        first = await store.add(draft("one"), None, within=[HOME])
        await add(store, "two")
        assert first.operation is not None
        await store.undo(HOME, first.operation, ACTOR, LATER)

        assert await texts(store) == ["two"]


@pytest.mark.parametrize("came_back", ["text", "key"])
async def test_what_came_back_meanwhile_is_in_the_way(open_store: OpenStore, came_back: str) -> None:
    async with open_store() as store:
        await add(store, "uses vim", key="editor", tags=("t",))
        gone = await store.forget([HOME], [(await live(store))[0].id], ACTOR, LATER)
        await add(store, "uses vim" if came_back == "text" else "uses emacs", key="" if came_back == "text" else "editor")
        before = await picture(store, HOME, WORDS)
        with pytest.raises(ConflictError):
            await store.undo(HOME, gone.number, ACTOR, LATER)

        assert await picture(store, HOME, WORDS) == before
        assert (await store.operations("local", limit=9))[-1].undone_by is None


async def test_a_rewritten_text_that_is_stored_again_is_in_the_way(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "apple")
        change = await store.revise([HOME], one, rewritten("pear"), ACTOR, LATER)
        await add(store, "apple")
        with pytest.raises(ConflictError):
            await store.undo(HOME, change.number, ACTOR, LATER)

        assert sorted(await texts(store)) == ["apple", "pear"]
        assert await found(store, "pear") == ["pear"]


async def test_nothing_is_undone_twice_and_no_undo_is_undone(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "one")
        done = await store.forget([HOME], [one], ACTOR, LATER)
        (undone,) = await store.undo(HOME, done.number, ACTOR, LATER)
        for number in (done.number, undone.number, 99, 0, -1):
            with pytest.raises(RequestError):
                await store.undo(HOME, number, ACTOR, LATER)

        assert await texts(store) == ["one"]


async def test_an_operation_of_another_scope_does_not_exist(open_store: OpenStore) -> None:
    async with open_store() as store:
        done = await store.add(draft("foreign", ELSEWHERE), None, within=[ELSEWHERE])
        for scope in (HOME, GLOBAL, Scope("never", "written")):
            with pytest.raises(RequestError):
                await store.undo(scope, done.operation, ACTOR, LATER)

        assert await texts(store, ELSEWHERE) == ["foreign"]


async def test_superseding_across_scopes_is_taken_back_in_both(open_store: OpenStore) -> None:
    async with open_store() as store:
        old = [await add(store, "one", HOME), await add(store, "two", GLOBAL)]
        before = await store.revisions([HOME, GLOBAL])
        added = await store.add(draft("new", supersedes=tuple(old)), None, within=[HOME, GLOBAL])
        await store.undo(HOME, added.operation, ACTOR, LATER)

        assert (await texts(store, HOME), await texts(store, GLOBAL)) == (["one"], ["two"])
        assert all(now > then + 1 for now, then in zip(await store.revisions([HOME, GLOBAL]), before, strict=True))


async def test_a_vector_of_before_another_model_is_owed_again(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "one")
        gone = await store.forget([HOME], [one], ACTOR, LATER)
        await store.adopt_epoch("newer@1/8")
        assert await store.claim("embed", limit=9, lease_seconds=0) == []
        await store.undo(HOME, gone.number, ACTOR, LATER)

        assert [note.memory_id for note in await store.claim("embed", limit=9, lease_seconds=0)] == [one]


async def test_derived_tiers_hear_of_it(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "one")
        gone = await store.forget([HOME], [one], ACTOR, LATER)
        await store.settle(await store.claim(INDEX, limit=9, lease_seconds=60))
        await store.undo(HOME, gone.number, ACTOR, LATER)

        assert [note.memory_id for note in await store.claim(INDEX, limit=9, lease_seconds=60)] == [one]


WORLD = ("red apple", "green pear", "blue plum", "red plum")
VOCABULARY = ("red", "green", "blue", "apple", "pear", "plum", "label")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "supersede", "revise", "relabel", "forget", "embed", "undo"]),
        st.integers(0, 3),
        st.integers(0, 5),
        st.sampled_from(["", "", "k1", "k2"]),
        st.booleans(),
    ),
    max_size=14,
)


async def carry_out(store: Store, step: tuple[str, int, int, str, bool], scopes: tuple[Scope, ...]) -> None:
    """One step of a random history; one that cannot be done does nothing."""
    action, text, target, key, embedded = step
    content, present = WORLD[text], await live(store, *scopes)
    home = scopes[target % len(scopes)]
    one = present[target % len(present)] if present else None
    try:
        if action == "add" or one is None:
            await store.add(draft(content, home, key=key), embedding(content) if embedded else None, within=scopes)
        elif action == "supersede":
            await store.add(draft(content, home, key=key, supersedes=(one.id,)), embedding(content) if embedded else None, within=scopes)
        elif action == "revise":
            await store.revise(scopes, one.id, rewritten(content, embedded=embedded), ACTOR, LATER)
        elif action == "relabel":
            await store.revise(scopes, one.id, Changes(tags=("label",) if embedded else (), importance=text / 3), ACTOR, LATER)
        elif action == "forget":
            await store.forget(scopes, [memory.id for memory in present[target % len(present) :][: 1 + text]], ACTOR, LATER)
        elif action == "embed":
            notes = await store.claim("embed", limit=9, lease_seconds=60)
            embeddings = [content and embedding(content) for content in await store.contents(notes)]
            await store.settle_embeddings(notes, [item or None for item in embeddings])
        else:
            await store.undo(home, None, ACTOR, LATER)
    except (RequestError, MemoryNotFoundError):
        pass


@settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=STEPS, then=STEPS)
async def test_undoing_everything_in_reverse_gives_back_what_was_there(open_store: OpenStore, first: list, then: list) -> None:
    """Whatever happened in between: the live memories, how they are found, and their vectors, but those that were made meanwhile."""
    scopes = (HOME, GLOBAL)
    async with open_store(f"store-{new_id()}") as store:
        for step in first:
            await carry_out(store, step, scopes)
        before = [await picture(store, scope, VOCABULARY) for scope in scopes]
        start = await last_operation(store)
        for step in then:
            await carry_out(store, step, scopes)
        for done in await store.operations("local", limit=99):
            if done.number > start and done.action != "undo" and done.undone_by is None:
                await store.undo(done.scope, done.number, ACTOR, LATER)
        after = [await picture(store, scope, VOCABULARY) for scope in scopes]
        undone_before = [done for done in await store.operations("local", limit=99) if (done.undoes or start + 1) <= start]

        if not undone_before:  # an undo of something older cannot itself be undone
            assert [replace(scene, vectors={}) for scene in after] == [replace(scene, vectors={}) for scene in before]
            for now, then_ in zip(after, before, strict=True):
                assert then_.vectors.items() <= now.vectors.items()
        assert await store.verify_chain() is None
        assert await store.check() == []
        for scope in scopes:
            assert (await vectors(store, scope)).keys() <= {memory.id for memory in await live(store, scope)}


async def last_operation(store: Store) -> int:
    log: list[Operation] = await store.operations("local", limit=1)
    return log[0].number if log else 0
