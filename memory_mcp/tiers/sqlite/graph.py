"""What live memories speak of and the relations they state: rows beside the text index, written with every write."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import apsw

from memory_mcp.clock import to_micros
from memory_mcp.graph import COMMON, FAN_OUT, MOST_BESIDE, MOST_REACHED, Mentions, Named, Relation
from memory_mcp.models import Filter, Scope
from memory_mcp.text.entities import ALSO_CALLED, IS_A, Entity, entities_of, entity_key, read_relation, relations_of
from memory_mcp.tiers.sqlite.query import all_rows, first
from memory_mcp.tiers.sqlite.rows import LIVE, conditions, scope_numbers, to_json

_NOW = "(m.expires IS NULL OR m.expires > :now)"
_NAME = "iif(e.name = '', e.key, e.name)"
_SPOKEN_OF = "entities e CROSS JOIN mentions x ON x.entity = e.number CROSS JOIN memories m ON m.number = x.memory"


def put(db: apsw.Connection, memory: int, scope: int, content: str, metadata: Mapping[str, Any]) -> None:
    """Write what a live memory speaks of, in place of what was written of it before."""
    clear(db, memory)
    db.executemany(
        "INSERT INTO mentions (entity, memory) VALUES (?, ?)",
        [(_entity_number(db, scope, entity), memory) for entity in entities_of(content, metadata)],
    )
    db.executemany(
        "INSERT INTO relations (memory, scope, subject, predicate, object, statement) VALUES (?, ?, ?, ?, ?, ?)",
        [(memory, scope, *statement.triple, str(statement)) for statement in relations_of(metadata)],
    )


def clear(db: apsw.Connection, memory: int) -> None:
    """A memory that is not live speaks of nothing, and what nobody speaks of is gone."""
    spoken_of = all_rows(db, "DELETE FROM mentions WHERE memory = ? RETURNING entity", (memory,))
    db.executemany("DELETE FROM entities WHERE number = ?1 AND NOT EXISTS (SELECT 1 FROM mentions WHERE entity = ?1)", spoken_of)
    db.execute("DELETE FROM relations WHERE memory = ?", (memory,))


def _entity_number(db: apsw.Connection, scope: int, entity: Entity) -> int:
    values = (scope, entity.key, "" if entity.name == entity.key else entity.name, entity.type)
    found = first(db, "SELECT number FROM entities WHERE scope = ? AND key = ? AND name = ? AND type = ?", values)
    if found is None:
        db.execute("INSERT INTO entities (scope, key, name, type) VALUES (?, ?, ?, ?)", values)
    return db.last_insert_rowid() if found is None else int(found[0])


def mention_older(db: apsw.Connection, limit: int) -> int:
    """`Graph.mention_older`."""
    query = f"""SELECT o.number, m.number, m.scope, m.content, m.metadata, {LIVE} FROM outbox o JOIN memories m ON m.number = o.memory
                WHERE o.tier = 'mentions' ORDER BY o.due, o.number LIMIT ?"""
    rows = all_rows(db, query, (limit,))
    for _, memory, scope, content, metadata, live in rows:
        if live:
            put(db, memory, scope, content, json.loads(metadata))
    db.executemany("DELETE FROM outbox WHERE number = ?", [(row[0],) for row in rows])
    return len(rows)


def reach(db: apsw.Connection, scopes: Sequence[Scope], key: str, depth: int, now: datetime) -> dict[str, int]:
    """`Graph.reach`; a row limit inside of the recursion holds it, breadth first, however dense the graph is."""
    within = _numbers(db, scopes)

    def following(end: str) -> str:
        return f"""SELECT number FROM (SELECT r.number FROM relations r JOIN memories m ON m.number = r.memory
                   WHERE r.scope IN ({within}) AND r.{end} = reached.key AND r.predicate <> '{IS_A}' AND {_NOW}
                   ORDER BY r.memory DESC LIMIT {FAN_OUT})"""

    query = f"""WITH RECURSIVE reached (key, depth) AS (
                    SELECT :key, 0
                    UNION
                    SELECT iif(e.subject = reached.key, e.object, e.subject), reached.depth + (e.predicate <> '{ALSO_CALLED}')
                    FROM reached CROSS JOIN relations e ON e.number IN ({following("subject")} UNION ALL {following("object")})
                    WHERE reached.depth < :depth
                    LIMIT {MOST_REACHED})
                SELECT key, min(depth) FROM reached GROUP BY key ORDER BY 2, 1"""
    return dict(all_rows(db, query, {"key": key, "depth": depth, "now": to_micros(now)}))


def relations(db: apsw.Connection, scopes: Sequence[Scope], keys: Sequence[str] | None, now: datetime, limit: int) -> list[Relation]:
    """`Graph.relations`."""
    wanted = "SELECT value FROM json_each(:keys)"
    at = "" if keys is None else f" AND (r.subject IN ({wanted}) OR r.object IN ({wanted}))"
    query = f"""SELECT r.statement, m.id FROM relations r JOIN memories m ON m.number = r.memory
                WHERE r.scope IN ({_numbers(db, scopes)}) AND {_NOW}{at} ORDER BY m.id DESC, r.number LIMIT :limit"""
    rows = all_rows(db, query, {"now": to_micros(now), "limit": limit, **({} if keys is None else {"keys": to_json(list(keys))})})
    read = [(read_relation(statement), UUID(bytes=memory)) for statement, memory in rows]
    return [Relation(statement, memory) for statement, memory in read if statement is not None]


def mentions(db: apsw.Connection, scopes: Sequence[Scope], keys: Sequence[str], now: datetime, limit: int) -> dict[str, Mentions]:
    """`Graph.mentions`."""
    query = f"""SELECT {_NAME}, e.type, m.id FROM {_SPOKEN_OF}
                WHERE e.scope IN ({_numbers(db, scopes)}) AND e.key = :key AND {_NOW} ORDER BY m.id DESC LIMIT :limit"""
    found = {}
    for key in dict.fromkeys(keys):
        rows = all_rows(db, query, {"key": key, "now": to_micros(now), "limit": limit})
        if rows:
            types = [row[1] for row in rows if row[1]]
            found[key] = Mentions(Entity(rows[0][0], types[0] if types else ""), tuple(UUID(bytes=row[2]) for row in rows))
    return found


def names(db: apsw.Connection, scopes: Sequence[Scope], part: str, now: datetime, limit: int) -> list[Entity]:
    """`Graph.names`."""
    query = f"""SELECT max({_NAME}), max(e.type) FROM {_SPOKEN_OF}
                WHERE e.scope IN ({_numbers(db, scopes)}) AND instr(e.key, :part) AND {_NOW}
                GROUP BY e.key ORDER BY count(*) DESC, e.key LIMIT :limit"""
    rows = all_rows(db, query, {"part": entity_key(part), "now": to_micros(now), "limit": limit})
    return [Entity(name, kind) for name, kind in rows]


def _numbers(db: apsw.Connection, scopes: Sequence[Scope]) -> str:
    return ", ".join(map(str, scope_numbers(db, scopes)))


def named(db: apsw.Connection, scopes: Sequence[Scope], keys: Sequence[str], where: Filter, limit: int) -> list[Named]:
    """`Graph.named`."""
    within = _numbers(db, scopes)
    asked = _counted(db, within, keys)
    if not asked:
        return []
    ends = (
        "SELECT {other} FROM relations WHERE scope IN ({within}) AND {end} IN (SELECT value FROM json_each(:keys)) AND predicate <> :is_a"
    )
    both = " UNION ".join(ends.format(end=end, other=other, within=within) for end, other in (("subject", "object"), ("object", "subject")))
    rows = all_rows(db, f"{both} LIMIT {MOST_BESIDE}", {"keys": to_json(list(asked)), "is_a": IS_A})
    beside = _counted(db, within, [key for (key,) in rows if key not in asked])
    more, values = conditions(where)
    query = f"SELECT m.id, e.key FROM {_SPOKEN_OF} WHERE e.scope IN ({within}) AND e.key IN (SELECT value FROM json_each(:keys)){more}"
    found: dict[bytes, tuple[int, int]] = {}
    for hops, counted in enumerate((asked, beside)):
        for memory, key in all_rows(db, query, {**values, "keys": to_json(list(counted))}) if counted else ():
            near = (hops, counted[key])
            found[memory] = min(near, found.get(memory, near))
    best = sorted(found.items(), key=lambda item: (*item[1], item[0]))[:limit]
    return [Named(UUID(bytes=memory), hops, frequency) for memory, (hops, frequency) in best]


def _counted(db: apsw.Connection, within: str, keys: Sequence[str]) -> dict[str, int]:
    """How many memories speak of each of these entities, without those of none and those that are common."""
    query = f"""SELECT value, (SELECT count(*) FROM (SELECT 1 FROM entities e CROSS JOIN mentions x ON x.entity = e.number
                                                     WHERE e.scope IN ({within}) AND e.key = value LIMIT {COMMON + 1})) AS frequency
                FROM json_each(:keys) WHERE frequency BETWEEN 1 AND {COMMON}"""
    return dict(all_rows(db, query, {"keys": to_json(list(keys))})) if keys else {}
