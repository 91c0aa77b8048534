"""One client's conversation with the server, over any stream of bytes.

Between the bytes and the SDK stands a door with a bound for everything: the length of a line, the calls at work,
the calls waiting, the bytes they hold, the answers not yet written. Each request gets exactly one answer, a
cancelled one none. A client that does not read its answers is, after a while, not read from either.

    bytes -> lines -> [queue -> slot] -> SDK -> handlers
    bytes <- outbox <---------------------- answers
"""

from collections import deque
from functools import partial
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import ByteStream
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.types import INVALID_REQUEST, JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from memory_mcp.front.lines import LineBuffer, OverlongLine
from memory_mcp.front.messages import BUSY, LASTING, UNAVAILABLE
from memory_mcp.server.calls import Call, Calls, Limits
from memory_mcp.server.probe import answer_probe
from memory_mcp.server.wire import ENDING, OVERLOADED, Answer, encode, error, parse_line, refuse

_OUTBOX_LINES = 16
_BATCH_BYTES = 65_536
_PARSED_IN_PLACE_BYTES = 65_536
"""Longer lines are parsed in a thread, so that other conversations go on meanwhile."""
_GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)

_SAME_ID = "A request with this id is still at work. Use a new id for each request."
_BUSY = "The server is busy with as many calls as it takes. Nothing was done; try again in a second."
_NOT_STARTED = "The server is about to exit. Nothing was done; try again when it is back."
_INTERRUPTED = "The server is about to exit and could not finish this call. It may have taken effect; look before repeating it."


async def serve_lines(
    mcp: MCPServer,
    stream: ByteStream,
    *,
    state: Any,
    stop: anyio.Event | None = None,
    limits: Limits | None = None,
    parting: bytes = b"",
) -> None:
    """Hold one conversation, in the era the client opens with, until the client has closed its side or `stop` is set.

    The stream is closed as soon as the last word is written. The return waits for the handlers as well, and a
    synchronous tool stuck in its thread can hold it up for as long as it likes.

    Args:
        mcp: The server; it can hold many conversations at once.
        stream: Carries lines of JSON in UTF-8, in chunks of any size.
        state: What the server's lifespan yielded; the lifespan is the caller's to enter.
        stop: Ends the conversation from outside: calls still waiting are declined, those at work get their grace.
        limits: Bounds of this conversation.
        parting: For a client that will ask another server: the last line when `stop` has ended the conversation. Calls
            that were not started are not declined then: every request that has no answer before this line was not begun.
    """
    await _Conversation(mcp._lowlevel_server, stream, stop or anyio.Event(), limits or Limits(), parting).hold(state)


class _Conversation:
    def __init__(self, server: Server[Any], stream: ByteStream, stop: anyio.Event, limits: Limits, parting: bytes) -> None:
        self._server, self._stream, self._stop, self._limits = server, stream, stop, limits
        self._parting = parting
        self._calls = Calls(limits)
        self._lines: deque[bytes | OverlongLine] = deque()
        self._parser = anyio.CapacityLimiter(1)
        self._opening = True  # no request but probes so far
        self._ending = False
        self._reading, self._starting, self._settling = anyio.CancelScope(), anyio.CancelScope(), anyio.CancelScope()
        self._to_server, self._from_client = anyio.create_memory_object_stream[SessionMessage | Exception]()
        self._to_outbox, self._outbox = anyio.create_memory_object_stream[bytes](_OUTBOX_LINES)

    async def hold(self, state: Any) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._serve, state)
                tasks.start_soon(self._start_waiting)
                tasks.start_soon(self._end_on_stop, watching := anyio.CancelScope())
                await self._read()
                self._wait_at_most(self._limits.answers_seconds)
                with self._settling:
                    await self._calls.settled(self._is_awaited)
                self._end()
                tasks.cancel_scope.deadline = anyio.current_time() + self._limits.flush_seconds
                await self._part()
                watching.cancel()
        finally:
            self._calls.close()
            for end in (self._to_server, self._from_client, self._to_outbox, self._outbox):
                end.close()

    async def _read(self) -> None:
        lines = LineBuffer(self._limits.line_bytes)
        with self._reading:
            try:
                async for chunk in self._stream:
                    self._lines += lines.feed(chunk)
                    await self._take_lines()
            except _GONE:
                pass  # the same as a client that has closed its side
            if not self._hands_over():  # to which the rest of this line has gone, too
                self._lines.append(lines.take())
            await self._take_lines()

    async def _take_lines(self) -> None:
        while self._lines:
            line = self._lines.popleft()
            if len(line) > _PARSED_IN_PLACE_BYTES:
                with anyio.CancelScope(shield=True):
                    parsed = await anyio.to_thread.run_sync(parse_line, line, limiter=self._parser)
            else:
                parsed = parse_line(line)
            if not isinstance(parsed, SessionMessage):
                await self._send(parsed)
            elif isinstance(parsed.message, JSONRPCRequest):
                await self._take_request(parsed.message, len(line))
            elif not self._ending and not self._withdraws(parsed.message):
                await self._to_server.send(parsed)

    async def _take_request(self, request: JSONRPCRequest, held_bytes: int) -> None:
        if self._hands_over():
            return
        if answer := self._answer_here(request):
            await self._send(answer)
        elif self._calls.goes_ahead(request):
            call = await self._calls.take_at_once(request, held_bytes)
            try:
                await self._start(call)
            except anyio.get_cancelled_exc_class():  # the end has come before the server took it
                self._calls.put_back(call)
                raise
        elif not self._calls.enqueue(request, held_bytes):
            await self._send(refuse(request.id, request.method, OVERLOADED, _BUSY, BUSY))

    def _answer_here(self, request: JSONRPCRequest) -> Answer | None:
        if self._opening and (answer := answer_probe(self._server, request)):
            return answer
        self._opening = False
        if self._ending:
            return refuse(request.id, request.method, ENDING, _NOT_STARTED, BUSY)
        if self._calls.find(request.id):  # an answer under this id would be taken for the other call's
            return error(None, INVALID_REQUEST, _SAME_ID)
        return None

    def _withdraws(self, message: JSONRPCMessage) -> bool:
        """Whether this cancels a call that still waits: it then never starts, and gets no answer."""
        if not isinstance(message, JSONRPCNotification) or message.method != "notifications/cancelled":
            return False
        call = self._calls.find((message.params or {}).get("requestId"))
        if call is None or call.slot:
            return False
        self._calls.settle(call)
        return True

    async def _start_waiting(self) -> None:
        while not self._ending:
            with anyio.CancelScope() as self._starting:
                call = await self._calls.next()
            if self._starting.cancelled_caught:
                return
            await self._start(call)  # whatever comes: a call with a slot is one at work

    async def _start(self, call: Call) -> None:
        metadata = ServerMessageMetadata(on_request_unanswered=partial(self._settle_cancelled, call))
        await self._to_server.send(SessionMessage(call.request, metadata))

    async def _settle_cancelled(self, call: Call) -> None:
        self._calls.settle(call)

    async def _serve(self, state: Any) -> None:
        options = self._server.create_initialization_options()
        await serve_dual_era_loop(self._server, self._from_client, _Answers(self), lifespan_state=state, init_options=options)

    async def deliver(self, message: JSONRPCMessage) -> None:
        """Pass on what the SDK has to say, unless the last word on its call is spoken already."""
        if not isinstance(message, JSONRPCResponse | JSONRPCError):
            await self._send(message)
        elif (call := self._calls.find(message.id)) and not call.answered:
            call.answered = True
            try:
                await self._send(message)
            finally:
                self._calls.settle(call)

    async def _send(self, message: JSONRPCMessage | None) -> None:
        if message and (line := encode(message)):
            try:
                self._to_outbox.send_nowait(line)  # where there is room, not even a cancellation loses the answer
            except anyio.WouldBlock:
                await self._to_outbox.send(line)

    async def _write(self) -> None:
        try:
            async for line in self._outbox:
                batch = bytearray(line)
                while len(batch) < _BATCH_BYTES and self._outbox.statistics().current_buffer_used:
                    batch += self._outbox.receive_nowait()
                await self._stream.send(bytes(batch))
        except _GONE:
            self._end()
        finally:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
        async for _ in self._outbox:
            pass  # nobody reads any more, but no handler has to wait for that

    async def _end_on_stop(self, watching: anyio.CancelScope) -> None:
        with watching:
            await self._stop.wait()
            self._end()

    def _end(self) -> None:
        """From now on no call starts; a client that merely closed its side has its waiting calls started until then."""
        self._ending = True
        self._wait_at_most(self._limits.grace_seconds)
        self._reading.cancel()
        self._starting.cancel()
        self._calls.wake()

    def _wait_at_most(self, seconds: float) -> None:
        self._settling.deadline = min(self._settling.deadline, anyio.current_time() + seconds)

    def _hands_over(self) -> bool:
        """Whether what is not begun by now is another server's."""
        return bool(self._parting) and self._stop.is_set()

    def _is_awaited(self, call: Call) -> bool:
        return call.request.method not in LASTING and not (self._ending and call.slot is None)

    async def _part(self) -> None:
        """Say the last word on everything still open, and hang up."""
        await self._take_lines()
        for call in self._calls.unanswered():
            call.answered = True
            if not self._hands_over() or (call.slot and call.request.method not in LASTING):
                said = (_INTERRUPTED, UNAVAILABLE) if call.slot else (_NOT_STARTED, BUSY)
                await self._send(refuse(call.request.id, call.request.method, ENDING, *said))
        if self._hands_over():
            await self._to_outbox.send(self._parting)
        self._to_outbox.close()
        self._to_server.close()


class _Answers:
    """The conversation as the SDK writes to it; it stays open for what is said besides, until the conversation closes it."""

    def __init__(self, conversation: _Conversation) -> None:
        self._conversation = conversation

    async def send(self, item: SessionMessage, /) -> None:
        await self._conversation.deliver(item.message)

    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None: ...
