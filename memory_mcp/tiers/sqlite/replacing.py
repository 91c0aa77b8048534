"""Putting another file in the store's place: a checked copy beside it, nobody else at work, one rename, and all of it on the disk.

Copies are made by SQLite: a plain copy of the file would miss what is still in the WAL, and reading it by other means
than SQLite would end the locks that this process has on it (rule R2).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from memory_mcp.errors import StoreBusyError, StoreDamagedError, TierError
from memory_mcp.tiers.sqlite import database, presence
from memory_mcp.tiers.sqlite.cipher import TIER, Key, copy_into
from memory_mcp.tiers.sqlite.database import FILE_NAME, LOCK_WAIT_SECONDS, sqlite_errors
from memory_mcp.tiers.sqlite.lock import StoreLock
from memory_mcp.tiers.sqlite.query import value


def copy(connection: apsw.Connection, partial: Path, key: Key | None) -> int:
    """Write a checked copy, without the space that deleted rows left; the number of memories in it."""
    copy_into(connection, partial, key)
    with opened(partial, key) as copied:
        if faults := database.faults(copied):
            raise StoreDamagedError(TIER, f"The memory store is damaged ({faults[0]}). " + database.HOW_TO_RESTORE)
        memories = int(value(copied, "SELECT count(*) FROM memories WHERE forgotten IS NULL AND superseded_by IS NULL"))
    sync(partial)
    return memories


@contextmanager
def opened(path: Path, key: Key | None) -> Iterator[apsw.Connection]:
    """A reading connection, to the store or to a copy of it with or without a WAL."""
    # a file without a WAL is nobody's to write: it can lie where SQLite could not make one
    connection = database.connect(path, key, read_only=path.name != FILE_NAME or database.is_read_only(path.parent))
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def sole_use(folder: Path, then: str) -> Iterator[None]:
    """Keep every other process out of a store for as long as its file is being replaced.

    Args:
        then: What is to be done once nobody uses it any more, as the end of a sentence.

    Raises:
        TierError: Somebody has it open.
        StoreBusyError: Somebody is writing.
    """
    with presence.alone(folder) as alone:
        if not alone:
            raise TierError(
                TIER,
                "The memory store is in use by another process. Nothing was changed. Run `memory-mcp engine stop`, and close the "
                f"clients whose server runs with --isolated, then {then}.",
            )
        with _writing_alone(folder):
            yield


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


def fold_wal(store: Path, key: Key | None) -> None:
    """Carry the WAL into the file, so that the file alone is whole while it is being replaced."""
    connection = database.connect(store, key)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()


@contextmanager
def errors_as_sentences(target: Path) -> Iterator[None]:
    """What SQLite and the file system raise."""
    with sqlite_errors():
        try:
            yield
        except OSError as error:
            raise TierError(TIER, f"{error.filename or target} cannot be written: {error.strerror}. Nothing was changed.") from error


def sync(path: Path) -> None:
    """See to it that a file or a folder's names are on the disk."""
    with suppress(PermissionError):  # a folder cannot be opened everywhere
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
