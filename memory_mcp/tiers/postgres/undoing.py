"""Taking operations back."""

from datetime import datetime

from psycopg.errors import UniqueViolation

from memory_mcp.contracts.undoing import CHANGED_LATER, GONE, NONE, STORED_AGAIN, TOO_FEW, UNDOABLE, undoable
from memory_mcp.errors import ConflictError, RequestError
from memory_mcp.models import Operation, Provenance, Scope
from memory_mcp.tiers.postgres import journal, log
from memory_mcp.tiers.postgres.journal import Derived
from memory_mcp.tiers.postgres.rows import ERASED
from memory_mcp.tiers.postgres.session import Transaction
from memory_mcp.tiers.postgres.writes import has_twin, mark_forgotten


async def undo(
    tx: Transaction, derived: Derived, scope: Scope, number: int | None, actor: Provenance, now: datetime, count: int = 1
) -> list[Operation]:
    """`RecordStore.undo`."""
    await log.lock_tenant(tx)
    if number is not None:
        asked = undoable(number, await log.read(tx, number), scope)
        return [await _undo(tx, derived, target, actor, now) for target in await _whole(tx, asked)]
    newest = await _newest(tx, scope, actor, count)
    if len(newest) < count:
        raise RequestError(TOO_FEW.format(count=len(newest)) if newest else NONE)
    targets = [target for one in newest for target in await _whole(tx, one)]
    targets.sort(key=lambda target: -target.number)
    return [await _undo(tx, derived, target, actor, now) for target in targets]


def _last(is_import: str) -> str:
    """The last operation that made a memory what it is, or gave it the place of one that was there: without it that would be lost."""
    return f"""greatest(m.operation, (
        SELECT max(y.operation) FROM memories y JOIN versions v ON v.tenant = y.tenant AND v.memory = y.id AND v.operation = y.operation
        WHERE y.tenant = m.tenant AND y.superseded_by = m.id AND y.forgotten IS NULL AND (y.actor <> m.actor OR NOT {is_import})))"""


_IS_LEFT = f"""EXISTS (SELECT FROM generate_series(0, length(o.subjects) / {log.SUBJECT_BYTES} - 1) n JOIN memories m
    ON m.id = encode(substr(o.subjects, n * {log.SUBJECT_BYTES} + 1, 16), 'hex')::uuid AND NOT {ERASED}
    AND (o.action <> 'import' OR {_last("true")} = o.number))"""
"""Whether undoing an operation would change anything; of imports only what no later one has changed."""
_IS_DONE = "NOT EXISTS (SELECT FROM operations u WHERE u.tenant = o.tenant AND u.undoes = o.number)"


async def _whole(tx: Transaction, target: Operation) -> list[Operation]:
    """The operation, and where it is one of an import those of the import that anything is left of, newest first."""
    if target.action != "import":
        return [target]
    rows = await tx.rows(
        f"""SELECT {log.COLUMNS} FROM {log.TABLES} WHERE s.namespace = %(namespace)s AND o.actor[3] = %(agent)s AND o.action = 'import'
              AND {_IS_DONE} AND {_IS_LEFT} ORDER BY o.number DESC""",
        {"namespace": target.scope.namespace, "agent": target.actor.agent},
    )
    return [log.operation_from(row) for row in rows] or [target]


async def _undo(tx: Transaction, derived: Derived, target: Operation, actor: Provenance, now: datetime) -> Operation:
    """What the operation made is forgotten, what it replaced gets its former form back; what is gone for good stays away."""
    head, is_import = await log.lock_tenant(tx), target.action == "import"
    past = "EXISTS (SELECT FROM versions v WHERE v.tenant = m.tenant AND v.memory = m.id AND v.operation = %(number)s"
    rows = await tx.rows(
        f"""SELECT m.id, {_last("%(is_import)s")}, {past}), {past} AND v.content IS NOT NULL)
            FROM memories m WHERE m.id = ANY(%(ids)s) AND NOT {ERASED}""",
        {"ids": list(target.subjects), "number": target.number, "is_import": is_import},
    )
    forms = {row[0]: row[1:] for row in rows if row[1] == target.number or not is_import}
    subjects = [memory_id for memory_id in target.subjects if memory_id in forms]
    if not subjects:
        raise RequestError(GONE.format(number=target.number))
    for last, _, _ in (forms[memory_id] for memory_id in subjects):
        if last != target.number:
            raise ConflictError(CHANGED_LATER.format(number=target.number, later=last))
    changed = [memory_id for memory_id in subjects if forms[memory_id][1]]
    rewritten = [memory_id for memory_id in changed if forms[memory_id][2]]
    everything = [*(memory_id for memory_id in subjects if not forms[memory_id][1]), *changed]
    await journal.keep_forms(tx, everything, head.number, now, contents=rewritten)
    await mark_forgotten(tx, everything, head.number, now)  # all of them at first, so that none is in another's way
    try:
        await journal.restore_forms(tx, changed, target.number)
    except UniqueViolation as error:
        raise ConflictError(STORED_AGAIN.format(number=target.number)) from error
    if await has_twin(tx, changed):
        raise ConflictError(STORED_AGAIN.format(number=target.number))
    await journal.mark_changed(tx, everything)
    await derived.touch(tx, everything)
    digests = await log.subjects_of(tx, everything)
    return await log.append(tx, head, target.scope, "undo", digests, actor, now, undoes=target.number)


async def _newest(tx: Transaction, scope: Scope, actor: Provenance, count: int) -> list[Operation]:
    """The newest operations of the client and user that can be undone: those of which anything is left."""
    query = f"""SELECT {log.COLUMNS} FROM {log.TABLES} WHERE s.namespace = %(namespace)s AND o.actor[1] = %(client)s
                  AND o.actor[2] = %(user)s AND o.action = ANY(%(actions)s) AND o.number < %(before)s AND {_IS_DONE} AND {_IS_LEFT}
                ORDER BY o.number DESC LIMIT %(page)s"""
    values = {"namespace": scope.namespace, "client": actor.client, "user": actor.user, "actions": list(UNDOABLE)}
    found: dict[str | int, Operation] = {}
    before, page = 2**62, count + 50
    while len(found) < count and (rows := await tx.rows(query, {**values, "before": before, "page": page})):
        for target in map(log.operation_from, rows):
            found.setdefault(target.actor.agent if target.action == "import" else target.number, target)
            before = target.number
    return list(found.values())[:count]
