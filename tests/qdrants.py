"""Openers of Qdrant for tests: its own code in memory or on a folder, and a real server where one is named."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from memory_mcp.models import Delta, Points, Scope
from memory_mcp.tiers.qdrant.connection import Connection
from memory_mcp.tiers.qdrant.index import QdrantIndex
from memory_mcp.tiers.qdrant.opening import open_qdrant
from memory_mcp.tiers.qdrant.settings import QdrantSettings
from tests.qdrant_wire import serving

SERVER = os.environ.get("MEMORY_MCP_TEST_QDRANT_URL", "")
on_a_server = pytest.mark.skipif(not SERVER, reason="set MEMORY_MCP_TEST_QDRANT_URL to a Qdrant server")

IN_MEMORY = QdrantSettings(path=":memory:")
ON_WIRE = QdrantSettings(url="http://127.0.0.1:9", timeout_seconds=10)
"""Qdrant's own code again, behind gRPC; `opened` puts the port in."""


def on_server(**fields: object) -> QdrantSettings:
    """Settings for the server, patient with a busy one."""
    return QdrantSettings(url=SERVER, prefix="memory-mcp-test", timeout_seconds=10, **fields)  # type: ignore[arg-type]


def no_points(dimension: int) -> Points:
    nothing = np.empty(0, np.int64)
    return Points([], np.empty((0, dimension), np.float32), [], [], [], nothing, nothing)


async def hold(index: QdrantIndex, scope: Scope, epoch: str, dimension: int, revision: int = 0) -> None:
    """Let the index say that it holds all of a scope."""
    begun = await index.covers(scope, epoch) is not None
    await index.apply(scope, Delta(no_points(dimension), [], revision, whole=not begun), epoch)


@asynccontextmanager
async def opened(settings: QdrantSettings, identity: str = "") -> AsyncIterator[tuple[QdrantIndex, Connection]]:
    """An index of a store that nobody else has; on a server nothing is left of it."""
    async with AsyncExitStack() as stack:
        if settings == ON_WIRE:
            settings = settings.model_copy(update={"grpc_port": await stack.enter_async_context(serving())})
        opening = open_qdrant(settings, Path("/nonexistent"), identity or uuid4().hex)
        index, connection = await stack.enter_async_context(opening)
        yield index, connection
        if settings.url:
            client = await connection.client()
            for each in (await client.get_collections()).collections:
                if each.name.startswith(f"{settings.prefix}-"):
                    await client.delete_collection(each.name)
