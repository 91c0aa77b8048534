"""A server with well and badly behaved tools, run as a process by the stdio tests.

Arguments: any of `slow-start`, `stuck-start`, `stuck-end`, `failing-start`, `small`, `narrow` or `hasty` (limits).
Its lifespan notes on stderr where it is: "up", and "down" once cleaned up.
"""

# ruff: noqa: E402  (as in a real server, signals are watched for before the slow imports)

import os

from memory_mcp.server.ending import Ending

ENDING = Ending()
if __name__ == "__main__":
    ENDING.watch_signals()
    os.write(2, b"importing\n")

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from memory_mcp.server.calls import Limits
from memory_mcp.server.runner import run_stdio

WAYS = frozenset(sys.argv[1:])


LIMITS = {
    "small": Limits(line_bytes=100_000, calls=2, queued_calls=2),
    "narrow": Limits(calls=4, queued_calls=500),
    "hasty": Limits(answers_seconds=0.5),
}


def note(text: str) -> None:
    os.write(2, f"{text}\n".encode())


@asynccontextmanager
async def lifespan(server: MCPServer) -> AsyncIterator[dict[str, Any]]:
    note("starting")
    if "slow-start" in WAYS:
        await anyio.sleep_forever()
    if "stuck-start" in WAYS:
        time.sleep(30)  # noqa: ASYNC251  (which is the point)
    if "failing-start" in WAYS:
        raise RuntimeError("no start")
    note("up")
    try:
        yield {}
    finally:
        if "stuck-end" in WAYS:
            time.sleep(30)  # noqa: ASYNC251
        note("down")


async def echo(text: str) -> str:
    """Return the text."""
    return text


async def slow(seconds: float) -> str:
    """Wait, letting others work."""
    note("slow at work")
    await anyio.sleep(seconds)
    return "slept"


def stuck(seconds: float) -> str:
    """Hold a thread."""
    note("stuck at work")
    time.sleep(seconds)
    return "unstuck"


async def blocking(seconds: float) -> str:
    """Hold the event loop itself, as nothing should."""
    note("blocking at work")
    time.sleep(seconds)  # noqa: ASYNC251
    return "unblocked"


async def fail() -> str:
    """Raise."""
    raise ToolError("half a pair: \ud800")


async def surrogate() -> str:
    """Return what is not text."""
    return "half a pair: \ud800"


async def chatty() -> str:
    """Print, and have a child print."""
    print("stray text on stdout", flush=True)
    print("stray and unflushed", end="")
    process = await asyncio.create_subprocess_exec("echo", "stray child")
    await process.wait()
    return "said"


async def stdin_of_child() -> int:
    """How much a child reads from what it finds as stdin."""
    process = await asyncio.create_subprocess_exec("cat", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    return len(output)


async def big(size: int) -> str:
    """Return a lot."""
    note("big at work")
    return "x" * size


def make_server() -> MCPServer:
    print("a stray print before serving", flush=True)
    server = MCPServer("toy", version="1", instructions="Play.", lifespan=lifespan, log_level="ERROR")
    for tool in (echo, slow, stuck, blocking, fail, surrogate, chatty, stdin_of_child, big):
        server.tool()(tool)
    return server


if __name__ == "__main__":
    logging.basicConfig(level="ERROR")
    run_stdio(make_server, ending=ENDING, limits=next((LIMITS[way] for way in LIMITS if way in WAYS), None))
