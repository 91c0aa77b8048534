"""Long-term memory for any MCP client."""

__version__ = "0.1.0"
