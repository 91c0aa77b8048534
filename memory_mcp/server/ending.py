"""How a server process ends.

A host ends a server by closing its stdin, by SIGTERM or by SIGINT, and kills it soon after. So an end has a clock
that runs from the first sign of it in a thread of its own, whatever the event loop is doing at that moment; and the
process is left by os._exit, which waits for no thread (rule R13).

    calls at work 1.0 s -> last answers 0.3 s -> lifespan 0.5 s -> exit, at 1.9 s in any case

Who has only closed its stdin, with calls still open, may be a script that now reads the answers: these calls get up to
30 s, in which a signal still ends it as above. With no call open there is nothing to wait for.

This module imports nothing heavy, so that a program can watch for signals before it imports the rest of itself.
"""

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from memory_mcp.front.descriptors import fill_holes
from memory_mcp.front.signals import ending_signals

_LAST_RESORT_SECONDS = 1.9
_FLUSH_SECONDS = 0.05


class Ending:
    """The one decision to end, taken by whichever thread sees the reason first.

    Args:
        last_resort_seconds: How long the end may take in any case.
    """

    def __init__(self, last_resort_seconds: float = _LAST_RESORT_SECONDS) -> None:
        self._last_resort_seconds = last_resort_seconds
        self._lock = threading.Lock()
        self._clock: threading.Timer | None = None
        self._ends_at = float("inf")
        self._stop: Callable[[], object] | None = None

    def attach(self, stop: Callable[[], object]) -> None:
        """From now on there is something to stop; `stop` will be called from some thread, perhaps more than once."""
        self._stop = stop

    def start_clock(self, answers_seconds: float = 0.0) -> None:
        """The client is gone: the server will see that too, but has no more time than this; a second sign may shorten it.

        Args:
            answers_seconds: How long it may still be waiting for answers.
        """
        seconds = self._last_resort_seconds + answers_seconds
        with self._lock:
            if time.monotonic() + seconds < self._ends_at:
                self._ends_at = time.monotonic() + seconds
                if self._clock is not None:
                    self._clock.cancel()
                self._clock = threading.Timer(seconds, leave, [0])
                self._clock.daemon = True
                self._clock.start()

    def begin(self) -> None:
        """End the server; while there is nothing to stop yet, at once."""
        self.start_clock()
        if self._stop is None:
            leave(0)
        self._stop()

    def watch_signals(self) -> None:
        """Begin on SIGTERM and SIGINT, even while the main thread, which has to call this, is stuck in foreign code.

        Windows has no such signals: there, the end of stdin is the only regular end.
        """
        if sys.platform == "win32":
            return
        fill_holes()  # a stray write to a closed stderr would else be taken for a signal
        threading.Thread(target=self._watch, args=[ending_signals()], name="signals", daemon=True).start()

    def _watch(self, receiver: socket.socket) -> None:
        with receiver:
            while receiver.recv(1):
                self.begin()


def leave(status: int) -> NoReturn:
    """Exit at once; what is buffered for stderr gets a moment, unless nobody reads it."""
    flusher = threading.Thread(target=_flush, name="flush", daemon=True)
    flusher.start()
    flusher.join(_FLUSH_SECONDS)
    os._exit(status)


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()
