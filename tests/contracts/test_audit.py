"""What every record store writes down: who changed what, from where, who was refused; and what is kept of it how long."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from record_stores import ACTOR, DAY, ELSEWHERE, HOME, NOW, OpenStore, Store, add, rewritten, texts

from memory_mcp.access import Role
from memory_mcp.audit.entries import LogFilter, Origin
from memory_mcp.errors import RequestError
from memory_mcp.models import Operation, Provenance, Scope
from memory_mcp.tokens import mint

ANN = Provenance("desk", "ann", "an-agent", "conversation", Origin("203.0.113.7", "writer", "3fa2"))
BOB = Provenance("desk", "bob", "", "conversation", Origin("stdio", "admin"))
OLD = datetime(2020, 1, 1, tzinfo=UTC)
REFUSED = {"tool": "remember", "why": "role", "namespace": "web", "times": 3}


async def log_of(store: Store, tenant: str = "local", **where: object) -> list[Operation]:
    return await store.operations(tenant, limit=10_000, where=LogFilter(**where))  # type: ignore[arg-type]


async def test_every_change_says_from_where_and_by_what_right(open_store: OpenStore) -> None:
    async with open_store() as store:
        first = await add(store, "said", provenance=ANN)
        await store.revise([HOME], first, rewritten("said anew"), BOB, NOW)
        await store.forget([HOME], [first], ANN, NOW)
        await store.undo(HOME, None, ANN, NOW)
        await store.erase("local", [first], BOB, NOW)
        found = [(entry.action, entry.actor, entry.actor.origin) for entry in await log_of(store)]
        kept = (await store.get_many([HOME], [await add(store, "another", provenance=ANN)]))[0].provenance

        assert await store.verify_chain() is None
    people = {"remember": ANN, "update": BOB, "forget": ANN, "undo": ANN, "erase": BOB}
    assert found == [(action, people[action], people[action].origin) for action in reversed(people)]
    assert (kept, kept.origin) == (ANN, Origin())  # what is recalled tells nobody's address


async def test_an_entry_can_be_on_something_else_than_a_memory(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "before")
        made = await store.record("local", "denied", ANN, NOW + DAY, REFUSED)
        await add(store, "after")
        await store.record("@server", "restore", BOB, NOW, {})
        found = await log_of(store)

        assert found[1] == made
        assert (made.scope, made.at, made.action, made.subjects) == (Scope("local", ""), NOW + DAY, "denied", ())
        assert (made.actor, made.actor.origin, made.details) == (ANN, ANN.origin, REFUSED)
        assert [entry.action for entry in await log_of(store, "@server")] == ["restore"]
        assert await store.scopes("local") == [HOME]  # the whole tenant is no namespace
        assert await store.verify_chain() is None
        with pytest.raises(RequestError):
            await store.undo(Scope("local", ""), made.number, ANN, NOW)


async def test_a_token_is_in_its_tenants_log_but_for_what_would_let_in(open_store: OpenStore) -> None:
    text, token = mint("acme", Role.WRITER, NOW, subject="ann", namespaces=("web",), expires=NOW + DAY)
    async with open_store() as store:
        await store.add_token(token, BOB)
        await store.revoke_token(token.id, NOW + DAY, ANN)
        await store.revoke_token(token.id, NOW + DAY, ANN)
        revoked, created = await log_of(store, "acme")

        assert await store.verify_chain() is None
    assert [(entry.action, entry.at, entry.actor) for entry in (created, revoked)] == [
        ("token create", NOW, BOB),
        ("token revoke", NOW + DAY, ANN),
    ]
    assert created.details == {
        "token": token.id,
        "subject": "ann",
        "role": "writer",
        "namespaces": ["web"],
        "expires": (NOW + DAY).isoformat(),
    }
    assert text not in repr((created, revoked))
    assert token.digest.hex() not in repr((created, revoked))


async def test_the_log_is_asked_by_time_person_act_and_place(open_store: OpenStore) -> None:
    async with open_store() as store:
        await add(store, "one", provenance=ANN)
        await add(store, "two", Scope("local", "web"), provenance=BOB, now=NOW + DAY)
        await add(store, "foreign", ELSEWHERE, provenance=ANN)
        await store.record("local", "denied", ANN, NOW + 2 * DAY, REFUSED)
        await store.record("local", "denied", BOB, NOW + 3 * DAY, {"tool": "recall", "why": "namespace"})
        asked = {
            "all": await log_of(store),
            "since": await log_of(store, since=NOW + DAY),
            "until": await log_of(store, until=NOW + DAY),
            "ann": await log_of(store, who="ann"),
            "address": await log_of(store, who="203.0.113.7"),
            "token": await log_of(store, who="3fa2"),
            "client": await log_of(store, who="desk"),
            "nobody": await log_of(store, who="an"),
            "act": await log_of(store, what="remember"),
            "web": await log_of(store, namespace="web"),
            "denied": await log_of(store, denied=True),
            "both": await log_of(store, denied=True, who="bob", since=NOW, until=NOW + 9 * DAY),
        }
        pages = [await store.operations("local", limit=1, where=LogFilter(denied=True))]
        pages.append(await store.operations("local", limit=1, before=pages[0][0].number, where=LogFilter(denied=True)))

    first, second, third, fourth = reversed(asked["all"])
    assert {name: list(reversed(found)) for name, found in asked.items()} == {
        "all": [first, second, third, fourth],
        "since": [second, third, fourth],
        "until": [first],
        "ann": [first, third],
        "address": [first, third],
        "token": [first, third],
        "client": [first, second, third, fourth],
        "nobody": [],
        "act": [first, second, third],
        "web": [second, third],
        "denied": [third, fourth],
        "both": [fourth],
    }
    assert pages == [[fourth], [third]]


async def test_what_undo_may_need_is_kept_however_old(open_store: OpenStore) -> None:
    async with open_store() as store:
        kept = await add(store, "kept", provenance=ANN, now=OLD)
        gone = await add(store, "gone", provenance=ANN, now=OLD)
        await store.revise([HOME], kept, rewritten("kept anew"), ANN, OLD)
        await store.forget([HOME], [gone], ANN, OLD)
        await store.undo(HOME, None, ANN, OLD)
        await store.erase("local", [gone], ANN, OLD)
        await store.record("local", "denied", ANN, OLD, REFUSED)
        taken = await store.prune("local", NOW, BOB, NOW)
        left = await log_of(store)

        assert taken == 5  # that something was stored which is gone, that it was forgotten, brought back and erased, and the refusal
        assert [(entry.action, entry.number) for entry in left] == [("prune", 8), ("update", 3), ("remember", 1)]
        assert await store.verify_chain() is None
        assert await store.check() == []
        await store.undo(HOME, 3, ANN, NOW)
        assert await texts(store) == ["kept"]
        await store.undo(HOME, 1, ANN, NOW)
        assert await texts(store) == []
        assert await store.verify_chain() is None


async def test_what_is_pruned_again_and_again_leaves_a_chain(open_store: OpenStore) -> None:
    """The entries that vouch for the gaps are pruned in their turn, when others have taken their place."""
    async with open_store() as store:
        for year in range(6):
            at = OLD + 365 * year * DAY
            for _ in range(3):
                await store.record("local", "denied", ANN, at, REFUSED)
            await store.record("acme", "denied", ANN, at, REFUSED)
            await add(store, f"kept {year}", now=at)
            for tenant in ("local", "acme"):
                await store.prune(tenant, at - 100 * DAY, BOB, at)
                assert await store.verify_chain() is None
        (before,) = [chain for chain in await store.chains() if chain.tenant in ("", "local")]
        nothing = await store.prune("local", OLD, BOB, NOW)
        (after,) = [chain for chain in await store.chains() if chain.tenant in ("", "local")]
        found = await log_of(store)

    assert (nothing, after) == (0, before)
    assert [entry.action for entry in found if entry.action != "remember"] == ["prune", "denied", "denied", "denied"]
    assert len([entry for entry in found if entry.action == "remember"]) == 6


async def test_nothing_younger_than_a_day_is_pruned(open_store: OpenStore) -> None:
    now = datetime.now(UTC)
    async with open_store() as store:
        await store.record("local", "denied", ANN, now - timedelta(hours=25), REFUSED)
        await store.record("local", "denied", ANN, now - timedelta(hours=23), REFUSED)
        await store.record("local", "denied", ANN, now, REFUSED)

        assert await store.prune("local", now + DAY, BOB, now) == 1
        assert [entry.number for entry in await log_of(store)] == [4, 3, 2]
        assert await store.prune("local", now + DAY, BOB, now) == 0


async def test_writers_at_once_make_one_chain(open_store: OpenStore) -> None:
    """Two programs on one store: what is refused, what is written and what is pruned meet in the log of one tenant."""
    async with open_store() as one, open_store() as other, anyio.create_task_group() as tasks:

        async def refuse(store: Store) -> None:
            for _ in range(20):
                await store.record("local", "denied", ANN, OLD, REFUSED)

        async def write(store: Store, what: str) -> None:
            for n in range(20):
                await add(store, f"{what} {n}", provenance=BOB)

        async def prune(store: Store) -> None:
            for _ in range(5):
                await store.prune("local", NOW, BOB, NOW)

        for store in (one, other):
            tasks.start_soon(refuse, store)
            tasks.start_soon(write, store, "one" if store is one else "other")
            tasks.start_soon(prune, store)
    async with open_store() as again:
        assert len([entry for entry in await log_of(again) if entry.action == "remember"]) == 40
        assert await again.verify_chain() is None
        await again.prune("local", NOW, BOB, NOW)
        taken = sum(entry.details["entries"] for entry in await log_of(again) if entry.action == "prune")
        left = [entry for entry in await log_of(again) if entry.action == "denied"]

        assert await again.verify_chain() is None
        assert taken + len(left) >= 40
        assert ACTOR not in {entry.actor for entry in left}


async def test_a_chain_tells_its_newest_entry_and_the_hash_of_any(open_store: OpenStore) -> None:
    async with open_store() as store:
        for _ in range(4):
            await store.record("local", "denied", ANN, OLD, REFUSED)
        (whole,) = [chain for chain in await store.chains(wanted=2) if chain.tenant in ("", "local")]
        await store.prune("local", NOW, BOB, NOW)
        (pruned,) = [chain for chain in await store.chains(wanted=4) if chain.tenant in ("", "local")]

    assert (whole.entries, whole.newest, whole.broken) == (4, 4, None)
    assert (pruned.entries, pruned.newest, pruned.broken) == (1, 5, None)
    assert len(whole.asked) == 40
    assert (whole.asked != whole.hash, pruned.asked) == (True, whole.hash)  # of the last that is gone, too
