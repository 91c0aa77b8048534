"""The requests that a client still waits for, so that each gets its answer even if the engine that had it is gone."""

import threading

from memory_mcp.front.messages import LASTING, Id, Message

_MOST_SENDINGS = 3
"""A request that was with so many engines when they ended may well be what ended them."""


class Request:
    """One that is in flight.

    Attributes:
        sendings: How many engines it was given to, wholly or in part.
    """

    __slots__ = ("line", "message", "sendings")

    def __init__(self, message: Message, line: bytes) -> None:
        self.message, self.line, self.sendings = message, line, 0

    @property
    def can_be_sent(self) -> bool:
        """Whether giving it to an engine, perhaps once more, can do no harm."""
        return self.sendings == 0 or (self.message.only_reads and self.sendings < _MOST_SENDINGS)


class Flight:
    """All of them, in the order in which they came; one thread puts them in, another takes them out."""

    def __init__(self) -> None:
        self._requests: dict[tuple[bool, Id], Request] = {}
        self._lock = threading.Lock()

    def add(self, message: Message, line: bytes) -> Request:
        """Note a request; one under an id that is taken is not noted, since the engine answers it under none."""
        request = Request(message, line)
        if message.request_id is not None:
            with self._lock:
                self._requests.setdefault(_key(message.request_id), request)
        return request

    def settle(self, request_id: Id) -> Request | None:
        """Take out one that is answered or withdrawn; None if there is none of that id."""
        with self._lock:
            return self._requests.pop(_key(request_id), None)

    def hand_back(self) -> None:
        """The engine has not begun what is in flight, and will not: it can be given to the next."""
        for request in self.open():
            request.sendings = 0

    def open(self) -> list[Request]:
        """Those still in flight, oldest first."""
        with self._lock:
            return list(self._requests.values())

    def awaited(self) -> list[Request]:
        """Likewise, without those that are answered by the end alone."""
        return [request for request in self.open() if request.message.method not in LASTING]


def _key(request_id: Id) -> tuple[bool, Id]:
    return isinstance(request_id, str), request_id  # an id of 1 is not one of "1"
