"""Who has the store open: a lock that every process shares while it does, and that is exclusive for replacing the file.

Processes that have a file open go on with it after another has taken its place: they would write where nobody reads.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_mcp.errors import StoreBusyError
from memory_mcp.tiers.sqlite.lock import taken_within

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be replaced to begin with
    fcntl = None  # type: ignore[assignment]

FILE_NAME = "memories.open"


@contextmanager
def present(folder: Path, wait_seconds: float) -> Iterator[None]:
    """Have the store open, together with others; the operating system notices when a process dies.

    Raises:
        StoreBusyError: The file was being replaced all the time.
    """
    with _lock(folder, exclusive=False, wait_seconds=wait_seconds) as held:
        if not held:
            raise StoreBusyError("sqlite", wait_seconds)
        yield


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether nobody else has the store open; if so, nobody opens it either until this is left."""
    with _lock(folder, exclusive=True, wait_seconds=0.0) as held:
        yield held


@contextmanager
def _lock(folder: Path, *, exclusive: bool, wait_seconds: float) -> Iterator[bool]:
    if fcntl is None:
        yield True
        return
    handle = os.open(folder / FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield taken_within(wait_seconds, handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    finally:
        os.close(handle)  # which lets go
