"""Which value of a key is the current one, since when each was true, and where the former ones are found."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_stores import ACTOR, ANYTHING, DAY, HOME, NOW, SECOND, OpenStore, Store, add, draft, found, live, new_id, picture, texts

from memory_mcp.models import Added

CITIES = ("Oslo", "Bergen", "Rome", "Lima")


async def told(store: Store, city: str, day: int, *, now: timedelta = timedelta(0)) -> Added:
    """The city lived in since a day of March, as told at some moment."""
    new = draft(f"lives in {city}", key="home", occurred_at=NOW + day * DAY, now=NOW + 100 * DAY + now)
    return await store.add(new, None, within=[HOME])


async def true_at(store: Store, day: float) -> list[str]:
    found = await store.as_of([HOME], ANYTHING, NOW + day * DAY, None, "", limit=9)
    return [memory.content.removeprefix("lives in ") for memory, _ in found]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_dated_values_end_each_other_in_the_order_of_their_dates(open_store: OpenStore, order: tuple[int, ...]) -> None:
    async with open_store() as store:
        for n, day in enumerate(order):
            await told(store, CITIES[day], day, now=n * SECOND)

        assert await texts(store) == ["lives in Rome"]
        assert [await true_at(store, day) for day in (-1, 0, 0.9, 1, 1.9, 2, 50)] == [
            [],
            ["Oslo"],
            ["Oslo"],
            ["Bergen"],
            ["Bergen"],
            ["Rome"],
            ["Rome"],
        ]
        assert await found(store, "lives") == ["lives in Rome"]


async def test_a_value_told_late_says_which_is_current(open_store: OpenStore) -> None:
    async with open_store() as store:
        current = await told(store, "Rome", 9)
        late = await told(store, "Oslo", 1)
        (past,) = await store.get_many([HOME], [late.id])

        assert (late.status, late.replaced, late.superseded_by) == ("stored", (), current.id)
        assert (past.superseded_by, past.valid_from, past.valid_to) == (current.id, NOW + DAY, NOW + 9 * DAY)


async def test_a_repeated_call_is_told_the_same_of_a_value_told_late(open_store: OpenStore) -> None:
    async with open_store() as store:
        await told(store, "Rome", 9)
        late = draft("lives in Oslo", key="home", occurred_at=NOW, idempotency_key="k", request_digest=b"d" * 16)
        first = await store.add(late, None, within=[HOME])

        assert first.superseded_by is not None
        assert await store.add(late, None, within=[HOME]) == first


async def test_without_both_dates_the_later_told_is_current(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "lives in Oslo", key="home")
        await add(store, "lives in Bergen", key="home", occurred_at=NOW - DAY, now=NOW + SECOND)
        assert await texts(store) == ["lives in Bergen"]
        await add(store, "lives in Rome", key="home", now=NOW + 2 * SECOND)

        assert await texts(store) == ["lives in Rome"]


async def test_what_is_said_to_be_superseded_is_whatever_the_dates_say(open_store: OpenStore) -> None:
    async with open_store() as store:
        current = await told(store, "Rome", 9)
        new = draft("lives in Oslo", key="home", occurred_at=NOW, supersedes=(current.id,))
        added = await store.add(new, None, within=[HOME])

        assert (added.status, added.superseded_by) == ("superseded", None)
        assert await texts(store) == ["lives in Oslo"]


async def test_a_value_told_late_is_taken_back(open_store: OpenStore) -> None:
    async with open_store() as store:
        await told(store, "Oslo", 0)
        await told(store, "Rome", 9)
        before = await picture(store, HOME, ("lives", "rome", "oslo", "bergen"))
        late = await told(store, "Bergen", 5)
        between = [await true_at(store, day) for day in (4, 6, 10)]
        await store.undo(HOME, late.operation, ACTOR, NOW + 200 * DAY)

        assert between == [["Oslo"], ["Bergen"], ["Rome"]]
        assert [await true_at(store, day) for day in (4, 6, 10)] == [["Oslo"], ["Oslo"], ["Rome"]]
        assert await picture(store, HOME, ("lives", "rome", "oslo", "bergen")) == before
        assert await store.verify_chain() is None


async def test_the_same_words_under_two_keys_are_two_memories(open_store: OpenStore) -> None:
    async with open_store() as store:
        mine = await store.add(draft("Vim", key="user.editor"), None, within=[HOME])
        theirs = await store.add(draft("Vim", key="team.editor"), None, within=[HOME])
        again = await store.add(draft("Vim", key="user.editor"), None, within=[HOME])
        anybody = await store.add(draft("Vim"), None, within=[HOME])
        await store.add(draft("Emacs", key="user.editor"), None, within=[HOME])
        left = {memory.key: memory.content for memory in await live(store)}

        assert (mine.status, theirs.status) == ("stored", "stored")
        assert (again.status, again.id) == ("already_known", mine.id)
        assert anybody.status == "already_known"
        assert left == {"user.editor": "Emacs", "team.editor": "Vim"}


async def test_what_a_memory_took_the_place_of_is_told_oldest_first(open_store: OpenStore) -> None:
    async with open_store() as store:
        for n, city in enumerate((*CITIES, "Oslo")):
            newest = await add(store, f"lives in {city}", key="home", now=NOW + n * DAY)
        other = await add(store, "a bystander")
        gone = await store.replaced([HOME], newest, limit=9)
        await store.forget([HOME], [gone[1].memory.id], ACTOR, NOW + 9 * DAY)

        assert [past.memory.content for past in gone] == [f"lives in {city}" for city in CITIES]
        assert [past.replaced_at for past in gone] == [NOW + n * DAY for n in range(1, 5)]
        assert [past.memory.content for past in await store.replaced([HOME], newest, limit=9)] == [
            f"lives in {city}" for city in ("Oslo", "Rome", "Lima")
        ]
        assert [past.memory.content for past in await store.replaced([HOME], newest, limit=1)] == ["lives in Lima"]
        assert await store.replaced([HOME], other, limit=9) == []


@settings(max_examples=30, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.tuples(st.sampled_from(CITIES), st.integers(0, 6)), min_size=1, max_size=8, unique_by=lambda told: told[1]))
async def test_whatever_the_order_each_moment_has_one_value(open_store: OpenStore, days: list[tuple[str, int]]) -> None:
    """The latest dated is current, and at any moment the value is that of the latest date before it."""
    async with open_store(f"store-{new_id()}") as store:
        for n, (city, day) in enumerate(days):
            await told(store, f"{city} {day}", day, now=n * SECOND)
        by_day = {day: f"{city} {day}" for city, day in days}

        assert await texts(store) == [f"lives in {by_day[max(by_day)]}"]
        for day in range(7):
            begun = [other for other in by_day if other <= day]
            assert await true_at(store, day + 0.5) == ([by_day[max(begun)]] if begun else [])
