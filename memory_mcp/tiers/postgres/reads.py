"""The reads of memories: short, in one snapshot, each within one tenant."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor

from memory_mcp.clock import from_micros, to_micros
from memory_mcp.errors import MemoryNotFoundError
from memory_mcp.models import Changed, Filter, Matrix, Memory, Scope, StoreCounts, Version
from memory_mcp.text import words
from memory_mcp.tiers.postgres.rows import (
    IN_SCOPES,
    LIVE,
    MEMORY_COLUMNS,
    MEMORY_TABLES,
    WHEN,
    conditions,
    dimension_of,
    from_sent,
    in_order,
    memory_from,
    moment,
)
from memory_mcp.tiers.postgres.schema import SCHEMA
from memory_mcp.tiers.postgres.session import Row, Transaction

_CHUNK = 500
"""Memories made of rows at once: some milliseconds of the event loop."""


async def revisions(tx: Transaction, namespaces: Sequence[str]) -> dict[str, int]:
    """The revision of each namespace that was ever written to."""
    query = "SELECT namespace, revision FROM scopes WHERE namespace = ANY(%(namespaces)s)"
    return dict(await tx.rows(query, {"namespaces": list(namespaces)}))


REVISION = "SELECT revision FROM scopes WHERE namespace = %(namespace)s"
ONE_SCOPE = "(SELECT number FROM scopes WHERE namespace = %(namespace)s)"


async def number_of(cursor: AsyncCursor[Row]) -> int:
    """The number that was asked for; 0 where there is no row."""
    row = await cursor.fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


async def scopes(tx: Transaction) -> list[Scope]:
    """`RecordStore.scopes`."""
    return [Scope(*row) for row in await tx.rows("SELECT tenant, namespace FROM scopes WHERE namespace <> '' ORDER BY number")]


async def get_many(tx: Transaction, namespaces: Sequence[str], ids: Sequence[UUID]) -> list[Memory]:
    """`RecordStore.get_many`."""
    query = f"SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES} WHERE m.id = ANY(%(ids)s) AND m.scope {IN_SCOPES} AND m.forgotten IS NULL"
    rows = await tx.rows(query, {"ids": list(ids), "namespaces": list(namespaces)})
    return in_order({memory.id: memory for memory in map(memory_from, rows)}, ids)


async def newest(
    tx: Transaction, namespaces: Sequence[str], where: Filter, limit: int, after: tuple[datetime, UUID] | None = None
) -> list[Memory]:
    """`RecordStore.newest`, `limit` of each namespace: each by itself, in the order of its index, then merged."""
    more, values = conditions(where)
    if after is not None:
        more += f" AND {WHEN} <= %(when)s AND ({WHEN} < %(when)s OR m.id > %(id)s)"  # the first alone is what the index can begin at
        values |= {"when": to_micros(after[0]), "id": after[1]}
    query = f"""SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES}
                WHERE m.scope = (SELECT number FROM scopes WHERE namespace = %(namespace)s) AND {LIVE}{more}
                ORDER BY {WHEN} DESC, m.id LIMIT %(limit)s"""
    found: list[Memory] = []
    for namespace in namespaces:
        async for rows in tx.stream(query, {**values, "namespace": namespace, "limit": limit}, size=_CHUNK):
            found += map(memory_from, rows)
    return newest_first(found)


def newest_first(memories: list[Memory]) -> list[Memory]:
    """By `when`, equal ones by id."""
    return sorted(memories, key=lambda memory: (-to_micros(memory.when), memory.id.bytes))


async def history(tx: Transaction, namespaces: Sequence[str], memory_id: UUID) -> list[Version]:
    """`RecordStore.history`."""
    present = await get_many(tx, namespaces, [memory_id])
    if not present:
        raise MemoryNotFoundError([memory_id])
    query = "SELECT n, operation, replaced, content, form FROM versions WHERE memory = %(id)s ORDER BY n DESC"
    versions: list[Version] = []
    following = present[0]
    for n, operation, replaced, content, form in await tx.rows(query, {"id": memory_id}):
        following = _past_form(following, content, form)
        versions.append(Version(n, following, from_micros(replaced), operation))
    return versions[::-1]


def _past_form(following: Memory, content: str | None, form: dict[str, Any]) -> Memory:
    return replace(
        following,
        content=following.content if content is None else content,
        kind=form["kind"],
        domain=form["domain"],
        tags=tuple(form["tags"]),
        metadata=form["metadata"],
        key=form["key"],
        session_id=form["session_id"],
        importance=form["importance"],
        confidence=form["confidence"],
        retention="short_term" if form["short_term"] else "long_term",
        updated_at=from_micros(form["updated"]),
        occurred_at=moment(form["occurred"]),
        valid_from=from_micros(form["valid_from"]),
        valid_to=moment(form["valid_to"]),
        expires_at=moment(form["expires"]),
        superseded_by=UUID(form["superseded_by"]) if form["superseded_by"] else None,
        forgotten_at=moment(form["forgotten"]),
    )


def end_of_page(values: dict[str, Any], limit: int | None) -> str:
    """Of a namespace the revision of the last of so many changes since one, or else its present revision; as SQL, with its value."""
    if limit is None:
        return REVISION
    values["skip"] = limit - 1
    return f"""SELECT coalesce((SELECT change FROM memories WHERE scope = {ONE_SCOPE} AND change > %(since)s
                                ORDER BY change LIMIT 1 OFFSET %(skip)s), ({REVISION}))"""


async def changed(tx: Transaction, scope: Scope, since: int, limit: int | None = None) -> Changed:
    """`VectorSource.changed`; one round trip, unless there are very many."""
    values: dict[str, Any] = {"namespace": scope.namespace, "since": since}
    upto = end_of_page(values, limit)
    of_scope = f"m.scope = {ONE_SCOPE} AND m.change > %(since)s AND m.change <= ({upto})"
    removed: list[UUID] = []
    async with tx.together():
        revision = await tx.later(REVISION, values)
        last = await tx.later(upto, values)
        pages = await tx.open_stream(f"SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES} WHERE {of_scope} AND {LIVE}", values, size=_CHUNK)
        gone = await tx.later(f"SELECT m.id FROM memories m WHERE {of_scope} AND NOT ({LIVE})", values) if since else None
    now = await number_of(revision)
    if since > now:  # somebody put an older copy of the store in place
        return await changed(tx, scope, 0, limit)
    memories = [memory_from(row) async for rows in pages for row in rows]
    if gone is not None:
        removed = [row[0] for row in await gone.fetchall()]
    return Changed(memories, removed, await number_of(last), whole=not since)


_PRESENT_EPOCH = "(SELECT number FROM epochs WHERE active LIMIT 1)"

Scored = tuple[Memory, float]


async def as_of(
    tx: Transaction, namespaces: Sequence[str], where: Filter, at: datetime, vector: Matrix | None, text: str, limit: int
) -> list[Scored]:
    """`RecordStore.as_of`: valid time decides which memories, the record's own time which of their forms."""
    more, values = conditions(where)
    values.update(namespaces=list(namespaces), at=to_micros(at))
    valid = f"m.scope {IN_SCOPES} AND m.forgotten IS NULL AND m.valid_from <= %(at)s AND (m.valid_to IS NULL OR m.valid_to > %(at)s){more}"
    then = await _forms_at(tx, valid, values)
    query = f"""SELECT {MEMORY_COLUMNS}, ARRAY(SELECT halfvec_send(v.vector) FROM vectors v
                    WHERE v.tenant = m.tenant AND v.memory = m.id AND v.epoch = {_PRESENT_EPOCH} ORDER BY v.passage)
                FROM {MEMORY_TABLES} WHERE {valid}"""
    terms = set(words.query_terms(text))
    scored: list[Scored] = []
    async for rows in tx.stream(query, values, size=_CHUNK):
        for row in rows:
            memory, sent = memory_from(row), row[-1]
            if memory.id in then:
                content, sent = then[memory.id]
                memory = replace(memory, content=content)
            scored.append((memory, _likeness(memory.content, sent, vector, terms)))
    return [pair for pair in closest_first(scored) if pair[1] > 0 or not terms][:limit]


def closest_first(scored: list[Scored]) -> list[Scored]:
    """By score, equal ones newest first, then by id."""
    return sorted(scored, key=lambda pair: (-pair[1], -pair[0].when.timestamp(), pair[0].id.bytes))


async def _forms_at(tx: Transaction, valid: str, values: dict[str, Any]) -> dict[UUID, tuple[str, list[bytes]]]:
    """The texts, with vectors, of those memories that were rewritten after the moment: the form that was replaced first after it."""
    query = f"""SELECT DISTINCT ON (o.memory) o.memory, o.content,
                    CASE WHEN o.epoch = {_PRESENT_EPOCH} THEN ARRAY(SELECT halfvec_send(v) FROM unnest(o.vectors) v) ELSE '{{}}' END
                FROM versions o JOIN memories m ON m.tenant = o.tenant AND m.id = o.memory
                WHERE {valid} AND o.replaced > %(at)s AND o.content IS NOT NULL ORDER BY o.memory, o.n"""
    return {memory: (content, sent) for memory, content, sent in await tx.rows(query, values)}


def _likeness(content: str, sent: Sequence[bytes], vector: Matrix | None, terms: set[str]) -> float:
    shared = len(terms.intersection(words.split_words(content, for_index=True))) / len(terms) if terms else 0.0
    if vector is None or not sent or dimension_of(sent[0]) != len(vector):
        return shared
    similarity = float((from_sent(sent, len(vector)) @ vector).max())
    return 0.7 * min(1.0, max(0.0, similarity)) + 0.3 * shared


async def counts(tx: Transaction, namespaces: Collection[str] | None = None) -> StoreCounts:
    """`RecordStore.counts`."""
    live: dict[str, int] = defaultdict(int)
    kinds: dict[str, int] = defaultdict(int)
    place = {"names": None if namespaces is None else list(namespaces), "schema": SCHEMA}
    numbers = "SELECT number FROM scopes WHERE %(names)s::text[] IS NULL OR namespace = ANY(%(names)s)"
    query = f"""SELECT s.namespace, m.kind, count(*) FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope
                WHERE s.number IN ({numbers}) AND {LIVE} GROUP BY 1, 2"""
    for namespace, kind, count in await tx.rows(query, place):
        live[namespace] += count
        kinds[kind] += count
    row = await tx.row(
        f"""SELECT (SELECT count(*) FROM memories WHERE scope IN ({numbers}) AND forgotten IS NOT NULL AND salt <> ''),
                  (SELECT count(*) FROM memories WHERE scope IN ({numbers}) AND forgotten IS NULL AND superseded_by IS NOT NULL),
                  (SELECT count(*) FROM outbox o JOIN memories m ON m.tenant = o.tenant AND m.id = o.memory
                   WHERE o.tier = 'embed' AND m.scope IN ({numbers})),
                  (SELECT count(*) FROM operations WHERE scope IN ({numbers})),
                  (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = %(schema)s AND c.relkind = 'r')""",
        place,
    )
    assert row is not None
    return StoreCounts(
        by_namespace=dict(live),
        by_kind=dict(kinds),
        forgotten=row[0],
        superseded=row[1],
        unembedded=row[2],
        operations=row[3],
        bytes_on_disk=int(row[4] or 0),
    )


async def identity(tx: Transaction) -> str:
    """`Origin.identity`: of this cluster, this database and these tables, which a restored copy has anew."""
    return str(
        await tx.value(
            """SELECT md5(concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
                                    (SELECT oid FROM pg_database WHERE datname = current_database()), 'scopes'::regclass::oid))"""
        )
    )


async def active_epoch(tx: Transaction) -> str | None:
    """`Origin.active_epoch`."""
    row = await tx.row("SELECT name FROM epochs WHERE active")
    return None if row is None else str(row[0])


async def tenants(tx: Transaction) -> list[str]:
    """`Origin.tenants`."""
    return [row[0] for row in await tx.rows("SELECT name FROM tenants ORDER BY name")]
