"""The writes: each a function over the writing connection, run in a savepoint of the lane's transaction."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import apsw

from memory_mcp.clock import to_micros
from memory_mcp.errors import ConflictError, MemoryNotFoundError, TierError
from memory_mcp.models import Added, AddStatus, Changes, Draft, Embedding, Operation, Provenance, Scope
from memory_mcp.text import words
from memory_mcp.text.entities import with_relations
from memory_mcp.tiers.sqlite import journal, timeline
from memory_mcp.tiers.sqlite.cipher import TIER
from memory_mcp.tiers.sqlite.journal import Derived
from memory_mcp.tiers.sqlite.query import all_rows, first, only, value
from memory_mcp.tiers.sqlite.receipts import earlier_receipt, keep_receipt
from memory_mcp.tiers.sqlite.rows import ERASED, LIVE, VALID_FROM, scope_numbers, to_blob, to_json

SAME_TEXT = "A live memory has exactly this text already: forget one of the two instead."


def add(db: apsw.Connection, derived: Derived, draft: Draft, embedding: Embedding | None, within: Sequence[Scope]) -> Added:
    """`RecordStore.add`."""
    earlier = earlier_receipt(db, draft)
    if earlier is not None:
        return earlier
    added, changed = _store(db, derived, _under_key(db, draft), embedding, within)
    if added.operation is not None:
        scope = journal.scope_number(db, draft.scope)
        journal.log_operation(db, added.operation, scope, "remember", changed, draft.provenance, draft.now)
    return keep_receipt(db, draft, added)


def add_many(db: apsw.Connection, derived: Derived, drafts: Sequence[Draft]) -> list[Added]:
    """`RecordStore.add_many`."""
    keyed = (_under_key(db, draft) for draft in drafts)
    stored = [_carried_before(db, draft) or _store(db, derived, draft, None, ()) for draft in keyed]
    changed = [number for _, numbers in stored for number in numbers]
    if changed:
        scope, operation = journal.scope_number(db, drafts[0].scope), journal.next_operation(db)
        journal.log_operation(db, operation, scope, "import", changed, drafts[0].provenance, drafts[0].now)
    return [added for added, _ in stored]


def _under_key(db: apsw.Connection, draft: Draft) -> Draft:
    """A draft under its key as keys are kept, or as it is spelled where a live memory is: earlier versions kept them so."""
    kept = words.same_label(draft.key)
    if kept == draft.key or _live(db, [journal.scope_number(db, draft.scope)], "m.key = ?", draft.key):
        return draft
    return replace(draft, key=kept)


def _carried_before(db: apsw.Connection, draft: Draft) -> tuple[Added, list[int]] | None:
    """A value that is a past one here would be none of the live twins."""
    if not draft.key or draft.created is None:
        return None
    query = f"""SELECT m.number, m.id FROM memories m WHERE m.scope = ? AND m.key = ? AND m.fingerprint = ? AND m.created = ?
                AND m.forgotten IS NULL AND NOT ({LIVE})"""
    scope = journal.scope_number(db, draft.scope)
    row = first(db, query, (scope, draft.key, draft.fingerprint, to_micros(draft.created)))
    return row and (Added(UUID(bytes=row[1]), "already_known", None, embedded=journal.is_embedded(db, row[0])), [])


def _store(
    db: apsw.Connection, derived: Derived, draft: Draft, embedding: Embedding | None, within: Sequence[Scope]
) -> tuple[Added, list[int]]:
    """Store a draft as part of the next operation; the numbers of the memories that this made, first, and changed."""
    scope = journal.scope_number(db, draft.scope)
    twins = [row for row in _live(db, [scope], "m.fingerprint = ?", draft.fingerprint) if not draft.key or row[3] in ("", draft.key)]
    known = [row for row in twins if draft.key in ("", row[3]) and not _expired(row, draft.now)]
    if known and not draft.supersedes:
        row = min(known, key=lambda row: bool(row[3] != draft.key))
        return Added(UUID(bytes=row[1]), "already_known", None, embedded=journal.is_embedded(db, row[0])), []
    replaced = {row[0]: row for row in [*twins, *_superseded(db, draft, scope, within)]}
    operation = journal.next_operation(db)
    place = timeline.place_in_time(db, draft, scope)
    replaced = {number: row for number, row in replaced.items() if row[1] != (place.current and place.current.bytes)}
    valid_from = draft.dated or draft.now
    for row in replaced.values():
        _end(db, derived, row, draft.id, valid_from, operation, draft.now)
    for number in place.shortened:
        timeline.shorten(db, number, scope, draft.id, valid_from, operation, draft.now)
    number = _insert(db, draft, scope, operation, place)
    if embedding is not None:
        put_vector(db, number, embedding)
    derived.touch(db, number)
    ended = tuple(UUID(bytes=row[1]) for row in replaced.values() if not _expired(row, draft.now))
    status: AddStatus = "superseded" if ended else "stored"
    added = Added(draft.id, status, operation, ended, journal.is_embedded(db, number), place.current)
    return added, [number, *replaced, *place.shortened]


def _live(db: apsw.Connection, scopes: Sequence[int], condition: str, value: Any) -> list[Any]:
    marks = ", ".join("?" * len(scopes))
    query = f"SELECT m.number, m.id, m.scope, m.key, m.expires FROM memories m WHERE m.scope IN ({marks}) AND {condition} AND {LIVE}"
    return all_rows(db, query, (*scopes, value))


def _expired(row: Sequence[Any], now: datetime) -> bool:
    return row[4] is not None and row[4] <= to_micros(now)


def _end(
    db: apsw.Connection, derived: Derived, row: Sequence[Any], successor: UUID, since: datetime, operation: int, now: datetime
) -> None:
    number, scope = row[0], row[2]
    journal.keep_form(db, number, operation, now, content=False)
    db.execute(
        f"""UPDATE memories AS m SET superseded_by = ?, valid_to = coalesce(valid_to, max({VALID_FROM}, ?)), operation = ?, change = ?
            WHERE number = ?""",
        (successor.bytes, to_micros(since), operation, journal.next_revision(db, scope), number),
    )
    derived.touch(db, number)


def _superseded(db: apsw.Connection, draft: Draft, scope: int, within: Sequence[Scope]) -> list[Any]:
    found = _live(db, [scope], "m.key = ?", draft.key) if draft.key else []
    scopes = sorted({scope, *scope_numbers(db, within)})
    for memory_id in draft.supersedes:
        rows = _live(db, scopes, "m.id = ?", memory_id.bytes)
        if not rows:
            raise MemoryNotFoundError([memory_id])
        found += rows
    return found


def _insert(db: apsw.Connection, draft: Draft, scope: int, operation: int, place: timeline.Place) -> int:
    now = to_micros(draft.now)
    row: dict[str, Any] = {
        "id": draft.id.bytes,
        "scope": scope,
        "content": draft.content,
        "kind": draft.kind,
        "domain": draft.domain,
        "tags": to_json(draft.tags),
        "metadata": to_json(draft.metadata),
        "key": draft.key,
        "session_id": draft.session_id,
        "importance": draft.importance,
        "confidence": draft.confidence,
        "short_term": draft.retention == "short_term",
        "created": now if draft.created is None else to_micros(draft.created),
        "occurred": None if draft.occurred_at is None else to_micros(draft.occurred_at),
        "valid_from": None if draft.valid_from is None else to_micros(draft.valid_from),
        "valid_to": place.following and place.following[1],
        "expires": None if draft.expires_at is None else to_micros(draft.expires_at),
        "superseded_by": place.following and place.following[0],
        "fingerprint": draft.fingerprint,
        "salt": os.urandom(8),
        "actor": journal.actor_number(db, draft.provenance),
        "change": journal.next_revision(db, scope),
        "operation": operation,
    }
    try:
        db.execute(f"INSERT INTO memories ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row)
    except apsw.ConstraintError as error:
        raise ConflictError("A memory of this id was stored before: use a new id.") from error
    return db.last_insert_rowid()


def put_vector(db: apsw.Connection, memory: int, embedding: Embedding) -> None:
    """Set a memory's vectors, one a passage.

    Raises:
        TierError: They are not of the epoch's dimension.
    """
    epoch, dimension = epoch_number(db, embedding.epoch), embedding.vectors.shape[1]
    known = value(db, "SELECT dimension FROM epochs WHERE number = ?", (epoch,))
    if known is None:
        db.execute("UPDATE epochs SET dimension = ? WHERE number = ?", (dimension, epoch))
    elif known != dimension:
        raise TierError(TIER, f"A vector of {dimension} numbers does not belong to {embedding.epoch}.")
    db.execute(
        "INSERT OR REPLACE INTO vectors (memory, epoch, vector) VALUES (?, ?, ?)",
        (memory, epoch, to_blob(embedding.vectors)),
    )


def epoch_number(db: apsw.Connection, epoch: str) -> int:
    """The number of an epoch; the first one ever is the active one until another is adopted."""
    known = value(db, "SELECT number FROM epochs WHERE name = ?", (epoch,))
    if known is None:
        db.execute("INSERT INTO epochs (name, active) VALUES (?, (SELECT count(*) = 0 FROM epochs))", (epoch,))
        return db.last_insert_rowid()
    return int(known)


def is_active(db: apsw.Connection, epoch: str) -> bool:
    """Whether vectors are made in this epoch now."""
    return bool(value(db, "SELECT active FROM epochs WHERE number = ?", (epoch_number(db, epoch),)))


def revise(
    db: apsw.Connection,
    derived: Derived,
    scopes: Sequence[Scope],
    memory_id: UUID,
    changes: Changes,
    actor: Provenance,
    now: datetime,
) -> Operation:
    """`RecordStore.revise`."""
    number, scope = _one_live(db, scopes, memory_id)
    operation = journal.next_operation(db)
    twins = _live(db, [scope], "m.fingerprint = ?", changes.fingerprint) if changes.fingerprint else []
    expired = [twin for twin in twins if twin[0] != number and _expired(twin, now)]
    for twin in expired:
        _end(db, derived, twin, memory_id, now, operation, now)
    journal.keep_form(db, number, operation, now, content=changes.content is not None)
    new: dict[str, Any] = {"updated": to_micros(now), "operation": operation, "change": journal.next_revision(db, scope)}
    given: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "content": (changes.content, str),
        "fingerprint": (changes.fingerprint, bytes),
        "tags": (changes.tags, to_json),
        "metadata": (changes.metadata, to_json),
        "importance": (changes.importance, float),
        "expires": (changes.expires_at, to_micros),
    }
    if changes.relations:
        told = (
            changes.metadata
            if changes.metadata is not None
            else json.loads(only(db, "SELECT metadata FROM memories WHERE number = ?", (number,))[0])
        )
        given["metadata"] = (with_relations(told, changes.relations), to_json)
    new.update({column: convert(value) for column, (value, convert) in given.items() if value is not None})
    new.update({"expires": None, "short_term": 0} if changes.lasting else {})
    try:
        db.execute(
            f"UPDATE memories SET {', '.join(f'{name} = :{name}' for name in new)} WHERE number = :number",
            {**new, "number": number},
        )
    except apsw.ConstraintError as error:
        raise ConflictError(SAME_TEXT) from error
    if has_twin(db, number):
        raise ConflictError(SAME_TEXT)
    if changes.content is not None:
        db.execute("DELETE FROM vectors WHERE memory = ?", (number,))
    if changes.embedding is not None:
        put_vector(db, number, changes.embedding)
    derived.touch(db, number)
    return logged(db, operation, scope, "update", [number, *(twin[0] for twin in expired)], actor, now)


def has_twin(db: apsw.Connection, number: int) -> bool:
    """Whether a live memory's text is there a second time, and one of the two is under no key; the index sees to those of one key."""
    query = f"""SELECT 1 FROM memories m JOIN memories o ON o.scope = m.scope AND o.fingerprint = m.fingerprint AND o.number <> m.number
                WHERE m.number = ? AND {LIVE} AND o.forgotten IS NULL AND o.superseded_by IS NULL AND (m.key = '' OR o.key = '')"""
    return first(db, query, (number,)) is not None


def _one_live(db: apsw.Connection, scopes: Sequence[Scope], memory_id: UUID) -> tuple[int, int]:
    rows = _live(db, scope_numbers(db, scopes), "m.id = ?", memory_id.bytes)
    if not rows:
        raise MemoryNotFoundError([memory_id])
    return rows[0][0], rows[0][2]


def merge(
    db: apsw.Connection, derived: Derived, scope: Scope, keep: UUID, others: Sequence[UUID], actor: Provenance, now: datetime
) -> Operation:
    """`RecordStore.merge`."""
    _, home = _one_live(db, [scope], keep)
    ending = [row for other in dict.fromkeys(others) if other != keep for row in _live(db, [home], "m.id = ?", other.bytes)]
    missing = set(others) - {keep, *(UUID(bytes=row[1]) for row in ending)}
    if missing or not ending:
        raise MemoryNotFoundError(sorted(missing) or [keep])
    operation = journal.next_operation(db)
    for row in ending:
        _end(db, derived, row, keep, now, operation, now)
    return logged(db, operation, home, "merge", [row[0] for row in ending], actor, now)


def forget(
    db: apsw.Connection, derived: Derived, scopes: Sequence[Scope], ids: Sequence[UUID], actor: Provenance, now: datetime
) -> Operation:
    """`RecordStore.forget`; superseded memories may be forgotten too."""
    numbers = scope_numbers(db, scopes)
    marks = ", ".join("?" * len(numbers))
    found: dict[int, int] = {}
    missing: list[UUID] = []
    for memory_id in ids:
        query = f"SELECT number, scope FROM memories WHERE id = ? AND scope IN ({marks}) AND forgotten IS NULL"
        row = first(db, query, (memory_id.bytes, *numbers))
        if row is None:
            missing.append(memory_id)
        else:
            found[row[0]] = row[1]
    if missing or not found:
        raise MemoryNotFoundError(missing)
    operation = journal.next_operation(db)
    revisions = {scope: journal.next_revision(db, scope) for scope in set(found.values())}
    for number, scope in found.items():
        journal.keep_form(db, number, operation, now, content=False)
        db.execute(
            "UPDATE memories SET forgotten = ?, operation = ?, change = ? WHERE number = ?",
            (to_micros(now), operation, revisions[scope], number),
        )
        derived.touch(db, number)
    return logged(db, operation, next(iter(found.values())), "forget", list(found), actor, now)


def logged(
    db: apsw.Connection,
    number: int,
    scope: int,
    action: str,
    memories: Sequence[int],
    actor: Provenance,
    now: datetime,
    undoes: int | None = None,
) -> Operation:
    """Log an operation; its entry."""
    journal.log_operation(db, number, scope, action, memories, actor, now, undoes)
    logged = journal.read_operation(db, number)
    assert logged is not None
    return logged


def count_uses(db: apsw.Connection, tenant: str, times: Mapping[UUID, int], now: datetime) -> None:
    """`RecordStore.count_uses`."""
    db.executemany(
        f"""INSERT INTO uses (memory, recalled, last)
            SELECT m.number, ?, ? FROM memories m JOIN scopes s ON s.number = m.scope WHERE m.id = ? AND s.tenant = ? AND NOT {ERASED}
            ON CONFLICT (memory) DO UPDATE SET recalled = recalled + excluded.recalled, last = excluded.last""",
        [(count, to_micros(now), memory_id.bytes, tenant) for memory_id, count in times.items()],
    )
