"""Bytes from a client, cut into lines that are never longer than anybody is willing to hold.

Front and server both cut them here; like all of this room it imports what costs nothing at a start.
"""

import json
import re

_KEPT_BYTES = 4096
"""How much of either end of an unreadable line is searched for the request's id and method."""

_MEMBER = rb'"(?:jsonrpc|id|method)"\s*:\s*(?:"[^"\\]*"|-?\d{1,19})\s*'
_LEADING = re.compile(rb"\s*\{\s*((?:%(member)s,\s*)*)" % {b"member": _MEMBER})
_TRAILING = re.compile(rb"((?:,\s*%(member)s)+)\}\s*$" % {b"member": _MEMBER})


class OverlongLine:
    """What is left of a line beyond the bound: its two ends."""

    __slots__ = ("head", "tail")

    def __init__(self, head: bytes, tail: bytes) -> None:
        self.head, self.tail = head, tail

    def __len__(self) -> int:
        return len(self.head) + len(self.tail)


class LineBuffer:
    """Cuts chunks at newlines, holding at most `max_bytes` of an unfinished line; the rest of a longer one is dropped."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._unfinished = bytearray()
        self._head: bytes | None = None  # of an overlong line, whose tail is then in `_unfinished`

    def feed(self, chunk: bytes) -> list[bytes | OverlongLine]:
        """The lines that this chunk completes, without their newlines."""
        *complete, rest = chunk.split(b"\n")
        lines = []
        for piece in complete:
            self._append(piece)
            lines.append(self.take())
        self._append(rest)
        return lines

    def take(self) -> bytes | OverlongLine:
        """The line as far as it came; at the end of the input it may lack its newline."""
        line: bytes | OverlongLine
        line = bytes(self._unfinished) if self._head is None else OverlongLine(self._head, bytes(self._unfinished))
        self._unfinished.clear()
        self._head = None
        return line

    def _append(self, piece: bytes) -> None:
        self._unfinished += piece
        if self._head is None and len(self._unfinished) > self._max_bytes:
            self._head = bytes(self._unfinished[:_KEPT_BYTES])
        if self._head is not None:
            del self._unfinished[:-_KEPT_BYTES]


def find_request(head: bytes, tail: bytes) -> tuple[int | str, str] | None:
    """Id and method of a request of which only the ends can be read; None if it is no request or hides them.

    Clients write these members before `params` or after it. Only members that surely belong to the outermost
    object count: those before the first nested value, and those between the last one and the closing brace.
    """
    found: dict[str, object] = {}
    for match in (_LEADING.match(head[:_KEPT_BYTES]), _TRAILING.search(tail[-_KEPT_BYTES:])):
        if match:
            try:
                found |= json.loads(b"{" + match[1].strip(b", \t\r\n") + b"}")
            except ValueError:  # invalid UTF-8, or "-01": there is no reading it
                return None
    match found:
        case {"id": int() | str() as request_id, "method": str() as method}:
            return request_id, method
    return None
