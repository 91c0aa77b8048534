"""A copy of the store in one file, made while servers run; and such a copy put in the store's place.

Both go through SQLite: a plain copy of the file would miss what is still in the WAL, and reading it by other means
than SQLite would end the locks that this process has on it (rule R2).
"""

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote
from uuid import UUID

import apsw

from memory_mcp.errors import RequestError, SchemaTooNewError, StoreBusyError, StoreDamagedError, TierError
from memory_mcp.tiers.sqlite import database, presence
from memory_mcp.tiers.sqlite.database import FILE_NAME, LOCK_WAIT_SECONDS, TIER, sqlite_errors
from memory_mcp.tiers.sqlite.erasing import erase_in_copy
from memory_mcp.tiers.sqlite.lock import StoreLock
from memory_mcp.tiers.sqlite.query import value

_COMPANIONS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Copy:
    """A store's copy that was written and checked.

    Attributes:
        kept: On restoring, where the store's file lies that was there before; None if there was none.
        erased_again: How many memories of the backup were erased since, and so are not in the store.
    """

    path: Path
    memories: int
    size_bytes: int
    kept: Path | None = None
    erased_again: int = 0


def backup(folder: Path, target: Path, *, force: bool = False) -> Copy:
    """Copy the store of a data directory into one file, readable by its owner alone; servers may go on working.

    The file appears whole and checked, or not at all.

    Raises:
        RequestError: There is no store, or the target exists and is not to be replaced.
        TierError: The store is damaged, or the target cannot be written.
    """
    store = folder / FILE_NAME
    if not store.exists():
        raise RequestError(f"There is no memory store in {folder}.")
    if target.is_dir() or (target.exists() and not force):
        raise RequestError(f"{target} exists. Name another file, or say --force to replace it.")
    if target.exists() and target.samefile(store):
        raise RequestError(f"{target} is the store itself. Name another file.")
    # what cannot be written cannot be replaced either
    held = nullcontext() if database.is_read_only(folder) else presence.present(folder, LOCK_WAIT_SECONDS)
    with sqlite_errors(), _files_as_sentences(target), held, _beside(target) as partial:
        with _opened(store) as connection:
            database.version_of(connection)
            memories = _copy(connection, partial)
        os.replace(partial, target)
        _sync(target.parent)
    return Copy(target, memories, target.stat().st_size)


def restore(folder: Path, source: Path, now: datetime, *, erased: Mapping[str, Collection[UUID]] = MappingProxyType({})) -> Copy:
    """Put a backup in the place of the store; the files that were there are kept beside it under another name.

    Args:
        erased: By tenant what was erased since the backup, or before: it is taken out before anybody can see it.

    Raises:
        RequestError: There is no such file.
        StoreBusyError: Another process has the store open.
        StoreDamagedError, SchemaTooNewError: The backup cannot serve as a store; nothing was changed.
    """
    if not source.is_file():
        raise RequestError(f"There is no file {source}.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    store, kept = folder / FILE_NAME, folder / f"{FILE_NAME}.before-restore-{now:%Y%m%d-%H%M%S-%f}"
    if store.exists() and source.samefile(store):
        raise RequestError(f"{source} is the store itself. Name a backup.")
    with sqlite_errors(), _files_as_sentences(store), presence.alone(folder) as alone:
        if not alone:
            raise TierError(
                TIER,
                "The memory store is in use by another process. Nothing was changed. Run `memory-mcp engine stop`, and close the "
                "clients whose server runs with --isolated, then restore again.",
            )
        with _beside(store) as partial, _writing_alone(folder):
            memories = _checked_copy(source, partial)
            _take_identity(partial)
            again = erase_in_copy(partial, erased, now)
            _sync(partial)
            _fold_wal(store)
            had_one = _keep(store, kept)
            os.replace(partial, store)
            _sync(folder)
    return Copy(store, memories, store.stat().st_size, kept if had_one else None, again)


def _checked_copy(source: Path, partial: Path) -> int:
    try:
        with _opened(source) as connection:
            if database.version_of(connection) == 0:
                raise StoreDamagedError(TIER, "")
            return _copy(connection, partial)
    except SchemaTooNewError:
        raise
    except (StoreDamagedError, apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError, apsw.SQLError) as error:
        raise StoreDamagedError(
            TIER, f"{source} is not a healthy backup of a memory store. Nothing was changed; use another backup."
        ) from error


def _take_identity(partial: Path) -> None:
    """What was derived from the store by another process must not be taken for derived from this one: revisions repeat."""
    connection = apsw.Connection(str(partial))
    try:
        connection.execute("DELETE FROM secrets WHERE name = 'identity'")
    finally:
        connection.close()
    _sync(partial)


def _copy(connection: apsw.Connection, partial: Path) -> int:
    """Write a checked copy, without the space that deleted rows left; the number of memories in it."""
    connection.execute("VACUUM INTO ?", (str(partial),))
    with _opened(partial) as copied:
        if faults := database.faults(copied):
            raise StoreDamagedError(TIER, f"The memory store is damaged ({faults[0]}). " + database.HOW_TO_RESTORE)
        memories = int(value(copied, "SELECT count(*) FROM memories WHERE forgotten IS NULL AND superseded_by IS NULL"))
    _sync(partial)
    return memories


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """A reading connection, to the store or to a copy of it with or without a WAL."""
    if path.name == FILE_NAME and not database.is_read_only(path.parent):
        connection = database.connect(path)
    else:
        # a file without a WAL is nobody's to write: it can lie where SQLite could not make one
        unchanging = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
        name = f"file:{quote(str(path.absolute()))}?mode=ro{unchanging}"
        connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        yield connection
    finally:
        connection.close()


def _fold_wal(store: Path) -> None:
    """Carry the WAL into the file, so that the file alone is whole while it is being replaced; of a damaged one nothing."""
    if not store.exists():
        return
    with suppress(apsw.Error):
        connection = database.connect(store)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            connection.close()


def _keep(store: Path, kept: Path) -> bool:
    """Give the present files their other name: first a second name for the store, so that it is never missing."""
    names = [end for end in _COMPANIONS if store.with_name(store.name + end).exists()]
    for end in names:
        present, other = store.with_name(store.name + end), kept.with_name(kept.name + end)
        if end:
            present.rename(other)
            continue
        try:
            other.hardlink_to(present)
        except OSError:  # a file system without a second name
            present.rename(other)
    return bool(names)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """An empty file of one's own, next to the target; gone at the end, unless it has taken its place."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _writing_alone(folder: Path) -> Iterator[None]:
    lock = StoreLock(folder / database.LOCK_NAME)
    try:
        if not lock.acquire(LOCK_WAIT_SECONDS):
            raise StoreBusyError(TIER, LOCK_WAIT_SECONDS)
        try:
            yield
        finally:
            lock.release()
    finally:
        lock.close()


@contextmanager
def _files_as_sentences(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TierError(TIER, f"{error.filename or target} cannot be written: {error.strerror}. Nothing was changed.") from error


def _sync(path: Path) -> None:
    with suppress(PermissionError):  # a folder cannot be opened everywhere
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
