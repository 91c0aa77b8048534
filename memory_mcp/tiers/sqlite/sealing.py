"""The store encrypted, given another key, or decrypted: written anew beside itself, compared row by row, and swapped by one rename.

Whatever breaks off on the way leaves the former store or the new one, whole. The former file is overwritten before it is let
go; what the file system or a flash disk keeps of earlier blocks, and what a WAL left when it shrank, is out of reach.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from memory_mcp.errors import RequestError, StoreDamagedError, StoreKeyError, TierError
from memory_mcp.partials import written_beside
from memory_mcp.tiers.sqlite import database
from memory_mcp.tiers.sqlite.cipher import TIER, Key, parse, state_of
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.keys import Slot, random_key
from memory_mcp.tiers.sqlite.query import all_rows, value
from memory_mcp.tiers.sqlite.replacing import copy, errors_as_sentences, fold_wal, opened, sole_use, sync

Progress = Callable[[str, int, int], None]
"""Takes what is being done, how many rows are done, and of how many; 0: nobody knows."""

_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' AND name <> 'sqlite_stat1' ORDER BY name"
_CHUNK = 1 << 20
_TOLD_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class Sealed:
    """A store that was written anew.

    Attributes:
        memories: How many there are; None where the store was as wanted already, or there is none yet.
        plain: Files in the data directory that still hold memories readably.
    """

    memories: int | None
    plain: tuple[Path, ...] = ()


def encrypt(folder: Path, find: Callable[[], Key | None], slot: Slot | None, told: Progress) -> Sealed:
    """Encrypt a store that is not, with a key that is made where there is none yet.

    Args:
        find: Finds the key that is configured.
        slot: Where it lies, if it is a place that can take one.

    Raises:
        StoreKeyError: The key is not to be had, or the store is encrypted with another one.
        TierError: The store is in use, or damaged; nothing was changed.
    """
    store = folder / FILE_NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with errors_as_sentences(store), sole_use(folder, "try again"):
        state = state_of(store)
        if slot is not None and slot.read() is None and state != "encrypted":  # a lost key is not made up for by another
            slot.propose(random_key())
            slot.promote()
        key = find()
        _clear_broken_off(folder)
        if state in ("absent", "empty"):
            return Sealed(None, plain_files(folder))
        if state == "encrypted":
            with opened(store, key):
                return Sealed(None, plain_files(folder))
        return Sealed(_write_anew(store, None, key, told), plain_files(folder))


def decrypt(folder: Path, key: Key, told: Progress) -> Sealed:
    """Take the encryption off; the files are then what they are without.

    Raises:
        As `encrypt`.
    """
    store = folder / FILE_NAME
    with _of_a_store(store), errors_as_sentences(store), sole_use(folder, "try again"):
        _clear_broken_off(folder)
        if state_of(store) == "plain":
            return Sealed(None)
        return Sealed(_write_anew(store, key, None, told))


def rekey(folder: Path, find: Callable[[], Key | None], slot: Slot | None, given: str | None, told: Progress) -> Sealed:
    """Encrypt a store with another key; where the key lies in a place that can take one, it is changed there, too.

    Args:
        find, slot: As for `encrypt`.
        given: The text of the new key; None: a random one, which needs a place.

    Raises:
        As `encrypt`; RequestError: there is no new key.
    """
    store = folder / FILE_NAME
    with _of_a_store(store), errors_as_sentences(store), sole_use(folder, "try again"):
        if slot is not None and (waiting := slot.pending()) is not None and _opens(store, waiting):
            slot.promote()  # an earlier one was broken off after the store had been swapped
            if given is None:
                return Sealed(None, plain_files(folder))
        former = find()
        with opened(store, former):
            pass
        if given is None and slot is None:
            raise RequestError("Name a file with the new key with --new-key-file: where the present one comes from, none can be put.")
        text = random_key() if given is None else given.strip("\r\n")
        new = parse(text)
        if slot is not None:
            slot.propose(text)
        _clear_broken_off(folder)
        memories = _write_anew(store, former, new, told)
        if slot is not None:
            slot.promote()
        return Sealed(memories, plain_files(folder))


def plain_files(folder: Path) -> tuple[Path, ...]:
    """Stores and copies in the data directory that anybody can read who has the files."""
    patterns = (f"{FILE_NAME}*", f".{FILE_NAME}.*.partial")
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file() and not path.name.endswith(("-wal", "-shm"))}
    return tuple(sorted(path for path in found if state_of(path) == "plain"))


def _opens(store: Path, text: str) -> bool:
    """Whether a text is the store's key; half of one, from a write that was broken off, is not."""
    with suppress(StoreKeyError, apsw.NotADBError), opened(store, parse(text)):
        return True
    return False


@contextmanager
def _of_a_store(store: Path) -> Iterator[None]:
    if not store.exists():
        raise RequestError(f"There is no memory store in {store.parent}.")
    yield


def _write_anew(store: Path, before: Key | None, after: Key | None, told: Progress) -> int:
    with written_beside(store) as partial:
        told("copying", 0, 0)
        with opened(store, before) as connection:
            if database.version_of(connection) == 0:
                raise StoreDamagedError(TIER, f"{store.name} is empty. " + database.HOW_TO_RESTORE)
            memories = copy(connection, partial, after)
            with opened(partial, after) as copied:
                _compare(connection, copied, told)
        fold_wal(store, before)
        for end in ("-wal", "-shm"):  # all is in the file, and they do not go with another one
            store.with_name(store.name + end).unlink(missing_ok=True)
        with _overwritten(store):
            os.replace(partial, store)
            sync(store.parent)
    return memories


def _compare(source: apsw.Connection, copied: apsw.Connection, told: Progress) -> None:
    """See that every row of every table, those of the text index included, is in both."""
    tables = [str(name) for (name,) in all_rows(source, _TABLES)]
    total = 2 * sum(int(value(source, f'SELECT count(*) FROM "{table}"')) for table in tables)
    done = 0
    for table in tables:
        sums = []
        for connection in (source, copied):
            sum_of_all, rows = hashlib.blake2b(digest_size=16), 0
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # in the order of the key, which a copy keeps
                sum_of_all.update(repr(row).encode("utf-8", "surrogatepass"))
                rows += 1
                if rows % _TOLD_EVERY == 0:
                    told("comparing", done + rows, total)
            done += rows
            sums.append((rows, sum_of_all.digest()))
        told("comparing", done, total)
        if sums[0] != sums[1]:
            raise TierError(TIER, "The copy is not what the store is. Nothing was changed; try again, and see `memory-mcp doctor`.")


def _clear_broken_off(folder: Path) -> None:
    """Remove what a copy that was broken off has left."""
    for path in folder.glob(f".{FILE_NAME}.*.partial*"):
        with _overwritten(path):
            path.unlink()


@contextmanager
def _overwritten(path: Path) -> Iterator[None]:
    """Fill a file with zeros once it has lost its name; left alone where it has another one, or cannot be held open meanwhile."""
    if os.name != "posix":
        yield
        return
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # no connection of this process has it open
    try:
        yield
        found = os.fstat(handle)
        if found.st_nlink == 0:
            with suppress(OSError):  # a file system that wants room for it
                for start in range(0, found.st_size, _CHUNK):
                    os.pwrite(handle, bytes(min(_CHUNK, found.st_size - start)), start)
                os.fsync(handle)
    finally:
        os.close(handle)
