"""A Qdrant that takes connections and says nothing: whoever waits for it is let go in time, and as one who was not answered."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from proxies import Proxy, proxy_to
from qdrant_wire import serving

from memory_mcp.errors import TierUnavailableError
from memory_mcp.tiers.qdrant.connection import Connection
from memory_mcp.tiers.qdrant.settings import QdrantSettings


@asynccontextmanager
async def behind_a_door() -> AsyncIterator[tuple[Connection, Proxy]]:
    async with serving() as port, proxy_to(("127.0.0.1", port)) as door:
        connection = Connection(QdrantSettings(url="http://127.0.0.1:9", grpc_port=door.port))
        yield connection, door
        await connection.close()


async def test_silence_at_the_first_call_is_an_absence_and_over_when_it_ends() -> None:
    async with behind_a_door() as (connection, door):
        door.hang()
        began = time.monotonic()
        with pytest.raises(TierUnavailableError):
            await connection.client()
        took = time.monotonic() - began
        door.resume()

        assert took < 10
        assert (await (await connection.client()).get_aliases()).aliases == []
        assert connection.transport == "grpc"


async def test_a_call_that_is_not_answered_in_time_is_late_and_not_cancelled() -> None:
    async with behind_a_door() as (connection, door):
        client = await connection.client()
        door.hang()
        with pytest.raises(TimeoutError), anyio.fail_after(0.3):
            await client.get_aliases()
        with anyio.move_on_after(0.3) as waiting:
            await client.get_aliases()
        door.resume()

        assert waiting.cancelled_caught
        assert (await client.get_aliases()).aliases == []
