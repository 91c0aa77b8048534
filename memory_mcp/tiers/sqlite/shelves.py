"""All that is kept, by the state it is in."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import apsw

from memory_mcp.clock import to_micros
from memory_mcp.models import Filter, Memory, Scope
from memory_mcp.states import State
from memory_mcp.tiers.sqlite.query import all_rows
from memory_mcp.tiers.sqlite.rows import ERASED, MEMORY_COLUMNS, MEMORY_TABLES, WHEN, conditions, memory_from, scope_numbers, to_json

_STATE = """CASE WHEN m.forgotten IS NOT NULL THEN 'forgotten' WHEN m.superseded_by IS NOT NULL THEN 'superseded'
                 WHEN m.expires <= :at THEN 'archived' ELSE 'live' END"""


def browse(
    db: apsw.Connection,
    scopes: Sequence[Scope],
    where: Filter,
    states: Collection[State],
    now: datetime,
    limit: int,
    after: tuple[datetime, UUID] | None,
) -> list[Memory]:
    """`Shelves.browse`."""
    more, values = conditions(where)
    values |= {"states": to_json(sorted(states)), "at": to_micros(now), "limit": limit, "scopes": to_json(scope_numbers(db, scopes))}
    if after is not None:
        more += f" AND ({WHEN} < :when OR {WHEN} = :when AND m.id > :id)"
        values |= {"when": to_micros(after[0]), "id": after[1].bytes}
    query = f"""SELECT {MEMORY_COLUMNS} FROM {MEMORY_TABLES}
                WHERE m.scope IN (SELECT value FROM json_each(:scopes)) AND NOT {ERASED}
                  AND {_STATE} IN (SELECT value FROM json_each(:states)){more} ORDER BY {WHEN} DESC, m.id LIMIT :limit"""
    return [memory_from(row) for row in all_rows(db, query, values)]


def holdings(db: apsw.Connection, scopes: Sequence[Scope], now: datetime) -> dict[Scope, dict[State, int]]:
    """`Shelves.holdings`."""
    query = f"""SELECT s.tenant, s.namespace, {_STATE}, count(*) FROM memories m JOIN scopes s ON s.number = m.scope
                WHERE m.scope IN (SELECT value FROM json_each(:scopes)) AND NOT {ERASED} GROUP BY 1, 2, 3"""
    found: dict[Scope, dict[State, int]] = defaultdict(dict)
    for tenant, namespace, state, count in all_rows(db, query, {"scopes": to_json(scope_numbers(db, scopes)), "at": to_micros(now)}):
        found[Scope(tenant, namespace)][state] = count
    return dict(found)
