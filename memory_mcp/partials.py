"""Files that are written beside their target until they are whole, and what is left of those whose process was killed."""

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = re.compile(r"(\.(.+)\.(\d+)-[0-9a-f]{8}\.partial).*", re.DOTALL)
"""With the target and the process; what a database puts beside its file has more behind it."""
_ours: set[str] = set()
"""Names that this process is writing under; after a restart another process may have the same number."""


@contextmanager
def written_beside(target: Path) -> Iterator[Path]:
    """A new, empty file that only its owner can read; gone at the end, unless it was renamed.

    What was left of the same target is removed.
    """
    clear_left_over(target.parent, target.name)
    partial = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    _ours.add(partial.name)
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield partial
    finally:
        partial.unlink(missing_ok=True)
        _ours.discard(partial.name)


def clear_left_over(folder: Path, target: str = "") -> None:
    """Remove what processes that are gone have left half written in a folder, of one target or of all."""
    for path in folder.glob(".*.partial*"):
        found = _NAME.fullmatch(path.name)
        if found and found[2] == (target or found[2]) and not _at_work(int(found[3]), found[1]):
            with suppress(OSError):  # held open by its process, where that keeps it from being removed; or removed by another
                path.unlink()


def _at_work(process: int, name: str) -> bool:
    """Whether a process is still writing under a name."""
    if process == os.getpid():
        return name in _ours
    if sys.platform == "win32":  # which does not let go of an open file
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
