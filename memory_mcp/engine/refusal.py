"""An engine that cannot be one says why to every front that waits for it, and ends."""

import socket
import time

from memory_mcp.engine.claim import Claim
from memory_mcp.front import hello

_LINE_SECONDS = 1.0
_QUIET_SECONDS = 0.3
_LONGEST_SECONDS = 5.0


def refuse_all(claimed: Claim, sentence: str, status: int) -> None:
    """Answer each first line with the sentence, until nobody has come for a moment."""
    answer = hello.write({"refused": sentence, "status": status})
    deadline = time.monotonic() + _LONGEST_SECONDS
    claimed.listener.settimeout(_QUIET_SECONDS)
    while time.monotonic() < deadline:
        try:
            sock, _ = claimed.listener.accept()
        except OSError:
            break
        with sock:
            _refuse(sock, answer)
    claimed.withdraw()


def _refuse(sock: socket.socket, answer: bytes) -> None:
    try:
        sock.settimeout(_LINE_SECONDS)
        while (chunk := sock.recv(65_536)) and b"\n" not in chunk:
            pass  # hanging up with something unread would take the answer back
        sock.sendall(answer)
    except OSError:
        pass
