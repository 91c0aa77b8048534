"""The index with a device: blocks are copied behind the searches, changes follow, and a fault changes no answer."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import numpy as np
import pytest
from brute_force import Point, Records, unit_rows
from drivers import DRIVERS, driver_of

from memory_mcp.models import Filter, Hit, Matrix, Scope
from memory_mcp.tiers.resident.device import Device
from memory_mcp.tiers.resident.driver import DeviceLostError

anyio = pytest.importorskip("anyio", reason="no anyio, without which there is no index for a GPU")

SCOPE, EPOCH = Scope("local", "a"), "model@1/8"


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_scope_is_mirrored_behind_the_searches_and_follows_its_changes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from memory_mcp.tiers.resident.index import ResidentIndex  # noqa: PLC0415 - needs anyio

    driver = driver_of(kind)
    launched: list[str] = []
    launch = driver.launch
    monkeypatch.setattr(driver, "launch", lambda kernel, *rest: (launched.append(kernel), launch(kernel, *rest)))
    said: list[str] = []
    rows = unit_rows(np.random.default_rng(5), 600, 8)
    records = Records()
    records.write(SCOPE, [Point(UUID(int=i), row) for i, row in enumerate(rows[:500])], EPOCH)
    device = Device("auto", 1 << 30, said.append, lambda: driver, least_rows=100)
    index = ResidentIndex(records, anyio.CapacityLimiter(2), device=device)

    async def found(queries: Matrix) -> list[list[Hit]]:
        return await index.search(SCOPE, queries, Filter(), limit=5, epoch=EPOCH)

    async def scenario(ask: Callable[[Matrix], Awaitable[list[list[Hit]]]]) -> None:
        before = await ask(rows[:2])
        with anyio.fail_after(20):
            while index._mirroring is not None:
                await anyio.sleep(0.01)
        assert "choose" not in launched
        assert await ask(rows[:2]) == before
        assert "choose" in launched

        records.write(SCOPE, [Point(UUID(int=i), rows[i]) for i in range(500, 600)], EPOCH, removed=[before[0][1].id])
        after = await ask(np.stack((rows[0], rows[550])))
        assert after[1][0].id == UUID(int=550)
        assert before[0][1].id not in {hit.id for hit in after[0]}
        figures = index.figures()
        assert (figures["device"], figures["device_scopes"], figures["rows"]) == ("gpu", 1, 599)

        def fail(*_: object) -> None:
            raise DeviceLostError("The GPU failed.")

        monkeypatch.setattr(driver, "launch", fail)
        assert await ask(np.stack((rows[0], rows[550]))) == after
        assert index.figures()["device"] == "cpu"
        assert said == ["Vectors are searched in this machine's memory from now on. The GPU failed."]

    asyncio.run(scenario(found))
