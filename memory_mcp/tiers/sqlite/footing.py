"""Whether what is open is still what lies under its name: whoever writes to a file that was put aside or deleted writes for nobody."""

import os
from collections.abc import Mapping
from pathlib import Path

from memory_mcp.errors import StoreMovedError
from memory_mcp.tiers.sqlite.cipher import TIER


class Footing:
    """Remembers which files lie under the names of a store's file and its WAL, as they are when this is made."""

    def __init__(self, path: Path) -> None:
        self._files: Mapping[Path, os.stat_result] = {
            each: found for each in (path, path.with_name(f"{path.name}-wal")) if (found := _found(each)) is not None
        }

    def holds(self) -> bool:
        """Whether the same files lie there; where the disk does not say, SQLite will."""
        try:
            return all((now := _found(path)) is not None and os.path.samestat(now, then) for path, then in self._files.items())
        except OSError:
            return True

    def refuse_moved(self) -> None:
        """Raise StoreMovedError where they do not."""
        if not self.holds():
            raise StoreMovedError(TIER)


def _found(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
