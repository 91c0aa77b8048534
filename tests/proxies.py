"""A door to a server that can be made to hang, to crawl, to cut, to stay shut, or to swallow one answer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

Target = Path | tuple[str, int]
"""A Unix socket, or host and port."""


class Proxy:
    """Passes bytes between a TCP port and a server.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        accepted: How many connections there were.
        round_trips: How often a client asked after it had been answered, or for the first time.
        delay_seconds: Added to the way of every answer, however many are on it; so to each round trip.
        swallow: Set to what decides of a client's bytes whether the answers to them get lost and the connection is cut.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._shut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = self.accepted = self.round_trips = 0
        self.delay_seconds = 0.0
        self.swallow: Callable[[bytes], bool] = lambda _: False
        self.hidden = asyncio.Event()

    def hang(self) -> None:
        """From now on nothing passes; connections are accepted and left waiting."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """End every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def shut(self) -> None:
        """As if the server had died: every connection ends, and so does each that is tried."""
        self._shut = True
        self.cut()

    def unlock(self) -> None:
        """As if it were back."""
        self._shut = False

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._shut:
            writer.transport.abort()
            return
        self.accepted += 1
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.CancelledError):
            await self._open.wait()
            back, other = await self._connect()
            self._writers.add(other)
            line = _Line()
            await asyncio.gather(self._pass(reader, other, line, watch=True), self._pass(back, writer, line))
        for each in (writer, other):
            if each is not None:
                self._writers.discard(each)
                each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(str(self._target))
        return await asyncio.open_connection(*self._target)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, line: "_Line", *, watch: bool = False) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(_arrive(under_way, target))
        try:
            while data := await source.read(65_536):
                if line.silent and not watch:
                    self.hidden.set()
                    self.swallow = lambda _: False
                    self.cut()
                    return
                self.round_trips += watch and not line.asked
                line.asked = watch
                await self._open.wait()
                if watch and self.swallow(data):
                    line.silent = True
                under_way.put_nowait((asyncio.get_running_loop().time() + (0 if watch else self.delay_seconds), data))
        finally:
            under_way.put_nowait((0.0, b""))
            with suppress(OSError):
                await arriving
            target.close()


@dataclass(slots=True)
class _Line:
    """One connection: whether its client has asked and not been answered, and whether the answer is to get lost."""

    asked: bool = False
    silent: bool = False


async def _arrive(under_way: "asyncio.Queue[tuple[float, bytes]]", target: asyncio.StreamWriter) -> None:
    """Hand on what was sent when it is due, until an end that is empty."""
    while True:
        due, data = await under_way.get()
        if not data:
            return
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        target.write(data)
        await target.drain()


@asynccontextmanager
async def proxy_to(target: Target) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    listening = await asyncio.start_server(proxy.handle, "127.0.0.1", 0, family=socket.AF_INET)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        proxy.delay_seconds = 0.0
        proxy.resume()
        proxy.cut()
        with suppress(TimeoutError):
            await asyncio.wait_for(listening.wait_closed(), 2)
