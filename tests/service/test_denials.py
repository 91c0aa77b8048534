"""Refused calls on their way into a real store: none is lost, a flood of them writes little, and nothing lets one through."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from record_stores import OPENERS, OpenStore, Store

from memory_mcp.audit.entries import LogFilter, Origin
from memory_mcp.errors import TierUnavailableError
from memory_mcp.models import Denied, Operation, Provenance
from memory_mcp.upkeep.denials import OTHERS, Denials

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RITA = Provenance("desk", "rita", "", "conversation", Origin("203.0.113.7", "reader", "3fa2"))
DENIED = Denied("acme", RITA, "remember", "takes the role writer")


@pytest.fixture(params=list(OPENERS))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return OPENERS[request.param](tmp_path)


async def written(store: Store, tenant: str = "acme") -> list[Operation]:
    return list(reversed(await store.operations(tenant, limit=999, where=LogFilter(denied=True))))


def times(entries: list[Operation]) -> list[int]:
    return [entry.details.get("times", 1) for entry in entries]


async def test_the_first_is_written_at_once_and_those_like_it_are_counted(open_store: OpenStore) -> None:
    async with open_store() as store:
        denials = Denials(store, lambda: NOW)
        for _ in range(100):
            await denials.note(DENIED)
        at_once = await written(store)
        await denials.flush()
        counted = await written(store)
        await denials.flush()  # nothing came any more: the next is written at once again
        await denials.note(DENIED)
        again = await written(store)

    assert [(entry.actor, entry.actor.origin, entry.details) for entry in at_once] == [
        (RITA, RITA.origin, {"tool": "remember", "why": "takes the role writer"})
    ]
    assert times(counted) == [1, 99]
    assert counted[1].details["since"] == NOW.isoformat()
    assert times(again) == [1, 99, 1]


async def test_the_same_from_elsewhere_is_another(open_store: OpenStore) -> None:
    elsewhere = replace(RITA, origin=replace(RITA.origin, address="198.51.100.9"))
    async with open_store() as store:
        denials = Denials(store, lambda: NOW)
        for denied in (DENIED, replace(DENIED, actor=elsewhere), replace(DENIED, what="forget"), replace(DENIED, namespace="web"), DENIED):
            await denials.note(denied)
        found = await written(store)

    assert len(found) == 4


async def test_a_flood_of_different_ones_is_bounded_and_leaves_others_their_room(open_store: OpenStore) -> None:
    async with open_store() as store:
        denials = Denials(store, lambda: NOW, most=5)
        for n in range(1_000):
            await denials.note(replace(DENIED, namespace=f"guess {n}"))
        await denials.note(replace(DENIED, tenant="globex"))
        await denials.flush()
        found, foreign = await written(store), await written(store, "globex")

    assert len(found) == 7
    assert sum(times(found)) == 1_000
    assert [entry.details["why"] for entry in found[5:]] == [OTHERS, OTHERS]
    assert times(foreign) == [1]


async def test_many_at_once_are_all_counted(open_store: OpenStore) -> None:
    async with open_store() as store:
        denials = Denials(store, lambda: NOW)
        async with anyio.create_task_group() as tasks:
            for n in range(200):
                tasks.start_soon(denials.note, replace(DENIED, what=f"tool {n % 4}"))
        await denials.flush()
        found = await written(store)

        assert await store.verify_chain() is None
    assert (len(found), sum(times(found))) == (8, 200)


class Away:
    """The store while it cannot be written: the narrowest stand-in, the real ways are tested where stores are."""

    def __init__(self, store: Store) -> None:
        self.store, self.away = store, True

    async def record(self, tenant: str, action: str, actor: Provenance, now: datetime, details: Mapping[str, Any]) -> Operation:
        if self.away:
            raise TierUnavailableError("records", "away")
        return await self.store.record(tenant, action, actor, now, details)


async def test_what_could_not_be_written_is_written_later_and_keeps_nobody_from_being_refused(open_store: OpenStore) -> None:
    async with open_store() as store:
        away = Away(store)
        denials = Denials(away, lambda: NOW)  # type: ignore[arg-type]
        for _ in range(3):
            await denials.note(DENIED)
        await denials.flush()
        nothing = await written(store)
        away.away = False
        await denials.flush()
        found = await written(store)

    assert nothing == []
    assert times(found) == [3]


async def test_who_hangs_up_early_is_written_down_all_the_same(open_store: OpenStore) -> None:
    async with open_store() as store:
        denials = Denials(store, lambda: NOW)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await denials.note(DENIED)
        found = await written(store)

    assert len(found) == 1
