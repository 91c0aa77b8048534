"""The values of a key in the order of their dates, and what a memory took the place of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import apsw

from memory_mcp.clock import to_micros
from memory_mcp.models import Draft, Scope, Version
from memory_mcp.tiers.sqlite import journal
from memory_mcp.tiers.sqlite.query import all_rows, first, only
from memory_mcp.tiers.sqlite.rows import LIVE, MEMORY_COLUMNS, MEMORY_TABLES, VALID_FROM, memory_from, scope_numbers


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value belongs among those of its key.

    Attributes:
        current: The value that is current and stays so, since it is dated later.
        following: What came next after the new one, and when that began, in microseconds; None where nothing did.
        shortened: Numbers of what was taken to be true until then, and ended when the new one began.
    """

    current: UUID | None = None
    following: tuple[bytes, int] | None = None
    shortened: Sequence[int] = ()


def place_in_time(db: apsw.Connection, draft: Draft, scope: int) -> Place:
    """Of two values of a key whose dates were both given, the later dated is the current one, in whatever order they were told."""
    given = draft.dated
    if not draft.key or given is None:
        return Place()
    values = {
        "scope": scope,
        "key": draft.key,
        "since": to_micros(given),
        "now": to_micros(draft.now),
        "carried": draft.created is not None,
    }
    of_key = "FROM memories m WHERE m.scope = :scope AND m.key = :key AND m.forgotten IS NULL"
    dated = "(:carried OR m.occurred IS NOT NULL OR coalesce(m.valid_from, m.created) <> m.created)"
    dated += " AND (m.expires IS NULL OR m.expires > :now)"
    current = first(db, f"SELECT m.id {of_key} AND {LIVE} AND {VALID_FROM} > :since AND {dated}", values)
    if current is None or UUID(bytes=current[0]) in draft.supersedes:
        return Place()
    following = only(db, f"SELECT m.id, {VALID_FROM} {of_key} AND {VALID_FROM} > :since ORDER BY 2, 1 LIMIT 1", values)
    shortened = all_rows(db, f"SELECT m.number {of_key} AND {VALID_FROM} <= :since AND m.valid_to > :since ORDER BY m.id", values)
    return Place(UUID(bytes=current[0]), (following[0], following[1]), [row[0] for row in shortened])


def shorten(db: apsw.Connection, number: int, scope: int, successor: UUID, since: datetime, operation: int, now: datetime) -> None:
    """End a past value when another, which was told later, began."""
    journal.keep_form(db, number, operation, now, content=False)
    db.execute(
        "UPDATE memories SET superseded_by = ?, valid_to = ?, operation = ?, change = ? WHERE number = ?",
        (successor.bytes, to_micros(since), operation, journal.next_revision(db, scope), number),
    )


def replaced(db: apsw.Connection, scopes: Sequence[Scope], memory_id: UUID, limit: int) -> list[Version]:
    """`RecordStore.replaced`."""
    numbers = ", ".join(map(str, scope_numbers(db, scopes)))
    query = f"""WITH RECURSIVE earlier (id) AS (
                    SELECT :id UNION SELECT m.id FROM memories m JOIN earlier e ON m.superseded_by = e.id WHERE m.scope IN ({numbers}))
                SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES} WHERE m.id IN (SELECT id FROM earlier) AND m.id <> :id
                  AND m.scope IN ({numbers}) AND m.forgotten IS NULL
                ORDER BY m.valid_to DESC, m.id DESC LIMIT :limit"""
    memories = [memory_from(row) for row in all_rows(db, query, {"id": memory_id.bytes, "limit": limit})]
    return [Version(0, memory, memory.valid_to or memory.updated_at, memory.operation) for memory in reversed(memories)]
