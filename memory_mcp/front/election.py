"""Finding the engine of a data directory, or seeing to it that there is one.

    dial ──> hello ──> engaged
     │         └─ the engine is older: have it leave, under the starting lock
     └─ nobody there: under the starting lock, wait for an engine that is leaving, start one

Several fronts may do this at once. The starting lock serialises them; who is the engine is decided by the engine's
own lock alone.
"""

import time
from collections.abc import Callable
from os import close

from memory_mcp.front.dialling import Connection, dial
from memory_mcp.front.locks import is_held, wait_lock
from memory_mcp.front.places import Places
from memory_mcp.front.starting import STARTED, TAKEN, start_engine

PATIENCE_SECONDS = 20.0
"""Longest time that a client waits for an engine, before it is told that there is none."""

_MOST_FAILURES = 3
_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.2


class UnavailableError(Exception):
    """There is no engine to be had at the moment; the message is a sentence for the client."""


class RefusedError(Exception):
    """The engine declines this client; the message is its sentence.

    Attributes:
        status: The exit status that goes with it; 2 where a setting is wrong.
    """

    def __init__(self, sentence: str, status: int) -> None:
        self.status = status
        super().__init__(sentence)


class _OlderError(Exception):
    """The engine's program is older than ours."""


class Election:
    """One search for an engine, with its bounds.

    Args:
        hello: What the front says of itself.
        deadline: Until when it may take, a moment of `time.monotonic`.
        at_hand: A line to somebody who listens, if one has been dialled already.
    """

    def __init__(
        self,
        places: Places,
        hello: dict[str, object],
        deadline: float,
        at_hand: Connection | None = None,
        start: Callable[[Places, float], int] = start_engine,
    ) -> None:
        self._places, self._hello, self._deadline, self._at_hand, self._start = places, hello, deadline, at_hand, start
        self._failures = 0
        self._pause = _PAUSE_SECONDS

    def engage(self) -> tuple[Connection, list[str]]:
        """A line to an engine that has accepted this front, and what it has to tell.

        Raises:
            RefusedError: The engine, or its configuration, declines.
            UnavailableError: None can be reached or started in time.
        """
        while True:
            connection = self._at_hand or dial(self._places, self._deadline) or self._elected(replacing=False)
            self._at_hand = None
            try:
                told = self._greet(connection, self._hello)
            except _OlderError:
                connection.close()
                self._elected(replacing=True).close()
                continue
            except BaseException:
                connection.close()
                raise
            if told is not None:
                connection.limit(None)
                return connection, told
            connection.close()  # it ended before it answered: idle for too long, or it could not start
            self._failed("It ends as soon as it is started.")

    def _greet(self, connection: Connection, hello: dict[str, object]) -> list[str] | None:
        """What the engine tells on accepting; None if it is on its way out."""
        try:
            answer = connection.ask(hello, self._deadline)
        except TimeoutError:
            raise self._unavailable("It is there but does not answer.") from None
        if answer is None or answer.get("leaving"):
            return None
        if answer.get("older"):
            raise _OlderError
        if "refused" in answer:
            status = answer.get("status")
            raise RefusedError(str(answer["refused"]), status if isinstance(status, int) else 1)
        tell = answer.get("tell")
        return [str(sentence) for sentence in tell] if isinstance(tell, list) else []

    def _elected(self, *, replacing: bool) -> Connection:
        """Be the one front that starts an engine, unless there is one by then."""
        try:
            lock = wait_lock(self._places.starting, self._deadline)
        except OSError as error:
            raise self._unavailable(f"{error.filename}: {error.strerror}.") from error
        if lock is None:
            raise self._unavailable("Another client has been starting it all the time.")
        try:
            while True:
                connection = dial(self._places, self._deadline)
                if connection and not (replacing and self._has_it_leave(connection)):
                    return connection
                if not is_held(self._places.lock):
                    self._started()
                    replacing = False
                else:  # it is leaving, or another is just being born
                    self._rest("Its process holds engine.lock but does not listen.")
        finally:
            close(lock)

    def _has_it_leave(self, connection: Connection) -> bool:
        """Whether the engine at the other end was older, and is leaving now."""
        try:
            answer = connection.ask({**self._hello, "replace": True}, self._deadline)
        except TimeoutError:
            raise self._unavailable("It is there but does not answer.") from None
        finally:
            connection.close()
        return answer is None or bool(answer.get("leaving"))

    def _started(self) -> None:
        try:
            status = self._start(self._places, self._deadline)
        except OSError as error:
            raise self._unavailable(f"{error.filename or 'Its process'}: {error.strerror}.") from error
        if status not in (STARTED, TAKEN):
            self._failed(self._places.why_no_engine() or f"Its process ends with status {status}.")

    def _failed(self, why: str) -> None:
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise self._unavailable(why)
        self._rest(why)

    def _rest(self, why: str) -> None:
        if time.monotonic() + self._pause > self._deadline:
            raise self._unavailable(why)
        time.sleep(self._pause)
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _unavailable(self, why: str) -> UnavailableError:
        return UnavailableError(f"The memory engine cannot be reached or started. {why} See {self._places.log}")
