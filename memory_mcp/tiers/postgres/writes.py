"""The writes: each carried out in one transaction of one tenant, alone with it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any
from uuid import UUID

import anyio
from psycopg.errors import UniqueViolation

from memory_mcp.clock import to_micros
from memory_mcp.errors import ConflictError, MemoryNotFoundError
from memory_mcp.models import Added, AddStatus, Changes, Draft, Embedding, Operation, Provenance, Scope
from memory_mcp.text.entities import with_relations
from memory_mcp.text.words import same_label
from memory_mcp.tiers.postgres import journal, log, timeline
from memory_mcp.tiers.postgres.journal import Derived, Words
from memory_mcp.tiers.postgres.receipts import earlier_receipt, keep_receipt
from memory_mcp.tiers.postgres.rows import ERASED, IN_SCOPES, LIVE, actor_row, micros, to_json
from memory_mcp.tiers.postgres.session import Transaction

SAME_TEXT = "A live memory has exactly this text already: forget one of the two instead."
SAME_ID = "A memory of this id was stored before: use a new id."

_LONG_TEXT = 20_000
"""Characters; the words of a longer one are looked for beside the event loop."""

_FOUND = f"""
    SELECT m.id, m.key, m.expires, m.content, m.salt, {journal.HAS_VECTOR}, s.namespace
    FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope WHERE {LIVE} AND s.namespace = ANY(%(namespaces)s)"""
_ID, _KEY, _EXPIRES, _CONTENT, _SALT, _EMBEDDED, _NAMESPACE = range(7)

_COLUMNS = (
    "content kind domain tags metadata key session_id importance confidence short_term created updated occurred valid_from valid_to "
    "expires superseded_by fingerprint salt actor operation"
).split()


async def words_of(draft: Draft) -> Words:
    """The words of a text about to be stored."""
    read = partial(journal.words_of, draft.content, draft.tags, draft.key, draft.metadata)
    return await anyio.to_thread.run_sync(read) if len(draft.content) > _LONG_TEXT else read()


async def add(tx: Transaction, derived: Derived, draft: Draft, embedding: Embedding | None, within: Sequence[Scope], words: Words) -> Added:
    """`RecordStore.add`."""
    head = await log.lock_tenant(tx)
    earlier = await earlier_receipt(tx, draft)
    if earlier is not None:
        return earlier
    storing = await _look(tx, head, await _under_key(tx, draft), embedding, within)
    if isinstance(storing, Added):
        return await keep_receipt(tx, draft, storing)
    try:
        async with tx.together():
            await storing.write(tx, derived, words)
            await log.append(tx, head, draft.scope, "remember", storing.subjects, draft.provenance, draft.now)
            await keep_receipt(tx, draft, storing.added)
    except UniqueViolation as error:
        raise ConflictError(SAME_ID) from error
    await storing.finish(tx, derived)
    return storing.added


async def add_many(tx: Transaction, derived: Derived, drafts: Sequence[Draft], words: Sequence[Words]) -> list[Added]:
    """`RecordStore.add_many`."""
    head = await log.lock_tenant(tx)
    home = {"namespaces": [drafts[0].scope.namespace], "fingerprints": [draft.fingerprint for draft in drafts]}
    query = f"SELECT m.fingerprint FROM memories m WHERE m.scope {IN_SCOPES} AND m.fingerprint = ANY(%(fingerprints)s) AND {LIVE}"
    there = {row[0] for row in await tx.rows(query, home)}
    stored: list[Added] = []
    waiting: list[tuple[_Storing, Words]] = []
    subjects = b""
    for draft, of_draft in zip(drafts, words, strict=True):
        storing: _Storing | Added = _new(head, draft, None, None)
        if draft.key or draft.fingerprint in there:  # one that may meet another sees what those before it have ended
            await _write_all(tx, derived, waiting)
            keyed = await _under_key(tx, draft)
            storing = await _carried_before(tx, keyed) or await _look(tx, head, keyed, None, ())
        if isinstance(storing, Added):
            stored.append(storing)
        else:
            waiting.append((storing, of_draft))
            stored.append(storing.added)
            subjects += storing.subjects
    await _write_all(tx, derived, waiting)
    if subjects:
        await log.append(tx, head, drafts[0].scope, "import", subjects, drafts[0].provenance, drafts[0].now)
    return stored


async def _write_all(tx: Transaction, derived: Derived, waiting: list[tuple["_Storing", Words]]) -> None:
    """Store what waits for it, and empty the list."""
    try:
        async with tx.together():
            for storing, words in waiting:
                await storing.write(tx, derived, words)
    except UniqueViolation as error:
        raise ConflictError(SAME_ID) from error
    for storing, _ in waiting:
        await storing.finish(tx, derived)
    waiting.clear()


async def _under_key(tx: Transaction, draft: Draft) -> Draft:
    """A draft under its key as keys are kept, or as it is spelled where a live memory is: earlier versions kept them so."""
    kept = same_label(draft.key)
    if kept == draft.key or await tx.rows(f"{_FOUND} AND m.key = %(key)s", {"namespaces": [draft.scope.namespace], "key": draft.key}):
        return draft
    return replace(draft, key=kept)


async def _carried_before(tx: Transaction, draft: Draft) -> Added | None:
    """A value that is a past one here would be none of the live twins."""
    if not draft.key or draft.created is None:
        return None
    row = await tx.row(
        f"""SELECT m.id, {journal.HAS_VECTOR} FROM memories m WHERE m.scope {IN_SCOPES} AND m.key = %(key)s
            AND m.fingerprint = %(fingerprint)s AND m.created = %(created)s AND m.forgotten IS NULL AND NOT ({LIVE})""",
        {
            "namespaces": [draft.scope.namespace],
            "key": draft.key,
            "fingerprint": draft.fingerprint,
            "created": to_micros(draft.created),
        },
    )
    return None if row is None else Added(row[0], "already_known", None, embedded=row[1])


@dataclass(frozen=True, slots=True)
class _Storing:
    """A draft that is new, and what storing it will do.

    Attributes:
        replaced: Memories that it ends.
        subjects: What the log says of the memories that are made, first, and changed.
    """

    draft: Draft
    embedding: Embedding | None
    epoch: journal.Epoch | None
    operation: int
    replaced: Sequence[UUID]
    place: timeline.Place
    salt: bytes
    added: Added
    subjects: bytes

    async def write(self, tx: Transaction, derived: Derived, words: Words) -> None:
        """Store it; nothing is waited for."""
        draft, since = self.draft, self.draft.dated or self.draft.now
        if self.replaced:
            await _end(tx, list(self.replaced), draft.id, since, self.operation, draft.now)
        await timeline.shorten(tx, self.place.shortened, draft.id, since, self.operation, draft.now)
        await _insert(tx, draft, self.salt, self.operation, self.place)
        if self.embedding is not None and self.epoch is not None:
            await journal.put_vectors(tx, draft.id, self.embedding, self.epoch, fresh=True)
        if self.place.current is None:
            await derived.add(tx, draft.id, words, self.replaced, embedded=self.added.embedded)

    async def finish(self, tx: Transaction, derived: Derived) -> None:
        """What has to wait for that: of a past value there are no words."""
        if self.place.current is not None:
            await derived.touch(tx, [self.draft.id, *self.replaced])


async def _look(tx: Transaction, head: log.Head, draft: Draft, embedding: Embedding | None, within: Sequence[Scope]) -> _Storing | Added:
    """What storing a draft will do; or the live memory that says it already."""
    home = {"namespaces": [draft.scope.namespace], "fingerprint": draft.fingerprint, "key": draft.key}
    same = await tx.rows(f"{_FOUND} AND m.fingerprint = %(fingerprint)s", home)
    twins = [row for row in same if not draft.key or row[_KEY] in ("", draft.key)]
    known = [row for row in twins if draft.key in ("", row[_KEY]) and not _expired(row, draft.now)]
    if known and not draft.supersedes:
        row = min(known, key=lambda row: bool(row[_KEY] != draft.key))
        return Added(row[_ID], "already_known", None, embedded=row[_EMBEDDED])
    holders = await tx.rows(f"{_FOUND} AND m.key = %(key)s", home) if draft.key else []
    replaced = {row[_ID]: row for row in [*twins, *holders, *await _superseded(tx, draft, within)]}
    place = await timeline.place_in_time(tx, draft)
    replaced = {memory_id: row for memory_id, row in replaced.items() if memory_id != place.current}
    epoch = None if embedding is None else await journal.epoch_of(tx, embedding.epoch, embedding.vectors.shape[1])
    return _new(head, draft, embedding, epoch, replaced, place, await log.subjects_of(tx, place.shortened) if place.shortened else b"")


def _new(
    head: log.Head,
    draft: Draft,
    embedding: Embedding | None,
    epoch: journal.Epoch | None,
    replaced: Mapping[UUID, Sequence[Any]] = MappingProxyType({}),
    place: timeline.Place = timeline.NOW,
    shortened: bytes = b"",
) -> _Storing:
    """What storing a draft will do that ends these rows, and takes that place in time."""
    salt = os.urandom(8)
    ended = tuple(memory_id for memory_id, row in replaced.items() if not _expired(row, draft.now))
    status: AddStatus = "superseded" if ended else "stored"
    added = Added(draft.id, status, head.number, ended, epoch is not None and epoch.active, place.current)
    subjects = draft.id.bytes + log.digest(draft.content, salt)
    subjects += b"".join(memory_id.bytes + log.digest(row[_CONTENT], row[_SALT]) for memory_id, row in replaced.items())
    return _Storing(draft, embedding, epoch, head.number, list(replaced), place, salt, added, subjects + shortened)


def _expired(row: Sequence[Any], now: datetime) -> bool:
    return row[_EXPIRES] is not None and row[_EXPIRES] <= to_micros(now)


async def _end(tx: Transaction, ids: list[UUID], successor: UUID, since: datetime, operation: int, now: datetime) -> None:
    await journal.keep_forms(tx, ids, operation, now)
    await tx.run(
        """UPDATE memories SET superseded_by = %(successor)s, valid_to = coalesce(valid_to, greatest(valid_from, %(since)s)),
                  operation = %(operation)s WHERE id = ANY(%(ids)s)""",
        {"ids": ids, "successor": successor, "since": to_micros(since), "operation": operation},
    )
    await journal.mark_changed(tx, ids)


async def _superseded(tx: Transaction, draft: Draft, within: Sequence[Scope]) -> list[Any]:
    if not draft.supersedes:
        return []
    namespaces = {draft.scope.namespace, *(scope.namespace for scope in within if scope.tenant == draft.scope.tenant)}
    rows = await tx.rows(f"{_FOUND} AND m.id = ANY(%(ids)s)", {"namespaces": list(namespaces), "ids": list(draft.supersedes)})
    found = {row[_ID]: row for row in rows}
    for memory_id in draft.supersedes:
        if memory_id not in found:
            raise MemoryNotFoundError([memory_id])
    return [found[memory_id] for memory_id in draft.supersedes]


async def _insert(tx: Transaction, draft: Draft, salt: bytes, operation: int, place: timeline.Place) -> None:
    created = to_micros(draft.created or draft.now)
    row: dict[str, Any] = {
        "content": draft.content,
        "kind": draft.kind,
        "domain": draft.domain,
        "tags": list(draft.tags),
        "metadata": to_json(draft.metadata),
        "key": draft.key,
        "session_id": draft.session_id,
        "importance": draft.importance,
        "confidence": draft.confidence,
        "short_term": draft.retention == "short_term",
        "created": created,
        "updated": created,
        "occurred": micros(draft.occurred_at),
        "valid_from": to_micros(draft.dated or draft.now),
        "valid_to": place.following and place.following[1],
        "expires": micros(draft.expires_at),
        "superseded_by": place.following and place.following[0],
        "fingerprint": draft.fingerprint,
        "salt": salt,
        "actor": actor_row(draft.provenance),
        "operation": operation,
    }
    await tx.run(
        f"""WITH home AS (INSERT INTO scopes (tenant, namespace, revision) VALUES (%(tenant)s, %(namespace)s, {journal.STRIDE})
                          ON CONFLICT (tenant, namespace) DO UPDATE SET revision = scopes.revision + {journal.STRIDE}
                          RETURNING number, revision)
            INSERT INTO memories (tenant, id, scope, change, {", ".join(_COLUMNS)})
            SELECT %(tenant)s, %(id)s, number, revision, {", ".join(f"%({name})s" for name in _COLUMNS)} FROM home""",
        {**row, "tenant": draft.scope.tenant, "namespace": draft.scope.namespace, "id": draft.id},
    )


async def revise(
    tx: Transaction, derived: Derived, scopes: Sequence[Scope], memory_id: UUID, changes: Changes, actor: Provenance, now: datetime
) -> Operation:
    """`RecordStore.revise`."""
    head = await log.lock_tenant(tx)
    rows = await tx.rows(f"{_FOUND} AND m.id = %(id)s", {"namespaces": _namespaces(scopes), "id": memory_id})
    if not rows:
        raise MemoryNotFoundError([memory_id])
    namespace = rows[0][_NAMESPACE]
    twins = []
    if changes.fingerprint:
        twins = await tx.rows(f"{_FOUND} AND m.fingerprint = %(twin)s", {"namespaces": [namespace], "twin": changes.fingerprint})
    expired = [twin[_ID] for twin in twins if twin[_ID] != memory_id and _expired(twin, now)]
    if expired:
        await _end(tx, expired, memory_id, now, head.number, now)
    await journal.keep_forms(tx, [memory_id], head.number, now, contents=[] if changes.content is None else [memory_id])
    given = {
        "content": changes.content,
        "fingerprint": changes.fingerprint,
        "tags": None if changes.tags is None else list(changes.tags),
        "metadata": None if changes.metadata is None else to_json(changes.metadata),
        "importance": changes.importance,
        "expires": micros(changes.expires_at),
    }
    if changes.relations:
        told = changes.metadata
        if told is None:
            told = await tx.value("SELECT metadata FROM memories WHERE id = %(id)s", {"id": memory_id})
        given["metadata"] = to_json(with_relations(told, changes.relations))
    new: dict[str, Any] = {"updated": to_micros(now), "operation": head.number}
    new |= {name: value for name, value in given.items() if value is not None}
    new |= {"expires": None, "short_term": False} if changes.lasting else {}
    try:
        await tx.run(f"UPDATE memories SET {', '.join(f'{name} = %({name})s' for name in new)} WHERE id = %(id)s", {**new, "id": memory_id})
    except UniqueViolation as error:
        raise ConflictError(SAME_TEXT) from error
    if await has_twin(tx, [memory_id]):
        raise ConflictError(SAME_TEXT)
    await journal.mark_changed(tx, [memory_id])
    if changes.content is not None:
        await tx.run("DELETE FROM vectors WHERE memory = %(id)s", {"id": memory_id})
    if changes.embedding is not None:
        epoch = await journal.epoch_of(tx, changes.embedding.epoch, changes.embedding.vectors.shape[1])
        await journal.put_vectors(tx, memory_id, changes.embedding, epoch)
    await derived.touch(tx, [memory_id, *expired])
    subjects = await log.subjects_of(tx, [memory_id, *expired])
    return await log.append(tx, head, Scope(tx.tenant, namespace), "update", subjects, actor, now)


def _namespaces(scopes: Sequence[Scope]) -> list[str]:
    return [scope.namespace for scope in scopes]


async def merge(
    tx: Transaction, derived: Derived, scope: Scope, keep: UUID, others: Sequence[UUID], actor: Provenance, now: datetime
) -> Operation:
    """`RecordStore.merge`."""
    head = await log.lock_tenant(tx)
    wanted = {keep, *others}
    rows = await tx.rows(f"{_FOUND} AND m.id = ANY(%(ids)s)", {"namespaces": [scope.namespace], "ids": list(wanted)})
    missing = wanted - {row[_ID] for row in rows}
    if missing or wanted == {keep}:
        raise MemoryNotFoundError(sorted(missing) or [keep])
    ending = [memory_id for memory_id in dict.fromkeys(others) if memory_id != keep]
    await _end(tx, ending, keep, now, head.number, now)
    await derived.touch(tx, ending)
    subjects = await log.subjects_of(tx, ending)
    return await log.append(tx, head, scope, "merge", subjects, actor, now)


async def forget(
    tx: Transaction, derived: Derived, scopes: Sequence[Scope], ids: Sequence[UUID], actor: Provenance, now: datetime
) -> Operation:
    """`RecordStore.forget`; superseded memories may be forgotten too."""
    head = await log.lock_tenant(tx)
    rows = await tx.rows(
        f"""SELECT m.id, s.namespace FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope
            WHERE m.id = ANY(%(ids)s) AND m.scope {IN_SCOPES} AND m.forgotten IS NULL""",
        {"ids": list(ids), "namespaces": _namespaces(scopes)},
    )
    homes: dict[UUID, str] = dict(rows)
    missing = [memory_id for memory_id in ids if memory_id not in homes]
    if missing or not homes:
        raise MemoryNotFoundError(missing)
    found = [memory_id for memory_id in dict.fromkeys(ids) if memory_id in homes]
    await journal.keep_forms(tx, found, head.number, now)
    await mark_forgotten(tx, found, head.number, now)
    await journal.mark_changed(tx, found)
    await derived.touch(tx, found)
    subjects = await log.subjects_of(tx, found)
    return await log.append(tx, head, Scope(tx.tenant, homes[found[0]]), "forget", subjects, actor, now)


async def mark_forgotten(tx: Transaction, ids: list[UUID], operation: int, now: datetime) -> None:
    """Put memories into the trash."""
    await tx.run(
        "UPDATE memories SET forgotten = %(now)s, operation = %(operation)s WHERE id = ANY(%(ids)s)",
        {"ids": ids, "now": to_micros(now), "operation": operation},
    )


async def has_twin(tx: Transaction, ids: Sequence[UUID]) -> bool:
    """Whether a live memory's text is there a second time, and one of the two is under no key; the index sees to those of one key."""
    query = f"""SELECT FROM memories m JOIN memories o ON o.scope = m.scope AND o.fingerprint = m.fingerprint AND o.id <> m.id
                WHERE m.id = ANY(%(ids)s) AND {LIVE} AND o.forgotten IS NULL AND o.superseded_by IS NULL AND (m.key = '' OR o.key = '')"""
    return await tx.row(query, {"ids": list(ids)}) is not None


async def count_uses(tx: Transaction, times: Mapping[UUID, int], now: datetime) -> None:
    """`RecordStore.count_uses`; one write at a time, else a count would outlive the memory that is erased meanwhile."""
    await log.lock_tenant(tx)
    await tx.run(
        f"""INSERT INTO uses (tenant, memory, recalled, last)
           SELECT m.tenant, m.id, i.times, %(now)s FROM unnest(%(ids)s::uuid[], %(times)s::bigint[]) i (id, times)
           JOIN memories m ON m.id = i.id AND NOT {ERASED} ORDER BY m.id
           ON CONFLICT (tenant, memory) DO UPDATE SET recalled = uses.recalled + excluded.recalled, last = excluded.last""",
        {"ids": list(times), "times": list(times.values()), "now": to_micros(now)},
    )
