"""How vectors come to the indexes that are derived from them, and what is owed to whom."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_stores import (
    ACTOR,
    DAY,
    DIMENSION,
    ELSEWHERE,
    EPOCH,
    GLOBAL,
    HOME,
    INDEX,
    NOW,
    OTHER_EPOCH,
    SECOND,
    OpenStore,
    Store,
    add,
    draft,
    embedding,
    live,
    new_id,
    revision,
    rewritten,
    rounded,
    vector,
    vectors,
)
from test_record_store_undo import STEPS, carry_out

from memory_mcp.clock import to_micros
from memory_mcp.models import NEVER, Changes, Note


class TestVectorChanges:
    async def test_everything_at_first(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one", kind="event", domain="coding", tags=("a", "b"), occurred_at=NOW - DAY, expires_at=NOW + DAY)
            two = await add(store, "two")
            await add(store, "three", embedded=False)
            await add(store, "foreign", ELSEWHERE)
            delta = await store.vector_changes(HOME, 0, EPOCH)
            points = delta.points

            assert (delta.whole, delta.revision, delta.removed) == (True, await revision(store), [])
            assert sorted(points.ids) == [one, two]
            n = list(points.ids).index(one)
            assert (points.kinds[n], points.domains[n], points.tags[n]) == ("event", "coding", ("a", "b"))
            assert (points.when[n], points.expires[n]) == (to_micros(NOW - DAY), to_micros(NOW + DAY))
            assert (points.when[1 - n], points.expires[1 - n]) == (to_micros(NOW), NEVER)
            assert points.vectors.shape == (2, DIMENSION)
            assert (points.vectors.dtype, points.when.dtype, points.expires.dtype) == ("float32", "int64", "int64")
            assert points.vectors[n] @ vector("one") == pytest.approx(1, abs=1e-3)
            assert (points.vectors**2).sum(1) == pytest.approx(1, abs=1e-6)

    async def test_then_what_changed(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            kept, rewrote, gone = [await add(store, text) for text in ("kept", "rewrote", "gone")]
            since = await revision(store)
            nothing = await store.vector_changes(HOME, since, EPOCH)
            await store.revise([HOME], rewrote, rewritten("rewritten"), ACTOR, NOW)
            await store.forget([HOME], [gone], ACTOR, NOW)
            new = await add(store, "new")
            delta = await store.vector_changes(HOME, since, EPOCH)

            assert (nothing.whole, len(nothing.points), list(nothing.removed), nothing.revision) == (False, 0, [], since)
            assert not delta.whole
            assert sorted(delta.points.ids) == sorted([rewrote, new])
            assert list(delta.removed) == [gone]
            assert delta.revision == await revision(store)
            assert kept in (await vectors(store, HOME))

    async def test_a_text_that_lost_its_vector_is_removed_until_it_has_one(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one")
            since = await revision(store)
            await store.revise([HOME], one, rewritten("two", embedded=False), ACTOR, NOW)
            lost = await store.vector_changes(HOME, since, EPOCH)
            await store.settle_embeddings(await store.claim("embed", limit=1, lease_seconds=60), [embedding("two")])
            back = await store.vector_changes(HOME, lost.revision, EPOCH)

        assert (list(lost.removed), list(lost.points.ids)) == ([one], [])
        assert (list(back.removed), list(back.points.ids)) == ([], [one])

    async def test_what_is_not_there_is_empty_and_whole(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "one")
            for scope, since, epoch in ((GLOBAL, 0, EPOCH), (HOME, 0, "unheard of"), (HOME, 1, "unheard of"), (GLOBAL, 7, EPOCH)):
                delta = await store.vector_changes(scope, since, epoch)

                assert (delta.whole, len(delta.points), list(delta.removed)) == (True, 0, [])

    async def test_a_revision_from_the_future_gets_everything(self, open_store: OpenStore) -> None:
        """An older copy of the store was put in place: what the index holds says nothing about it."""
        async with open_store() as store:
            one = await add(store, "one")
            delta = await store.vector_changes(HOME, 10**15, EPOCH)

        assert (delta.whole, list(delta.points.ids)) == (True, [one])

    @settings(max_examples=30, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=STEPS, looks=st.lists(st.booleans(), min_size=14, max_size=14))
    async def test_deltas_add_up_to_the_whole(self, open_store: OpenStore, steps: list, looks: list) -> None:
        held: dict = {HOME: {}, GLOBAL: {}}
        seen = {HOME: 0, GLOBAL: 0}
        async with open_store(f"store-{new_id()}") as store:

            async def look(scope: object) -> None:
                delta = await store.vector_changes(scope, seen[scope], EPOCH)
                if delta.whole:
                    held[scope] = {}
                held[scope].update(rounded(delta.points.ids, delta.points.vectors))
                for memory_id in delta.removed:
                    held[scope].pop(memory_id, None)
                assert seen[scope] <= delta.revision
                seen[scope] = delta.revision

            for step, now in zip(steps, looks, strict=False):
                await carry_out(store, step, (HOME, GLOBAL))
                if now:
                    await look(HOME if step[2] % 2 else GLOBAL)
            for scope in held:
                await look(scope)

                assert held[scope] == await vectors(store, scope)


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_pages_follow_each_other_in_the_order_of_changes(self, open_store: OpenStore, limit: int) -> None:
        async with open_store() as store:
            ids = [await add(store, f"text {n}") for n in range(7)]
            await store.forget([HOME], ids[1:4], ACTOR, NOW)
            await store.revise([HOME], ids[0], rewritten("another text"), ACTOR, NOW)
            bare = await add(store, "bare", embedded=False)
            await add(store, "foreign", ELSEWHERE)
            held, told, upto = {}, [], 0
            while upto < await revision(store):
                delta = await store.vector_changes(HOME, upto, EPOCH, limit=limit)
                assert delta.whole == (upto == 0)
                assert delta.revision > upto
                told.append([*delta.points.ids, *delta.removed])
                held.update(rounded(delta.points.ids, delta.points.vectors))
                for memory_id in delta.removed:
                    held.pop(memory_id, None)
                upto = delta.revision

            assert held == await vectors(store, HOME)
            # what one operation changed comes together
            assert max(map(len, told)) <= limit + 2
            if limit == 1:
                assert [page for page in told if page] == [[ids[4]], [ids[5]], [ids[6]], sorted(ids[1:4]), [ids[0]], [bare]]

    async def test_a_page_that_holds_everything_reaches_the_present_revision(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.adopt_epoch(OTHER_EPOCH)
            await add(store, "one")
            await store.adopt_epoch(EPOCH)  # moves the revision, and changes no memory
            delta = await store.vector_changes(HOME, 0, EPOCH, limit=5)

            assert (len(delta.points), delta.revision) == (1, await revision(store))
            assert (await store.vector_changes(HOME, delta.revision, EPOCH, limit=1)).revision == delta.revision

    @settings(max_examples=20, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=STEPS, limit=st.integers(1, 4))
    async def test_pages_add_up_to_the_whole_while_it_changes(self, open_store: OpenStore, steps: list, limit: int) -> None:
        held: dict = {}
        upto = 0
        async with open_store(f"store-{new_id()}") as store:

            async def look() -> None:
                nonlocal upto, held
                delta = await store.vector_changes(HOME, upto, EPOCH, limit=limit)
                held = {} if delta.whole else held
                held.update(rounded(delta.points.ids, delta.points.vectors))
                for memory_id in delta.removed:
                    held.pop(memory_id, None)
                assert delta.revision >= upto
                upto = delta.revision

            for step in steps:
                await carry_out(store, step, (HOME, GLOBAL))
                await look()
            while upto < await revision(store):
                await look()

            assert held == await vectors(store, HOME)


class TestOrigin:
    async def test_a_store_is_itself_and_no_other(self, open_store: OpenStore) -> None:
        async with open_store("one") as store:
            first = await store.identity()
            assert await store.identity() == first
        async with open_store("one") as store, open_store("two") as other:
            assert first
            assert await store.identity() == first
            assert await other.identity() != first

    async def test_what_there_is_to_derive_from(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert (await store.tenants(), await store.active_epoch()) == ([], None)
            await add(store, "one")
            await add(store, "two", ELSEWHERE)
            assert (sorted(await store.tenants()), await store.active_epoch()) == (["local", "stranger"], EPOCH)
            await store.adopt_epoch(OTHER_EPOCH)
            assert await store.active_epoch() == OTHER_EPOCH


class TestEpochs:
    async def test_another_model_owes_every_live_memory_a_vector(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            ids = {await add(store, "one"), await add(store, "two", ELSEWHERE)}
            await store.forget([HOME], [await add(store, "gone")], ACTOR, NOW)

            assert await store.adopt_epoch(EPOCH) == 0
            assert await store.adopt_epoch(OTHER_EPOCH) == 2
            assert await store.adopt_epoch(OTHER_EPOCH) == 0
            notes = await store.claim("embed", limit=9, lease_seconds=60)
            assert {note.memory_id for note in notes} == ids
            assert len(await vectors(store, HOME)) == 1
            await settle(store, notes, OTHER_EPOCH)

            assert (await vectors(store, HOME), await vectors(store, ELSEWHERE)) == ({}, {})
            assert len(await vectors(store, HOME, OTHER_EPOCH)) == len(await vectors(store, ELSEWHERE, OTHER_EPOCH)) == 1
            assert await store.claim("embed", limit=9, lease_seconds=60) == []

    async def test_an_index_of_the_old_epoch_sees_its_vectors_go(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one")
            since = await revision(store)
            await store.adopt_epoch(OTHER_EPOCH)
            await settle(store, await store.claim("embed", limit=9, lease_seconds=60), OTHER_EPOCH)
            delta = await store.vector_changes(HOME, since, EPOCH)

        assert list(delta.removed) == [one]

    async def test_a_memory_stored_with_an_old_models_vector_is_owed_a_new_one(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.adopt_epoch(EPOCH)
            added = await store.add(draft("one"), embedding("one", OTHER_EPOCH), within=[HOME])

            assert not added.embedded
            assert [note.memory_id for note in await store.claim("embed", limit=9, lease_seconds=60)] == [added.id]

    async def test_an_embedding_overtaken_by_another_model_settles_nothing(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one", embedded=False)
            await store.adopt_epoch(EPOCH)
            notes = await store.claim("embed", limit=9, lease_seconds=0)
            await store.adopt_epoch(OTHER_EPOCH)
            await settle(store, notes, EPOCH)
            still = await store.claim("embed", limit=9, lease_seconds=0)

            assert [note.memory_id for note in still] == [one]
            await settle(store, still, OTHER_EPOCH)
            assert list(await vectors(store, HOME, OTHER_EPOCH)) == [one]

    async def test_a_note_that_was_put_off_before_the_clock_was_set_back_by_an_hour_is_due(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one", embedded=False)
            put_off = await store.claim("embed", limit=9, lease_seconds=300)
            assert await store.claim("embed", limit=9, lease_seconds=60) == []
            await store.postpone(put_off, 3600)  # as it looks then

            assert [note.memory_id for note in await store.claim("embed", limit=9, lease_seconds=60)] == [one]

    async def test_the_first_epoch_is_adopted_by_itself(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert (await store.add(draft("one"), embedding("one"), within=[HOME])).embedded
            assert await store.adopt_epoch(EPOCH) == 0


async def settle(store: Store, notes: list[Note], epoch: str) -> None:
    contents = await store.contents(notes)
    await store.settle_embeddings(notes, [content and embedding(content, epoch) for content in contents])


class TestOwedEmbeddings:
    async def test_a_memory_without_a_vector_is_noted_and_settled(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            added = await store.add(draft("one"), None, within=[HOME])
            (note,) = await store.claim("embed", limit=9, lease_seconds=60)
            before = await revision(store)

            assert not added.embedded
            assert (note.tier, note.scope, note.memory_id, note.attempts) == ("embed", HOME, added.id, 0)
            await settle(store, [note], EPOCH)
            assert await revision(store) > before
            assert list(await vectors(store, HOME)) == [added.id]
            assert (await store.counts("local")).unembedded == 0

    async def test_a_text_that_changed_meanwhile_is_not_settled_by_the_older_claim(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one", embedded=False)
            old = await store.claim("embed", limit=9, lease_seconds=60)
            await store.revise([HOME], one, rewritten("two", embedded=False), ACTOR, NOW)

            assert await store.contents(old) == [None]
            await store.settle_embeddings(old, [embedding("one")])
            assert await vectors(store, HOME) == {}
            (new,) = await store.claim("embed", limit=9, lease_seconds=60)
            await settle(store, [new], EPOCH)
            assert await vectors(store, HOME) == rounded([one], [vector("two")])

    async def test_what_was_forgotten_meanwhile_is_owed_nothing(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one", embedded=False)
            notes = await store.claim("embed", limit=9, lease_seconds=60)
            await store.forget([HOME], [one], ACTOR, NOW)

            assert await store.contents(notes) == [None]
            await store.settle_embeddings(notes, [None])
            await store.settle_embeddings(notes, [embedding("one")])
            assert await vectors(store, HOME) == {}
            assert (await store.counts("local")).unembedded == 0

    async def test_settling_twice_is_settling_once(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "one", embedded=False)
            notes = await store.claim("embed", limit=9, lease_seconds=60)
            await settle(store, notes, EPOCH)
            before = await revision(store)
            await store.settle_embeddings(notes, [embedding("one")])

            assert await revision(store) == before


class TestOutbox:
    async def test_every_change_is_noted_for_every_derived_tier(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one")
            for change in (
                lambda: store.revise([HOME], one, Changes(tags=("t",)), ACTOR, NOW),
                lambda: store.forget([HOME], [one], ACTOR, NOW),
                lambda: store.undo(HOME, None, ACTOR, NOW),
            ):
                notes = await store.claim(INDEX, limit=9, lease_seconds=60)
                assert [note.memory_id for note in notes] == [one]
                await store.settle(notes)
                assert await store.claim(INDEX, limit=9, lease_seconds=60) == []
                await change()

    async def test_a_claimed_note_is_nobody_elses_until_the_lease_ends(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            for n in range(3):
                await add(store, f"text {n}")
            first = await store.claim(INDEX, limit=2, lease_seconds=60)
            second = await store.claim(INDEX, limit=9, lease_seconds=0)

            assert (len(first), len(second)) == (2, 1)
            assert await store.claim(INDEX, limit=9, lease_seconds=0) == second
            assert await store.claim("another tier", limit=9, lease_seconds=0) == []

    async def test_a_lease_outlives_its_holder(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "one")
            await add(store, "two")
            await store.claim(INDEX, limit=1, lease_seconds=60)
        async with open_store() as store:
            assert len(await store.claim(INDEX, limit=9, lease_seconds=60)) == 1

    async def test_the_oldest_first(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            ids = [await add(store, f"text {n}") for n in range(5)]
            claimed = [note.memory_id for _ in ids for note in await store.claim(INDEX, limit=1, lease_seconds=60)]

        assert claimed == ids

    async def test_a_postponed_note_is_due_later_and_counts_its_attempts(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "one")
            for attempts in range(3):
                notes = await store.claim(INDEX, limit=9, lease_seconds=60)
                assert [note.attempts for note in notes] == [attempts]
                await store.postpone(notes, 0)
            await store.postpone(await store.claim(INDEX, limit=9, lease_seconds=0), 60)

            assert await store.claim(INDEX, limit=9, lease_seconds=0) == []
            assert (await store.notes())[INDEX] == 1

    async def test_a_change_meanwhile_is_not_settled_by_the_older_claim(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one")
            old = await store.claim(INDEX, limit=9, lease_seconds=60)
            await store.revise([HOME], one, Changes(tags=("t",)), ACTOR, NOW)
            await store.settle(old)
            await store.postpone(old, 60)
            (new,) = await store.claim(INDEX, limit=9, lease_seconds=60)

            assert (new.memory_id, new.attempts) == (one, 0)
            assert new.number != old[0].number

    async def test_notes_for_tiers_that_are_no_more_are_dropped(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "one", embedded=False)
            await store.keep_tiers([INDEX])
            kept = await store.notes()
            await store.keep_tiers([])

            assert kept == {"embed": 1, INDEX: 1}
            assert await store.notes() == {"embed": 1}

    async def test_how_many_notes_wait_is_told_for_all_tenants_together(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            none = await store.notes()
            for scope in (HOME, ELSEWHERE):
                await add(store, "one", scope)
            await add(store, "two", embedded=False)
            waiting = await store.notes()
            await store.claim(INDEX, limit=1, lease_seconds=60)
            claimed = await store.notes()
            await store.settle(await store.claim(INDEX, limit=1, lease_seconds=60))

            assert none == {}
            assert waiting == {INDEX: 3, "embed": 1}
            assert claimed == waiting
            assert await store.notes() == {INDEX: 2, "embed": 1}

    async def test_a_settled_notes_number_is_not_used_again(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "one")
            old = await store.claim(INDEX, limit=9, lease_seconds=60)
            await store.settle(old)
        async with open_store() as store:
            await add(store, "two", expires_at=NOW + SECOND)
            await store.settle(old)

            assert len(await store.claim(INDEX, limit=9, lease_seconds=60)) == len(await live(store)) - 1


class TestTexts:
    async def test_what_changed_is_told_with_or_without_vectors(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "one", session_id="s")
            two = await add(store, "two", embedded=False)
            await add(store, "foreign", ELSEWHERE)
            first = await store.changed(HOME, 0)
            await store.forget([HOME], [one], ACTOR, NOW)
            three = await add(store, "three")
            then = await store.changed(HOME, first.revision)
            nothing = await store.changed(HOME, then.revision)

            assert first.whole
            assert {memory.id: (memory.content, memory.session_id) for memory in first.memories} == {one: ("one", "s"), two: ("two", "")}
            assert (then.whole, [memory.id for memory in then.memories], list(then.removed)) == (False, [three], [one])
            assert (nothing.memories, nothing.removed, nothing.revision) == ([], [], then.revision)

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_pages_of_what_changed_add_up_to_all_of_it(self, open_store: OpenStore, limit: int) -> None:
        async with open_store() as store:
            ids = [await add(store, f"text {n}") for n in range(7)]
            held, told, upto = set(), [], 0
            while upto < await revision(store):
                page = await store.changed(HOME, upto, limit=limit)
                assert page.whole == (upto == 0)
                assert page.revision > upto
                if not told:  # in the midst of it: one that was told is gone, one that was not, and one is another
                    await store.forget([HOME], [ids[0], ids[5]], ACTOR, NOW)
                    await store.revise([HOME], ids[3], rewritten("another text"), ACTOR, NOW)
                told.append([*(memory.id for memory in page.memories), *page.removed])
                held = (held | {memory.id for memory in page.memories}) - set(page.removed)
                upto = page.revision

            assert held == {memory.id for memory in (await store.changed(HOME, 0)).memories} == set(ids) - {ids[0], ids[5]}
            assert max(map(len, told)) <= limit + 1

    async def test_vectors_are_compared_within_scope_and_epoch(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one, bare = await add(store, "one"), await add(store, "bare", embedded=False)
            foreign = await add(store, "foreign", ELSEWHERE)
            asked, both = [bare, one, foreign, new_id()], np.vstack((vector("one"), vector("foreign")))
            here, other = await store.compare(HOME, both, asked, EPOCH), await store.compare(HOME, both, asked, OTHER_EPOCH)

            assert here.similarity[:, 0].tolist() == pytest.approx([np.nan, 1, np.nan, np.nan], abs=1e-3, nan_ok=True)
            assert np.isnan(other.similarity).all()
            assert here.sample.shape == (0, 2)
