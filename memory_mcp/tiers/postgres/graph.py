"""What live memories speak of and the relations they state: rows beside the text index, written with every write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import anyio

from memory_mcp.clock import to_micros
from memory_mcp.graph import COMMON, FAN_OUT, MOST_BESIDE, MOST_REACHED, Mentions, Named, Relation
from memory_mcp.models import Filter
from memory_mcp.text.entities import ALSO_CALLED, IS_A, Entity, Statement, entities_of, entity_key, read_relation, relations_of
from memory_mcp.tiers.postgres import log
from memory_mcp.tiers.postgres.rows import IN_SCOPES, LIVE, conditions
from memory_mcp.tiers.postgres.session import Row, Transaction

_NOW = "(m.expires IS NULL OR m.expires > %(now)s)"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a memory speaks of."""

    entities: Sequence[Entity] = ()
    relations: Sequence[Statement] = ()

    @classmethod
    def of(cls, content: str, metadata: Mapping[str, Any]) -> "Spoken":
        """Read it."""
        return cls(entities_of(content, metadata), relations_of(metadata))


async def put(tx: Transaction, spoken: Mapping[UUID, Spoken]) -> None:
    """Write what live memories speak of that nothing is written of."""
    for memory, said in spoken.items():
        if said.entities:
            await tx.run(
                """INSERT INTO mentions (tenant, memory, key, scope, name, type)
                   SELECT m.tenant, m.id, x.key, m.scope, x.name, x.type
                   FROM memories m, unnest(%(keys)s::text[], %(names)s::text[], %(types)s::text[]) x (key, name, type)
                   WHERE m.id = %(memory)s""",
                {
                    "memory": memory,
                    "keys": [entity.key for entity in said.entities],
                    "names": [entity.name for entity in said.entities],
                    "types": [entity.type for entity in said.entities],
                },
            )
        if said.relations:
            triples = [statement.triple for statement in said.relations]
            subjects, predicates, objects = (list(column) for column in zip(*triples, strict=True))
            await tx.run(
                """INSERT INTO relations (tenant, memory, n, scope, subject, predicate, object, statement)
                   SELECT m.tenant, m.id, x.n, m.scope, x.subject, x.predicate, x.object, x.statement
                   FROM memories m, unnest(%(subjects)s::text[], %(predicates)s::text[], %(objects)s::text[], %(statements)s::text[])
                        WITH ORDINALITY x (subject, predicate, object, statement, n)
                   WHERE m.id = %(memory)s""",
                {
                    "memory": memory,
                    "subjects": subjects,
                    "predicates": predicates,
                    "objects": objects,
                    "statements": [str(statement) for statement in said.relations],
                },
            )


async def clear(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Nothing is written of these memories any more."""
    await tx.run("DELETE FROM mentions WHERE memory = ANY(%(ids)s)", {"ids": list(ids)})
    await tx.run("DELETE FROM relations WHERE memory = ANY(%(ids)s)", {"ids": list(ids)})


async def mention_older(tx: Transaction, limit: int) -> int:
    """`Graph.mention_older`, one tenant at a time."""
    noted = await tx.rows(
        """DELETE FROM outbox WHERE number IN (
               SELECT number FROM outbox WHERE tier = 'mentions'
                 AND tenant = (SELECT tenant FROM outbox WHERE tier = 'mentions' ORDER BY number LIMIT 1)
               ORDER BY number LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
           RETURNING tenant, memory""",
        {"limit": limit},
    )
    if noted:
        await tx.become(noted[0][0])
        await log.lock_tenant(tx)
        ids = [memory for _, memory in noted]
        rows = await tx.rows(f"SELECT m.id, m.content, m.metadata FROM memories m WHERE m.id = ANY(%(ids)s) AND {LIVE}", {"ids": ids})
        spoken = await anyio.to_thread.run_sync(_read, rows)
        async with tx.together():
            await clear(tx, ids)
            await put(tx, spoken)
    return len(noted)


def _read(rows: Sequence[Row]) -> dict[UUID, Spoken]:
    return {memory: Spoken.of(content, metadata) for memory, content, metadata in rows}


async def reach(tx: Transaction, namespaces: Sequence[str], key: str, depth: int, now: datetime) -> dict[str, int]:
    """`Graph.reach`; the rows are asked for as they come, so that the limit ends the recursion."""

    def following(end: str, other: str) -> str:
        return f"""(SELECT r.{other} AS key, r.predicate FROM relations r JOIN memories m ON m.tenant = r.tenant AND m.id = r.memory
                    WHERE r.scope {IN_SCOPES} AND r.{end} = reached.key AND r.predicate <> '{IS_A}' AND {_NOW}
                    ORDER BY r.memory DESC LIMIT {FAN_OUT})"""

    query = f"""WITH RECURSIVE reached (key, depth) AS (
                    SELECT %(key)s::text, 0
                    UNION
                    SELECT e.key, reached.depth + (e.predicate <> '{ALSO_CALLED}')::int
                    FROM reached CROSS JOIN LATERAL ({following("subject", "object")} UNION ALL {following("object", "subject")}) e
                    WHERE reached.depth < %(depth)s)
                SELECT key, depth FROM reached LIMIT {MOST_REACHED}"""
    rows = await tx.rows(query, {"key": key, "depth": depth, "now": to_micros(now), "namespaces": list(namespaces)})
    found: dict[str, int] = {}
    for reached, steps in sorted(rows, key=lambda row: (row[1], row[0])):
        found.setdefault(reached, steps)
    return found


async def relations(tx: Transaction, namespaces: Sequence[str], keys: Sequence[str] | None, now: datetime, limit: int) -> list[Relation]:
    """`Graph.relations`."""
    at = "" if keys is None else " AND (r.subject = ANY(%(keys)s) OR r.object = ANY(%(keys)s))"
    query = f"""SELECT r.statement, m.id FROM relations r JOIN memories m ON m.tenant = r.tenant AND m.id = r.memory
                WHERE r.scope {IN_SCOPES} AND {_NOW}{at} ORDER BY m.id DESC, r.n LIMIT %(limit)s"""
    values = {"now": to_micros(now), "limit": limit, "namespaces": list(namespaces), "keys": list(keys or ())}
    read = [(read_relation(statement), memory) for statement, memory in await tx.rows(query, values)]
    return [Relation(statement, memory) for statement, memory in read if statement is not None]


async def mentions(tx: Transaction, namespaces: Sequence[str], keys: Sequence[str], now: datetime, limit: int) -> dict[str, Mentions]:
    """`Graph.mentions`."""
    query = f"""SELECT asked.key, x.name, x.type, x.id FROM unnest(%(keys)s::text[]) WITH ORDINALITY asked (key, n)
                CROSS JOIN LATERAL (
                    SELECT x.name, x.type, m.id FROM mentions x JOIN memories m ON m.tenant = x.tenant AND m.id = x.memory
                    WHERE x.scope {IN_SCOPES} AND x.key = asked.key AND {_NOW} ORDER BY m.id DESC LIMIT %(limit)s) x
                ORDER BY asked.n, x.id DESC"""
    values = {"keys": list(dict.fromkeys(keys)), "now": to_micros(now), "limit": limit, "namespaces": list(namespaces)}
    by_key: dict[str, list[Row]] = {}
    for row in await tx.rows(query, values):
        by_key.setdefault(row[0], []).append(row)
    return {
        key: Mentions(Entity(rows[0][1], next((row[2] for row in rows if row[2]), "")), tuple(row[3] for row in rows))
        for key, rows in by_key.items()
    }


async def names(tx: Transaction, namespaces: Sequence[str], part: str, now: datetime, limit: int) -> list[Entity]:
    """`Graph.names`."""
    query = f"""SELECT max(x.name COLLATE "C"), max(x.type) FROM mentions x JOIN memories m ON m.tenant = x.tenant AND m.id = x.memory
                WHERE x.scope {IN_SCOPES} AND strpos(x.key, %(part)s) > 0 AND {_NOW}
                GROUP BY x.key ORDER BY count(*) DESC, x.key COLLATE "C" LIMIT %(limit)s"""
    values = {"part": entity_key(part), "now": to_micros(now), "limit": limit, "namespaces": list(namespaces)}
    return [Entity(name, kind) for name, kind in await tx.rows(query, values)]


async def named(tx: Transaction, namespaces: Sequence[str], keys: Sequence[str], where: Filter, limit: int) -> list[Named]:
    """`Graph.named`."""
    here = {"namespaces": list(namespaces)}
    asked = await _counted(tx, namespaces, keys)
    if not asked:
        return []
    ends = f"SELECT {{other}} AS key FROM relations WHERE scope {IN_SCOPES} AND {{end}} = ANY(%(keys)s) AND predicate <> '{IS_A}'"
    both = " UNION ".join(ends.format(end=end, other=other) for end, other in (("subject", "object"), ("object", "subject")))
    rows = await tx.rows(f"{both} LIMIT {MOST_BESIDE}", {**here, "keys": list(asked)})
    beside = await _counted(tx, namespaces, [key for (key,) in rows if key not in asked])
    more, values = conditions(where)
    query = f"""SELECT m.id, x.key FROM mentions x JOIN memories m ON m.tenant = x.tenant AND m.id = x.memory
                WHERE x.scope {IN_SCOPES} AND x.key = ANY(%(keys)s){more}"""
    found: dict[UUID, tuple[int, int]] = {}
    for hops, counted in enumerate((asked, beside)):
        for memory, key in await tx.rows(query, {**values, **here, "keys": list(counted)}) if counted else ():
            near = (hops, counted[key])
            found[memory] = min(near, found.get(memory, near))
    best = sorted(found.items(), key=lambda item: (*item[1], item[0].bytes))[:limit]
    return [Named(memory, hops, frequency) for memory, (hops, frequency) in best]


async def _counted(tx: Transaction, namespaces: Sequence[str], keys: Sequence[str]) -> dict[str, int]:
    """How many memories speak of each of these entities, without those of none and those that are common."""
    query = f"""SELECT asked.key, x.frequency FROM unnest(%(keys)s::text[]) asked (key)
                CROSS JOIN LATERAL (SELECT count(*) AS frequency FROM (
                    SELECT FROM mentions x WHERE x.scope {IN_SCOPES} AND x.key = asked.key LIMIT {COMMON + 1}) y) x
                WHERE x.frequency BETWEEN 1 AND {COMMON}"""
    return dict(await tx.rows(query, {"keys": list(keys), "namespaces": list(namespaces)})) if keys else {}
