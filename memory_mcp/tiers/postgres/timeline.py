"""The values of a key in the order of their dates, and what a memory took the place of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from memory_mcp.clock import to_micros
from memory_mcp.models import Draft, Version
from memory_mcp.tiers.postgres import journal
from memory_mcp.tiers.postgres.rows import IN_SCOPES, LIVE, MEMORY_COLUMNS, MEMORY_TABLES, memory_from
from memory_mcp.tiers.postgres.session import Transaction


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value belongs among those of its key.

    Attributes:
        current: The value that is current and stays so, since it is dated later.
        following: What came next after the new one, and when that began, in microseconds; None where nothing did.
        shortened: What was taken to be true until then, and ended when the new one began.
    """

    current: UUID | None = None
    following: tuple[UUID, int] | None = None
    shortened: Sequence[UUID] = ()


NOW = Place()
"""Of what is current and nothing comes after."""


async def place_in_time(tx: Transaction, draft: Draft) -> Place:
    """Of two values of a key whose dates were both given, the later dated is the current one, in whatever order they were told."""
    given = draft.dated
    if not draft.key or given is None:
        return NOW
    values = {"namespaces": [draft.scope.namespace], "key": draft.key, "since": to_micros(given), "now": to_micros(draft.now)}
    values["carried"] = draft.created is not None
    of_key = f"FROM memories m WHERE m.scope {IN_SCOPES} AND m.key = %(key)s AND m.forgotten IS NULL"
    dated = "(%(carried)s OR m.occurred IS NOT NULL OR m.valid_from <> m.created) AND (m.expires IS NULL OR m.expires > %(now)s)"
    current = await tx.row(f"SELECT m.id {of_key} AND {LIVE} AND m.valid_from > %(since)s AND {dated}", values)
    if current is None or current[0] in draft.supersedes:
        return NOW
    following = await tx.row(f"SELECT m.id, m.valid_from {of_key} AND m.valid_from > %(since)s ORDER BY 2, 1 LIMIT 1", values)
    assert following is not None
    shortened = await tx.rows(f"SELECT m.id {of_key} AND m.valid_from <= %(since)s AND m.valid_to > %(since)s ORDER BY 1", values)
    return Place(current[0], (following[0], following[1]), [row[0] for row in shortened])


async def shorten(tx: Transaction, ids: Sequence[UUID], successor: UUID, since: datetime, operation: int, now: datetime) -> None:
    """End past values when another, which was told later, began."""
    if not ids:
        return
    await journal.keep_forms(tx, ids, operation, now)
    await tx.run(
        "UPDATE memories SET superseded_by = %(successor)s, valid_to = %(since)s, operation = %(operation)s WHERE id = ANY(%(ids)s)",
        {"ids": list(ids), "successor": successor, "since": to_micros(since), "operation": operation},
    )
    await journal.mark_changed(tx, ids)


async def replaced(tx: Transaction, namespaces: Sequence[str], memory_id: UUID, limit: int) -> list[Version]:
    """`RecordStore.replaced`."""
    query = f"""WITH RECURSIVE earlier (id) AS (
                    SELECT %(id)s::uuid UNION
                    SELECT m.id FROM memories m JOIN earlier e ON m.superseded_by = e.id
                    WHERE m.tenant = %(tenant)s AND m.scope {IN_SCOPES})
                SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES}
                WHERE m.id IN (SELECT id FROM earlier) AND m.id <> %(id)s AND m.scope {IN_SCOPES} AND m.forgotten IS NULL
                ORDER BY m.valid_to DESC, m.id DESC LIMIT %(limit)s"""
    values = {"id": memory_id, "namespaces": list(namespaces), "limit": limit, "tenant": tx.tenant}
    memories = [memory_from(row) for row in await tx.rows(query, values)]
    return [Version(0, memory, memory.valid_to or memory.updated_at, memory.operation) for memory in reversed(memories)]
