"""What storing a memory owes its callers, whichever backend holds it."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from record_stores import (
    ACTOR,
    DAY,
    ELSEWHERE,
    EPOCH,
    GLOBAL,
    HOME,
    INDEX,
    NOW,
    SECOND,
    OpenStore,
    add,
    draft,
    embedding,
    found,
    live,
    new_id,
    revision,
    rewritten,
    texts,
)

from memory_mcp.errors import ConflictError, MemoryNotFoundError, RequestError
from memory_mcp.models import Changes, Draft, Filter, Scope


def full_draft() -> Draft:
    return draft(
        "Der Kühlraum hat 4 °C",
        kind="decision",
        domain="business",
        tags=("cold", "größe"),
        metadata={"speaker": "Ada", "n": 1, "ratio": 0.1 + 0.2, "deep": [{"ok": None}]},
        key="room.temperature",
        session_id="s-1",
        importance=0.1 + 0.2,
        confidence=0.7,
        retention="short_term",
        occurred_at=NOW - DAY,
        expires_at=NOW + 7 * DAY,
    )


async def test_everything_given_comes_back_as_it_was(open_store: OpenStore) -> None:
    given = full_draft()
    async with open_store() as store:
        added = await store.add(given, embedding(given.content), within=[HOME])
    async with open_store() as store:
        (memory,) = await store.get_many([HOME], [given.id])

    assert (added.id, added.status, added.replaced, added.embedded) == (given.id, "stored", (), True)
    for name in (
        "id",
        "scope",
        "content",
        "kind",
        "domain",
        "tags",
        "metadata",
        "key",
        "session_id",
        "importance",
        "confidence",
        "retention",
    ):
        assert getattr(memory, name) == getattr(given, name), name
    assert (memory.created_at, memory.updated_at, memory.occurred_at, memory.expires_at) == (NOW, NOW, NOW - DAY, NOW + 7 * DAY)
    assert (memory.valid_from, memory.valid_to, memory.superseded_by, memory.forgotten_at) == (NOW - DAY, None, None, None)
    assert (memory.provenance, memory.recalled_count, memory.last_recalled_at) == (ACTOR, 0, None)


@pytest.mark.parametrize(
    ("given", "since"),
    [({}, NOW), ({"occurred_at": NOW - DAY}, NOW - DAY), ({"occurred_at": NOW - DAY, "valid_from": NOW - 2 * DAY}, NOW - 2 * DAY)],
)
async def test_a_memory_is_true_since_the_best_known_time(open_store: OpenStore, given: dict[str, datetime], since: datetime) -> None:
    async with open_store() as store:
        await add(store, "a", **given)
        (memory,) = await live(store)

    assert memory.valid_from == since


@pytest.mark.parametrize(
    "content", ["'; DROP TABLE memories; --", "\u202eabc\u200b", "e\u0301 and \u00e9", "\ufdd0\U0001f600", "  \t\n ", "x" * 1_000_000]
)
async def test_texts_come_back_exactly(open_store: OpenStore, content: str) -> None:
    async with open_store() as store:
        await add(store, content)

        assert await texts(store) == [content]


async def test_a_text_already_there_is_known_and_changes_nothing(open_store: OpenStore) -> None:
    async with open_store() as store:
        first = await add(store, "tea at five")
        before = await revision(store)
        again = await store.add(draft("tea at five"), embedding("tea at five"), within=[HOME])

        assert (again.id, again.status, again.operation, again.replaced, again.embedded) == (first, "already_known", None, (), True)
        assert await revision(store) == before
        assert len(await store.operations("local", limit=10)) == 1


async def test_a_known_text_without_its_vector_is_said_to_be_so(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "tea at five", embedded=False)
        again = await store.add(draft("tea at five"), None, within=[HOME])

    assert (again.status, again.embedded) == ("already_known", False)


async def test_the_same_draft_twice_is_one_memory(open_store: OpenStore) -> None:
    given = draft("tea at five")
    async with open_store() as store:
        await store.add(given, None, within=[HOME])
        again = await store.add(given, None, within=[HOME])

        assert (again.id, again.status) == (given.id, "already_known")
        assert len(await live(store)) == 1


async def test_an_id_is_not_given_twice(open_store: OpenStore) -> None:
    async with open_store() as store:
        taken = await add(store, "one")
        with pytest.raises(ConflictError):
            await store.add(draft("another", id=taken), None, within=[HOME])

        assert await texts(store) == ["one"]


async def test_the_same_text_is_another_memory_in_another_scope(open_store: OpenStore) -> None:
    async with open_store() as store:
        ids = {await add(store, "tea at five", scope) for scope in (HOME, GLOBAL, ELSEWHERE)}

    assert len(ids) == 3


async def test_a_forgotten_twin_does_not_count(open_store: OpenStore) -> None:
    async with open_store() as store:
        first = await add(store, "tea at five")
        await store.forget([HOME], [first], ACTOR, NOW)
        second = await store.add(draft("tea at five"), None, within=[HOME])

        assert second.status == "stored"
        assert [memory.id for memory in await live(store)] == [second.id]


async def test_a_to_b_and_back_to_a(open_store: OpenStore) -> None:
    """A superseded twin does not count either: the value that came back is a new memory."""
    async with open_store() as store:
        for content in ("uses vim", "uses emacs", "uses vim"):
            added = await store.add(draft(content, key="user.editor"), embedding(content), within=[HOME])

        assert (added.status, len(added.replaced)) == ("superseded", 1)
        assert await texts(store) == ["uses vim"]
        assert await found(store, "emacs") == []


async def test_the_same_key_supersedes(open_store: OpenStore) -> None:
    async with open_store() as store:
        old = await add(store, "uses vim", key="user.editor")
        other = await add(store, "uses bash", key="user.shell")
        added = await store.add(draft("uses emacs", key="user.editor", now=NOW + DAY), None, within=[HOME])
        (ended,) = await store.get_many([HOME], [old])

        assert (added.status, added.replaced) == ("superseded", (old,))
        assert (ended.superseded_by, ended.valid_to) == (added.id, NOW + DAY)
        assert {memory.id for memory in await live(store)} == {added.id, other}


async def test_a_key_is_the_same_in_other_letters_and_kept_in_small_ones(open_store: OpenStore) -> None:
    async with open_store() as store:
        first = await add(store, "uses vim", key="User.Editor")
        second = await store.add(draft("uses emacs", key="user.editor", now=NOW + DAY), None, within=[HOME])
        known = await store.add(draft("uses emacs", key="USER.EDITOR "), None, within=[HOME])
        past = await store.add(draft("used ed", key="User.Editor", occurred_at=NOW - DAY), None, within=[HOME])
        (ada,) = await store.add_many([draft("Ada", key="Team.Größe")])
        (bob,) = await store.add_many([draft("Bob", key="team.GRO\u0308ße")])
        keys = {memory.content: memory.key for memory in await live(store)}

    assert second.replaced == (first,)
    assert (known.id, known.status) == (second.id, "already_known")
    assert past.superseded_by is None, "the present one has no date of its own"
    assert bob.replaced == (ada.id,)
    assert keys == {"used ed": "user.editor", "Bob": "team.größe"}


async def test_a_key_supersedes_in_its_own_scope_only(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "uses vim", GLOBAL, key="user.editor")
        added = await store.add(draft("uses emacs", key="user.editor"), None, within=[HOME, GLOBAL])

        assert added.status == "stored"
        assert sorted(await texts(store, HOME, GLOBAL)) == ["uses emacs", "uses vim"]


async def test_the_same_text_under_a_new_key_takes_the_old_ones_place(open_store: OpenStore) -> None:
    async with open_store() as store:
        old = await add(store, "uses vim")
        added = await store.add(draft("uses vim", key="user.editor"), None, within=[HOME])
        known = await store.add(draft("uses vim"), None, within=[HOME])

        assert (added.status, added.replaced) == ("superseded", (old,))
        assert (known.status, known.id) == ("already_known", added.id)


async def test_superseding_reaches_other_scopes_of_the_callers(open_store: OpenStore) -> None:
    async with open_store() as store:
        old = [await add(store, "uses vim", GLOBAL), await add(store, "uses nano", HOME)]
        before = await store.revisions([HOME, GLOBAL])
        added = await store.add(draft("uses emacs", supersedes=tuple(old)), None, within=[HOME, GLOBAL])
        after = await store.revisions([HOME, GLOBAL])

        assert (added.status, set(added.replaced)) == ("superseded", set(old))
        assert await texts(store, HOME, GLOBAL) == ["uses emacs"]
        assert all(now > then for now, then in zip(after, before, strict=True))


@pytest.mark.parametrize("within", [(), (HOME,), (HOME, GLOBAL)], ids=str)
async def test_what_is_not_visible_cannot_be_superseded_and_nothing_is_written(open_store: OpenStore, within: tuple[Scope, ...]) -> None:
    async with open_store() as store:
        mine = await add(store, "mine")
        foreign = await add(store, "foreign", ELSEWHERE)
        before = await store.revisions([HOME, ELSEWHERE])
        for missing in (foreign, new_id()):
            with pytest.raises(MemoryNotFoundError) as caught:
                await store.add(draft("new", supersedes=(mine, missing)), None, within=within)

            assert caught.value.ids == (str(missing),)
        assert await store.revisions([HOME, ELSEWHERE]) == before
        assert (await texts(store), await texts(store, ELSEWHERE)) == (["mine"], ["foreign"])
        assert len(await store.operations("local", limit=10)) == 1
        assert await store.verify_chain() is None


async def test_an_expired_twin_is_replaced_without_a_word(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "the code is 1234", expires_at=NOW + SECOND)
        soon = await store.add(draft("the code is 1234", now=NOW), None, within=[HOME])
        late = await store.add(draft("the code is 1234", now=NOW + SECOND), None, within=[HOME])

        assert soon.status == "already_known"
        assert (late.status, late.replaced) == ("stored", ())
        assert [memory.id for memory in await live(store)] == [late.id]


async def test_an_expired_holder_of_a_key_is_replaced_without_a_word(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "on leave", key="user.status", expires_at=NOW + SECOND)
        late = await store.add(draft("at work", key="user.status", now=NOW + DAY), None, within=[HOME])

        assert (late.status, late.replaced) == ("stored", ())
        assert await texts(store) == ["at work"]


async def test_a_correction_dated_back_never_ends_before_it_began(open_store: OpenStore) -> None:
    async with open_store() as store:
        old = await add(store, "lives in Oslo", key="home")
        await add(store, "lives in Bergen", key="home", valid_from=NOW - DAY)
        (ended,) = await store.get_many([HOME], [old])

    assert ended.valid_to == ended.valid_from == NOW


class TestIdempotency:
    @staticmethod
    def call(content: str = "pay 5", digest: bytes = b"d" * 16, *, after: timedelta = timedelta(0), scope: Scope = HOME) -> Draft:
        return draft(content, scope, idempotency_key="k-1", request_digest=digest, now=NOW + after)

    async def test_a_repetition_gets_the_first_receipt(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "pay 4", key="pay")
            first = await store.add(replace(self.call(), key="pay"), embedding("pay 5"), within=[HOME])
            await store.forget([HOME], [first.id], ACTOR, NOW)
            again = await store.add(replace(self.call(after=DAY), key="pay"), None, within=[HOME])

            assert first.status == "superseded"
            assert again == first
            assert await live(store) == []

    async def test_a_known_texts_receipt_is_repeated_too(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "pay 5")
            first = await store.add(self.call(), None, within=[HOME])

            assert first.status == "already_known"
            assert await store.add(self.call(), None, within=[HOME]) == first

    async def test_the_key_of_another_request_is_refused(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.add(self.call(), None, within=[HOME])
            with pytest.raises(ConflictError):
                await store.add(self.call("pay 6", b"e" * 16), None, within=[HOME])

            assert await texts(store) == ["pay 5"]

    async def test_it_lasts_a_day(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            first = await store.add(self.call(), None, within=[HOME])
            kept = await store.add(self.call(after=DAY), None, within=[HOME])
            later = await store.add(self.call("pay 6", b"e" * 16, after=DAY + SECOND), None, within=[HOME])

        assert kept == first
        assert later.status == "stored"

    async def test_a_failed_call_leaves_its_key_free(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            with pytest.raises(MemoryNotFoundError):
                await store.add(replace(self.call(), supersedes=(new_id(),)), None, within=[HOME])

            assert (await store.add(self.call("pay 6", b"e" * 16), None, within=[HOME])).status == "stored"

    async def test_tenants_have_their_own_keys(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.add(self.call(), None, within=[HOME])
            other = await store.add(self.call("other", b"e" * 16, scope=ELSEWHERE), None, within=[ELSEWHERE])

        assert other.status == "stored"


class TestRevise:
    async def test_what_is_not_given_stays(self, open_store: OpenStore) -> None:
        given = full_draft()
        async with open_store() as store:
            await store.add(given, embedding(given.content), within=[HOME])
            (before,), revision_before = await live(store), await revision(store)
            done = await store.revise([HOME], given.id, Changes(importance=1.0), ACTOR, NOW + DAY)
            (after,) = await live(store)

            assert (done.action, done.subjects, done.scope, done.actor) == ("update", (given.id,), HOME, ACTOR)
            assert after == replace(before, importance=1.0, updated_at=NOW + DAY)
            assert await revision(store) > revision_before

    async def test_every_field_can_change(self, open_store: OpenStore) -> None:
        changes = replace(rewritten("new"), tags=("x",), metadata={"a": 1}, importance=0.9, expires_at=NOW + DAY)
        async with open_store() as store:
            memory_id = await add(store, "old", tags=("y",))
            await store.revise([HOME], memory_id, changes, ACTOR, NOW)
            (memory,) = await live(store)

            assert (memory.content, memory.tags, memory.metadata, memory.importance) == ("new", ("x",), {"a": 1}, 0.9)
            assert memory.expires_at == NOW + DAY
            assert (await found(store, "old"), await found(store, "y")) == ([], [])
            assert (await found(store, "new"), await found(store, "x")) == (["new"], ["new"])

    async def test_the_text_of_another_is_refused(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "one")
            two = await add(store, "two")
            before = await revision(store)
            with pytest.raises(ConflictError):
                await store.revise([HOME], two, rewritten("one"), ACTOR, NOW)

            assert await revision(store) == before
            assert sorted(await texts(store)) == ["one", "two"]
            assert await store.history([HOME], two) == []
            assert await found(store, "two") == ["two"]

    async def test_the_text_of_an_expired_one_is_free(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            gone = await add(store, "one", expires_at=NOW + SECOND)
            two = await add(store, "two")
            done = await store.revise([HOME], two, rewritten("one"), ACTOR, NOW + DAY)

            assert [memory.id for memory in await live(store)] == [two]
            await store.undo(HOME, done.number, ACTOR, NOW + DAY)
            assert {memory.id: memory.content for memory in await live(store)} == {gone: "one", two: "two"}

    async def test_its_own_text_is_no_clash(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one")
            await store.revise([HOME], one, rewritten("one"), ACTOR, NOW)

            assert await texts(store) == ["one"]

    async def test_a_new_text_without_a_vector_owes_one(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one")
            await store.revise([HOME], one, rewritten("two", embedded=False), ACTOR, NOW)
            delta = await store.vector_changes(HOME, 0, EPOCH)
            notes = await store.claim("embed", limit=5, lease_seconds=60)

            assert len(delta.points) == 0
            assert [note.memory_id for note in notes] == [one]
            assert await store.contents(notes) == ["two"]

    async def test_only_live_memories_of_the_scopes(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            foreign = await add(store, "foreign", ELSEWHERE)
            forgotten, superseded = await add(store, "forgotten"), await add(store, "superseded", key="k")
            await store.forget([HOME], [forgotten], ACTOR, NOW)
            await add(store, "newer", key="k")
            for memory_id in (foreign, forgotten, superseded, new_id()):
                with pytest.raises(MemoryNotFoundError):
                    await store.revise([HOME, GLOBAL], memory_id, rewritten("x"), ACTOR, NOW)
            with pytest.raises(MemoryNotFoundError):
                await store.revise([], superseded, rewritten("x"), ACTOR, NOW)


class TestForget:
    async def test_it_is_out_of_every_answer(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            gone = await add(store, "secret plan", tags=("t",))
            kept = await add(store, "other plan")
            done = await store.forget([HOME], [gone], ACTOR, NOW)
            answers = [
                await texts(store),
                await found(store, "plan"),
                [memory.content for memory in await store.get_many([HOME], [gone, kept])],
                [memory.content for memory, _ in await store.as_of([HOME], Filter(), NOW + DAY, None, "", limit=9)],
            ]
            delta = await store.vector_changes(HOME, 0, EPOCH)

            assert (done.action, done.subjects) == ("forget", (gone,))
            assert answers == [["other plan"]] * 4
            assert delta.points.ids == [kept]

    async def test_all_of_them_or_none(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            mine = [await add(store, "one"), await add(store, "two", GLOBAL)]
            foreign = await add(store, "foreign", ELSEWHERE)
            for missing in (foreign, new_id()):
                with pytest.raises(MemoryNotFoundError) as caught:
                    await store.forget([HOME, GLOBAL], [*mine, missing], ACTOR, NOW)
                assert caught.value.ids == (str(missing),)

            assert sorted(await texts(store, HOME, GLOBAL)) == ["one", "two"]
            done = await store.forget([HOME, GLOBAL], [*mine, mine[0]], ACTOR, NOW)
            assert sorted(done.subjects) == sorted(mine)
            assert await texts(store, HOME, GLOBAL) == []
            with pytest.raises(MemoryNotFoundError):
                await store.forget([HOME, GLOBAL], mine[:1], ACTOR, NOW)

    async def test_superseded_ones_too(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            old = await add(store, "uses vim", key="editor")
            await add(store, "uses emacs", key="editor")
            await store.forget([HOME], [old], ACTOR, NOW)

            assert await store.get_many([HOME], [old]) == []
            assert await texts(store) == ["uses emacs"]


async def test_uses_are_counted_and_move_no_revision(open_store: OpenStore) -> None:
    async with open_store() as store:
        one, two = await add(store, "one"), await add(store, "two")
        before, log = await revision(store), await store.operations("local", limit=9)
        await store.count_uses("local", {one: 1, two: 1, new_id(): 1}, NOW)
        await store.count_uses("local", {one: 1}, NOW + DAY)
        await store.count_uses("stranger", {one: 1}, NOW + DAY)
        await store.count_uses("local", {}, NOW + DAY)
        first, second = await store.get_many([HOME], [one, two])

        assert (first.recalled_count, first.last_recalled_at) == (2, NOW + DAY)
        assert (second.recalled_count, second.last_recalled_at) == (1, NOW)
        assert await revision(store) == before
        assert await store.operations("local", limit=9) == log


async def test_the_revision_moves_with_each_write_to_its_scope_alone(open_store: OpenStore) -> None:
    async with open_store() as store:
        assert await store.revisions([HOME, GLOBAL]) == (0, 0)
        seen = [0]

        async def moved() -> bool:
            seen.append(await revision(store))
            return seen[-1] > seen[-2]

        one = await add(store, "one", embedded=False)
        assert await moved()
        await store.revise([HOME], one, Changes(tags=("t",)), ACTOR, NOW)
        assert await moved()
        await store.settle_embeddings(await store.claim("embed", limit=1, lease_seconds=60), [embedding("one")])
        assert await moved()
        await store.forget([HOME], [one], ACTOR, NOW)
        assert await moved()
        await store.undo(HOME, None, ACTOR, NOW)
        assert await moved()
        await store.adopt_epoch("another@1/8")
        assert await moved()

        await store.settle(await store.claim(INDEX, limit=9, lease_seconds=60))
        await store.adopt_epoch("another@1/8")
        assert not await moved()
        assert (await store.revisions([GLOBAL]), await store.revisions([])) == ((0,), ())


async def test_errors_of_one_call_leave_its_neighbours_alone(open_store: OpenStore) -> None:
    """Calls that arrive together may share a transaction; each stands or falls by itself."""
    async with open_store() as store:
        calls = [store.add(draft(f"text {i}", supersedes=(new_id(),) if i % 3 == 0 else ()), None, within=[HOME]) for i in range(30)]
        results = await asyncio.gather(*calls, return_exceptions=True)

        assert [isinstance(result, RequestError | MemoryNotFoundError) for result in results] == [i % 3 == 0 for i in range(30)]
        assert sorted(await texts(store)) == sorted(f"text {i}" for i in range(30) if i % 3)
        assert len({result.operation for result in results if not isinstance(result, BaseException)}) == 20
        assert await store.verify_chain() is None


async def test_ids_are_kept_bit_by_bit(open_store: OpenStore) -> None:
    ids = [UUID(int=0), UUID(int=2**128 - 1), UUID("0190a0b0-0000-7000-8000-00000000000a")]
    async with open_store() as store:
        for n, memory_id in enumerate(ids):
            await add(store, f"text {n}", id=memory_id)

        assert [memory.id for memory in await store.get_many([HOME], ids[::-1])] == ids[::-1]


async def test_no_two_stores_meet_in_a_revision(open_store: OpenStore) -> None:
    """What is cached elsewhere under one store's revision is never taken for another's, nor for that of its older copy."""
    seen: dict[str, list[int]] = {}
    for name in ("one", "other"):
        async with open_store(name) as store:
            for number in range(20):
                await add(store, f"fact {number}")
                seen.setdefault(name, []).append(await revision(store))

    assert all(revisions == sorted(set(revisions)) for revisions in seen.values())
    assert not set(seen["one"]) & set(seen["other"])
