"""The memory itself in the command's own process, for what is too much for one call of a tool."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from memory_mcp.assembly import open_memory
from memory_mcp.config import Settings
from memory_mcp.errors import MemoryMcpError
from memory_mcp.service import MemoryService

T = TypeVar("T")


async def with_memory(settings: Settings, use: Callable[[MemoryService], Awaitable[T]], *, model_seconds: float = 0.0) -> T:
    """What `use` answers, given the memory, which is closed again after it.

    Args:
        model_seconds: Longest wait for the embedding model; 0: none is loaded.

    Raises:
        MemoryMcpError: As `use` raises it, or the store cannot be opened.
        OSError: As `use` raises it, for a file that it reads or writes.
    """
    refused: MemoryMcpError | OSError
    async with open_memory(settings, model_seconds=model_seconds) as service:
        try:
            return await use(service)
        except (MemoryMcpError, OSError) as error:
            refused = error  # raised here it would leave the background work as a group of errors
    raise refused
