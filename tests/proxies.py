"""A door to a server that can be made to hang, to cut, or to swallow one answer."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Proxy:
    """Passes bytes between a TCP port and a Unix socket.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        accepted: How many connections there were.
        swallow: Set to what decides of a client's bytes whether the answers to them get lost and the connection is cut.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = self.accepted = 0
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

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        with suppress(OSError, asyncio.CancelledError):
            await self._open.wait()
            back, other = await asyncio.open_unix_connection(str(self._target))
            self._writers.add(other)
            silent = asyncio.Event()
            await asyncio.gather(self._pass(reader, other, silent, watch=True), self._pass(back, writer, silent))
        for each in (writer, other):
            if each is not None:
                self._writers.discard(each)
                each.close()

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, silent: asyncio.Event, *, watch: bool = False
    ) -> None:
        while data := await source.read(65_536):
            if silent.is_set() and not watch:
                self.hidden.set()
                self.swallow = lambda _: False
                self.cut()
                return
            await self._open.wait()
            if watch and self.swallow(data):
                silent.set()
            target.write(data)
            await target.drain()
        target.close()


@asynccontextmanager
async def proxy_to(target: Path) -> AsyncIterator[Proxy]:
    proxy = Proxy(target)
    listening = await asyncio.start_server(proxy.handle, "127.0.0.1", 0, family=socket.AF_INET)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        proxy.resume()
        proxy.cut()
        with suppress(TimeoutError):
            await asyncio.wait_for(listening.wait_closed(), 2)
