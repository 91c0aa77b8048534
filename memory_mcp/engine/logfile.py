"""The engine's log: what it and its libraries say on stderr goes to a file, which never takes more than two pieces."""

import os
from contextlib import suppress

MAX_BYTES = 4 << 20
"""Of a piece; the one before is kept beside it."""


def divert_stderr(path: str) -> None:
    """From now on stderr is this file; a full one is put aside first."""
    with suppress(OSError):
        if os.stat(path).st_size > MAX_BYTES:
            os.replace(path, f"{path}.1")
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(handle, 2)
    os.close(handle)


def keep_bounded(path: str) -> None:
    """Begin a new piece if the present one is full; a disk that has no room for one is no reason to fail."""
    with suppress(OSError):
        if os.fstat(2).st_size > MAX_BYTES:
            divert_stderr(path)
