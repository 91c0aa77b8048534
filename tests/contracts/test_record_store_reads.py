"""What reading owes its callers: the right memories, in the right order, in the form asked for, of no other scope."""

from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from record_stores import (
    ACTOR,
    ANYTHING,
    DAY,
    ELSEWHERE,
    EPOCH,
    GLOBAL,
    HOME,
    NOW,
    OTHER_EPOCH,
    SCOPES,
    SECOND,
    OpenStore,
    Store,
    add,
    draft,
    embedding,
    live,
    new_id,
    rewritten,
    texts,
    vector,
)
from test_record_store_undo import STEPS, VOCABULARY, carry_out

from memory_mcp.errors import MemoryNotFoundError
from memory_mcp.models import Changes, Embedding, Filter, Memory, Scope

HOUR = timedelta(hours=1)


def place_of(memory: Memory) -> tuple[datetime, UUID]:
    return memory.when, memory.id


async def test_memories_come_in_the_order_asked_for(open_store: OpenStore) -> None:
    async with open_store() as store:
        one, two, three = [await add(store, text) for text in ("one", "two", "three")]
        old = await add(store, "old", key="k")
        await add(store, "new", key="k")
        asked = await store.get_many([HOME], [three, new_id(), one, three, two, old])

        assert [memory.id for memory in asked] == [three, one, two, old]
        assert await store.get_many([HOME], []) == []
        assert await store.get_many([], [one]) == []


class TestNewest:
    async def fill(self, store: Store) -> None:
        await add(store, "event", kind="event", occurred_at=NOW - 2 * HOUR, now=NOW, domain="business", tags=("a", "b"))
        await add(store, "rule", kind="rule", now=NOW - HOUR, domain="coding", tags=("a",))
        await add(store, "fact", now=NOW - 3 * HOUR, tags=("b", "ä%_"), expires_at=NOW + HOUR)
        await add(store, "decision", kind="decision", now=NOW, domain="coding")

    ORDER = ("decision", "rule", "event", "fact")

    FILTERS = (
        (ANYTHING, ORDER),
        (Filter(kinds=frozenset({"event", "rule"})), ("rule", "event")),
        (Filter(kinds=frozenset({"chat"})), ()),
        (Filter(kinds=frozenset({"' OR 1=1 --"})), ()),
        (Filter(domains=frozenset({"coding"})), ("decision", "rule")),
        (Filter(domains=frozenset({"coding", "business"})), ("decision", "rule", "event")),
        (Filter(tags=frozenset({"a"})), ("rule", "event")),
        (Filter(tags=frozenset({"a", "b"})), ("event",)),
        (Filter(tags=frozenset({"ä%_"})), ("fact",)),
        (Filter(tags=frozenset({"%"})), ()),
        (Filter(tags=frozenset({"A"})), ()),
        (Filter(since=NOW - HOUR), ("decision", "rule")),
        (Filter(until=NOW - HOUR), ("event", "fact")),
        (Filter(since=NOW - 2 * HOUR, until=NOW), ("rule", "event")),
        (Filter(now=NOW + HOUR - timedelta(microseconds=1)), ORDER),
        (Filter(now=NOW + HOUR), ("decision", "rule", "event")),
        (Filter(kinds=frozenset({"fact"}), domains=frozenset({"general"}), tags=frozenset({"b"}), until=NOW, now=NOW), ("fact",)),
    )

    @pytest.mark.parametrize(("where", "expected"), FILTERS)
    async def test_filters(self, open_store: OpenStore, where: Filter, expected: tuple[str, ...]) -> None:
        """The same filter means the same to every search, and is applied before the limit."""
        async with open_store() as store:
            await self.fill(store)
            by_time = await store.newest([HOME], where, limit=10)
            pages = by_time[:1]
            while pages and (page := await store.newest([HOME], where, limit=1, after=place_of(pages[-1]))):
                pages += page
            by_words = await store.search_text([HOME], "event rule fact decision", where, limit=max(1, len(expected)))
            by_valid_time = await store.as_of([HOME], where, NOW, None, "", limit=10)

        assert tuple(memory.content for memory in by_time) == expected
        assert pages == by_time
        assert {hit.id for hit in by_words} == {memory.id for memory in by_time}
        assert {memory.id for memory, _ in by_valid_time} == {memory.id for memory in by_time}

    async def test_equal_times_by_id(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            for n in (7, 3, 2**127, 2**64, 11):
                await add(store, f"text {n}", id=UUID(int=n))
            memories = await live(store)
            behind = [await store.newest([HOME], ANYTHING, limit=9, after=(NOW, UUID(int=n))) for n in (0, 3, 8, 2**127)]

        assert [memory.id for memory in memories] == sorted(memory.id for memory in memories)
        assert behind == [memories, memories[1:], memories[2:], []]

    async def test_several_scopes_are_one_list(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            for n in range(9):
                await add(store, f"text {n}", SCOPES[n % 3], now=NOW + n * HOUR)
            every = [memory.content for memory in await store.newest([GLOBAL, HOME, HOME], ANYTHING, limit=99)]
            after, pages = None, list[list[str]]()
            while page := await store.newest([HOME, GLOBAL], ANYTHING, limit=2, after=after):
                pages.append([memory.content for memory in page])
                after = place_of(page[-1])

        assert every == [f"text {n}" for n in (7, 6, 4, 3, 1, 0)]
        assert pages == [every[0:2], every[2:4], every[4:6]]

    async def test_times_keep_their_microseconds(self, open_store: OpenStore) -> None:
        moments = [NOW.replace(year=year, microsecond=micro) for year in (1, 1969, 2038, 9999) for micro in (0, 1, 999_999)]
        async with open_store() as store:
            for moment in moments:
                await add(store, str(moment), occurred_at=moment)

            assert [memory.occurred_at for memory in await live(store)] == sorted(moments, reverse=True)


class TestHistory:
    async def test_past_forms_oldest_first(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "v1", tags=("a",), importance=1 / 3)
            assert await store.history([HOME], one) == []
            (first,) = await live(store)
            await store.revise([HOME], one, rewritten("v2"), ACTOR, NOW + HOUR)
            await store.revise([HOME], one, Changes(tags=("b",)), ACTOR, NOW + 2 * HOUR)
            last = await store.revise([HOME], one, rewritten("v3"), ACTOR, NOW + 3 * HOUR)
            versions = await store.history([HOME], one)

        assert [(version.n, version.memory.content, version.memory.tags) for version in versions] == [
            (1, "v1", ("a",)),
            (2, "v2", ("a",)),
            (3, "v2", ("b",)),
        ]
        assert [version.replaced_at for version in versions] == [NOW + HOUR, NOW + 2 * HOUR, NOW + 3 * HOUR]
        assert versions[-1].operation == last.number
        assert (versions[0].memory.updated_at, versions[1].memory.updated_at) == (NOW, NOW + HOUR)
        assert versions[0].memory.importance == first.importance

    async def test_superseding_is_part_of_it(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            old = await add(store, "uses vim", key="editor")
            await add(store, "uses emacs", key="editor", now=NOW + DAY)
            (version,) = await store.history([HOME], old)

        assert (version.memory.superseded_by, version.memory.valid_to, version.replaced_at) == (None, None, NOW + DAY)

    async def test_only_of_what_is_visible(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            foreign, gone = await add(store, "foreign", ELSEWHERE), await add(store, "gone")
            await store.revise([ELSEWHERE], foreign, rewritten("still foreign"), ACTOR, NOW)
            await store.forget([HOME], [gone], ACTOR, NOW)
            for memory_id in (foreign, gone, new_id()):
                with pytest.raises(MemoryNotFoundError):
                    await store.history([HOME, GLOBAL], memory_id)


class TestAsOf:
    async def at(self, store: Store, moment: timedelta, query: str = "", where: Filter = ANYTHING) -> list[str]:
        row = vector(query) if query else None
        return [memory.content for memory, _ in await store.as_of([HOME], where, NOW + moment, row, query, limit=10)]

    async def test_values_by_valid_time(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "lives in Oslo", key="home", valid_from=NOW - 10 * DAY)
            await add(store, "lives in Bergen", key="home", valid_from=NOW - 5 * DAY)
            await add(store, "lives in Rome", key="home")

            assert await self.at(store, -11 * DAY) == []
            assert await self.at(store, -10 * DAY) == ["lives in Oslo"]
            assert await self.at(store, -5 * DAY - SECOND) == ["lives in Oslo"]
            assert await self.at(store, -5 * DAY) == ["lives in Bergen"]
            assert await self.at(store, DAY) == ["lives in Rome"]

    async def test_texts_by_the_time_of_their_rewriting(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "first form")
            await store.revise([HOME], one, rewritten("second form"), ACTOR, NOW + HOUR)
            await store.revise([HOME], one, Changes(importance=0.9), ACTOR, NOW + 2 * HOUR)
            undone = await store.revise([HOME], one, rewritten("third form"), ACTOR, NOW + 3 * HOUR)
            await store.undo(HOME, undone.number, ACTOR, NOW + 4 * HOUR)
            forms = [await self.at(store, hours * HOUR, "form") for hours in range(6)]

        assert forms == [[f"{form} form"] for form in ("first", "second", "second", "third", "second", "second")]

    async def test_what_was_superseded_and_taken_back_was_always_true(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await add(store, "uses vim", key="editor")
            added = await store.add(draft("uses emacs", key="editor", now=NOW + HOUR), None, within=[HOME])
            await store.undo(HOME, added.operation, ACTOR, NOW + 2 * HOUR)

            assert [await self.at(store, hours * HOUR) for hours in (0, 1, 3)] == [["uses vim"]] * 3

    async def test_the_forgotten_never(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "secret")
            await store.revise([HOME], one, rewritten("secret still"), ACTOR, NOW + HOUR)
            await store.forget([HOME], [one], ACTOR, NOW + 2 * HOUR)

            assert await self.at(store, timedelta(0), "secret") == []
            assert await self.at(store, HOUR) == []

    async def test_the_closest_first_with_a_score(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            for content in ("red apple", "green pear", "blue plum"):
                await add(store, content)
            ranked = await store.as_of([HOME], ANYTHING, NOW, vector("green pear"), "green pear", limit=2)
            by_words = await store.as_of([HOME], ANYTHING, NOW, None, "pear plum", limit=9)
            by_vector = await store.as_of([HOME], ANYTHING, NOW, vector("blue plum"), "", limit=1)

        assert ranked[0][0].content == "green pear"
        assert ranked[0][1] == pytest.approx(1, abs=0.01)
        assert all(0 <= score <= 1 for _, score in [*ranked, *by_words, *by_vector])
        assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)
        assert {memory.content for memory, _ in by_words} == {"green pear", "blue plum"}
        assert by_vector[0][0].content == "blue plum"

    async def test_a_score_is_at_most_one(self, open_store: OpenStore) -> None:
        """Rounding makes a vector's product with itself a little more than 1 now and then."""
        rows = np.random.default_rng(5).standard_normal((50, 8)).astype(np.float32)
        async with open_store() as store:
            for n, row in enumerate(rows):
                row /= np.linalg.norm(row)
                await store.add(draft(f"text {n}"), Embedding(row[None], EPOCH), within=[HOME])
                ((_, score),) = await store.as_of([HOME], ANYTHING, NOW, row, f"text {n}", limit=1)

                assert 0.99 < score <= 1

    async def test_vectors_of_another_model_are_not_compared(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            await store.add(draft("one"), embedding("one", OTHER_EPOCH), within=[HOME])
            await store.adopt_epoch(EPOCH)
            ((_, score),) = await store.as_of([HOME], ANYTHING, NOW, vector("one"), "", limit=1)

        assert score == 0


class TestOperations:
    async def test_newest_first_in_pages(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            for n in range(5):
                await add(store, f"text {n}")
            await add(store, "foreign", ELSEWHERE)
            every = await store.operations("local", limit=99)
            pages = await store.operations("local", limit=2)
            pages += await store.operations("local", limit=9, before=pages[-1].number)

            assert pages == every
            assert [entry.number for entry in every] == [5, 4, 3, 2, 1]
            assert [entry.scope for entry in await store.operations("stranger", limit=9)] == [ELSEWHERE]
            assert await store.operations("nobody", limit=9) == []

    async def test_who_did_what_when_and_never_a_text(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            one = await add(store, "uses vim", key="editor")
            two = await add(store, "uses emacs", key="editor", now=NOW + DAY)
            (entry, _) = await store.operations("local", limit=9)

        assert (entry.action, entry.at, entry.actor, entry.subjects) == ("remember", NOW + DAY, ACTOR, (two, one))
        assert (entry.undoes, entry.undone_by) == (None, None)
        assert "emacs" not in repr(entry)

    async def test_the_chain_holds(self, open_store: OpenStore) -> None:
        async with open_store() as store:
            assert await store.verify_chain() is None
            for step in [("add", 0, 0, "k1", True), ("revise", 1, 0, "", False), ("forget", 0, 0, "", True), ("undo", 0, 0, "", True)]:
                await carry_out(store, step, (HOME,))

            assert len(await store.operations("local", limit=9)) == 4
            assert await store.verify_chain() is None


async def test_counts_are_a_tenants_own(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "one", kind="rule")
        await add(store, "two", GLOBAL, embedded=False)
        await store.forget([HOME], [await add(store, "three")], ACTOR, NOW)
        await add(store, "four", key="k")
        await add(store, "five", key="k")
        for n in range(7):
            await add(store, f"foreign {n}", ELSEWHERE, embedded=False)
        mine, foreign, nobodys = [await store.counts(tenant) for tenant in ("local", "stranger", "nobody")]

    assert mine.by_namespace == {"home": 2, "global": 1}
    assert mine.by_kind == {"rule": 1, "fact": 2}
    assert (mine.forgotten, mine.superseded, mine.unembedded, mine.operations) == (1, 1, 1, 6)
    assert mine.bytes_on_disk > 0
    assert (foreign.by_namespace, foreign.unembedded) == ({"home": 7}, 7)
    assert (nobodys.by_namespace, nobodys.by_kind, nobodys.unembedded, nobodys.operations) == ({}, {}, 0, 0)


async def test_the_scopes_of_a_tenant(open_store: OpenStore) -> None:
    async with open_store() as store:
        assert await store.scopes("local") == []
        for scope in SCOPES:
            await add(store, "one", scope)

        assert set(await store.scopes("local")) == {HOME, GLOBAL}
        assert await store.scopes("stranger") == [ELSEWHERE]


@settings(max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_nothing_crosses_a_scope(open_store: OpenStore, steps: list) -> None:
    """Whatever is done in three scopes, the same words and the same keys in all of them, each sees its own alone."""
    async with open_store(f"store-{new_id()}") as store:
        for step in steps:
            await carry_out(store, step, (SCOPES[step[2] % 3],))
        homes: dict[UUID, Scope] = {}
        for entry in [*await store.operations("local", limit=99), *await store.operations("stranger", limit=99)]:
            homes.update(dict.fromkeys(entry.subjects, entry.scope))

        for scope in SCOPES:
            await only_its_own(store, scope, homes)


async def only_its_own(store: Store, scope: Scope, homes: dict[UUID, Scope]) -> None:
    every, now = list(homes), NOW + 9 * DAY
    delta = await store.vector_changes(scope, 0, EPOCH)
    changed = await store.vector_changes(scope, 1, EPOCH)
    seen = [memory.id for memory in await live(store, scope)]
    seen += [memory.id for memory in await store.get_many([scope], every)]
    seen += [hit.id for hit in await store.search_text([scope], " ".join(VOCABULARY), ANYTHING, limit=999)]
    seen += [memory.id for memory, _ in await store.as_of([scope], ANYTHING, now, vector("red apple"), "red apple", limit=999)]
    seen += [*delta.points.ids, *changed.points.ids, *changed.removed]
    foreign = [memory_id for memory_id, home in homes.items() if home != scope]

    assert all(homes[memory_id] == scope for memory_id in seen)
    for memory_id in foreign:
        for call in (
            store.revise([scope], memory_id, Changes(importance=0.0), ACTOR, now),
            store.forget([scope], [memory_id], ACTOR, now),
            store.history([scope], memory_id),
            store.add(draft("new", scope, supersedes=(memory_id,)), None, within=[scope]),
        ):
            with pytest.raises(MemoryNotFoundError):
                await call
    assert await texts(store, scope) == [memory.content for memory in await live(store, scope)]
