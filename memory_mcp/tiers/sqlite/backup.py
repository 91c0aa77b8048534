"""A copy of the store in one file, made while servers run; and such a copy put in the store's place.

A copy is encrypted as its store is, with the same key.
"""

import os
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

import apsw

from memory_mcp.errors import RequestError, SchemaTooNewError, StoreDamagedError, StoreKeyError, TierError
from memory_mcp.partials import written_beside
from memory_mcp.tiers.sqlite import database, presence
from memory_mcp.tiers.sqlite.cipher import TIER, Key, state_of
from memory_mcp.tiers.sqlite.database import FILE_NAME, LOCK_WAIT_SECONDS
from memory_mcp.tiers.sqlite.erasing import erase_in_copy
from memory_mcp.tiers.sqlite.replacing import copy, errors_as_sentences, fold_wal, opened, sole_use, sync

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


def backup(folder: Path, target: Path, key: Key | None = None, *, force: bool = False) -> Copy:
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
    with errors_as_sentences(target), held, written_beside(target) as partial:
        with opened(store, key) as connection:
            database.version_of(connection)
            memories = copy(connection, partial, key)
        os.replace(partial, target)
        sync(target.parent)
    return Copy(target, memories, target.stat().st_size)


def restore(
    folder: Path,
    source: Path,
    now: datetime,
    key: Key | None = None,
    former: Key | None = None,
    *,
    erased: Mapping[str, Collection[UUID]] = MappingProxyType({}),
) -> Copy:
    """Put a backup in the place of the store; the files that were there are kept beside it, as they were, under another name.

    Args:
        key: What the store is to be encrypted with, whatever the backup is; None: it is not to be.
        former: What the backup is encrypted with, if not with that.
        erased: By tenant what was erased since the backup, or before: it is taken out before anybody can see it.

    Raises:
        RequestError: There is no such file.
        StoreBusyError: Another process has the store open.
        StoreDamagedError, StoreKeyError, SchemaTooNewError: The backup cannot serve as a store; nothing was changed.
    """
    if not source.is_file():
        raise RequestError(f"There is no file {source}.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    store, kept = folder / FILE_NAME, folder / f"{FILE_NAME}.before-restore-{now:%Y%m%d-%H%M%S-%f}"
    if store.exists() and source.samefile(store):
        raise RequestError(f"{source} is the store itself. Name a backup.")
    with errors_as_sentences(store), sole_use(folder, "restore again"), written_beside(store) as partial:
        memories = _checked_copy(source, partial, former or key, key)
        _take_identity(partial, key)
        again = erase_in_copy(partial, key, erased, now)
        sync(partial)
        with suppress(apsw.Error, TierError):  # of a damaged one nothing; what does not fit is kept beside it
            if store.exists():
                fold_wal(store, key)
        had_one = _keep(store, kept)
        os.replace(partial, store)
        sync(folder)
    return Copy(store, memories, store.stat().st_size, kept if had_one else None, again)


def _checked_copy(source: Path, partial: Path, own: Key | None, key: Key | None) -> int:
    state = state_of(source)
    if state == "encrypted" and key is None:
        raise StoreKeyError(
            TIER, f"{source} is encrypted, and what is restored from it would not be: set [encryption] first. Nothing was changed."
        )
    try:
        with opened(source, None if state == "plain" else own) as connection:
            if database.version_of(connection) == 0:
                raise StoreDamagedError(TIER, "")
            return copy(connection, partial, key)
    except SchemaTooNewError:
        raise
    except StoreKeyError as error:
        raise StoreKeyError(
            TIER,
            f"{source} is encrypted with another key than the store's: each backup keeps the key that it was made with. Name a file "
            "with that key with --key-file. Nothing was changed.",
        ) from error
    except (StoreDamagedError, apsw.CorruptError, apsw.NotADBError, apsw.CantOpenError, apsw.SQLError) as error:
        raise StoreDamagedError(
            TIER, f"{source} is not a healthy backup of a memory store. Nothing was changed; use another backup."
        ) from error


def _take_identity(partial: Path, key: Key | None) -> None:
    """What was derived from the store by another process must not be taken for derived from this one: revisions repeat."""
    connection = database.connect(partial, key)
    try:
        connection.execute("DELETE FROM secrets WHERE name = 'identity'")
    finally:
        connection.close()
    sync(partial)


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
