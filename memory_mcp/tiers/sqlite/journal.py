"""What every write leaves behind in its transaction: revision, past form, log entry, words, notes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import apsw

from memory_mcp.audit.chain import entry_hash
from memory_mcp.audit.entries import Origin
from memory_mcp.clock import from_micros, to_micros
from memory_mcp.models import Operation, Provenance, Scope
from memory_mcp.text import words
from memory_mcp.tiers.sqlite import graph, spelling, subjects
from memory_mcp.tiers.sqlite.query import first, only, value
from memory_mcp.tiers.sqlite.rows import LIVE, tags_from, to_json
from memory_mcp.tiers.sqlite.subjects import DIGEST_BYTES

_PLAIN = (
    "kind domain tags metadata key session_id importance confidence short_term updated occurred valid_from valid_to expires forgotten "
    "operation"
).split()
LATER_REVISION = "revision + 1 + (random() & 0x7fffff)"
"""See `RecordStore.revisions`. A double still holds it exactly after two thousand million writes."""
_BLOBS = ("superseded_by", "fingerprint")
_FORM = ", ".join([*(f"'{name}', m.{name}" for name in _PLAIN), *(f"'{name}', hex(m.{name})" for name in _BLOBS)])


def scope_number(db: apsw.Connection, scope: Scope) -> int:
    """The scope's number, made at its first write."""
    return _number(db, "scopes", {"tenant": scope.tenant, "namespace": scope.namespace})


def actor_number(db: apsw.Connection, actor: Provenance) -> int:
    """The number of who writes, made at the first time."""
    return _number(db, "actors", {"client": actor.client, "user": actor.user, "agent": actor.agent, "source": actor.source})


def act_number(db: apsw.Connection, scope: int, action: str, actor: Provenance) -> int:
    """The number of what somebody does in a scope, and from where, made at the first time."""
    origin = to_json(_origin_of(actor))
    return _number(db, "acts", {"scope": scope, "action": action, "actor": actor_number(db, actor), "origin": origin})


def _origin_of(actor: Provenance) -> Sequence[str]:
    return actor.origin.address, actor.origin.role, actor.origin.token


def _number(db: apsw.Connection, table: str, values: Mapping[str, Any]) -> int:
    """The number of the row with these values, made where there is none; nearly always there is one."""
    same = " AND ".join(f"{name} = :{name}" for name in values)
    found = value(db, f"SELECT number FROM {table} WHERE {same}", dict(values))
    if found is None:
        db.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(f':{name}' for name in values)})", dict(values))
        return db.last_insert_rowid()
    return int(found)


def next_revision(db: apsw.Connection, scope: int) -> int:
    """Move the scope's revision: whatever was derived from an older one is stale from here on."""
    return int(value(db, f"UPDATE scopes SET revision = {LATER_REVISION} WHERE number = ? RETURNING revision", (scope,)))


def keep_form(db: apsw.Connection, memory: int, operation: int, now: datetime, *, content: bool) -> None:
    """Save the present form of a memory as a version that `operation` replaces; with text and vector if they change."""
    db.execute(
        f"""INSERT INTO versions (memory, n, operation, replaced, content, form, epoch, vector)
            SELECT m.number, (SELECT coalesce(max(n), 0) + 1 FROM versions WHERE memory = m.number), :operation, :now,
                   iif(:content, m.content, NULL), json_object({_FORM}), iif(:content, v.epoch, NULL), iif(:content, v.vector, NULL)
            FROM memories m LEFT JOIN vectors v ON v.memory = m.number WHERE m.number = :memory""",
        {"memory": memory, "operation": operation, "now": to_micros(now), "content": content},
    )


def restore_form(db: apsw.Connection, memory: int, content: str | None, form: str, epoch: int | None, vector: bytes | None) -> None:
    """Give a memory back the form of a version, its vector with it."""
    values: dict[str, Any] = json.loads(form)
    values.update({name: bytes.fromhex(values[name]) or None for name in _BLOBS})
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    db.execute(f"UPDATE memories SET {assignments} WHERE number = :number", {**values, "number": memory})
    if content is not None:
        db.execute("UPDATE memories SET content = ? WHERE number = ?", (content, memory))
        db.execute("DELETE FROM vectors WHERE memory = ?", (memory,))
        if vector is not None:
            db.execute("INSERT INTO vectors (memory, epoch, vector) VALUES (?, ?, ?)", (memory, epoch, vector))


@dataclass(frozen=True, slots=True)
class Derived:
    """Which derived tiers are owed a note for every change."""

    tiers: tuple[str, ...] = ()

    def touch(self, db: apsw.Connection, memory: int) -> None:
        """Bring text index and graph level with the row and note the change for every tier that needs to hear of it."""
        row = only(db, f"SELECT m.scope, m.content, m.tags, m.key, m.metadata, {LIVE} FROM memories m WHERE m.number = ?", (memory,))
        scope, content, tags, key, metadata, live = row
        if live:
            told = json.loads(metadata)
            db.execute(
                "INSERT OR REPLACE INTO words (rowid, body, labels, scope) VALUES (?, ?, ?, ?)",
                (memory, words.index_text(content), spelling.labels_text(tags_from(tags), key, told), spelling.scope_word(scope)),
            )
            graph.put(db, memory, scope, content, told)
            if is_embedded(db, memory):
                db.execute("DELETE FROM outbox WHERE tier = 'embed' AND memory = ?", (memory,))
            else:
                owe(db, "embed", memory)
        else:
            db.execute("DELETE FROM words WHERE rowid = ?", (memory,))
            graph.clear(db, memory)
            db.execute("DELETE FROM outbox WHERE tier = 'embed' AND memory = ?", (memory,))
        for tier in self.tiers:
            owe(db, tier, memory)


def is_embedded(db: apsw.Connection, memory: int) -> bool:
    """Whether the memory has a vector of the epoch that is embedded with now."""
    return first(db, "SELECT 1 FROM vectors v JOIN epochs e ON e.number = v.epoch WHERE v.memory = ? AND e.active", (memory,)) is not None


def owe(db: apsw.Connection, tier: str, memory: int) -> None:
    """Note that a memory is to be carried to a tier; a note already there is replaced, so that nobody settles the older one."""
    db.execute("INSERT OR REPLACE INTO outbox (tier, memory, due) VALUES (?, ?, 0)", (tier, memory))


def next_operation(db: apsw.Connection) -> int:
    """The number of the operation that the present transaction will log."""
    return _head(db)[0] + 1


def _head(db: apsw.Connection) -> tuple[int, bytes]:
    """Number and hash of the newest entry there ever was; a program of an older version adds entries without saying so elsewhere."""
    query = """SELECT number, hash FROM (SELECT number, hash FROM operations ORDER BY number DESC LIMIT 1)
               UNION ALL SELECT number, hash FROM log_head ORDER BY number DESC LIMIT 1"""
    return first(db, query) or (0, b"")


def log_operation(
    db: apsw.Connection,
    number: int,
    scope: int,
    action: str,
    memories: Sequence[int],
    actor: Provenance,
    now: datetime,
    undoes: int | None = None,
) -> None:
    """Append the entry; its hash runs over its fields and over the hash before it."""
    concerned = bytearray()
    for memory in memories:
        memory_id, content, salt = only(db, "SELECT id, content, salt FROM memories WHERE number = ?", (memory,))
        concerned += memory_id + hashlib.blake2b(content.encode(), key=salt, digest_size=DIGEST_BYTES).digest()
    append(db, number, scope, action, bytes(concerned), actor, now, undoes)


def append(
    db: apsw.Connection,
    number: int,
    scope: int,
    action: str,
    concerned: bytes,
    actor: Provenance,
    now: datetime,
    undoes: int | None = None,
    *,
    details: Mapping[str, Any] = MappingProxyType({}),
    previous: bytes | None = None,
) -> bytes:
    """Append an entry; its hash.

    Args:
        concerned: Its subjects: per memory its id, then the digest of its content.
        previous: The hash that it follows; None: that of the newest.
    """
    entry = [number, scope, to_micros(now), action, concerned, actor.client, actor.user, actor.agent, actor.source, undoes]
    tenant, namespace = only(db, "SELECT tenant, namespace FROM scopes WHERE number = ?", (scope,))
    origin, told = to_json(_origin_of(actor)), to_json(details) if details else ""
    digest = entry_hash(hashed(entry, tenant, namespace, origin, told), _head(db)[1] if previous is None else previous)
    db.execute(
        "INSERT INTO operations (number, at, act, subjects, undoes, details, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (number, to_micros(now), act_number(db, scope, action, actor), subjects.by_number(db, concerned), undoes, told, digest),
    )
    db.execute("INSERT OR REPLACE INTO log_head (one, number, hash) VALUES (1, ?, ?)", (number, digest))
    return digest


def hashed(entry: Sequence[Any], tenant: str, namespace: str, origin: str | None, details: str | None) -> list[Any]:
    """What an entry's hash runs over; those from before there were origins are without what came with them."""
    return list(entry) if origin is None and details is None else [*entry, tenant, namespace, origin, details]


OPERATION_COLUMNS = (
    "o.number, s.tenant, s.namespace, o.at, c.action, o.subjects, a.client, a.user, a.agent, a.source, o.undoes, "
    "(SELECT number FROM operations WHERE undoes = o.number), c.origin, o.details"
)
OPERATION_TABLES = (  # in this order, which is that of their numbers
    "operations o CROSS JOIN acts c ON c.number = o.act CROSS JOIN scopes s ON s.number = c.scope CROSS JOIN actors a ON a.number = c.actor"
)


def operation_from(db: apsw.Connection, row: Sequence[Any]) -> Operation:
    """An operation from a row of `OPERATION_COLUMNS`."""
    return Operation(
        number=row[0],
        scope=Scope(row[1], row[2]),
        at=from_micros(row[3]),
        action=row[4],
        subjects=tuple(subjects.ids_in(subjects.by_id(db, row[5]))),
        actor=Provenance(row[6], row[7], row[8], row[9], Origin(*json.loads(row[12])) if row[12] else Origin()),
        undoes=row[10],
        undone_by=row[11],
        details=json.loads(row[13]) if row[13] else {},
    )


def read_operation(db: apsw.Connection, number: int) -> Operation | None:
    """One entry of the log."""
    row = first(db, f"SELECT {OPERATION_COLUMNS} FROM {OPERATION_TABLES} WHERE o.number = ?", (number,))
    return operation_from(db, row) if row else None
