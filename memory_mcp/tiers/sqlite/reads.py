"""The reads: each a function over a reading connection, short, in one read transaction."""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import apsw
import numpy as np

from memory_mcp.clock import from_micros, to_micros
from memory_mcp.contracts import Comparison
from memory_mcp.errors import MemoryNotFoundError
from memory_mcp.models import NEVER, Changed, Delta, Filter, Hit, Matrix, Memory, Points, Scope, StoreCounts, Version
from memory_mcp.text import words
from memory_mcp.tiers.sqlite.query import all_rows, first, value
from memory_mcp.tiers.sqlite.rows import (
    ERASED,
    LIVE,
    MEMORY_COLUMNS,
    MEMORY_TABLES,
    VALID_FROM,
    WHEN,
    conditions,
    from_blobs,
    ids_json,
    memory_from,
    passage_counts,
    scope_numbers,
    tags_from,
)
from memory_mcp.tiers.sqlite.spelling import scope_word

_LABEL_WEIGHT = 0.5
"""Of a word in tags, key or metadata, against one in the text itself."""


def revisions(db: apsw.Connection, scopes: Sequence[Scope]) -> tuple[int, ...]:
    """`RecordStore.revisions`."""
    query = "SELECT revision FROM scopes WHERE tenant = ? AND namespace = ?"
    return tuple(value(db, query, (scope.tenant, scope.namespace)) or 0 for scope in scopes)


def scopes(db: apsw.Connection, tenant: str) -> list[Scope]:
    """`RecordStore.scopes`."""
    query = "SELECT namespace FROM scopes WHERE tenant = ? AND namespace <> '' ORDER BY number"
    return [Scope(tenant, row[0]) for row in all_rows(db, query, (tenant,))]


def get_many(db: apsw.Connection, scopes: Sequence[Scope], ids: Sequence[UUID]) -> list[Memory]:
    """`RecordStore.get_many`."""
    query = f"""SELECT {MEMORY_COLUMNS} FROM json_each(:ids) wanted CROSS JOIN {MEMORY_TABLES}
                WHERE m.id = unhex(wanted.value) AND m.scope IN ({_numbers(db, scopes)}) AND m.forgotten IS NULL"""
    found = {memory.id: memory for memory in map(memory_from, all_rows(db, query, {"ids": ids_json(ids)}))}
    return [found[memory_id] for memory_id in dict.fromkeys(ids) if memory_id in found]


def _numbers(db: apsw.Connection, scopes: Sequence[Scope]) -> str:
    return ", ".join(map(str, scope_numbers(db, scopes)))


def newest(
    db: apsw.Connection, scopes: Sequence[Scope], where: Filter, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[Memory]:
    """`RecordStore.newest`: each scope by itself, in the order of its index, then merged."""
    more, values = conditions(where)
    if after is not None:
        more += f" AND {WHEN} <= :when AND ({WHEN} < :when OR m.id > :id)"  # the first alone is what the index can begin at
        values |= {"when": to_micros(after[0]), "id": after[1].bytes}
    query = f"""SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES}
                WHERE m.scope = :scope AND {LIVE}{more} ORDER BY {WHEN} DESC, m.id LIMIT :limit"""
    found: list[Memory] = []
    for number in scope_numbers(db, scopes):
        found += map(memory_from, all_rows(db, query, {**values, "scope": number, "limit": limit}))
    found.sort(key=lambda memory: (-to_micros(memory.when), memory.id.bytes))
    return found[:limit]


def history(db: apsw.Connection, scopes: Sequence[Scope], memory_id: UUID) -> list[Version]:
    """`RecordStore.history`."""
    present = get_many(db, scopes, [memory_id])
    if not present:
        raise MemoryNotFoundError([memory_id])
    query = """SELECT n, v.operation, replaced, v.content, form FROM versions v JOIN memories m ON m.number = v.memory
               WHERE m.id = ? ORDER BY n DESC"""
    versions: list[Version] = []
    following = present[0]
    for n, operation, replaced, content, form in all_rows(db, query, (memory_id.bytes,)):
        following = _past_form(following, content, json.loads(form))
        versions.append(Version(n, following, from_micros(replaced), operation))
    return versions[::-1]


def _past_form(following: Memory, content: str | None, form: dict[str, Any]) -> Memory:
    def moment(name: str) -> datetime | None:
        return None if form[name] is None else from_micros(form[name])

    return replace(
        following,
        content=following.content if content is None else content,
        kind=form["kind"],
        domain=form["domain"],
        tags=tags_from(form["tags"]),
        metadata=json.loads(form["metadata"]),
        key=form["key"],
        session_id=form["session_id"],
        importance=form["importance"],
        confidence=form["confidence"],
        retention="short_term" if form["short_term"] else "long_term",
        updated_at=moment("updated") or following.created_at,
        occurred_at=moment("occurred"),
        valid_from=moment("valid_from") or moment("occurred") or following.created_at,
        valid_to=moment("valid_to"),
        expires_at=moment("expires"),
        superseded_by=UUID(hex=form["superseded_by"]) if form["superseded_by"] else None,
        forgotten_at=moment("forgotten"),
    )


def search_text(db: apsw.Connection, scopes: Sequence[Scope], text: str, where: Filter, limit: int) -> list[Hit]:
    """`TextIndex.search_text`: BM25 over the words, each quoted, so that no operator is left in them (rule R11)."""
    terms = words.query_terms(text)
    numbers = scope_numbers(db, scopes)
    if not terms or not numbers:
        return []
    any_scope = " OR ".join(f'"{scope_word(number)}"' for number in numbers)
    any_term = " OR ".join(f'"{term}"' for term in terms)
    more, values = conditions(where)
    query = f"""SELECT m.id, -bm25(words, 1, {_LABEL_WEIGHT}, 0) AS score FROM words JOIN memories m ON m.number = words.rowid
                WHERE words MATCH :match AND m.scope IN ({", ".join(map(str, numbers))}) AND {LIVE}{more}
                ORDER BY score DESC, m.id LIMIT :limit"""
    match = f"{{scope}} : ({any_scope}) AND {{body labels}} : ({any_term})"
    return [Hit(UUID(bytes=row[0]), row[1]) for row in all_rows(db, query, {**values, "match": match, "limit": limit})]


_CHUNK = 4096
"""Vectors held at once by a search that reads them all."""

_POINT_COLUMNS = f"m.id, v.vector, m.kind, m.domain, m.tags, {WHEN}, m.expires"


def vector_changes(db: apsw.Connection, scope: Scope, since: int, epoch: str, limit: int | None = None) -> Delta:
    """`VectorSource.vector_changes`."""
    (revision,) = revisions(db, [scope])
    whole = since == 0 or since > revision  # beyond it: an older copy of the store was put in place
    known = first(db, "SELECT number, dimension FROM epochs WHERE name = ?", (epoch,))
    numbers = scope_numbers(db, [scope])
    if not known or not numbers:
        return Delta(points_from([], 0), [], revision, whole=True)
    after = 0 if whole else since
    revision = _end_of_page(db, numbers[0], after, limit) or revision
    query = f"""SELECT {_POINT_COLUMNS} FROM memories m JOIN vectors v ON v.memory = m.number AND v.epoch = ?
                WHERE m.scope = ? AND m.change > ? AND m.change <= ? AND {LIVE}"""
    rows = all_rows(db, query, (known[0], numbers[0], after, revision))
    removed: list[UUID] = []
    if not whole:
        query = f"""SELECT m.id FROM memories m LEFT JOIN vectors v ON v.memory = m.number AND v.epoch = ?
                    WHERE m.scope = ? AND m.change > ? AND m.change <= ? AND NOT ({LIVE} AND v.memory IS NOT NULL)"""
        removed = [UUID(bytes=row[0]) for row in all_rows(db, query, (known[0], numbers[0], since, revision))]
    return Delta(points_from(rows, known[1]), removed, revision, whole)


def identity(db: apsw.Connection) -> str | None:
    """`Origin.identity`, if it has been made."""
    known = value(db, "SELECT value FROM secrets WHERE name = 'identity'")
    return None if known is None else bytes(known).hex()


def active_epoch(db: apsw.Connection) -> str | None:
    """`Origin.active_epoch`."""
    name: str | None = value(db, "SELECT name FROM epochs WHERE active")
    return name


def tenants(db: apsw.Connection) -> list[str]:
    """`Origin.tenants`."""
    return [row[0] for row in all_rows(db, "SELECT DISTINCT tenant FROM scopes ORDER BY tenant")]


def changed(db: apsw.Connection, scope: Scope, since: int, limit: int | None = None) -> Changed:
    """`VectorSource.changed`."""
    (revision,) = revisions(db, [scope])
    whole = since == 0 or since > revision
    numbers = scope_numbers(db, [scope])
    if not numbers:
        return Changed([], [], revision, whole=True)
    after = 0 if whole else since
    revision = _end_of_page(db, numbers[0], after, limit) or revision
    values = (numbers[0], after, revision)
    query = f"SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES} WHERE m.scope = ? AND m.change > ? AND m.change <= ? AND {LIVE}"
    memories = [memory_from(row) for row in all_rows(db, query, values)]
    removed: list[UUID] = []
    if not whole:
        query = f"SELECT m.id FROM memories m WHERE m.scope = ? AND m.change > ? AND m.change <= ? AND NOT ({LIVE})"
        removed = [UUID(bytes=row[0]) for row in all_rows(db, query, values)]
    return Changed(memories, removed, revision, whole)


def _end_of_page(db: apsw.Connection, scope: int, after: int, limit: int | None) -> int | None:
    """The revision of the last of so many changes; None: there are fewer."""
    if limit is None:
        return None
    query = "SELECT change FROM memories WHERE scope = ? AND change > ? ORDER BY change LIMIT 1 OFFSET ?"
    found: int | None = value(db, query, (scope, after, limit - 1))
    return found


def compare(db: apsw.Connection, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
    """`VectorSource.compare`."""
    query = f"""SELECT m.id, v.vector FROM json_each(:ids) wanted CROSS JOIN memories m JOIN vectors v ON v.memory = m.number
                JOIN epochs e ON e.number = v.epoch
                WHERE m.id = unhex(wanted.value) AND m.scope IN ({_numbers(db, [scope])}) AND e.name = :epoch"""
    found = dict(all_rows(db, query, {"ids": ids_json(ids), "epoch": epoch}))
    q, d = vectors.shape
    similarity = np.full((len(ids), q), np.nan, np.float32)
    passage = np.zeros(len(ids), np.intp)
    for row, memory_id in enumerate(ids):
        if memory_id.bytes in found:
            scores = from_blobs([found[memory_id.bytes]], d) @ vectors.T
            similarity[row], passage[row] = scores.max(0), scores[:, 0].argmax()
    return Comparison(similarity, passage, np.empty((0, q), np.float32))


def points_from(rows: Sequence[Sequence[Any]], dimension: int | None) -> Points:
    """Points from rows of id, vectors, kind, domain, tags, when, expires; one for each vector."""
    if rows and dimension and (counts := passage_counts([row[1] for row in rows], dimension)) != [1] * len(rows):
        rows = [(row[0], row[1] if n == 0 else b"", *row[2:]) for row, count in zip(rows, counts, strict=True) for n in range(count)]
    ids, blobs, kinds, domains, tags, when, expires = zip(*rows, strict=True) if rows else ((),) * 7
    return Points(
        ids=[UUID(bytes=memory_id) for memory_id in ids],
        vectors=from_blobs(blobs, dimension) if dimension else np.empty((0, 0), np.float32),
        kinds=kinds,
        domains=domains,
        tags=[tags_from(text) for text in tags],
        when=np.array(when, dtype=np.int64),
        expires=np.array([NEVER if moment is None else moment for moment in expires], dtype=np.int64),
    )


def search_vectors(db: apsw.Connection, scope: Scope, vectors: Matrix, where: Filter, limit: int, epoch: str) -> list[list[Hit]]:
    """`VectorIndex.search` by reading every vector that passes the filter: exact, and the last resort."""
    more, values = conditions(where)
    query = f"""SELECT m.id, v.vector FROM memories m JOIN vectors v ON v.memory = m.number JOIN epochs e ON e.number = v.epoch
                WHERE m.scope IN ({_numbers(db, [scope])}) AND e.name = :epoch AND {LIVE}{more}"""
    rows = db.execute(query, {**values, "epoch": epoch})
    best: list[list[Hit]] = [[] for _ in vectors]
    dimension = vectors.shape[1]
    while chunk := list(islice(rows, _CHUNK)):
        blobs = [row[1] for row in chunk]
        scores = vectors @ from_blobs(blobs, dimension).T
        ends = np.cumsum(passage_counts(blobs, dimension))
        starts = np.concatenate(([0], ends[:-1]))
        for kept, of_passages, of_memories in zip(best, scores, np.maximum.reduceat(scores, starts, axis=1), strict=True):
            least = np.partition(of_memories, -limit)[-limit] if limit < len(chunk) else -np.inf
            for n in np.flatnonzero(of_memories >= least).tolist():  # those that tie with the last among them
                passage = int(of_passages[starts[n] : ends[n]].argmax())
                kept.append(Hit(UUID(bytes=chunk[n][0]), float(of_memories[n]), passage))
            kept.sort(key=lambda hit: (-hit.score, hit.id.bytes))
            del kept[limit:]
    return best


_PRESENT_EPOCH = "(SELECT number FROM epochs WHERE active)"


def as_of(
    db: apsw.Connection, scopes: Sequence[Scope], where: Filter, moment: datetime, vector: Matrix | None, text: str, limit: int
) -> list[tuple[Memory, float]]:
    """`RecordStore.as_of`: valid time decides which memories, the record's own time which of their forms."""
    more, values = conditions(where)
    query = f"""SELECT v.vector, m.number, {MEMORY_COLUMNS} FROM {MEMORY_TABLES}
                LEFT JOIN vectors v ON v.memory = m.number AND v.epoch = {_PRESENT_EPOCH}
                WHERE m.scope IN ({_numbers(db, scopes)}) AND m.forgotten IS NULL
                  AND {VALID_FROM} <= :moment AND (m.valid_to IS NULL OR m.valid_to > :moment){more}"""
    rows = all_rows(db, query, {**values, "moment": to_micros(moment)})
    then = _texts_at(db, moment, [row[1] for row in rows])
    terms = set(words.query_terms(text))
    scored: list[tuple[Memory, float]] = []
    for row in rows:
        memory, blob = memory_from(row[2:]), row[0]
        if row[1] in then:
            content, blob = then[row[1]]
            memory = replace(memory, content=content)
        scored.append((memory, _likeness(memory.content, blob, vector, terms)))
    scored.sort(key=lambda pair: (-pair[1], -pair[0].when.timestamp(), pair[0].id.bytes))
    return [pair for pair in scored if pair[1] > 0 or not terms][:limit]


def _texts_at(db: apsw.Connection, moment: datetime, numbers: Sequence[int]) -> dict[int, tuple[str, bytes | None]]:
    """The texts, with vectors, of those memories that were rewritten after `moment`."""
    query = f"""SELECT memory, content, iif(epoch = {_PRESENT_EPOCH}, vector, NULL) FROM versions
                WHERE memory IN (SELECT value FROM json_each(?)) AND replaced > ? AND content IS NOT NULL ORDER BY memory, n DESC"""
    return {memory: (content, vector) for memory, content, vector in all_rows(db, query, (json.dumps(list(numbers)), to_micros(moment)))}


def _likeness(content: str, blob: bytes | None, vector: Matrix | None, terms: set[str]) -> float:
    shared = len(terms.intersection(words.split_words(content, for_index=True))) / len(terms) if terms else 0.0
    if vector is None or not blob or len(blob) % (2 * len(vector)):
        return shared
    similarity = float((from_blobs([blob], len(vector)) @ vector).max())
    return 0.7 * min(1.0, max(0.0, similarity)) + 0.3 * shared


def counts(db: apsw.Connection, tenant: str, namespaces: Collection[str] | None = None) -> StoreCounts:
    """`RecordStore.counts`."""
    within = "s.tenant = ?" if namespaces is None else "s.tenant = ? AND s.namespace IN (SELECT value FROM json_each(?))"
    place = (tenant,) if namespaces is None else (tenant, json.dumps(list(namespaces)))
    live: dict[str, int] = defaultdict(int)
    kinds: dict[str, int] = defaultdict(int)
    query = f"""SELECT s.namespace, m.kind, count(*) FROM memories m JOIN scopes s ON s.number = m.scope
                WHERE {within} AND {LIVE} GROUP BY 1, 2"""
    for namespace, kind, count in all_rows(db, query, place):
        live[namespace] += count
        kinds[kind] += count

    def one(sql: str, *values: Any) -> int:
        return int(value(db, sql, values))

    mine = f"memories m JOIN scopes s ON s.number = m.scope WHERE {within}"
    return StoreCounts(
        by_namespace=dict(live),
        by_kind=dict(kinds),
        forgotten=one(f"SELECT count(*) FROM {mine} AND m.forgotten IS NOT NULL AND NOT {ERASED}", *place),
        superseded=one(f"SELECT count(*) FROM {mine} AND m.forgotten IS NULL AND m.superseded_by IS NOT NULL", *place),
        unembedded=one(f"SELECT count(*) FROM {mine} AND m.number IN (SELECT memory FROM outbox WHERE tier = 'embed')", *place),
        operations=one(
            f"SELECT count(*) FROM operations o JOIN acts c ON c.number = o.act JOIN scopes s ON s.number = c.scope WHERE {within}", *place
        ),
        bytes_on_disk=one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"),
    )
