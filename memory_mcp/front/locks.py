"""Locks between processes that the operating system lets go of when their holder dies; nothing trusts a pid file."""

import os
import sys
import time

if sys.platform == "win32":
    import msvcrt

    def _try(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


_POLL_SECONDS = 0.01


def try_lock(path: str) -> int | None:
    """The descriptor that holds the lock until it is closed; None if another process holds it.

    Raises:
        OSError: The file cannot be made or opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        _try(handle)
    except OSError:
        os.close(handle)
        return None
    return handle


def wait_lock(path: str, deadline: float) -> int | None:
    """Likewise, trying until the deadline, a moment of `time.monotonic`."""
    while (handle := try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return handle


def is_held(path: str) -> bool:
    """Whether some process holds the lock; taken for an instant to find out."""
    if not os.path.exists(path):
        return False
    try:
        handle = try_lock(path)
    except OSError:
        return False
    if handle is None:
        return True
    os.close(handle)
    return False
