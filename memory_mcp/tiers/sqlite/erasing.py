"""What is to be gone for good: found, taken out of every table, and scoured out of the file.

Of a memory its id stays, in a row without anything else: so derived tiers hear of the change as of any other, the log goes
on to verify, and the salt that its digests there were keyed with is gone.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

import apsw

from memory_mcp.clock import to_micros
from memory_mcp.errors import TierError
from memory_mcp.models import EraseAction, Meant, Operation, Provenance, Scope
from memory_mcp.text.entities import names_in, texts_in
from memory_mcp.tiers.sqlite import database, journal
from memory_mcp.tiers.sqlite.cipher import Key, state_of
from memory_mcp.tiers.sqlite.database import FILE_NAME, sqlite_errors
from memory_mcp.tiers.sqlite.journal import Derived
from memory_mcp.tiers.sqlite.keys import find_key
from memory_mcp.tiers.sqlite.query import all_rows, first
from memory_mcp.tiers.sqlite.rows import ERASED, ids_json
from memory_mcp.tiers.sqlite.settings import EncryptionSettings
from memory_mcp.tiers.sqlite.subjects import DIGEST_BYTES

KEPT = (f"{FILE_NAME}.before-restore-*", "backups/*.db")
"""Former stores that a restore left beside the present one."""

_OWED = "scour"
"""A secret that is there while something was erased and not scoured yet."""
_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.05
_NOTHING_LEFT = (
    "content = '', kind = 'fact', domain = 'general', tags = '[]', metadata = '{}', key = '', session_id = '', importance = 0, "
    "confidence = 0, short_term = 0, created = :now, updated = NULL, occurred = NULL, valid_from = NULL, valid_to = NULL, expires = NULL, "
    "superseded_by = NULL, forgotten = :now, fingerprint = x'', salt = x''"
)


def meant(db: apsw.Connection, tenant: str, what: Meant) -> list[tuple[UUID, Scope]]:
    """`Erasing.meant`."""
    conditions = {
        "m.id IN (SELECT unhex(value) FROM json_each(:ids))": bool(what.ids),
        "s.namespace = :namespace": bool(what.namespace),
        "m.forgotten < :before": what.forgotten_before is not None,
        "m.number IN (SELECT value FROM json_each(:person))": bool(what.person),
    }
    chosen = [condition for condition, given in conditions.items() if given]
    if not chosen and not what.everything:
        return []
    query = f"""SELECT m.id, s.namespace FROM memories m JOIN scopes s ON s.number = m.scope
                WHERE s.tenant = :tenant AND NOT {ERASED} {"".join(f" AND {condition}" for condition in chosen)} ORDER BY s.number, m.id"""
    before = what.forgotten_before
    values = {
        "tenant": tenant,
        "ids": ids_json(what.ids),
        "namespace": what.namespace,
        "before": 0 if before is None else to_micros(before),
        "person": json.dumps(_of_person(db, tenant, what.person) if what.person else []),
    }
    return [(UUID(bytes=row[0]), Scope(tenant, row[1])) for row in all_rows(db, query, values)]


def _of_person(db: apsw.Connection, tenant: str, person: str) -> list[int]:
    """Written by that user, or with that name in the metadata, now or in a past form."""
    name = person.casefold()
    query = """SELECT m.number, a.user, m.metadata FROM memories m JOIN scopes s ON s.number = m.scope JOIN actors a ON a.number = m.actor
               WHERE s.tenant = :tenant
               UNION ALL SELECT v.memory, '', json_extract(v.form, '$.metadata') FROM versions v JOIN memories m ON m.number = v.memory
               JOIN scopes s ON s.number = m.scope WHERE s.tenant = :tenant"""
    found = {number for number, user, metadata in db.execute(query, {"tenant": tenant}) if name in {user.casefold(), *_names(metadata)}}
    return sorted(found)


def _names(metadata: str) -> Iterable[str]:
    return () if metadata == "{}" else (name.casefold() for name in names_in(json.loads(metadata)))


def texts(db: apsw.Connection, tenant: str, ids: Sequence[UUID]) -> list[str]:
    """`Erasing.texts`."""
    query = """SELECT m.content, m.key, m.tags, m.metadata FROM memories m JOIN scopes s ON s.number = m.scope
               WHERE s.tenant = :tenant AND m.id IN (SELECT unhex(value) FROM json_each(:ids))
               UNION ALL SELECT v.content, '', json_extract(v.form, '$.tags'), json_extract(v.form, '$.metadata')
               FROM versions v JOIN memories m ON m.number = v.memory JOIN scopes s ON s.number = m.scope
               WHERE s.tenant = :tenant AND m.id IN (SELECT unhex(value) FROM json_each(:ids))"""
    found: dict[str, None] = {}
    for content, key, tags, metadata in all_rows(db, query, {"tenant": tenant, "ids": ids_json(ids)}):
        said = texts_in(json.loads(metadata))
        found.update(dict.fromkeys(text for text in (content, key, *json.loads(tags), *said) if text))
    return list(found)


def erase(
    db: apsw.Connection, derived: Derived, tenant: str, ids: Sequence[UUID], actor: Provenance, now: datetime, action: EraseAction
) -> list[Operation]:
    """`Erasing.erase`."""
    query = f"""SELECT m.number, m.scope, m.id FROM memories m JOIN scopes s ON s.number = m.scope
                WHERE s.tenant = :tenant AND m.id IN (SELECT unhex(value) FROM json_each(:ids)) AND NOT {ERASED} ORDER BY m.number"""
    by_scope: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for number, scope, memory_id in all_rows(db, query, {"tenant": tenant, "ids": ids_json(ids)}):
        by_scope[scope].append((number, memory_id))
    done = []
    for scope, memories in by_scope.items():
        operation, revision = journal.next_operation(db), journal.next_revision(db, scope)
        numbers = [number for number, _ in memories]
        _take_out(db, numbers, operation, revision, journal.actor_number(db, actor), to_micros(now))
        for number in numbers:
            derived.touch(db, number)
        if action == "erase":  # what was asked there may say what they said
            db.execute("DELETE FROM questions WHERE scope = ?", (scope,))
        subjects = b"".join(memory_id + bytes(DIGEST_BYTES) for _, memory_id in memories)
        journal.append(db, operation, scope, action, subjects, actor, now)
        entry = journal.read_operation(db, operation)
        assert entry is not None
        done.append(entry)
    _forget_receipts(db, [memory_id for memories in by_scope.values() for _, memory_id in memories])
    if done:
        db.execute("INSERT OR REPLACE INTO secrets (name, value) VALUES (?, x'01')", (_OWED,))
    return done


def _take_out(db: apsw.Connection, numbers: Sequence[int], operation: int, revision: int, actor: int, now: int) -> None:
    each = [(number,) for number in numbers]
    for table in ("versions", "vectors", "uses", "outcomes", "outbox"):
        db.executemany(f"DELETE FROM {table} WHERE memory = ?", each)
    values = {"now": now, "operation": operation, "change": revision, "actor": actor}
    db.executemany(
        f"UPDATE memories SET {_NOTHING_LEFT}, actor = :actor, change = :change, operation = :operation WHERE number = :number",
        [{**values, "number": number} for number in numbers],
    )


def _forget_receipts(db: apsw.Connection, ids: Sequence[bytes]) -> None:
    """A receipt holds a digest of what was asked, by which a guess of the text could be confirmed."""
    listed = json.dumps([memory_id.hex() for memory_id in ids])
    db.execute("DELETE FROM idempotency WHERE json_extract(receipt, '$[0]') IN (SELECT value FROM json_each(?))", (listed,))


def is_owed(db: apsw.Connection) -> bool:
    """Whether something was erased whose remains have not been scoured out of the file."""
    return first(db, "SELECT 1 FROM secrets WHERE name = ?", (_OWED,)) is not None


def scour(db: apsw.Connection, *, compact: bool) -> bool:
    """Make sure that nothing is left of what was erased, in the file or its WAL; outside of any transaction, under the store's lock.

    Deleted rows are overwritten where they lay (`secure_delete`); the text index keeps words until its parts are merged.

    Args:
        compact: Write the whole file anew, too.

    Returns:
        Whether the WAL could be emptied: not while somebody reads what was there before.
    """
    db.execute("INSERT INTO words (words) VALUES ('optimize')")
    if compact:
        db.execute("VACUUM")
    if not _empty_wal(db):
        return False
    db.execute("DELETE FROM secrets WHERE name = ?", (_OWED,))
    return True


def _empty_wal(db: apsw.Connection) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except (apsw.BusyError, apsw.LockedError):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True


def standing(db: apsw.Connection, strings: Sequence[str]) -> list[str]:
    """`Erasing.standing`."""
    places = {
        "memories": ("content", "key", "tags", "metadata", "session_id"),
        "versions": ("content", "form"),
        "actors": ("client", "user", "agent"),
        "acts": ("origin",),
        "operations": ("details",),
        "scopes": ("tenant", "namespace"),
        "sqlite_schema": ("sql",),
        "questions": ("text",),
        "entities": ("key", "name"),
        "relations": ("subject", "predicate", "object", "statement"),
    }
    found = []
    for string in strings:
        values = {"said": string, "quoted": json.dumps(string, ensure_ascii=False)[1:-1]}
        for table, columns in places.items():
            is_there = " OR ".join(f"instr({column}, :{name}) OR instr(lower({column}), :{name})" for column in columns for name in values)
            if first(db, f"SELECT 1 FROM {table} WHERE {is_there} LIMIT 1", values):
                found.append(string)
                break
    return found


def erase_in_copy(path: Path, key: Key | None, erased: Mapping[str, Collection[UUID]], now: datetime) -> int:
    """Take memories, named by tenant, out of another store's file, and scour it; how many were there. Nobody else has it open.

    Raises:
        TierError: It cannot be opened with this key, or is no healthy store.
    """
    with sqlite_errors():
        db = database.connect(path, key)
        try:
            present = {tenant: meant(db, tenant, Meant(ids=tuple(ids))) for tenant, ids in erased.items() if ids}
            if not any(present.values()):
                return 0
            database.migrate(db)  # an older one lacks tables
            with db:
                for tenant, memories in present.items():
                    ids = [memory_id for memory_id, _ in memories]
                    erase(db, Derived(), tenant, ids, Provenance(source="replay"), now, "erase")
            scour(db, compact=True)
            return sum(map(len, present.values()))
        finally:
            db.close()


def erase_in_kept(
    folder: Path, encryption: EncryptionSettings, tenant: str, ids: Sequence[UUID], now: datetime
) -> tuple[list[Path], list[Path]]:
    """Likewise in the folder's backups and the former stores that a restore left: those that had any, and those not to be looked into."""
    cleaned, closed = [], []
    for path in sorted(path for kept in KEPT for path in folder.glob(kept) if not path.name.endswith(("-wal", "-shm"))):
        try:
            key = None if state_of(path) == "plain" else find_key(encryption, folder)
            if erase_in_copy(path, key, {tenant: ids}, now):
                cleaned.append(path)
        except (TierError, apsw.Error):  # another key's, or damaged
            closed.append(path)
    return cleaned, closed


def remains(db: apsw.Connection, tenant: str, ids: Sequence[UUID]) -> list[str]:
    """`Erasing.remains`."""
    mine = """memories m JOIN scopes s ON s.number = m.scope
              WHERE s.tenant = :tenant AND m.id IN (SELECT unhex(value) FROM json_each(:ids))"""
    values = {"tenant": tenant, "ids": ids_json(ids)}
    empty = "m.content = '' AND m.tags = '[]' AND m.metadata = '{}' AND m.key = '' AND m.session_id = '' AND m.fingerprint = x''"
    found = ["memories"] if first(db, f"SELECT 1 FROM {mine} AND NOT ({ERASED} AND {empty}) LIMIT 1", values) else []
    tables = ("versions", "vectors", "uses", "outcomes", "mentions", "relations")
    for table, column in {**dict.fromkeys(tables, "memory"), "words": "rowid"}.items():
        if first(db, f"SELECT 1 FROM {table} WHERE {column} IN (SELECT m.number FROM {mine}) LIMIT 1", values):
            found.append(table)
    return found


def epochs(db: apsw.Connection) -> list[str]:
    """`Erasing.epochs`."""
    return [row[0] for row in all_rows(db, "SELECT name FROM epochs ORDER BY number")]
