"""Passing lines between one client and whatever engine there is.

    client ──> inlet ──> events ──> relay ──> engine          all decisions are the relay's, on one thread
    client <── outlet <──────────── reader <── engine         one thread an engine; answers only pass through

An engine may end at any moment. What was in flight is then given to the next one, where asking again does no harm,
or answered with a sentence; the client's handshake is said again on its behalf. Nothing in flight: nothing is done
until the client asks for something, so an engine that was stopped on purpose stays stopped.
"""

import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from memory_mcp.front import messages
from memory_mcp.front.dialling import Connection
from memory_mcp.front.election import PATIENCE_SECONDS, RefusedError, UnavailableError
from memory_mcp.front.flight import Flight, Request
from memory_mcp.front.hello import MARK, read
from memory_mcp.front.lines import LineBuffer, OverlongLine, find_request
from memory_mcp.front.messages import Message
from memory_mcp.front.pacing import Pacing
from memory_mcp.front.wire import ClientGoneError, Inlet, Outlet

Engage = Callable[[float], tuple[Connection, list[str]]]
"""Finds an engine until a deadline; raises UnavailableError or RefusedError."""

_MAX_LINE_BYTES = 16 * 2**20
"""What an engine takes, too."""
_HANDSHAKE_ID = "memory-mcp/handshake"
_REFUSAL_PATIENCE_SECONDS = 1.0
_CONTROL = b'{"' + MARK.encode() + b'"'

_UNKNOWN = (
    "The memory engine was restarted during this call, so it is unknown whether the call took effect. It is safe to repeat it: "
    "what is stored already is recognised and not stored twice. Only before you repeat an undo, look first."
)
_NOT_BEGUN = "{} Nothing was done; try again later."
_ENDS_AGAIN = "The memory engine has ended several times within half a minute."
_SILENT = "The memory engine is there but does not answer."
_TOO_LONG = "The message is too long. Send less at once."

_END, _STOP, _GONE = b"", "stop", "gone"


class Relay:
    """One client's conversation, however many engines it takes.

    Args:
        say: Takes a sentence for people, who may be reading stderr.
        on_end: Called, from some thread, when the client has closed its side.
    """

    def __init__(self, incoming: int, outgoing: int, engage: Engage, say: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._engage, self._say = engage, say
        self._events: SimpleQueue[bytes | str | Connection] = SimpleQueue()
        self._inlet, self._outlet = Inlet(incoming, self._events.put, on_end), Outlet(outgoing)
        self._lines, self._flight, self._pacing = LineBuffer(_MAX_LINE_BYTES), Flight(), Pacing()
        self._engine: Connection | None = None
        self._broken = False  # the engine cannot be written to any more
        self._parted = False  # it has said its last word, and will not begin anything
        self._handshake: bytes | None = None  # the client's `initialize`, once it is answered
        self._initialized: bytes | None = None
        self._modern = True
        self._said: set[str] = set()
        self._trouble = ""
        self._heard_all = False

    def stop(self) -> None:
        """Take nothing more from the client, pass on what is being answered, and end; from any thread."""
        self._events.put(_STOP)

    def owes_answers(self) -> bool:
        """Whether the client, having closed its side, still has something to read; from any thread."""
        return bool(self._flight.awaited()) if self._heard_all else self._inlet.has_read

    def run(self) -> int:
        """Hold the conversation until the client is gone; the exit status.

        Raises:
            ClientGoneError: It does not read any more.
        """
        self._inlet.start()
        try:
            self._connect()
        except RefusedError as error:
            self._tell(str(error))
            self._refuse(str(error))
            return error.status
        ending = False
        while (not ending or self._engine) and (event := self._events.get()) != _GONE:
            if isinstance(event, Connection):
                self._lost(event, ending)
            elif ending:
                continue
            elif isinstance(event, bytes) and event:
                self._take_all(self._lines.feed(event))
                self._inlet.taken()
            else:
                if event == _END:
                    self._take_all([self._lines.take()])
                ending = self._heard_all = True
                if self._engine:
                    self._engine.half_close()
        return 0

    def _take_all(self, lines: list[bytes | OverlongLine]) -> None:
        for line in lines:
            if isinstance(line, OverlongLine):
                self._decline(line)
            elif line.strip():
                self._take(line + b"\n", messages.look(line))

    def _decline(self, line: OverlongLine) -> None:
        request = find_request(line.head, line.tail)
        if request is None:
            self._outlet.write(messages.error(None, _TOO_LONG, messages.INVALID_REQUEST))
        else:
            self._outlet.write(messages.failure(*request, _TOO_LONG, messages.INVALID, modern=self._modern))

    def _take(self, line: bytes, message: Message) -> None:
        request = Request(message, line)
        if message.request_id is not None:
            self._modern = self._modern and message.method != "initialize"
            request = self._flight.add(message, line)
        elif message.cancelled is not None:
            self._flight.settle(message.cancelled)
        elif message.method == "notifications/initialized":
            self._initialized = line
        if self._engine:
            self._give(self._engine, request)
        elif message.request_id is not None:
            self._reconnect()
        elif not message.understood:  # which is the engine's to say
            self._reconnect()
            if self._engine:
                self._give(self._engine, request)

    def _give(self, engine: Connection, request: Request) -> None:
        if self._broken:
            return  # its reader will notice, and with it the request is taken care of
        request.sendings += 1
        try:
            engine.send(request.line)
        except OSError:
            self._broken = True

    def _lost(self, engine: Connection, ending: bool) -> None:
        """Everything that this engine has said has been passed on by now."""
        if engine is not self._engine:
            return
        engine.close()
        if self._parted:
            self._flight.hand_back()
        self._engine, self._broken, self._parted = None, False, False
        if ending:
            self._answer(lambda _: True, _UNKNOWN, messages.UNAVAILABLE)
            return
        self._count_end()
        self._answer(lambda request: not request.can_be_sent, _UNKNOWN, messages.UNAVAILABLE)
        if self._flight.open():
            self._reconnect()

    def _reconnect(self) -> None:
        try:
            self._connect()
        except RefusedError as error:  # its configuration has become wrong; it may be mended yet
            self._give_up(str(error))

    def _connect(self) -> None:
        """Find an engine and give it what is in flight; if there is none, everything in flight is told so.

        Raises:
            RefusedError: It declines.
        """
        while self._engine is None:
            now = time.monotonic()
            if now < self._pacing.rests_until:
                self._answer(lambda _: True, _NOT_BEGUN.format(self._trouble), messages.BUSY)
                return
            deadline = now + PATIENCE_SECONDS
            try:
                engine, told = self._engage(deadline)
            except UnavailableError as error:
                self._give_up(str(error))
                return
            try:
                self._shake_hands(engine, deadline)
            except TimeoutError:
                engine.close()
                self._give_up(_SILENT)
                return
            except (OSError, EOFError):
                engine.close()
                self._count_end()
                continue
            self._pacing.succeeded()
            for sentence in told:
                self._tell(sentence)
            self._engine = engine
            threading.Thread(target=self._read, args=[engine], name="engine", daemon=True).start()
            for request in self._flight.open():
                self._give(engine, request)

    def _shake_hands(self, engine: Connection, deadline: float) -> None:
        """Say the client's handshake on its behalf, if it has had one; the answer is known to it already."""
        if self._handshake is None:
            return
        engine.limit(deadline)
        engine.send(messages.under_another_id(self._handshake, _HANDSHAKE_ID))
        while (answer := messages.answered(line := engine.line())) is None or answer[0] != _HANDSHAKE_ID:
            self._outlet.write(line)
        if self._initialized:
            engine.send(self._initialized)
        engine.limit(None)

    def _count_end(self) -> None:
        now = time.monotonic()
        if self._pacing.ended(now):
            self._trouble = _ENDS_AGAIN
            self._pacing.failed(now)

    def _give_up(self, sentence: str) -> None:
        self._trouble = sentence
        self._pacing.failed(time.monotonic())
        self._tell(sentence)
        self._answer(lambda request: request.sendings > 0 and not request.message.only_reads, _UNKNOWN, messages.UNAVAILABLE)
        self._answer(lambda _: True, _NOT_BEGUN.format(sentence), messages.BUSY)

    def _answer(self, which: Callable[[Request], bool], sentence: str, fault: str) -> None:
        for request in self._flight.open():
            request_id = request.message.request_id
            if request_id is not None and which(request) and self._flight.settle(request_id):
                self._outlet.write(messages.failure(request_id, request.message.method, sentence, fault, modern=self._modern))

    def _tell(self, sentence: str) -> None:
        if sentence not in self._said:  # once: a line for each failing call would fill a log
            self._said.add(sentence)
            self._say(sentence)

    def _read(self, engine: Connection) -> None:
        """Pass on what an engine says until it is gone."""
        try:
            while True:
                lines = engine.lines().split(b"\n")[:-1]
                self._outlet.write(b"".join(line + b"\n" for line in lines if self._passes(line)))
        except (OSError, EOFError):
            self._events.put(engine)
        except ClientGoneError:
            self._events.put(_GONE)

    def _passes(self, line: bytes) -> bool:
        """Whether the line is for the client; what it answers is in flight no longer."""
        if line.startswith(_CONTROL) and (said := read(line)):
            self._parted = self._parted or said.get("parted") is True
            return False
        answer = messages.answered(line)
        request = self._flight.settle(answer[0]) if answer else None
        if answer and request and request.message.method == "initialize" and answer[1]:
            self._handshake = request.line
        return True

    def _refuse(self, sentence: str) -> None:
        """Answer what the client asks in its handshake with the sentence, until its patience or ours is at an end."""
        while True:
            try:
                event = self._events.get(timeout=_REFUSAL_PATIENCE_SECONDS)
            except Empty:
                return
            if not isinstance(event, bytes) or event == _END:
                return
            for line in self._lines.feed(event):
                message = messages.look(line) if isinstance(line, bytes) else Message()
                if message.request_id is not None:
                    self._outlet.write(messages.error(message.request_id, sentence, fault=messages.MISCONFIGURED))
                if message.method == "initialize":
                    return
            self._inlet.taken()
