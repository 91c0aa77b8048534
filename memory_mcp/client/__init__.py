"""A memory for programs: `MemoryClient`, and what its calls take and answer."""

from memory_mcp.client.memory_client import MemoryClient
from memory_mcp.client.patience import Patience

__all__ = ["MemoryClient", "Patience"]
