"""A memory over three servers, one of which is killed, hung, slow or emptied while many write and ask."""

import time
from pathlib import Path

import anyio
import pytest
from bad_days import FAULTS, Crowd, Fault, equal_again, servers
from redis_servers import needs_redis

from tests.memories import open_service

pytestmark = needs_redis

GATHERING = 5.0
"""The longest that a recall may take to embed and to search, by the configuration's own limits, with a second for a busy machine."""
STORE = 3.0
"""And for the record store, each of the two times."""
PATIENCE = 30
"""Seconds in which a server that is away is told as such, even on a busy machine."""


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in FAULTS.items()])
async def test_a_bad_day_loses_nothing_doubles_nothing_mixes_nothing_and_is_over_in_seconds(fault: Fault, tmp_path: Path) -> None:
    is_told = fault.noticed and fault.server != "postgres"
    async with servers(tmp_path) as town, open_service(town.settings(tmp_path, records_seconds=STORE)) as service:
        crowd = Crowd([service])
        async with crowd.at_work():
            await crowd.written(20)
            began = time.monotonic()
            await fault.befall(town)
            await anyio.sleep(fault.seconds)
            with anyio.fail_after(PATIENCE):
                while is_told and service.figures[fault.server]()["health"] != "away":  # noqa: ASYNC110 - nothing tells of it
                    await anyio.sleep(0.05)
            await fault.mend(town)
            ended = time.monotonic()
            await crowd.written(10)
        await equal_again(service, town, crowd)
    during = [recall for recall in crowd.recalls if recall.ended > began and recall.began < ended]
    refused = [recall for recall in during if recall.error]

    assert crowd.strange == []
    assert during
    if fault.server == "postgres":
        assert max(recall.ended - recall.began for recall in during) < GATHERING + 2 * STORE
        assert bool(refused) >= fault.noticed
        assert all("memory database" in recall.error or "memory store" in recall.error for recall in refused)
        assert all(error.retryable for error in crowd.refused)
    else:
        assert max(recall.ended - recall.began for recall in during) < GATHERING
        assert (refused, crowd.refused) == ([], [])
