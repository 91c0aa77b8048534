"""The memory, opened behind the handshake: NumPy, SQLite and the rest load in a thread while it is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import anyio

from memory_mcp.config import Settings

if TYPE_CHECKING:
    from memory_mcp.service import MemoryService


@asynccontextmanager
async def open_behind(settings: Settings) -> "AsyncIterator[MemoryService]":
    """Open the memory, its log configured first; raises what `assembly.open_memory` raises."""
    assembly = await anyio.to_thread.run_sync(import_module, "memory_mcp.assembly")
    log = await anyio.to_thread.run_sync(import_module, "memory_mcp.log")
    log.configure_log(settings.log.level, settings.log.format)
    async with assembly.open_memory(settings) as service:
        yield service
