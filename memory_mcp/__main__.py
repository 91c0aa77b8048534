"""The command `memory-mcp`, also as `python -m memory_mcp`."""

import sys


def main() -> None:
    """Without a command, serve MCP over stdio: that is what client configurations name."""
    if len(sys.argv) == 1 or sys.argv[1] == "serve":
        # straight to the server: a handshake does not wait for a command line's niceties
        from memory_mcp.cli.serve import serve  # noqa: PLC0415

        serve(sys.argv[2:])
    else:
        from memory_mcp.cli.app import app  # noqa: PLC0415

        app()


if __name__ == "__main__":
    main()
