"""The log as it is asked for, followed from end to end, added to without a change of a memory, and pruned."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from memory_mcp.audit.chain import VOUCHES, Chain, Gap, Walk, joined, vouched
from memory_mcp.audit.entries import DENIED, LogFilter
from memory_mcp.clock import to_micros
from memory_mcp.contracts.undoing import UNDOABLE
from memory_mcp.models import Operation, Provenance, Scope
from memory_mcp.tiers.postgres import log
from memory_mcp.tiers.postgres.rows import ERASED, micros
from memory_mcp.tiers.postgres.session import Transaction

_SAID = "nullif(o.details, '')::json ->> '{}'"


async def operations(tx: Transaction, limit: int, before: int | None, where: LogFilter) -> list[Operation]:
    """`OperationLog.operations`."""
    conditions = {
        "o.number < %(before)s": before is not None,
        "o.at >= %(since)s": where.since is not None,
        "o.at < %(until)s": where.until is not None,
        "%(who)s = ANY(o.actor[1:3] || coalesce(o.origin, '{}'))": bool(where.who),
        f"%(what)s IN (o.action, {_SAID.format('tool')})": bool(where.what),
        f"%(namespace)s IN (s.namespace, {_SAID.format('namespace')})": bool(where.namespace),
        f"o.action = '{DENIED}'": where.denied,
    }
    chosen = " AND ".join(["true", *(f"({condition})" for condition, given in conditions.items() if given)])
    values = {"limit": limit, "before": before, "who": where.who, "what": where.what, "namespace": where.namespace}
    values |= {"since": micros(where.since), "until": micros(where.until)}
    query = f"SELECT {log.COLUMNS} FROM {log.TABLES} WHERE {chosen} ORDER BY o.number DESC LIMIT %(limit)s"
    return [log.operation_from(row) for row in await tx.rows(query, values)]


async def entries(tx: Transaction, numbers: Collection[int]) -> dict[int, Operation]:
    """`OperationLog.entries`."""
    rows = await tx.rows(f"SELECT {log.COLUMNS} FROM {log.TABLES} WHERE o.number = ANY(%(numbers)s)", {"numbers": list(numbers)})
    return {entry.number: entry for entry in map(log.operation_from, rows)}


async def record(tx: Transaction, action: str, actor: Provenance, now: datetime, details: Mapping[str, Any]) -> Operation:
    """`OperationLog.record`."""
    head = await log.lock_tenant(tx)
    await tx.run("INSERT INTO scopes (tenant, namespace) VALUES (%(tenant)s, '') ON CONFLICT DO NOTHING", {"tenant": tx.tenant})
    return await log.append(tx, head, Scope(tx.tenant, ""), action, b"", actor, now, details=details)


async def chain(tx: Transaction, wanted: int = 0) -> Chain:
    """`OperationLog.chains`, of the tenant."""
    walk = Walk(tx.tenant, await gaps(tx), wanted)
    query = f"""SELECT o.number, s.namespace, o.at, o.action, encode(o.subjects, 'hex'), o.actor, o.undoes, o.origin, o.details, o.hash
                FROM {log.TABLES} ORDER BY o.number"""
    sound = True
    async for rows in tx.stream(query, {}, size=1000):
        for number, namespace, at, action, subjects, actor, undoes, origin, details, stored in rows:
            entry = log.hashed([number, namespace, at, action, subjects, *actor, undoes], origin, details)
            sound = sound and walk.take(number, entry, stored, details)
    # every operation of a memory is its last, or ended a form of it; and the tenant's own row knows the newest
    newest = """SELECT greatest((SELECT max(operation) FROM memories), (SELECT max(operation) FROM versions),
                                (SELECT operations FROM tenants WHERE name = %(tenant)s), 0)"""
    return walk.end(int(await tx.value(newest, {"tenant": tx.tenant})))


async def gaps(tx: Transaction) -> list[Gap]:
    """What the chain goes on over."""
    return [Gap(*row) for row in await tx.rows("SELECT first, last, hash FROM pruned ORDER BY first")]


async def prunable(tx: Transaction, before: datetime) -> list[int]:
    """The entries from before then that nobody needs any more; none of them is ever needed again.

    Undo needs those that it could reverse: not undone, with a memory that is not gone for good. Those that only vouch for gaps
    are no reason for another such entry.
    """
    size = log.SUBJECT_BYTES
    query = f"""SELECT o.number, o.details LIKE %(vouches)s FROM operations o
                WHERE o.at < %(before)s AND NOT (o.action = ANY(%(actions)s)
                           AND NOT EXISTS (SELECT FROM operations u WHERE u.tenant = o.tenant AND u.undoes = o.number)
                           AND EXISTS (SELECT FROM generate_series(0, length(o.subjects) / {size} - 1) n JOIN memories m
                                       ON m.id = encode(substr(o.subjects, n * {size} + 1, 16), 'hex')::uuid AND NOT {ERASED}))"""
    values = {"before": to_micros(before), "vouches": f'%"{VOUCHES}":%', "actions": list(UNDOABLE)}
    found = await tx.rows(query, values)
    return [number for number, _ in found] if not all(vouches for _, vouches in found) else []


async def prune(tx: Transaction, numbers: Sequence[int], actor: Provenance, now: datetime) -> int:
    """Take those of these entries away that are older than a day by the server's clock; how many that were."""
    await log.lock_tenant(tx)
    removed = await tx.rows("SELECT number, hash FROM prune_operations(%(numbers)s::bigint[])", {"numbers": list(numbers)})
    if removed:
        await leave_gaps(tx, "prune", [Gap(number, number, digest) for number, digest in removed], actor, now, entries=len(removed))
    return len(removed)


async def leave_gaps(tx: Transaction, action: str, more: Sequence[Gap], actor: Provenance, now: datetime, **details: Any) -> None:
    """Note that entries are gone, and add one that vouches for it."""
    present = joined([*await gaps(tx), *more])
    await tx.run("DELETE FROM pruned")
    await tx.run(
        """INSERT INTO pruned (tenant, first, last, hash)
           SELECT %(tenant)s, * FROM unnest(%(firsts)s::bigint[], %(lasts)s::bigint[], %(hashes)s::bytea[])""",
        {
            "tenant": tx.tenant,
            "firsts": [gap.first for gap in present],
            "lasts": [gap.last for gap in present],
            "hashes": [gap.hash for gap in present],
        },
    )
    await record(tx, action, actor, now, {**details, VOUCHES: vouched(present)})
