"""The log as it is asked for, followed from end to end, added to without a change of a memory, and pruned."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import apsw

from memory_mcp.audit.chain import VOUCHES, Chain, Gap, Walk, joined, vouched
from memory_mcp.audit.entries import DENIED, LogFilter
from memory_mcp.clock import to_micros
from memory_mcp.contracts.undoing import UNDOABLE
from memory_mcp.models import Operation, Provenance, Scope
from memory_mcp.tiers.sqlite import journal, subjects
from memory_mcp.tiers.sqlite.query import all_rows, value
from memory_mcp.tiers.sqlite.rows import ERASED

_SUBJECTS = 4
"""Their place in an entry."""
_SAID = "json_extract(nullif(o.details, ''), '$.{}')"


def operations(db: apsw.Connection, tenant: str, limit: int, before: int | None, where: LogFilter) -> list[Operation]:
    """`OperationLog.operations`."""
    conditions = {
        "o.number < :before": before is not None,
        "o.at >= :since": where.since is not None,
        "o.at < :until": where.until is not None,
        ":who IN (a.client, a.user, a.agent) OR :who IN (SELECT value FROM json_each(c.origin))": bool(where.who),
        f":what IN (c.action, {_SAID.format('tool')})": bool(where.what),
        f":namespace IN (s.namespace, {_SAID.format('namespace')})": bool(where.namespace),
        f"c.action = '{DENIED}'": where.denied,
    }
    chosen = "".join(f" AND ({condition})" for condition, given in conditions.items() if given)
    query = f"""SELECT {journal.OPERATION_COLUMNS} FROM {journal.OPERATION_TABLES}
                WHERE s.tenant = :tenant{chosen} ORDER BY o.number DESC LIMIT :limit"""
    values = {"tenant": tenant, "limit": limit, "before": before, "who": where.who, "what": where.what, "namespace": where.namespace}
    values |= {"since": where.since and to_micros(where.since), "until": where.until and to_micros(where.until)}
    return [journal.operation_from(db, row) for row in all_rows(db, query, values)]


def entries(db: apsw.Connection, tenant: str, numbers: Collection[int]) -> dict[int, Operation]:
    """`OperationLog.entries`."""
    query = f"""SELECT {journal.OPERATION_COLUMNS} FROM {journal.OPERATION_TABLES}
                WHERE s.tenant = ? AND o.number IN (SELECT value FROM json_each(?))"""
    found = all_rows(db, query, (tenant, json.dumps(list(numbers))))
    return {row[0]: journal.operation_from(db, row) for row in found}


def record(db: apsw.Connection, tenant: str, action: str, actor: Provenance, now: datetime, details: Mapping[str, Any]) -> Operation:
    """`OperationLog.record`."""
    number = journal.next_operation(db)
    journal.append(db, number, journal.scope_number(db, Scope(tenant, "")), action, b"", actor, now, details=details)
    entry = journal.read_operation(db, number)
    assert entry is not None
    return entry


def chain(db: apsw.Connection, wanted: int = 0) -> Chain:
    """`OperationLog.chains`; all tenants have one."""
    walk = Walk("", gaps(db), wanted)
    for *entry, tenant, namespace, origin, details, stored in db.execute(
        """SELECT o.number, scope, at, action, subjects, client, user, agent, source, undoes, tenant, namespace, origin, details, hash
           FROM operations o LEFT JOIN acts c ON c.number = o.act LEFT JOIN actors a ON a.number = c.actor
           LEFT JOIN scopes s ON s.number = c.scope ORDER BY o.number"""
    ):
        entry[_SUBJECTS] = subjects.by_id(db, entry[_SUBJECTS])
        if not walk.take(entry[0], journal.hashed(entry, tenant, namespace, origin, details), stored, details):
            break
    # every operation of a memory is its last, or ended a form of it
    newest = """SELECT max((SELECT coalesce(max(operation), 0) FROM memories), (SELECT coalesce(max(operation), 0) FROM versions),
                           (SELECT coalesce(max(number), 0) FROM log_head))"""
    return walk.end(int(value(db, newest)))


def gaps(db: apsw.Connection) -> list[Gap]:
    """What the chain goes on over."""
    return [Gap(*row) for row in all_rows(db, "SELECT first, last, hash FROM pruned ORDER BY first")]


def prunable(db: apsw.Connection, tenant: str, before: datetime) -> list[int]:
    """The entries of a tenant from before then that nobody needs any more; none of them is ever needed again.

    Undo needs those that it could reverse: not undone, with a memory that is not gone for good. Those that only vouch for gaps
    are no reason for another such entry.
    """
    query = f"""SELECT o.number, o.details LIKE '%"{VOUCHES}":%', o.subjects, c.action IN {UNDOABLE}
                       AND NOT EXISTS (SELECT 1 FROM operations u WHERE u.undoes = o.number)
                FROM {journal.OPERATION_TABLES} WHERE s.tenant = ? AND o.at < ?"""
    found = [
        (number, vouches)
        for number, vouches, concerned, reversible in db.execute(query, (tenant, to_micros(before)))
        if not (reversible and _is_left(db, concerned))
    ]
    return [number for number, _ in found] if not all(vouches for _, vouches in found) else []


def _is_left(db: apsw.Connection, concerned: bytes) -> bool:
    ids = subjects.ids_in(subjects.by_id(db, concerned))
    return any(value(db, f"SELECT NOT {ERASED} FROM memories m WHERE m.id = ?", (memory_id.bytes,)) for memory_id in ids)


def prune(db: apsw.Connection, tenant: str, numbers: Sequence[int], actor: Provenance, now: datetime) -> int:
    """Take these entries away; how many there were."""
    listed = (json.dumps(list(numbers)),)
    removed = all_rows(db, "SELECT number, hash FROM operations WHERE number IN (SELECT value FROM json_each(?))", listed)
    db.execute("DELETE FROM operations WHERE number IN (SELECT value FROM json_each(?))", listed)
    db.execute("DELETE FROM acts WHERE number NOT IN (SELECT act FROM operations)")  # nobody's address is kept for longer
    leave_gaps(db, tenant, "prune", [Gap(number, number, digest) for number, digest in removed], actor, now, entries=len(removed))
    return len(removed)


def leave_gaps(
    db: apsw.Connection, tenant: str, action: str, more: Sequence[Gap], actor: Provenance, now: datetime, **details: Any
) -> None:
    """Note that entries are gone, and add one that vouches for it."""
    present = joined([*gaps(db), *more])
    db.execute("DELETE FROM pruned")
    db.executemany("INSERT INTO pruned (first, last, hash) VALUES (?, ?, ?)", [(gap.first, gap.last, gap.hash) for gap in present])
    record(db, tenant, action, actor, now, {**details, VOUCHES: vouched(present)})
