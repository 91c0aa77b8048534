"""Taking operations back."""

from datetime import datetime
from typing import Any

import apsw

from memory_mcp.clock import to_micros
from memory_mcp.contracts.undoing import CHANGED_LATER, GONE, NONE, STORED_AGAIN, TOO_FEW, UNDOABLE, undoable
from memory_mcp.errors import ConflictError, RequestError
from memory_mcp.models import Operation, Provenance, Scope
from memory_mcp.tiers.sqlite import journal
from memory_mcp.tiers.sqlite.journal import Derived
from memory_mcp.tiers.sqlite.query import all_rows, first, only
from memory_mcp.tiers.sqlite.rows import ERASED
from memory_mcp.tiers.sqlite.writes import has_twin, logged

_LAST = """max(m.operation, coalesce((
    SELECT max(y.operation) FROM memories y JOIN versions v ON v.memory = y.number AND v.operation = y.operation
    WHERE y.superseded_by = m.id AND y.forgotten IS NULL AND (y.actor <> m.actor OR NOT :of_others)), 0))"""
"""The last operation that made a memory what it is, or gave it the place of one that was there: without it that would be lost."""


def undo(
    db: apsw.Connection, derived: Derived, scope: Scope, number: int | None, actor: Provenance, now: datetime, count: int = 1
) -> list[Operation]:
    """`RecordStore.undo`."""
    if number is not None:
        return [
            _undo(db, derived, target, actor, now) for target in _whole(db, undoable(number, journal.read_operation(db, number), scope))
        ]
    newest = _newest(db, scope, actor, count)
    if len(newest) < count:
        raise RequestError(TOO_FEW.format(count=len(newest)) if newest else NONE)
    targets = sorted((target for one in newest for target in _whole(db, one)), key=lambda target: -target.number)
    return [_undo(db, derived, target, actor, now) for target in targets]


def _whole(db: apsw.Connection, target: Operation) -> list[Operation]:
    """The operation, and where it is one of an import those of the import that anything is left of, newest first."""
    if target.action != "import":
        return [target]
    query = f"""SELECT {journal.OPERATION_COLUMNS} FROM {journal.OPERATION_TABLES}
                WHERE s.tenant = ? AND s.namespace = ? AND a.agent = ? AND c.action = 'import'
                  AND NOT EXISTS (SELECT 1 FROM operations u WHERE u.undoes = o.number) ORDER BY o.number DESC"""
    asked = (target.scope.tenant, target.scope.namespace, target.actor.agent)
    batches = [journal.operation_from(db, row) for row in all_rows(db, query, asked)]
    return [batch for batch in batches if _left(db, batch)] or [target]


def _undo(db: apsw.Connection, derived: Derived, target: Operation, actor: Provenance, now: datetime) -> Operation:
    """What the operation made is forgotten, what it replaced gets its former form back; what is gone for good stays away."""
    operation = journal.next_operation(db)
    made: list[tuple[int, int]] = []
    changed: list[tuple[int, int]] = []
    for memory, home, last in _left(db, target):
        if last != target.number:
            raise ConflictError(CHANGED_LATER.format(number=target.number, later=last))
        past = first(db, "SELECT 1 FROM versions WHERE memory = ? AND operation = ?", (memory, target.number))
        (changed if past else made).append((memory, home))
    if not made and not changed:
        raise RequestError(GONE.format(number=target.number))
    revisions = {home: journal.next_revision(db, home) for _, home in made + changed}
    try:
        for memory, _ in made:  # first, so that what they replaced may live again
            journal.keep_form(db, memory, operation, now, content=False)
            db.execute("UPDATE memories SET forgotten = ?, operation = ? WHERE number = ?", (to_micros(now), operation, memory))
        for memory, _ in changed:
            past = only(
                db,
                "SELECT content, form, epoch, vector FROM versions WHERE memory = ? AND operation = ?",
                (memory, target.number),
            )
            journal.keep_form(db, memory, operation, now, content=past[0] is not None)
            journal.restore_form(db, memory, *past)
    except apsw.ConstraintError as error:
        raise ConflictError(STORED_AGAIN.format(number=target.number)) from error
    if any(has_twin(db, memory) for memory, _ in changed):
        raise ConflictError(STORED_AGAIN.format(number=target.number))
    for memory, home in made + changed:
        db.execute("UPDATE memories SET change = ? WHERE number = ?", (revisions[home], memory))
        derived.touch(db, memory)
    home_scope = journal.scope_number(db, target.scope)
    return logged(db, operation, home_scope, "undo", [memory for memory, _ in made + changed], actor, now, undoes=target.number)


def _left(db: apsw.Connection, target: Operation) -> list[Any]:
    """Number, scope and last operation of what an operation concerned, without what was erased since; of an import: or changed."""
    is_import = target.action == "import"
    query = f"SELECT m.number, m.scope, {_LAST} FROM memories m WHERE m.id = :id AND NOT {ERASED}"
    found = [first(db, query, {"id": subject.bytes, "of_others": is_import}) for subject in target.subjects]
    return [row for row in found if row is not None and (row[2] == target.number or not is_import)]


def _newest(db: apsw.Connection, scope: Scope, actor: Provenance, count: int) -> list[Operation]:
    """The newest operations of the client and user that can be undone: those of which anything is left."""
    query = f"""SELECT {journal.OPERATION_COLUMNS} FROM {journal.OPERATION_TABLES}
                WHERE s.tenant = ? AND s.namespace = ? AND a.client = ? AND a.user = ? AND c.action IN {UNDOABLE} AND o.number < ?
                  AND NOT EXISTS (SELECT 1 FROM operations u WHERE u.undoes = o.number) ORDER BY o.number DESC LIMIT ?"""
    found: dict[str | int, Operation] = {}
    before = 2**62
    while len(found) < count:  # page by page: a question left half answered would keep the WAL from being emptied
        asked = (scope.tenant, scope.namespace, actor.client, actor.user, before, count + 50)
        page = [journal.operation_from(db, row) for row in all_rows(db, query, asked)]
        if not page:
            break
        for target in page:
            if _left(db, target):
                found.setdefault(target.actor.agent if target.action == "import" else target.number, target)
        before = page[-1].number
    return list(found.values())[:count]
