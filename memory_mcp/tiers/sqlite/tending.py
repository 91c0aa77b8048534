"""Which of several processes tends the store: whoever holds a lock file, which the operating system frees when it dies."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_mcp.tiers.sqlite.lock import StoreLock

FILE_NAME = "memories.tend"


@contextmanager
def tending(folder: Path) -> Iterator[bool]:
    """Whether nobody else tends the store of this folder; if so, nobody else does until the end of the context."""
    lock = StoreLock(folder / FILE_NAME)
    chosen = lock.acquire(0.0)
    try:
        yield chosen
    finally:
        if chosen:
            lock.release()
        lock.close()
