"""The least that can be written with the SDK: the floor under start-up and round trips."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("trivial", version="1", log_level="ERROR")


@server.tool()
async def echo(text: str) -> str:
    """Return the text."""
    return text


if __name__ == "__main__":
    server.run("stdio")
