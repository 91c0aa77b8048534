"""Deleting the data directory: only what this program makes, and only while nobody uses it."""

import os
import re
import shutil
from pathlib import Path

from memory_mcp.config import DEFAULT_DATA_DIR
from memory_mcp.errors import RequestError, TierError
from memory_mcp.folders import in_full
from memory_mcp.tiers.sqlite import presence
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.upkeep import register

_STORE = re.escape(FILE_NAME)
_OURS = re.compile(
    rf"\.?{_STORE}(-wal|-shm)?|{_STORE}\.before-restore-[\d-]+(-wal|-shm)?|\.{_STORE}\..*\.partial"
    rf"|memories\.(lock|open|tend)|{re.escape(register.FILE_NAME)}|config\.toml|engine(\.[a-z0-9]+)*"
)
_MODELS = "models"
_SHOWN = 5


def data_folder(given: Path | None) -> Path:
    """The data directory, found as a server finds it; a configuration that makes no sense does not stand in the way."""
    return in_full(given or Path(os.environ.get("MEMORY_MCP_DATA_DIR") or DEFAULT_DATA_DIR))


def refuse_foreign(folder: Path) -> None:
    """Make sure that a data directory holds the memories, what belongs to them, and nothing that somebody may want to keep.

    Raises:
        RequestError: It is no folder, or holds something else, backups among it, which is named.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise RequestError(f"{folder} is no folder of its own. Nothing was deleted: name the folder itself with --data-dir.")
    foreign = sorted(_foreign(folder))
    if foreign:
        names = ", ".join(foreign[:_SHOWN]) + (f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else "")
        raise RequestError(f"{folder} holds more than the memories: {names}. Nothing was deleted: move it away, or delete it, first.")


def purge(folder: Path) -> None:
    """Delete a data directory.

    Raises:
        RequestError: It holds something foreign; nothing was deleted.
        TierError: A server has the store open, or something cannot be deleted.
    """
    refuse_foreign(folder)
    try:
        with presence.alone(folder) as alone:
            if not alone:
                raise TierError("sqlite", "The memories are in use. Nothing was deleted. Close the clients that use them, then try again.")
            # the store first: where open files cannot be deleted, nothing else is lost then
            for path in sorted(folder.iterdir(), key=lambda path: path.name != FILE_NAME):
                if path.name != presence.FILE_NAME:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        (folder / presence.FILE_NAME).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise TierError(
            "sqlite", f"{error.filename or folder} cannot be deleted: {error.strerror}. Close what uses it, then try again."
        ) from error


def _foreign(folder: Path) -> list[str]:
    names = [path.name for path in folder.iterdir() if path.name != _MODELS and (path.is_dir() or not _OURS.fullmatch(path.name))]
    models = folder / _MODELS
    if models.is_symlink() or (models.exists() and not models.is_dir()):
        return [*names, _MODELS]
    return names
