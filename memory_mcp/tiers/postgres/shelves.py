"""All that is kept, by the state it is in."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from memory_mcp.clock import to_micros
from memory_mcp.models import Filter, Memory
from memory_mcp.states import State
from memory_mcp.tiers.postgres.rows import ERASED, IN_SCOPES, MEMORY_COLUMNS, MEMORY_TABLES, WHEN, conditions, memory_from
from memory_mcp.tiers.postgres.session import Transaction

_STATE = """CASE WHEN m.forgotten IS NOT NULL THEN 'forgotten' WHEN m.superseded_by IS NOT NULL THEN 'superseded'
                 WHEN m.expires <= %(at)s THEN 'archived' ELSE 'live' END"""


async def browse(
    tx: Transaction,
    namespaces: Sequence[str],
    where: Filter,
    states: Collection[State],
    now: datetime,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[Memory]:
    """`Shelves.browse`."""
    more, values = conditions(where)
    values |= {"states": sorted(states), "at": to_micros(now), "limit": limit, "namespaces": list(namespaces)}
    if after is not None:
        more += f" AND ({WHEN} < %(when)s OR {WHEN} = %(when)s AND m.id > %(id)s)"
        values |= {"when": to_micros(after[0]), "id": after[1]}
    query = f"""SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES}
                WHERE m.scope {IN_SCOPES} AND NOT {ERASED} AND {_STATE} = ANY(%(states)s){more}
                ORDER BY {WHEN} DESC, m.id LIMIT %(limit)s"""
    return [memory_from(row) for row in await tx.rows(query, values)]


async def holdings(tx: Transaction, namespaces: Sequence[str], now: datetime) -> list[tuple[str, State, int]]:
    """`Shelves.holdings`, as rows."""
    query = f"""SELECT s.namespace, {_STATE}, count(*) FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope
                WHERE m.scope {IN_SCOPES} AND NOT {ERASED} GROUP BY 1, 2"""
    return [(row[0], row[1], row[2]) for row in await tx.rows(query, {"namespaces": list(namespaces), "at": to_micros(now)})]
