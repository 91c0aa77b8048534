"""The least that can be written with the SDK: the floor under start-up and round trips; over HTTP where a port is given."""

import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("trivial", version="1", log_level="ERROR")


@server.tool()
async def echo(text: str) -> str:
    """Return the text."""
    return text


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]), stateless_http=True)
    else:
        server.run("stdio")
