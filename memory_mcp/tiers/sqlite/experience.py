"""What became of memories in use, and what was asked: counted beside the memories, without an entry in the log."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import apsw

from memory_mcp.clock import from_micros, to_micros
from memory_mcp.contracts import QUESTIONS_KEPT
from memory_mcp.errors import MemoryNotFoundError
from memory_mcp.models import Asked, Scope, Tally
from memory_mcp.tiers.sqlite import journal
from memory_mcp.tiers.sqlite.query import all_rows, only
from memory_mcp.tiers.sqlite.rows import ids_json, scope_numbers


def report(db: apsw.Connection, scopes: Sequence[Scope], memory_id: UUID, good: bool, seconds: float | None, now: datetime) -> Tally:
    """`Experience.report`."""
    numbers = ", ".join(map(str, scope_numbers(db, scopes)))
    timed = good and seconds is not None
    db.execute(
        f"""INSERT INTO outcomes (memory, good, bad, seconds, timed, last)
            SELECT number, :good, :bad, :seconds, :timed, :now FROM memories
            WHERE id = :id AND scope IN ({numbers}) AND forgotten IS NULL
            ON CONFLICT (memory) DO UPDATE SET good = good + excluded.good, bad = bad + excluded.bad,
                seconds = seconds + excluded.seconds, timed = timed + excluded.timed, last = max(last, excluded.last)""",
        {
            "good": int(good),
            "bad": int(not good),
            "seconds": float(seconds or 0.0) if timed else 0.0,
            "timed": int(timed),
            "now": to_micros(now),
            "id": memory_id.bytes,
        },
    )
    if not db.changes():
        raise MemoryNotFoundError([memory_id])
    journal.next_revision(db, only(db, "SELECT scope FROM memories WHERE id = ?", (memory_id.bytes,))[0])
    return tallies(db, scopes, [memory_id])[memory_id]


def tallies(db: apsw.Connection, scopes: Sequence[Scope], ids: Sequence[UUID]) -> dict[UUID, Tally]:
    """`Experience.tallies`."""
    numbers = ", ".join(map(str, scope_numbers(db, scopes)))
    query = f"""SELECT m.id, o.good, o.bad, o.seconds, o.timed, o.last FROM json_each(:ids) wanted
                CROSS JOIN memories m JOIN outcomes o ON o.memory = m.number
                WHERE m.id = unhex(wanted.value) AND m.scope IN ({numbers})"""
    return {
        UUID(bytes=memory): Tally(good, bad, seconds, timed, from_micros(last))
        for memory, good, bad, seconds, timed, last in all_rows(db, query, {"ids": ids_json(ids)})
    }


def count_questions(db: apsw.Connection, scope: Scope, asked: Sequence[Asked]) -> None:
    """`Experience.count_questions`."""
    for number in scope_numbers(db, [scope]):
        _count(db, number, asked)


def _count(db: apsw.Connection, number: int, asked: Sequence[Asked]) -> None:
    for one in asked:
        db.execute(
            """INSERT INTO questions (scope, text, times, unanswered, last) VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (scope, text) DO UPDATE SET times = times + excluded.times,
                   unanswered = unanswered + excluded.unanswered, last = max(last, excluded.last)""",
            (number, one.text, one.times, one.unanswered, to_micros(one.last)),
        )
    db.execute(
        """DELETE FROM questions WHERE scope = :scope
           AND last < (SELECT last FROM questions WHERE scope = :scope ORDER BY last DESC LIMIT 1 OFFSET :kept)""",
        {"scope": number, "kept": QUESTIONS_KEPT - 1},
    )


def questions(db: apsw.Connection, scopes: Sequence[Scope], since: datetime) -> list[Asked]:
    """`Experience.questions`."""
    numbers = ", ".join(map(str, scope_numbers(db, scopes)))
    query = f"""SELECT text, sum(times), sum(unanswered), max(last) FROM questions
                WHERE scope IN ({numbers}) AND last >= ? GROUP BY text ORDER BY max(last) DESC, text"""
    return [Asked(text, times, unanswered, from_micros(last)) for text, times, unanswered, last in all_rows(db, query, (to_micros(since),))]
