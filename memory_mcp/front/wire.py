"""The client's end: two descriptors that any platform has, read and written by threads that may block for ever."""

import os
import select
import threading
from collections.abc import Callable

_CHUNK_BYTES = 65_536


class ClientGoneError(Exception):
    """The client does not read any more."""


class Outlet:
    """Where answers go, whole lines at a time, from whichever thread has them."""

    def __init__(self, fd: int) -> None:
        self._fd, self._lock = fd, threading.Lock()

    def write(self, lines: bytes) -> None:
        """Write all of it; waits while the client does not read.

        Raises:
            ClientGoneError: It never will.
        """
        rest = memoryview(lines)
        with self._lock:
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:  # the client may have made its end, and with it ours, non-blocking
                    select.select([], [self._fd], [])
                except OSError as error:
                    raise ClientGoneError from error


class Inlet:
    """Reads what the client says, one chunk ahead of who takes it, so that its end is noticed in any case.

    Args:
        take: Gets each chunk, and an empty one for the end, from a thread of the inlet's own.
        on_end: Called there as soon as the client has closed its side.
    """

    def __init__(self, fd: int, take: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._fd, self._take, self._on_end = fd, take, on_end
        self._room = threading.Semaphore(1)
        self.has_read = False
        """Whether the client has said anything."""

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def taken(self) -> None:
        """The last chunk is worked off: the next one may come."""
        self._room.release()

    def _read(self) -> None:
        while chunk := self._chunk():
            self.has_read = True
            self._room.acquire()
            self._take(chunk)
        self._on_end()
        self._take(b"")

    def _chunk(self) -> bytes:
        while True:
            try:
                return os.read(self._fd, _CHUNK_BYTES)
            except BlockingIOError:
                select.select([self._fd], [], [])
            except OSError:  # closed from the start
                return b""
