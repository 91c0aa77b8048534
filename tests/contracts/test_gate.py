"""What every record store keeps of bearer tokens, and what it tells of whether it can serve."""

from datetime import timedelta

from record_stores import ACTOR, ELSEWHERE, HOME, NOW, OpenStore, add, texts

from memory_mcp.access import Access, Role
from memory_mcp.models import Provenance
from memory_mcp.tokens import digest, mint


async def test_a_token_is_found_by_its_digest_alone_and_as_it_was_given(open_store: OpenStore) -> None:
    text, token = mint("acme", Role.WRITER, NOW, subject="ann", namespaces=("web", "ops/db"), expires=NOW + timedelta(days=1))
    other_text, other = mint("globex", Role.ADMIN, NOW + timedelta(seconds=1))
    async with open_store() as store:
        await store.add_token(token)
        await store.add_token(other)
        found = await store.find_token(digest(text))
        everyone = await store.tokens()
        nobody = await store.find_token(digest(text + "x"))
    async with open_store() as store:
        again = await store.find_token(digest(other_text))

    assert found == token
    assert found.access == Access(Role.WRITER, "ann", ("web", "ops/db"))
    assert text not in repr(token)
    assert everyone == [token, other]
    assert nobody is None
    assert again == other


async def test_a_revoked_token_stays_so_and_says_when(open_store: OpenStore) -> None:
    text, token = mint("acme", Role.READER, NOW, subject="ann")
    async with open_store() as store:
        await store.add_token(token)
        done = await store.revoke_token(token.id, NOW + timedelta(hours=1))
        again = await store.revoke_token(token.id, NOW + timedelta(hours=2))
        unknown = await store.revoke_token("nothing", NOW)
        found = await store.find_token(digest(text))

    assert (done, again, unknown) == (True, False, False)
    assert found is not None
    assert found.revoked == NOW + timedelta(hours=1)
    assert not found.is_live(NOW)


async def test_a_store_that_can_be_read_is_ready(open_store: OpenStore) -> None:
    async with open_store() as store:
        await store.ready()


async def test_counts_of_some_namespaces_tell_nothing_of_the_others(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "at home")
        forgotten = await add(store, "at home too")
        await add(store, "elsewhere", ELSEWHERE)
        await store.forget([HOME], [forgotten], ACTOR, NOW)
        whole, here, there = [await store.counts("local", names) for names in (None, [HOME.namespace], ["another"])]

    assert (whole.by_namespace, whole.forgotten) == ({"home": 1}, 1)
    assert (here.by_namespace, here.by_kind, here.forgotten, here.operations) == ({"home": 1}, {"fact": 1}, 1, 3)
    assert (there.by_namespace, there.by_kind, there.forgotten, there.operations) == ({}, {}, 0, 0)


async def test_the_last_operation_is_that_of_the_same_person(open_store: OpenStore) -> None:
    ann, bob = Provenance(client="same", user="ann"), Provenance(client="same", user="bob")
    async with open_store() as store:
        await add(store, "from ann", provenance=ann)
        await add(store, "from bob", provenance=bob)
        await store.undo(HOME, None, ann, NOW)
        left = await texts(store)

    assert left == ["from bob"]
