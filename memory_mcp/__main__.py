"""The command `memory-mcp`, also as `python -m memory_mcp`.

What clients start, and what an engine starts with, is reached from here without loading a command line's niceties.
"""

import os
import sys
from contextlib import suppress

from memory_mcp.front.arguments import OPTIONS, parse
from memory_mcp.front.importing import quick_imports

_TO_A_PERSON = (
    b"memory-mcp: This serves MCP on stdin and stdout, for a client that starts it. `memory-mcp install` sets up your clients, "
    b"`memory-mcp --help` lists the other commands. Ctrl-C ends it.\n"
)


def main() -> None:
    """Without a command, serve MCP over stdio: that is what client configurations name."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] == "serve" or arguments[0].partition("=")[0] in OPTIONS:
        _serve(arguments[1:] if arguments[:1] == ["serve"] else arguments)
    elif arguments[:2] == ["engine", "run"]:
        from memory_mcp.engine.process import run as run_engine  # noqa: PLC0415

        run_engine(arguments[2:])
    else:
        with quick_imports():
            from memory_mcp.cli.app import make_app  # noqa: PLC0415
            from memory_mcp.cli.printed import take_any_text  # noqa: PLC0415

            app = make_app(arguments[0])
        take_any_text()
        app()


def _serve(arguments: list[str]) -> None:
    if "--http" in arguments:
        with quick_imports():
            from memory_mcp.cli.http import serve_http  # noqa: PLC0415

        serve_http(arguments)
    given = parse(arguments)
    if os.isatty(0):
        with suppress(OSError):  # nobody may listen there
            os.write(2, _TO_A_PERSON)
    if not given.isolated:
        from memory_mcp.front.process import run as run_front  # noqa: PLC0415

        run_front(given)  # which returns only where no engine can be
    with quick_imports():
        from memory_mcp.cli.serve import serve_isolated  # noqa: PLC0415

    serve_isolated(given)


if __name__ == "__main__":
    main()
