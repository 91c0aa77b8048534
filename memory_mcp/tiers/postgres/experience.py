"""What became of memories in use, and what was asked: counted beside the memories, without an entry in the log."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from memory_mcp.clock import from_micros, to_micros
from memory_mcp.contracts import QUESTIONS_KEPT
from memory_mcp.errors import MemoryNotFoundError
from memory_mcp.models import Asked, Tally
from memory_mcp.tiers.postgres.journal import STRIDE
from memory_mcp.tiers.postgres.log import lock_tenant
from memory_mcp.tiers.postgres.rows import IN_SCOPES
from memory_mcp.tiers.postgres.session import Transaction


async def report(tx: Transaction, namespaces: Sequence[str], memory_id: UUID, good: bool, seconds: float | None, now: datetime) -> Tally:
    """`Experience.report`."""
    timed = good and seconds is not None
    await lock_tenant(tx)
    row = await tx.row(
        f"""INSERT INTO outcomes AS o (tenant, memory, good, bad, seconds, timed, last)
            SELECT m.tenant, m.id, %(good)s, %(bad)s, %(seconds)s, %(timed)s, %(now)s FROM memories m
            WHERE m.id = %(id)s AND m.scope {IN_SCOPES} AND m.forgotten IS NULL
            ON CONFLICT (tenant, memory) DO UPDATE SET good = o.good + excluded.good, bad = o.bad + excluded.bad,
                seconds = o.seconds + excluded.seconds, timed = o.timed + excluded.timed, last = greatest(o.last, excluded.last)
            RETURNING good, bad, seconds, timed, last""",
        {
            "good": int(good),
            "bad": int(not good),
            "seconds": float(seconds or 0.0) if timed else 0.0,
            "timed": int(timed),
            "now": to_micros(now),
            "id": memory_id,
            "namespaces": list(namespaces),
        },
    )
    if row is None:
        raise MemoryNotFoundError([memory_id])
    moved = f"UPDATE scopes SET revision = revision + {STRIDE} WHERE number = (SELECT scope FROM memories WHERE id = %(id)s)"
    await tx.run(moved, {"id": memory_id})
    good, bad, taken, timings, last = row
    return Tally(good, bad, taken, timings, from_micros(last))


async def tallies(tx: Transaction, namespaces: Sequence[str], ids: Sequence[UUID]) -> dict[UUID, Tally]:
    """`Experience.tallies`."""
    query = f"""SELECT m.id, o.good, o.bad, o.seconds, o.timed, o.last
                FROM memories m JOIN outcomes o ON o.tenant = m.tenant AND o.memory = m.id
                WHERE m.id = ANY(%(ids)s) AND m.scope {IN_SCOPES}"""
    rows = await tx.rows(query, {"ids": list(ids), "namespaces": list(namespaces)})
    return {memory: Tally(good, bad, seconds, timed, from_micros(last)) for memory, good, bad, seconds, timed, last in rows}


async def count_questions(tx: Transaction, namespace: str, asked: Sequence[Asked]) -> None:
    """`Experience.count_questions`; of a scope that was never written to nothing is kept."""
    for one in sorted(asked, key=lambda each: each.text):  # in one order, so that two writers do not wait for each other
        await tx.run(
            """INSERT INTO questions AS q (tenant, scope, text, times, unanswered, last)
               SELECT tenant, number, %(text)s, %(times)s, %(unanswered)s, %(last)s FROM scopes WHERE namespace = %(namespace)s
               ON CONFLICT (tenant, scope, text) DO UPDATE SET times = q.times + excluded.times,
                   unanswered = q.unanswered + excluded.unanswered, last = greatest(q.last, excluded.last)""",
            {"text": one.text, "times": one.times, "unanswered": one.unanswered, "last": to_micros(one.last), "namespace": namespace},
        )
    await tx.run(
        """DELETE FROM questions q USING scopes s WHERE s.tenant = q.tenant AND s.number = q.scope AND s.namespace = %(namespace)s
           AND q.last < (SELECT older.last FROM questions older WHERE older.tenant = q.tenant AND older.scope = s.number
                         ORDER BY older.last DESC LIMIT 1 OFFSET %(kept)s)""",
        {"namespace": namespace, "kept": QUESTIONS_KEPT - 1},
    )


async def questions(tx: Transaction, namespaces: Sequence[str], since: datetime) -> list[Asked]:
    """`Experience.questions`."""
    query = f"""SELECT q.text, sum(q.times)::bigint, sum(q.unanswered)::bigint, max(q.last) FROM questions q
                WHERE q.scope {IN_SCOPES} AND q.last >= %(since)s GROUP BY q.text ORDER BY max(q.last) DESC, q.text COLLATE "C" """
    rows = await tx.rows(query, {"namespaces": list(namespaces), "since": to_micros(since)})
    return [Asked(text, times, unanswered, from_micros(last)) for text, times, unanswered, last in rows]
