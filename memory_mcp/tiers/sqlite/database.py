"""Opening the file safely: pragmas, migrations, versions, and what the driver's errors mean."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw

from memory_mcp.errors import (
    SchemaTooNewError,
    StoreBusyError,
    StoreDamagedError,
    StoreFullError,
    StoreReadOnlyError,
    TierError,
)
from memory_mcp.text import words
from memory_mcp.tiers.sqlite import spelling, subjects
from memory_mcp.tiers.sqlite.cipher import TIER, Key, unlock
from memory_mcp.tiers.sqlite.lock import StoreLock
from memory_mcp.tiers.sqlite.placement import network_file_system, read_mounts

FILE_NAME = "memories.db"
LOCK_NAME = "memories.lock"
APPLICATION_ID = 0x4D4D4350  # "MMCP"
OLDEST_SAFE_SQLITE = (3, 51, 3)
"""Before it, several checkpointing processes lose acknowledged rows (the WAL-reset bug, rule R2)."""

LOCK_WAIT_SECONDS = 10.0
BUSY_MILLISECONDS = 5_000


@contextmanager
def sqlite_errors() -> Iterator[None]:
    """Driver errors stop here."""
    try:
        yield
    except apsw.BusyError as error:
        raise StoreBusyError(TIER, BUSY_MILLISECONDS / 1000) from error
    except apsw.FullError as error:
        raise StoreFullError(TIER) from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise StoreReadOnlyError(TIER) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreDamagedError(TIER, "The memory store's file is damaged. " + HOW_TO_RESTORE) from error
    except (apsw.CantOpenError, OSError) as error:
        raise TierError(TIER, CANNOT_OPEN) from error
    except apsw.IOError as error:
        raise TierError(TIER, "The disk that holds the memory store gave an error. Nothing was written; see the log.") from error


CANNOT_OPEN = "The memory store's file cannot be opened: check that its folder exists and belongs to you."
HOW_TO_RESTORE = (
    "Nothing was changed or deleted. Restore a backup with `memory-mcp restore FILE`, "
    f"or move {FILE_NAME} and what is named after it away (keep them) to start with an empty store; `memory-mcp doctor` tells more."
)


def migrations() -> list[str]:
    """The numbered scripts, in order; the schema's version is how many have run."""
    folder = resources.files("memory_mcp.tiers.sqlite") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if re.fullmatch(r"\d{4}_\w+\.sql", entry.name))
    return [(folder / name).read_text("utf-8") for name in names]


def prepare(folder: Path) -> Path:
    """Make the file, readable by its owner alone, if there is none; its path.

    Raises:
        StoreDamagedError: The file is gone or empty, but not its WAL, which SQLite would throw away.
    """
    path = folder / FILE_NAME
    if (folder / f"{FILE_NAME}-wal").exists() and not (path.exists() and path.stat().st_size):
        raise StoreDamagedError(TIER, f"{FILE_NAME} is missing or empty. " + HOW_TO_RESTORE)
    # made before SQLite opens it, which gives its WAL the same permissions; one that is there is never
    # opened by other means than SQLite: closing it would end the locks that this process has on it
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def refuse_network(folder: Path) -> None:
    """Raise TierError where the folder lies on a network file system."""
    if kind := network_file_system(folder.resolve(), read_mounts()):
        raise TierError(
            TIER,
            f"The data directory lies on a network file system ({kind}), where several programs cannot safely share it. "
            "Name a folder on a local disk with --data-dir or MEMORY_MCP_DATA_DIR.",
        )


def has_wal(folder: Path) -> bool:
    """Whether something is in the WAL that a clean end would have carried into the file."""
    wal = folder / f"{FILE_NAME}-wal"
    return wal.exists() and wal.stat().st_size > 0


def is_read_only(folder: Path) -> bool:
    """Whether a store is there that this process may not write."""
    path = folder / FILE_NAME
    return path.exists() and not (os.access(path, os.W_OK) and os.access(folder, os.W_OK))


def connect(path: Path, key: Key | None, *, read_only: bool = False) -> apsw.Connection:
    """A connection as the rules want it: WAL, every commit synced, no checkpoint but our own. The one way to the file.

    Raises:
        StoreKeyError: The file is encrypted and the key is missing or another one's, or it is not encrypted.
    """
    if read_only:
        # without a WAL nobody is writing, and SQLite could not make one to look into
        unchanging = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
        name = f"file:{quote(str(path.absolute()))}?mode=ro{unchanging}"
        connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    else:
        # a URI is understood as well, so that a copy's name can be one
        connection = apsw.Connection(str(path.absolute()), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    try:
        unlock(connection, path, key)
    except BaseException:
        connection.close()
        raise
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    for pragma in (
        "synchronous=FULL",
        "fullfsync=1",
        "foreign_keys=1",
        "secure_delete=1",
        "wal_autocheckpoint=0",
        "cache_size=-16000",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def version_of(connection: apsw.Connection) -> int:
    """The schema's version, 0 for an empty file.

    Raises:
        SchemaTooNewError: The file's schema is newer than this program.
        StoreDamagedError: The file is a database, but none of ours.
    """
    version, owner = int(connection.pragma("user_version")), int(connection.pragma("application_id"))
    if owner not in (0, APPLICATION_ID) or (owner == 0 and connection.execute("SELECT 1 FROM sqlite_schema").fetchone()):
        raise StoreDamagedError(TIER, f"{FILE_NAME} is some other program's database. " + HOW_TO_RESTORE)
    known = len(migrations())
    if version > known:
        raise SchemaTooNewError(TIER, version, known)
    return version


def migrate(connection: apsw.Connection) -> None:
    """Bring the schema up to date, each step in its own transaction; call it under the store's lock."""
    version = version_of(connection)
    if connection.pragma("journal_mode") != "wal":  # a new file's, and that of a copy
        connection.pragma("journal_mode", "wal")
    scripts = migrations()[version:]
    if scripts:
        define_functions(connection)
    for number, script in enumerate(scripts, start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(script)
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", number)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def define_functions(connection: apsw.Connection) -> None:
    """Give a connection what the scripts call to write again what the program has read from texts."""
    functions: dict[str, Callable[..., Any]] = {
        "by_number": partial(subjects.by_number, connection),
        "indexed_body": words.index_text,
        "indexed_labels": spelling.labels_of_row,
        "indexed_scope": spelling.scope_word,
    }
    for name, function in functions.items():
        connection.create_scalar_function(name, function, flags=apsw.SQLITE_DIRECTONLY)


def open_reader(folder: Path, key: Key | None) -> apsw.Connection:
    """Open a store that cannot be written, to read it."""
    connection = connect(folder / FILE_NAME, key, read_only=True)
    try:
        if version_of(connection) < len(migrations()):
            raise TierError(TIER, "The memory store is read-only, and too old to be read as it is: make its folder and files writable.")
    except BaseException:
        connection.close()
        raise
    return connection


def open_writer(folder: Path, key: Key | None, lock: StoreLock, wait_seconds: float) -> apsw.Connection:
    """Open the store's file for writing, under its lock: made and migrated where need be.

    Raises:
        StoreBusyError: Another process held the lock all the time.
        StoreKeyError: See `connect`.
        StoreDamagedError: Header or schema are not those of a healthy store; the file is left as it is.
    """
    if sqlite_version() < OLDEST_SAFE_SQLITE:
        raise TierError(TIER, "SQLite 3.51.3 or later is needed: reinstall the package apsw-sqlite3mc.")
    if not lock.acquire(wait_seconds):
        raise StoreBusyError(TIER, wait_seconds)
    try:
        connection = connect(prepare(folder), key)
        try:
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection
    finally:
        lock.release()


def sqlite_version() -> tuple[int, ...]:
    """The SQLite library's version, as three numbers."""
    return tuple(int(part) for part in apsw.sqlite_lib_version().split("."))


def faults(connection: apsw.Connection) -> list[str]:
    """What SQLite's own full check and the text index's say, in sentences."""
    found = [f"The store's file: {row[0]}" for row in connection.execute("PRAGMA integrity_check(5)") if row[0] != "ok"]
    if not found:  # what is broken cannot be asked further
        found += ["A row points to one that is not there." for _ in connection.execute("SELECT 1 FROM pragma_foreign_key_check LIMIT 1")]
    return found
