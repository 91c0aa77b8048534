"""Reading and replacing other programs' files: whole or not at all, with a copy beside, and never over somebody else's change."""

import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from memory_mcp.errors import RequestError

_BACKUP = "{name}.memory-mcp-{stamp}.bak"


class FileLeftAloneError(RequestError):
    """A file was not changed; the message says why, as a sentence."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it was read.

    Attributes:
        path: Of the file itself: links are followed, so that they stay links.
        text: None if there is no file. Line ends and a byte order mark are kept in it.
    """

    path: Path
    text: str | None


def read(path: Path) -> Snapshot:
    """Read a file.

    Raises:
        FileLeftAloneError: It is there, but cannot be read, or is not UTF-8.
    """
    try:
        target = path.resolve()
        return Snapshot(target, target.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return Snapshot(target, None)
    except UnicodeDecodeError:
        raise FileLeftAloneError(f"{path} is not UTF-8 text. It was left alone.") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise FileLeftAloneError(f"{path} cannot be read: {_reason(error)}. It was left alone.") from None


def replace(snapshot: Snapshot, text: str | None, *, keep: datetime | None, private: bool = True) -> Path | None:
    """Give a file its new text, or remove it.

    The text is written beside, brought to the disk, and put in the file's place in one step; mode and owner stay.

    Args:
        text: None removes the file.
        keep: The time that names a copy of what was there before; None where no copy is wanted.
        private: Whether a new file is for its owner alone; else it is as open as the user's files are.

    Returns:
        The copy, if there was something to copy.

    Raises:
        FileLeftAloneError: The file is read-only, cannot be written, or has changed since it was read.
    """
    path, copy = snapshot.path, None
    try:
        mode = 0o600 if private else None
        if snapshot.text is not None:
            mode = stat.S_IMODE(path.stat().st_mode)
            # renaming over a file needs no permission of the file, but somebody meant it not to be changed
            if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
                raise FileLeftAloneError(f"{path} is read-only. It was left alone: make it writable, or change it where it comes from.")
            if keep is not None:
                copy = path.with_name(_BACKUP.format(name=path.name, stamp=f"{keep:%Y%m%d-%H%M%S-%f}"))
                _write_new(copy, snapshot.text, path, mode)
        _put_in_place(snapshot, text, mode)
    except OSError as error:
        _discard(copy)
        raise FileLeftAloneError(f"{path} cannot be written: {_reason(error)}. It was left alone.") from None
    except UnicodeEncodeError:
        _discard(copy)
        raise FileLeftAloneError(f"{path} is UTF-8, which cannot say the name of a folder in the command. It was left alone.") from None
    except BaseException:
        _discard(copy)
        raise
    return copy


def backups(path: Path) -> list[Path]:
    """The copies that `replace` made of a file, newest first."""
    target = path.resolve()
    head, tail = _BACKUP.format(name=target.name, stamp="|").split("|")
    names = [entry for entry in target.parent.iterdir() if entry.name.startswith(head) and entry.name.endswith(tail)]
    return sorted((name for name in names if name.is_file()), key=lambda name: name.name, reverse=True)


def texts(paths: list[Path]) -> list[str]:
    """The texts of copies, without those that cannot be read."""
    found = []
    for path in paths:
        with suppress(OSError, UnicodeDecodeError):
            found.append(path.read_bytes().decode("utf-8"))
    return found


def _put_in_place(snapshot: Snapshot, text: str | None, mode: int | None) -> None:
    path = snapshot.path
    if text is None:
        _refuse_changed(snapshot)
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.memory-mcp")
    try:
        _write_new(partial, text, path, mode)
        _refuse_changed(snapshot)
        os.replace(partial, path)
    finally:
        _discard(partial)
    _sync(path.parent)


def _discard(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def _refuse_changed(snapshot: Snapshot) -> None:
    if read(snapshot.path).text != snapshot.text:
        raise FileLeftAloneError(f"{snapshot.path} was changed by another program at this very moment. It was left alone: try again.")


def _write_new(path: Path, text: str, like: Path, mode: int | None) -> None:
    """A file that was not there, closed to others until it has the mode and owner of another one."""
    data = text.encode("utf-8")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666 if mode is None else 0o600)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if mode is None:
        return
    with suppress(OSError, AttributeError):  # nobody's but root's to set, and not everywhere
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
    os.chmod(path, mode)


def _sync(folder: Path) -> None:
    with suppress(OSError):  # a folder cannot be opened everywhere
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
