"""What memories speak of is found in its scope, is level with every write, and a walk through it ends."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from record_stores import ACTOR, DAY, ELSEWHERE, GLOBAL, HOME, NOW, OpenStore, Store, add, rewritten

from memory_mcp.graph import COMMON, FAN_OUT, MOST_REACHED, Named
from memory_mcp.models import Changes, Filter, Scope
from memory_mcp.text.entities import Entity, Statement

LATER = NOW + DAY


async def related(store: Store, *relations: str, scope: Scope = HOME, **fields: Any) -> UUID:
    """A memory that states these relations."""
    return await add(store, "; ".join(relations).lower(), scope, metadata={"relations": list(relations)}, **fields)


async def stated(store: Store, *scopes: Scope, keys: list[str] | None = None, now: datetime = NOW) -> list[str]:
    found = await store.relations(scopes or (HOME,), keys, now=now, limit=1000)
    return [str(relation.statement) for relation in found]


async def test_a_memory_is_found_by_what_its_text_and_its_metadata_name(open_store: OpenStore) -> None:
    async with open_store() as store:
        first = await add(store, "we met Ann Smith, who showed us src/main.py")
        second = await add(store, "she likes tea", metadata={"entity": "ANN SMITH", "entities": ["Tea", 7]})
        found = await store.mentions([HOME], ["ann smith", "src/main.py", "tea", "nobody"], now=NOW, limit=10)

        assert {key: of.memories for key, of in found.items()} == {"ann smith": (second, first), "src/main.py": (first,), "tea": (second,)}
        assert found["ann smith"].entity == Entity("ANN SMITH", "name")
        assert found["src/main.py"].entity == Entity("src/main.py", "path")
        assert (await store.mentions([HOME], ["ann smith"], now=NOW, limit=1))["ann smith"].memories == (second,)
        assert await store.mentions([], ["ann smith"], now=NOW, limit=1) == {}


async def test_relations_say_since_when_until_when_and_who_told(open_store: OpenStore) -> None:
    async with open_store() as store:
        memory = await related(store, "Ann | works at | Acme | 2024-01-01 | 2025-06-30T12:00:00+02:00", "Ann | knows | Bob", "no relation")
        found = await store.relations([HOME], ["acme"], now=NOW, limit=10)
        both = await store.relations([HOME], ["ann"], now=NOW, limit=10)

        assert [relation.memory for relation in found] == [memory]
        since, until = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 6, 30, 10, tzinfo=UTC)
        assert found[0].statement == Statement("Ann", "works at", "Acme", since, until)
        assert [relation.statement.predicate for relation in both] == ["works at", "knows"]
        assert await stated(store, keys=["nobody"]) == []


@pytest.mark.parametrize("end", ["forget", "supersede", "expire"])
async def test_what_is_not_live_says_nothing_and_undo_brings_it_back(open_store: OpenStore, end: str) -> None:
    async with open_store() as store:
        memory = await related(store, "Ann | knows | Bob", expires_at=LATER if end == "expire" else None)
        if end == "forget":
            await store.forget([HOME], [memory], ACTOR, NOW)
        elif end == "supersede":
            await add(store, "they fell out", supersedes=(memory,), within=[HOME])
        now = LATER if end == "expire" else NOW

        assert await stated(store, now=now) == []
        assert await store.mentions([HOME], ["ann"], now=now, limit=5) == {}
        assert await store.reach([HOME], "ann", depth=3, now=now) == {"ann": 0}
        assert await store.names([HOME], "ann", now=now, limit=5) == []
        if end != "expire":
            await store.undo(HOME, None, ACTOR, NOW)
            assert await stated(store) == ["Ann | knows | Bob"]
            assert await store.reach([HOME], "ann", depth=3, now=NOW) == {"ann": 0, "bob": 1}


async def test_a_rewritten_memory_speaks_of_what_it_says_now(open_store: OpenStore) -> None:
    async with open_store() as store:
        memory = await add(store, "we asked Ann")
        await store.revise([HOME], memory, rewritten("we asked Bob"), ACTOR, NOW)
        assert set(await store.mentions([HOME], ["ann", "bob"], now=NOW, limit=5)) == {"bob"}

        await store.revise([HOME], memory, Changes(metadata={"relations": "Bob | knows | Ann"}), ACTOR, NOW)
        assert await stated(store) == ["Bob | knows | Ann"]

        await store.undo(HOME, None, ACTOR, NOW)
        await store.undo(HOME, 2, ACTOR, NOW)
        assert set(await store.mentions([HOME], ["ann", "bob"], now=NOW, limit=5)) == {"ann"}
        assert await stated(store) == []


async def test_nothing_leaves_its_scope(open_store: OpenStore) -> None:
    async with open_store() as store:
        await related(store, "Ann | knows | Bob")
        await related(store, "Bob | knows | Carl", scope=GLOBAL)
        await related(store, "Ann | knows | Dora", scope=ELSEWHERE)

        assert await store.reach([HOME], "ann", depth=3, now=NOW) == {"ann": 0, "bob": 1}
        assert await store.reach([HOME, GLOBAL], "ann", depth=3, now=NOW) == {"ann": 0, "bob": 1, "carl": 2}
        assert await store.reach([], "ann", depth=3, now=NOW) == {"ann": 0}
        assert await stated(store, GLOBAL) == ["Bob | knows | Carl"]
        assert await store.mentions([HOME, GLOBAL], ["dora", "carl"], now=NOW, limit=5) == await store.mentions(
            [GLOBAL], ["carl"], now=NOW, limit=5
        )
        assert await store.names([HOME], "o", now=NOW, limit=5) == [Entity("Bob")]


async def test_a_walk_goes_both_ways_through_circles_and_other_names_but_not_through_types(open_store: OpenStore) -> None:
    async with open_store() as store:
        await related(
            store, "Ann | knows | Bob", "Carl | knows | Bob", "Carl | knows | Ann", "Carl | lives in | Ghent", "Ghent | near | Aalst"
        )
        await related(store, "Annie | also called | Ann", "Ann | is a | person", "Zoe | is a | person")

        assert await store.reach([HOME], "ann", depth=1, now=NOW) == {"ann": 0, "annie": 0, "bob": 1, "carl": 1}
        assert await store.reach([HOME], "annie", depth=2, now=NOW) == {"ann": 0, "annie": 0, "bob": 1, "carl": 1, "ghent": 2}
        assert (await store.reach([HOME], "ghent", depth=3, now=NOW))["bob"] == 2
        assert set(await store.mentions([HOME], ["person", "zoe"], now=NOW, limit=5)) == {"zoe"}


async def test_a_dense_graph_is_walked_within_bounds(open_store: OpenStore) -> None:
    async with open_store() as store:
        for hub in range(12):
            await related(store, *(f"Hub{hub} | has | Leaf{hub}-{number}" for number in range(90)))
        await related(store, *(f"Hub0 | knows | Hub{hub}" for hub in range(1, 12)))
        near = await store.reach([HOME], "hub0", depth=1, now=NOW)
        far = await store.reach([HOME], "hub0", depth=3, now=NOW)

        assert len(near) == 1 + FAN_OUT
        assert {f"hub{hub}" for hub in range(1, 12)} < set(near)  # the newest come first
        assert 2 * FAN_OUT < len(far) <= MOST_REACHED
        assert max(far.values()) <= 3


async def test_names_that_contain_a_part_the_most_frequent_first(open_store: OpenStore) -> None:
    async with open_store() as store:
        for text in ("we met Ann Smith", "again Ann Smith", "also Joanna", "nobody"):
            await add(store, text)

        assert await store.names([HOME], "ANN", now=NOW, limit=5) == [Entity("Ann Smith", "name"), Entity("Joanna", "name")]
        assert await store.names([HOME], "ann", now=NOW, limit=1) == [Entity("Ann Smith", "name")]
        assert await store.names([HOME], "100%_", now=NOW, limit=5) == []


async def test_there_is_nothing_older_in_a_new_store(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "we met Ann")
        assert await store.mention_older(10) == 0


async def test_memories_are_found_by_entities_and_by_those_one_relation_away(open_store: OpenStore) -> None:
    async with open_store() as store:
        rare, other = await add(store, "we met Zoe"), await add(store, "a rule for Zoe", kind="rule")
        fact = await related(store, "Zoe | works at | Acme", "Acme | is a | company", "Acme | near | Ghent")
        beside = await add(store, "visit to Acme", expires_at=LATER)
        far = await add(store, "trip to Ghent")
        hidden = await add(store, "Zoe elsewhere", ELSEWHERE)
        for number in range(COMMON + 1):
            await add(store, f"Bob again, {number}", embedded=False)
        at = [HOME]

        found = await store.named(at, ["zoe", "bob", "nobody"], Filter(), limit=10)
        assert found == [Named(rare, 0, 3), Named(other, 0, 3), Named(fact, 0, 3), Named(beside, 1, 2)]
        assert await store.named(at, ["zoe"], Filter(), limit=1) == found[:1]
        assert await store.named(at, ["zoe"], Filter(kinds=frozenset({"rule"})), limit=10) == [Named(other, 0, 3)]
        assert beside not in {one.memory for one in await store.named(at, ["zoe"], Filter(now=LATER), limit=10)}
        assert {one.memory for one in await store.named(at, ["acme"], Filter(), limit=10)} == {rare, other, fact, beside, far}
        assert [one.memory for one in await store.named([ELSEWHERE], ["zoe"], Filter(), limit=10)] == [hidden]
        assert await store.named(at, ["bob", "company"], Filter(), limit=10) == []
        assert await store.named(at, [], Filter(), limit=10) == []


async def test_of_what_is_erased_nothing_is_left_here(open_store: OpenStore) -> None:
    async with open_store() as store:
        gone, kept = await related(store, "Ann | knows | Bob"), await related(store, "Ann | knows | Carl")
        await store.erase(HOME.tenant, [gone], ACTOR, NOW, action="erase")

        assert await store.remains(HOME.tenant, [gone]) == []
        assert {"mentions", "relations"} < set(await store.remains(HOME.tenant, [kept]))
        assert await store.standing(HOME.tenant, ["bob", "carl", "Carl"]) == ["carl", "Carl"]
        assert await stated(store) == ["Ann | knows | Carl"]
