"""Running a stdio server as a process."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import anyio
from mcp.server.mcpserver import MCPServer

from memory_mcp.server.calls import Limits
from memory_mcp.server.descriptors import Wire, claim_wire
from memory_mcp.server.ending import Ending, leave
from memory_mcp.server.stdio import serve_stdio

logger = logging.getLogger(__name__)


def run_stdio(make_server: Callable[[], MCPServer], *, ending: Ending | None = None, limits: Limits | None = None) -> NoReturn:
    """Serve one client over stdin and stdout, then leave the process: status 0 for a regular end, 1 for a failure.

    An error of `make_server` is passed on, with stdin and stdout as they were.

    Args:
        make_server: Called once the wire is safe from stray prints.
        ending: One that watches for signals already; without it that begins here, which needs the main thread.
        limits: Bounds of the conversation.
    """
    if ending is None:
        ending = Ending()
        ending.watch_signals()
    with claim_wire() as wire:
        server = make_server()
        try:
            anyio.run(_serve, server, wire, ending, limits)
        except BaseException:  # above this is only the interpreter, which might wait for a thread
            logger.exception("server_failed")
            leave(1)
        leave(0)


async def _serve(server: MCPServer, wire: Wire, ending: Ending, limits: Limits | None) -> None:
    stop = anyio.Event()
    ending.attach(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
    await serve_stdio(server, wire, stop=stop, on_end=ending.start_clock, leave=partial(leave, 0), limits=limits)
