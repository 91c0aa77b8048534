"""Reaching the engine that listens."""

import json
import os
import socket
import time
from contextlib import suppress

from memory_mcp.front import hello
from memory_mcp.front.locks import is_held
from memory_mcp.front.places import Places

_CHUNK_BYTES = 65_536


class Connection:
    """A line to the engine; one thread may read while another writes."""

    def __init__(self, sock: socket.socket, secret: str = "") -> None:
        self._sock, self._secret, self._unfinished = sock, secret, bytearray()

    def ask(self, said: dict[str, object], deadline: float) -> dict[str, object] | None:
        """Say something in the engine's own language, and wait for the answer; None if none came, or none of ours.

        Raises:
            TimeoutError: It took longer than until the deadline, a moment of `time.monotonic`.
        """
        try:
            self.limit(deadline)
            self.send(hello.write({**said, "secret": self._secret} if self._secret else said))
            return hello.read(self.line())
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return None

    def limit(self, deadline: float | None) -> None:
        """Until when the next operation may take; None: as long as it takes."""
        self._sock.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))

    def send(self, line: bytes) -> None:
        """Hand over all of it; waits while the engine does not read. Raises OSError when it is gone."""
        self._sock.sendall(line)

    def lines(self) -> bytes:
        """The next whole lines, however many have come, newlines included.

        Raises:
            EOFError, OSError: The engine is gone; what it had not finished is of no use.
        """
        searched = 0
        while (end := self._unfinished.rfind(b"\n", searched)) < 0:
            searched = len(self._unfinished)
            self._receive()
        return self._taken(end)

    def line(self) -> bytes:
        """The next line alone; raises likewise, and TimeoutError beyond the limit."""
        searched = 0
        while (end := self._unfinished.find(b"\n", searched)) < 0:
            searched = len(self._unfinished)
            self._receive()
        return self._taken(end)

    def _taken(self, end: int) -> bytes:
        taken = bytes(self._unfinished[: end + 1])
        del self._unfinished[: end + 1]
        return taken

    def _receive(self) -> None:
        chunk = self._sock.recv(_CHUNK_BYTES)
        if not chunk:
            raise EOFError
        self._unfinished += chunk

    def half_close(self) -> None:
        """Say that nothing more will be asked."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


def dial(places: Places, deadline: float) -> Connection | None:
    """A line to whoever listens where the address file says; None if nobody does."""
    try:
        with open(places.address, "rb") as file:
            address = json.loads(file.read(hello.MAX_BYTES))
        if "lock" in address and os.stat(places.lock).st_ino != address["lock"]:
            return None  # copied here with the folder of another engine
        if "socket" in address:
            sock, where = socket.socket(socket.AF_UNIX), address["socket"]
        elif is_held(places.lock):  # else the port may be somebody else's by now
            sock, where = socket.socket(socket.AF_INET), ("127.0.0.1", address["port"])
        else:
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    try:
        sock.settimeout(max(deadline - time.monotonic(), 0.001))
        sock.connect(where)
    except (OSError, TypeError, OverflowError):
        sock.close()
        return None
    return Connection(sock, str(address.get("secret", "")))
