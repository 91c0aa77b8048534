"""The memory, opened behind the handshake: NumPy, SQLite and the rest load in a thread while it is answered."""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import anyio

from memory_mcp.config import Settings
from memory_mcp.telemetry import tracing

if TYPE_CHECKING:
    from memory_mcp.service import MemoryService


@asynccontextmanager
async def open_behind(settings: Settings) -> "AsyncIterator[MemoryService]":
    """Open the memory, its log and its tracing set up first; raises what `assembly.open_memory` raises."""
    assembly = await anyio.to_thread.run_sync(import_module, "memory_mcp.assembly")
    log = await anyio.to_thread.run_sync(import_module, "memory_mcp.log")
    log.configure_log(settings.log.level, settings.log.format)
    send_last_spans = await anyio.to_thread.run_sync(tracing.start, os.environ)
    try:
        async with assembly.open_memory(settings) as service:
            # modules, model and all else that is there by now is there for good: a look for garbage that goes through
            # it, too, takes a tenth of a second, in which nobody is answered
            gc.freeze()
            try:
                yield service
            finally:
                gc.unfreeze()  # what belongs to this memory is garbage soon, and another one may be opened in its place
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(send_last_spans)
