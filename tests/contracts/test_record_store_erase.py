"""What is gone for good: out of every answer, table and past form, while the log goes on to verify."""

import pytest
from record_stores import (
    ACTOR,
    ANYTHING,
    DAY,
    ELSEWHERE,
    GLOBAL,
    HOME,
    INDEX,
    NOW,
    OpenStore,
    Store,
    add,
    draft,
    embedding,
    found,
    new_id,
    picture,
    revision,
    rewritten,
    texts,
    vectors,
)

from memory_mcp.errors import MemoryNotFoundError, RequestError
from memory_mcp.models import Changes, Meant, Provenance

LATER = NOW + DAY


async def erased(store: Store, *ids: object, tenant: str = "local") -> list[int]:
    return [entry.number for entry in await store.erase(tenant, ids, ACTOR, LATER)]  # type: ignore[arg-type]


async def test_nothing_of_it_can_be_found_any_more(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "zebra first", tags=("quagga",), metadata={"speaker": "Okapi"}, key="animal.kind")
        await store.revise([HOME], one, rewritten("zebra second"), ACTOR, NOW)
        other = await add(store, "tapir", key="bystander")
        before = await picture(store, HOME, ("tapir",))
        said = await store.texts("local", [one])
        moved = await revision(store)
        await store.count_uses("local", {one: 1}, NOW)
        assert set(await store.remains("local", [one])) == {"memories", "versions", "vectors", "uses", "words"}
        (done,) = await store.erase("local", [one], ACTOR, LATER)

        assert set(said) == {"zebra first", "zebra second", "quagga", "Okapi", "animal.kind"}
        assert await store.remains("local", [one]) == []
        assert set(await store.standing("local", ["tapir", *said])) == {"tapir"}
        assert (done.action, done.subjects, done.scope, done.actor) == ("erase", (one,), HOME, ACTOR)
        assert await texts(store) == ["tapir"]
        assert await store.get_many([HOME], [one]) == []
        assert await found(store, "zebra quagga okapi") == []
        assert await store.as_of([HOME], ANYTHING, NOW, None, "zebra", limit=9) == []
        assert await store.as_of([HOME], ANYTHING, LATER + DAY, None, "zebra", limit=9) == []
        assert (await vectors(store, HOME)).keys() == {other}
        assert await revision(store) > moved
        after = await picture(store, HOME, ("tapir",))
        assert after.findable == before.findable
        assert await store.texts("local", [one]) == []
        with pytest.raises(MemoryNotFoundError):
            await store.history([HOME], one)
        counts = await store.counts("local")
        assert (counts.forgotten, counts.superseded, counts.by_namespace) == (0, 0, {"home": 1})
        assert await store.verify_chain() is None
        assert await store.check() == []


async def test_whoever_indexes_hears_of_it(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "zebra")
        held = await revision(store)
        await store.settle(await store.claim(INDEX, limit=9, lease_seconds=60))
        await erased(store, one)
        delta = await store.vector_changes(HOME, held, "model@1/8")
        changed = await store.changed(HOME, held)

        assert (delta.removed, changed.removed, delta.whole) == ([one], [one], False)
        assert [note.memory_id for note in await store.claim(INDEX, limit=9, lease_seconds=60)] == [one]
        assert await store.claim("embed", limit=9, lease_seconds=60) == []


async def test_it_is_final_and_bars_no_undo_of_what_else_changed(open_store: OpenStore) -> None:
    async with open_store() as store:
        one, two = await add(store, "zebra"), await add(store, "tapir")
        both = await store.forget([HOME], [one, two], ACTOR, NOW)
        (number,) = await erased(store, one)
        with pytest.raises(RequestError, match="final"):
            await store.undo(HOME, number, ACTOR, LATER)
        (undone,) = await store.undo(HOME, both.number, ACTOR, LATER)
        assert await texts(store) == ["tapir"]
        with pytest.raises(RequestError, match="any more"):
            await store.undo(HOME, 1, ACTOR, LATER)
        await store.undo(HOME, None, ACTOR, LATER)  # the newest of which anything is left

        assert undone.subjects == (two,)
        assert await texts(store) == []
        with pytest.raises(RequestError, match="nothing to undo"):
            await store.undo(HOME, None, ACTOR, LATER)
        assert await store.verify_chain() is None


async def test_what_it_had_replaced_can_come_back(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "zebra", key="animal")
        added = await store.add(draft("tapir", key="animal"), embedding("tapir"), within=[HOME])
        await erased(store, added.id)
        assert await texts(store) == []
        await store.undo(HOME, added.operation, ACTOR, LATER)

        assert await texts(store) == ["zebra"]


async def test_the_same_text_may_be_told_again(open_store: OpenStore) -> None:
    async with open_store() as store:
        first = await add(store, "zebra", idempotency_key="k", request_digest=b"d" * 16)
        await erased(store, first)
        again = await store.add(draft("zebra", idempotency_key="k", request_digest=b"d" * 16), None, within=[HOME])

        assert (again.status, again.id != first) == ("stored", True)
        assert await texts(store) == ["zebra"]


async def test_erasing_twice_or_the_unknown_or_the_foreign_does_nothing(open_store: OpenStore) -> None:
    async with open_store() as store:
        one, foreign = await add(store, "zebra"), await add(store, "tapir", ELSEWHERE)
        await erased(store, one)
        before = await store.revisions([HOME, ELSEWHERE])
        assert await erased(store, one, foreign, new_id()) == []

        assert await store.revisions([HOME, ELSEWHERE]) == before
        assert await texts(store, ELSEWHERE) == ["tapir"]
        assert await store.meant("local", Meant(ids=(one, foreign))) == []


async def test_who_and_what_is_meant(open_store: OpenStore) -> None:
    ada = Provenance(client="c", user="Ada")
    async with open_store() as store:
        wrote = await add(store, "by her", provenance=ada)
        said = await add(store, "said by her", GLOBAL, metadata={"speaker": "ADA"})
        was = await add(store, "once said to be hers", metadata={"speaker": "Ada"})
        await store.revise([HOME], was, Changes(metadata={"speaker": "Ben"}), ACTOR, NOW)
        gone = await add(store, "forgotten", metadata={"speaker": "Ada"})
        await store.forget([HOME], [gone], ACTOR, NOW)
        old = await add(store, "superseded", key="k", metadata={"speaker": "ada"})
        new = await add(store, "about Ada", key="k", metadata={"topic": "Ada Lovelace", "n": [1, None, {"Ada": 2.5}]})
        foreign = await add(store, "hers elsewhere", ELSEWHERE, provenance=ada)

        async def ids(**what: object) -> set[object]:
            return {memory_id for memory_id, _ in await store.meant("local", Meant(**what))}  # type: ignore[arg-type]

        assert await ids(person="ada") == {wrote, said, was, gone, old}
        assert await ids(person="ada", namespace="global") == {said}
        assert await ids(namespace="home") == {wrote, was, gone, old, new}
        assert await ids(everything=True) == {wrote, said, was, gone, old, new}
        assert await ids(forgotten_before=LATER) == {gone}
        assert await ids(forgotten_before=NOW) == set()
        assert await ids() == await ids(namespace="nowhere") == await ids(person="nobody") == set()
        assert await store.meant("local", Meant(ids=(said, new))) == [(new, HOME), (said, GLOBAL)]
        assert await store.meant("stranger", Meant(person="Ada")) == [(foreign, ELSEWHERE)]


async def test_a_person_is_found_wherever_metadata_names_one(open_store: OpenStore) -> None:
    async with open_store() as store:
        named = [
            await add(store, f"memory {number}", metadata=metadata)
            for number, metadata in enumerate(
                (
                    {"entities": ["Ben", "ADA "]},
                    {"entities": "Ben, Ada"},
                    {"relations": ["Ben | knows | Ada | 2026-01-01"]},
                    {"deep": {"er": [[{"in": "ada"}]]}},
                )
            )
        ]
        was = await add(store, "once", metadata={"entities": ["Ada"]})
        await store.revise([HOME], was, Changes(metadata={}), ACTOR, NOW)
        await add(store, "not her", metadata={"entities": ["Adam", "Ada Lovelace"], "Ada": "name", "n": 1})
        comma = await add(store, "nor she", metadata={"speaker": "Byron, Ada King"})

        assert {memory_id for memory_id, _ in await store.meant("local", Meant(person="Ada"))} == {*named, was}
        assert [memory_id for memory_id, _ in await store.meant("local", Meant(person="byron, ada king"))] == [comma]
        assert "Ben | knows | Ada | 2026-01-01" in await store.texts("local", named)


async def test_a_namespace_at_a_time_is_an_entry_of_the_log(open_store: OpenStore) -> None:
    async with open_store() as store:
        here, there = await add(store, "zebra"), await add(store, "tapir", GLOBAL)
        done = await store.erase("local", [here, there], ACTOR, LATER, action="purge")

        assert {(entry.scope, entry.subjects) for entry in done} == {(HOME, (here,)), (GLOBAL, (there,))}
        assert [entry.action for entry in await store.operations("local", limit=2)] == ["purge", "purge"]
        assert await store.verify_chain() is None


async def test_a_vector_that_was_owed_is_not_delivered(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "zebra", embedded=False)
        notes = await store.claim("embed", limit=9, lease_seconds=60)
        await erased(store, one)
        assert await store.contents(notes) == [None]
        await store.settle_embeddings(notes, [embedding("zebra")])

        assert await vectors(store, HOME) == {}
        assert await store.check() == []


async def test_using_what_is_gone_counts_nothing(open_store: OpenStore) -> None:
    async with open_store() as store:
        one = await add(store, "zebra")
        await erased(store, one)
        await store.count_uses("local", {one: 1}, LATER)

        assert await store.get_many([HOME], [one]) == []
        assert await store.remains("local", [one]) == []
