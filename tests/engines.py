"""Real engines and fronts for tests: data directories that leave no engine behind, and a client that speaks by hand."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
from mcp import StdioServerParameters

from memory_mcp.front.dialling import Connection, dial
from memory_mcp.front.locks import is_held
from memory_mcp.front.places import Places
from tests.models import compiled_model_dir

PATIENCE = 30
"""Seconds in which anything happens even on a busy machine."""


def configuration() -> str:
    """The compiled model, and patience: on a busy machine an answer may come late, but not degraded."""
    return f'[embedding]\nmodel = "{compiled_model_dir()}"\n[recall]\nembed_seconds = 30\nvector_seconds = 30\ntext_seconds = 30\n'


@contextmanager
def data_directory(folder: Path, more: str = "") -> Iterator[Path]:
    """A data directory whose engine finds the compiled model; at the end the engine is ended, if need be by force."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "config.toml").write_text(configuration() + more, "utf-8")
    try:
        yield folder
    finally:
        end_engine(folder)


def end_engine(folder: Path) -> None:
    """See to it that no engine is left, not even one that is just starting."""
    places = Places(str(folder))
    deadline = time.monotonic() + PATIENCE
    while is_held(places.lock):
        assert time.monotonic() < deadline
        with suppress(TimeoutError):
            if connection := dial(places, time.monotonic() + 1):
                with closing(connection):
                    connection.ask({"ask": "stop"}, time.monotonic() + 1)
        with suppress(TimeoutError):
            wait_until(lambda: not is_held(places.lock), 8)
            continue
        os.kill(pid_of(folder), 9)


def wait_until(done: Any, seconds: float = PATIENCE) -> None:
    """Look until it is so; TimeoutError if it never is."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def pid_of(folder: Path) -> int:
    """The engine's process, as the address file tells it."""
    return int(json.loads((folder / "engine.json").read_text())["pid"])


def is_running(folder: Path) -> bool:
    """Whether somebody is the engine."""
    return is_held(str(folder / "engine.lock"))


def is_listening(folder: Path) -> bool:
    """Whether somebody takes connections, which an engine does a moment after it is one."""
    connection = dial(Places(str(folder)), time.monotonic() + PATIENCE)
    if connection:
        connection.close()
    return connection is not None


def status(folder: Path) -> dict[str, Any]:
    """What the engine tells of itself."""
    told = ask(folder, {"ask": "status"})
    assert told
    return told


def ask(folder: Path, said: dict[str, object]) -> dict[str, Any] | None:
    """Say something as a first line; None where nobody answers."""
    connection = connect(folder)
    try:
        return connection.ask(said, time.monotonic() + PATIENCE)
    finally:
        connection.close()


def connect(folder: Path) -> Connection:
    """A line to the engine."""
    connection = dial(Places(str(folder)), time.monotonic() + PATIENCE)
    assert connection
    return connection


def command(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of the program, carried out."""
    return subprocess.run(
        [sys.executable, "-m", "memory_mcp", *arguments, "--data-dir", str(folder)],
        env=surroundings(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def surroundings(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, without what would be settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MEMORY_MCP_")} | dict(more)


def front(folder: Path, *arguments: str, cwd: Path | None = None, namespace: str = "project", **environment: str) -> StdioServerParameters:
    """How a host starts the server."""
    named = ["--namespace", namespace] if namespace else []
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "memory_mcp", "serve", "--data-dir", str(folder), *named, *arguments],
        env=surroundings(environment),
        cwd=cwd,
    )


class Hand:
    """A client that writes and reads lines itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def send(self, *messages: dict[str, Any] | bytes) -> None:
        assert self.process.stdin
        for message in messages:
            self.process.stdin.write((message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n")
        await self.process.stdin.drain()

    async def request(self, request_id: int | str, method: str, **params: Any) -> None:
        await self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})

    async def call(self, request_id: int | str, tool: str, **arguments: Any) -> None:
        await self.request(request_id, "tools/call", name=tool, arguments=arguments)

    async def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        with anyio.fail_after(PATIENCE):
            line = await self.process.stdout.readline()
        assert line, "the server has ended"
        return json.loads(line)

    async def answers(self, count: int) -> dict[Any, dict[str, Any]]:
        return {answer["id"]: answer for answer in [await self.answer() for _ in range(count)]}

    async def initialize(self) -> None:
        client = {"name": "hand", "version": "1"}
        await self.request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert (await self.answer())["result"]["serverInfo"]["name"] == "memory"

    async def ended(self, seconds: float = PATIENCE) -> int:
        """Wait for the end; the exit status."""
        with anyio.fail_after(seconds):
            return await self.process.wait()

    async def stderr(self) -> str:
        """Everything said there, once it has ended."""
        assert self.process.stderr
        with anyio.fail_after(PATIENCE):
            return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def by_hand(server: StdioServerParameters, *, handshake: bool = True) -> AsyncIterator[Hand]:
    """A running server, spoken to by hand; killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        server.command,
        *server.args,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=server.env,
        cwd=server.cwd,
        limit=2**26,
    )
    hand = Hand(process)
    try:
        if handshake:
            await hand.initialize()
        yield hand
    finally:
        if process.returncode is None:
            process.kill()
        assert process.stdin
        process.stdin.close()
        await process.communicate()


def text_in(answer: dict[str, Any]) -> str:
    """The text of a tool's answer."""
    return answer["result"]["content"][0]["text"]
