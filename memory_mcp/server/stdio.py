"""Serving one client over stdin and stdout.

The wire is read and written by daemon threads: they work on pipes, sockets, files and terminals alike, on every
platform, and a read that never returns does not hold up the exit.
"""

import asyncio
import logging
import os
import queue
import select
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial

import anyio
from anyio.abc import ByteStream
from mcp.server.mcpserver import MCPServer

from memory_mcp.server.calls import Limits
from memory_mcp.server.connection import serve_lines
from memory_mcp.server.descriptors import Wire

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 65_536
_CLEANUP_SECONDS = 0.5


class StdioStream(ByteStream):
    """A wire as a stream of bytes; to be opened inside a running event loop.

    Args:
        wire: Left open at the end: a thread may still be blocked on it.
        on_end: Called, from any thread, when the client has closed its side or cannot be written to any more, with how many
            seconds it may still be waiting for answers.
        answers_seconds: How many that are in the first case.
    """

    def __init__(self, wire: Wire, on_end: Callable[[float], None], answers_seconds: float) -> None:
        self.closed = anyio.Event()
        self._wire, self._on_end, self._answers_seconds = wire, on_end, answers_seconds
        self._chunks_in, self._chunks = anyio.create_memory_object_stream[bytes]()
        self._writer = _DaemonThread("stdout")
        threading.Thread(target=self._read, args=[asyncio.get_running_loop()], name="stdin", daemon=True).start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """One chunk ahead of the loop, so that the end is noticed even while the loop is busy."""
        with suppress(OSError, RuntimeError, CancelledError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while chunk := _read_some(self._wire.incoming):
                asyncio.run_coroutine_threadsafe(self._chunks_in.send(chunk), loop).result()
        self._on_end(self._answers_seconds)
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(self._chunks_in.close)

    async def receive(self, max_bytes: int = _CHUNK_BYTES) -> bytes:
        """The next bytes from the client, as many as came at once."""
        return await self._chunks.receive()

    async def send(self, item: bytes) -> None:
        """Write all of it; returns once the system has taken it."""
        try:
            await self._writer.run(partial(self._write, item))
        except OSError:
            self._on_end(0.0)
            raise

    def _write(self, item: bytes) -> None:
        rest = memoryview(item)
        while rest:
            rest = rest[_write_some(self._wire.outgoing, rest) :]

    async def send_eof(self) -> None:
        """Nothing: the end of the process says it."""

    async def aclose(self) -> None:
        """Note that the last word is spoken."""
        self._chunks.close()
        self._writer.end()
        self.closed.set()


def _read_some(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:  # the client may have made its end, and with it ours, non-blocking
            select.select([fd], [], [])


def _write_some(fd: int, data: memoryview) -> int:
    while True:
        try:
            return os.write(fd, data)
        except BlockingIOError:
            select.select([], [fd], [])


class _DaemonThread:
    """Runs calls one after another on a thread that never holds up the exit."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[None], Callable[[], None]] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, call: Callable[[], None]) -> None:
        future: Future[None] = Future()
        self._calls.put((future, call))
        await asyncio.wrap_future(future)

    def end(self) -> None:
        self._calls.put(None)

    def _work(self) -> None:
        while item := self._calls.get():
            future, call = item
            if future.set_running_or_notify_cancel():
                try:
                    call()
                except BaseException as error:  # noqa: BLE001  (whatever it is belongs to the one who waits)
                    future.set_exception(error)
                else:
                    future.set_result(None)


async def serve_stdio(
    mcp: MCPServer,
    wire: Wire,
    *,
    stop: anyio.Event | None = None,
    on_end: Callable[[float], None] = lambda _: None,
    leave: Callable[[], None] = lambda: None,
    limits: Limits | None = None,
) -> None:
    """Enter the server's lifespan and hold the one conversation that stdin and stdout carry.

    Args:
        mcp: The server.
        wire: Where the client is.
        stop: Ends it all from outside, a start-up included.
        on_end: Called, from any thread, as soon as the client is seen to have gone; see `StdioStream`.
        leave: Called when the last answer is written and the lifespan is over. A synchronous tool may still be stuck
            in its thread then, and this function cannot return before it does; a process can be left here.
        limits: Bounds of the conversation.
    """
    stop, limits = stop or anyio.Event(), limits or Limits()
    server = mcp._lowlevel_server
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as lifetime:
            starting = True

            async def give_up_starting() -> None:
                await stop.wait()
                if starting:
                    lifetime.cancel()

            tasks.start_soon(give_up_starting)
            async with server.lifespan(server) as state:
                starting = False
                stream = StdioStream(wire, on_end, limits.answers_seconds)
                tasks.start_soon(partial(serve_lines, mcp, stream, state=state, stop=stop, limits=limits))
                await stream.closed.wait()
                lifetime.deadline = anyio.current_time() + _CLEANUP_SECONDS
        if lifetime.cancelled_caught:
            logger.warning("lifespan_cut_short")
        leave()
        tasks.cancel_scope.cancel()
