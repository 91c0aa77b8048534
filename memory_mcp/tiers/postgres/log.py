"""The log of changes: numbered and chained for each tenant by itself, since tenants are not to see each other."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from memory_mcp.audit.chain import entry_hash
from memory_mcp.audit.entries import Origin
from memory_mcp.clock import from_micros, to_micros
from memory_mcp.models import Added, Operation, Provenance, Scope
from memory_mcp.tiers.postgres.rows import actor_row, to_json
from memory_mcp.tiers.postgres.session import Transaction

DIGEST_BYTES = 12
SUBJECT_BYTES = 16 + DIGEST_BYTES
"""Of one memory in an entry: its id and a digest of its text."""

COLUMNS = (
    "o.number, o.tenant, s.namespace, o.at, o.action, o.subjects, o.actor, o.undoes, "
    "(SELECT number FROM operations u WHERE u.tenant = o.tenant AND u.undoes = o.number), o.origin, o.details"
)
TABLES = "operations o JOIN scopes s ON s.tenant = o.tenant AND s.number = o.scope"


@dataclass(frozen=True, slots=True)
class Head:
    """The operation that the present transaction will log, and the hash of the one before it."""

    number: int
    previous: bytes


async def lock_tenant(tx: Transaction) -> Head:
    """Begin a write: from here to its end it is the tenant's only one, so that log and revisions are in the order of commits."""
    query = "SELECT operations + 1, hash, pg_current_xact_id()::text FROM tenants WHERE name = %(tenant)s FOR UPDATE"
    row = await tx.row(query, {"tenant": tx.tenant})
    if row is None:
        await tx.run("INSERT INTO tenants (name) VALUES (%(tenant)s) ON CONFLICT DO NOTHING", {"tenant": tx.tenant})
        row = await tx.row(query, {"tenant": tx.tenant})
    assert row is not None
    tx.number = row[2]
    return Head(row[0], row[1])


def digest(content: str, salt: bytes) -> bytes:
    """12 bytes that tell one text from another, to whoever has the salt."""
    return hashlib.blake2b(content.encode(), key=salt, digest_size=DIGEST_BYTES).digest()


async def subjects_of(tx: Transaction, ids: Sequence[UUID]) -> bytes:
    """Per memory its id and the digest of its present text."""
    rows = await tx.rows("SELECT id, content, salt FROM memories WHERE id = ANY(%(ids)s)", {"ids": list(ids)})
    digests = {row[0]: digest(row[1], row[2]) for row in rows}
    return b"".join(memory_id.bytes + digests[memory_id] for memory_id in ids)


async def append(
    tx: Transaction,
    head: Head,
    scope: Scope,
    action: str,
    subjects: bytes,
    actor: Provenance,
    now: datetime,
    undoes: int | None = None,
    details: Mapping[str, Any] = MappingProxyType({}),
) -> Operation:
    """Add the entry; its hash runs over its fields and over the hash before it."""
    values = {
        "tenant": scope.tenant,
        "namespace": scope.namespace,
        "number": head.number,
        "at": to_micros(now),
        "action": action,
        "subjects": subjects,
        "actor": actor_row(actor),
        "undoes": undoes,
        "origin": list(astuple(actor.origin)),
        "details": to_json(details) if details else "",
        "hash": after(head, scope, action, subjects, actor, now, undoes, details).previous,
    }
    await tx.run(
        """INSERT INTO operations (tenant, number, scope, at, action, subjects, actor, undoes, origin, details, hash)
           SELECT tenant, %(number)s, number, %(at)s, %(action)s, %(subjects)s, %(actor)s, %(undoes)s, %(origin)s, %(details)s, %(hash)s
           FROM scopes WHERE namespace = %(namespace)s""",
        values,
    )
    await tx.run("UPDATE tenants SET operations = %(number)s, hash = %(hash)s WHERE name = %(tenant)s", values)
    return Operation(head.number, scope, now, action, _ids(subjects), actor, undoes, details=details)


def after(
    head: Head,
    scope: Scope,
    action: str,
    subjects: bytes,
    actor: Provenance,
    now: datetime,
    undoes: int | None,
    details: Mapping[str, Any] = MappingProxyType({}),
) -> Head:
    """The place of the entry that follows this one."""
    entry = [head.number, scope.namespace, to_micros(now), action, subjects.hex(), *actor_row(actor), undoes]
    told = to_json(details) if details else ""
    return Head(head.number + 1, entry_hash(hashed(entry, list(astuple(actor.origin)), told), head.previous))


def hashed(entry: Sequence[Any], origin: Sequence[str] | None, details: str | None) -> list[Any]:
    """What an entry's hash runs over; those from before there were origins are without what came with them."""
    return list(entry) if origin is None and details is None else [*entry, origin, details]


def _ids(subjects: bytes) -> tuple[UUID, ...]:
    return tuple(UUID(bytes=subjects[i : i + 16]) for i in range(0, len(subjects), SUBJECT_BYTES))


def operation_from(row: Sequence[Any]) -> Operation:
    """An operation from a row of `COLUMNS`."""
    client, user, agent, source = row[6]
    return Operation(
        number=row[0],
        scope=Scope(row[1], row[2]),
        at=from_micros(row[3]),
        action=row[4],
        subjects=_ids(row[5]),
        actor=Provenance(client, user, agent, source, Origin(*row[9] or ())),
        undoes=row[7],
        undone_by=row[8],
        details=json.loads(row[10]) if row[10] else {},
    )


async def read(tx: Transaction, number: int) -> Operation | None:
    """One entry of the tenant's log."""
    row = await tx.row(f"SELECT {COLUMNS} FROM {TABLES} WHERE o.number = %(number)s", {"number": number})
    return operation_from(row) if row else None


async def landed(tx: Transaction, result: object) -> bool:
    """Whether the log holds what a write answered; of one that logs nothing, nobody can tell."""
    if isinstance(result, Added):
        if result.operation is None:
            return True  # it only found what was there
        entry = await read(tx, result.operation)
        return entry is not None and result.id in entry.subjects
    if isinstance(result, Operation):
        entry = await read(tx, result.number)
        return entry is not None and (entry.at, entry.action, entry.subjects) == (result.at, result.action, result.subjects)
    if isinstance(result, list) and result:
        return all([await landed(tx, each) for each in result])
    return False
