"""One lock file beside the database, held around first open, migrations, writes, checkpoints and close (rule R3).

SQLite's own locks are no queue: under load its busy timeout starves writers, and turning WAL on does not wait at all.
"""

import os
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
import filelock

_POLL_SECONDS = 0.005


def taken_within(seconds: float, handle: int, kind: int) -> bool:
    """Whether the lock on an open file could be taken within this time, shared or exclusively; not for Windows."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


class StoreLock:
    """An exclusive lock between processes, let go by the operating system when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._portable = None if fcntl else filelock.FileLock(path, thread_local=False)

    def acquire(self, timeout_seconds: float | None) -> bool:
        """Take the lock, waiting at most so long; None: as long as it takes, in the kernel's queue."""
        if self._portable is not None:
            try:
                self._portable.acquire(timeout=-1 if timeout_seconds is None else timeout_seconds, poll_interval=_POLL_SECONDS)
            except filelock.Timeout:
                return False
            return True
        if self._handle is None:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if timeout_seconds is None:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            return True
        return taken_within(timeout_seconds, self._handle, fcntl.LOCK_EX)

    def release(self) -> None:
        """Let go; only after `acquire` returned True."""
        if self._portable is not None:
            self._portable.release()
        else:
            assert self._handle is not None
            fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file descriptor back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
