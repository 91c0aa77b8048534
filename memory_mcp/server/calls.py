"""The calls of one conversation: how many may be at work, how many may wait, and which are still to be answered."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio
from mcp.types import JSONRPCRequest, RequestId

_UNQUEUED = frozenset({"initialize", "ping"})
"""Methods that are taken however busy the server is; at most `_UNQUEUED_AT_ONCE`, then the client has to read first."""
_UNQUEUED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What one conversation may take, and how long its end may."""

    line_bytes: int = 16 * 2**20
    calls: int = 64
    queued_calls: int = 256
    held_bytes: int = 64 * 2**20
    """Bytes of the lines of all calls at work or waiting; a call alone is taken whatever its size."""
    grace_seconds: float = 1.0
    """For calls at work when the conversation is ended from here, or the client does not read any more."""
    answers_seconds: float = 30.0
    """For open calls when the client has only closed its side: scripts say all they have to say, and then read."""
    flush_seconds: float = 0.3
    """For the last answers to be written."""


@dataclass(eq=False, slots=True)
class Call:
    """A request that is still to be answered."""

    request: JSONRPCRequest
    held_bytes: int
    slot: anyio.Semaphore | None = None
    """Held while the call is at work; None while it waits."""
    answered: bool = False
    """Its answer is on the way out; there must not be a second one."""


class Calls:
    """Every open call by its id; an id is taken until the answer under it has gone out."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[RequestId, Call] = {}
        self._held_bytes = 0
        self._slots = anyio.Semaphore(limits.calls)
        self._unqueued_slots = anyio.Semaphore(_UNQUEUED_AT_ONCE)
        self._most = limits.calls + limits.queued_calls
        self._to_queue, self._queue = anyio.create_memory_object_stream[Call](self._most)
        self._changed = anyio.Event()

    def close(self) -> None:
        """Let go of the queue."""
        self._to_queue.close()
        self._queue.close()

    def find(self, request_id: object) -> Call | None:
        """The open call of that id."""
        return self._open.get(request_id) if isinstance(request_id, int | str) else None

    def unanswered(self) -> list[Call]:
        """The open calls that nothing has been said on yet, oldest first."""
        return [call for call in self._open.values() if not call.answered]

    @staticmethod
    def goes_ahead(request: JSONRPCRequest) -> bool:
        """Whether the request is one that never waits in the queue."""
        return request.method in _UNQUEUED

    async def take_at_once(self, request: JSONRPCRequest, held_bytes: int) -> Call:
        """A call that goes ahead of the queue, and is at work from now on."""
        await self._unqueued_slots.acquire()
        call = Call(request, held_bytes, self._unqueued_slots)
        self._admit(call)
        return call

    def enqueue(self, request: JSONRPCRequest, held_bytes: int) -> bool:
        """Let a call wait for its slot; False if there are too many already."""
        if len(self._open) >= self._most or (self._open and self._held_bytes + held_bytes > self._limits.held_bytes):
            return False
        call = Call(request, held_bytes)
        try:
            self._to_queue.send_nowait(call)
        except anyio.WouldBlock:  # full of calls that were cancelled while they waited
            return False
        self._admit(call)
        return True

    async def next(self) -> Call:
        """The call that has waited longest, at work from now on, once a slot is free."""
        await self._slots.acquire()
        call = await self._queue.receive()
        while self._open.get(call.request.id) is not call:  # settled while it waited
            call = await self._queue.receive()
        call.slot = self._slots
        return call

    def put_back(self, call: Call) -> None:
        """A call that had its slot was not started after all."""
        if call.slot:
            call.slot.release()
            call.slot = None

    def settle(self, call: Call) -> None:
        """Close a call; repeating it changes nothing."""
        if self._open.get(call.request.id) is call:
            del self._open[call.request.id]
            self._held_bytes -= call.held_bytes
            if call.slot:
                call.slot.release()
            self.wake()

    async def settled(self, awaited: Callable[[Call], bool]) -> None:
        """Return when none of the open calls is awaited any more."""
        while any(awaited(call) for call in self._open.values()):
            self._changed = anyio.Event()
            await self._changed.wait()

    def wake(self) -> None:
        """Have `settled` ask again."""
        self._changed.set()

    def _admit(self, call: Call) -> None:
        self._open[call.request.id] = call
        self._held_bytes += call.held_bytes
