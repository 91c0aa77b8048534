"""Taking operations back."""

from datetime import datetime

from psycopg.errors import UniqueViolation

from memory_mcp.errors import ConflictError, RequestError
from memory_mcp.models import Operation, Provenance, Scope
from memory_mcp.tiers.postgres import journal, log
from memory_mcp.tiers.postgres.journal import Derived
from memory_mcp.tiers.postgres.rows import ERASED
from memory_mcp.tiers.postgres.session import Transaction
from memory_mcp.tiers.postgres.writes import has_twin, mark_forgotten

UNDOABLE = ("remember", "update", "forget", "merge", "import")
TOO_FEW = "Only {count} operations of yours can be undone in this namespace. Nothing was undone; ask for fewer."
GONE = (
    "Operation {number} cannot be undone any more: what it changed was erased, has lain in the trash for too long, or, of an import, "
    "was changed since."
)
FINAL = "Operation {number} is final and cannot be undone."
REPEAT = "repeat the change itself instead."
RESURRECTED = "what this would bring back is stored again meanwhile, with the same text or key: forget that one first."


async def undo(
    tx: Transaction, derived: Derived, scope: Scope, number: int | None, actor: Provenance, now: datetime, count: int = 1
) -> list[Operation]:
    """`RecordStore.undo`."""
    await log.lock_tenant(tx)
    if number is not None:
        targets = await _whole(tx, await _undoable(tx, scope, number))
        return [await _undo(tx, derived, target, actor, now) for target in targets]
    newest = await _newest(tx, scope, actor, count)
    if len(newest) < count:
        raise RequestError(TOO_FEW.format(count=len(newest)) if newest else "There is nothing to undo in this namespace.")
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
            raise ConflictError(
                f"Operation {target.number} cannot be undone yet: operation {last} changed the same memory later. Undo {last} first."
            )
    changed = [memory_id for memory_id in subjects if forms[memory_id][1]]
    rewritten = [memory_id for memory_id in changed if forms[memory_id][2]]
    everything = [*(memory_id for memory_id in subjects if not forms[memory_id][1]), *changed]
    await journal.keep_forms(tx, everything, head.number, now, contents=rewritten)
    await mark_forgotten(tx, everything, head.number, now)  # all of them at first, so that none is in another's way
    try:
        await journal.restore_forms(tx, changed, target.number)
    except UniqueViolation as error:
        raise ConflictError(f"Operation {target.number} cannot be undone: {RESURRECTED}") from error
    if await has_twin(tx, changed):
        raise ConflictError(f"Operation {target.number} cannot be undone: {RESURRECTED}")
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


async def _undoable(tx: Transaction, scope: Scope, number: int) -> Operation:
    target = await log.read(tx, number)
    if target is None or target.scope != scope:
        raise RequestError(f"No operation {number} in this namespace. Use the operation number from a receipt.")
    if target.undone_by is not None:
        raise RequestError(f"Operation {number} was undone already, by operation {target.undone_by}.")
    if target.action not in UNDOABLE:
        raise RequestError(FINAL.format(number=number) if target.action != "undo" else f"Operation {number} is an undo; {REPEAT}")
    return target
