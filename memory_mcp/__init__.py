"""Long-term memory for any MCP client."""

__version__ = "0.1.0"
__all__ = ["MemoryClient", "__version__"]

TYPE_CHECKING = False  # typing itself would cost each start 5 ms
if TYPE_CHECKING:
    from memory_mcp.client import MemoryClient


def __getattr__(name: str) -> object:
    """`MemoryClient`, which brings the MCP SDK along, is loaded when it is asked for."""
    if name != "MemoryClient":
        raise AttributeError(f"module 'memory_mcp' has no attribute {name!r}")
    from memory_mcp.client import MemoryClient  # noqa: PLC0415

    return MemoryClient
