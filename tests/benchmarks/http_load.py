"""Clients that ask over HTTP as fast as they are answered, by hand: what they take themselves is little beside a server."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

VERSION = "2026-07-28"
Call = tuple[str, dict[str, Any]]
"""A tool, and its arguments."""


@dataclass
class Load:
    """What came of some calls.

    Attributes:
        seconds: Of each call.
        lasted: Seconds from the first to the last.
    """

    seconds: list[float] = field(default_factory=list)
    lasted: float = 0.0

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.seconds) / self.lasted

    def quantile(self, share: float) -> float:
        """Milliseconds that so large a share of the calls took at most."""
        return 1000 * sorted(self.seconds)[int(share * (len(self.seconds) - 1))]


class Line:
    """A client, and its connection while it has one."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host, self._port, self._token = host, port, token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect anew: a server hangs up on who has been quiet."""
        self.close()
        self._streams = await asyncio.open_connection(self._host, self._port)

    async def call(self, tool: str, arguments: dict[str, Any]) -> bytes:
        """The answer as it came; RuntimeError if it is no result."""
        meta = {f"io.modelcontextprotocol/{name}": value for name, value in (("protocolVersion", VERSION), ("clientCapabilities", {}))}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments, "_meta": meta}}
        body = json.dumps(call).encode()
        lines = [
            "POST /mcp HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            f"Authorization: Bearer {self._token}",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
            f"MCP-Protocol-Version: {VERSION}",
            "Mcp-Method: tools/call",
            f"Mcp-Name: {tool}",
            f"Content-Length: {len(body)}",
        ]
        assert self._streams
        reader, writer = self._streams
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            answer = await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            answer = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        if b" 200 " not in head.split(b"\r\n")[0] or b'"result":' not in answer:
            raise RuntimeError(f"{tool} failed: {head!r} {answer[:500]!r}")
        return answer

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None


async def put_on(lines: Sequence[Line], calls: int, make: Callable[[], Call], load: Load, *, refused: bool = False) -> None:
    """Have so many calls made, each client asking again as soon as it is answered.

    Args:
        refused: What is expected of every call.
    """
    left = iter(range(calls))

    async def work(line: Line) -> None:
        for _ in left:
            tool, arguments = make()
            began = perf_counter()
            answer = await line.call(tool, arguments)
            if (b'"isError":true' in answer) != refused:
                raise RuntimeError(f"{tool}: {answer[:500]!r}")
            load.seconds.append(perf_counter() - began)

    for line in lines:
        await line.open()
    began = perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for line in lines:
            tasks.create_task(work(line))
    load.lasted += perf_counter() - began
