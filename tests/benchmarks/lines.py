"""A client in a few lines, so that what is timed is the server: JSON-RPC over pipes, one call at a time."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import IO, Any

from mcp import StdioServerParameters

PROTOCOL = "2025-11-25"


class Lines:
    """One server process."""

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], started: float) -> None:
        self._process, self._errors, self._started = process, errors, started
        self._count = 0

    def handshake(self) -> float:
        """Through `initialize` to the first `tools/list`; seconds since the process was started."""
        self.request("initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}})
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.request("tools/list", {})
        return self.age()

    def age(self) -> float:
        """Seconds since the process was started."""
        return perf_counter() - self._started

    def resident_megabytes(self) -> float:
        """Memory of the process; 0 where that cannot be told."""
        return resident_megabytes(self._process.pid)

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result of a tool."""
        result = self.request("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            raise RuntimeError(f"{tool}: {result['content']}")
        return result

    def request(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request and wait for its answer."""
        self._count += 1
        self._send({"jsonrpc": "2.0", "id": self._count, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if message.get("id") == self._count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
        self._errors.seek(0)
        raise RuntimeError(f"The server ended: {self._errors.read()[-2000:].decode(errors='replace')}")

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


def resident_megabytes(pid: int) -> float:
    """Memory of a process; 0 where that cannot be told."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def talking_to(server: StdioServerParameters) -> Iterator[Lines]:
    """A server of one's own, ended as a host does it."""
    with tempfile.TemporaryFile() as errors:
        started = perf_counter()
        with subprocess.Popen(
            [server.command, *server.args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=server.env, cwd=server.cwd
        ) as process:
            try:
                yield Lines(process, errors, started)
            finally:
                assert process.stdin is not None
                process.stdin.close()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
