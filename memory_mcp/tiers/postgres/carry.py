"""A tenant's rows out of the tables and into them, for `migrate`."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from pgvector import HalfVector

from memory_mcp.audit.chain import Gap
from memory_mcp.audit.entries import Origin
from memory_mcp.clock import from_micros, utc_now
from memory_mcp.models import Provenance, Scope
from memory_mcp.portable import COLUMNS, FORM, CarriedMemory, CarriedOperation, CarriedVersion, Inventory
from memory_mcp.tiers.postgres import audit, graph, log
from memory_mcp.tiers.postgres.journal import HAS_VECTOR, batched, words_of
from memory_mcp.tiers.postgres.rows import LIVE, WHEN, to_json
from memory_mcp.tiers.postgres.session import Transaction
from memory_mcp.tiers.postgres.store import PostgresStore

_BATCH = 500
_BYTES = ("fingerprint", "salt")


class PostgresCarrier:
    """See `portable.Carrier`."""

    def __init__(self, store: PostgresStore, tenant: str) -> None:
        self._store, self._tenant = store, tenant

    async def inventory(self) -> Inventory:
        """See `Carrier`."""
        return await self._store._read(self._tenant, _inventory)

    async def memories(self, after: UUID | None, limit: int) -> list[CarriedMemory]:
        """See `Carrier`."""
        return await self._store._read(self._tenant, lambda tx: _memories(tx, after, limit))

    async def operations(self) -> list[CarriedOperation]:
        """See `Carrier`."""
        return await self._store._read(self._tenant, _operations)

    async def broken(self) -> int | None:
        """See `Carrier`."""
        return (await self._store._read(self._tenant, audit.chain)).broken

    async def prepare(self, inventory: Inventory) -> None:
        """See `Carrier`."""
        await self._store._write(self._tenant, lambda tx: _prepare(tx, inventory))

    async def put(self, memories: Sequence[CarriedMemory]) -> None:
        """See `Carrier`."""
        await self._store._write(self._tenant, lambda tx: _put(tx, memories))

    async def finish(self, operations: Sequence[CarriedOperation]) -> None:
        """See `Carrier`."""
        await self._store._write(self._tenant, lambda tx: _finish(tx, operations))


async def _inventory(tx: Transaction) -> Inventory:
    scopes: dict[str, int] = dict(await tx.rows("SELECT namespace, revision FROM scopes ORDER BY number"))
    epochs = await tx.rows("SELECT name, dimension, active FROM epochs ORDER BY number")
    row = await tx.row("SELECT (SELECT count(*) FROM memories), (SELECT count(*) FROM operations)")
    assert row is not None
    return Inventory(scopes, [(name, dimension, active) for name, dimension, active in epochs], *row)


async def _memories(tx: Transaction, after: UUID | None, limit: int) -> list[CarriedMemory]:
    query = f"""SELECT m.id, s.namespace, u.recalled, u.last, o.good, o.bad, o.seconds, o.timed, o.last,
                       {", ".join(f"m.{name}" for name in COLUMNS)}
                FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope
                LEFT JOIN uses u ON u.tenant = m.tenant AND u.memory = m.id
                LEFT JOIN outcomes o ON o.tenant = m.tenant AND o.memory = m.id
                WHERE %(after)s::uuid IS NULL OR m.id > %(after)s ORDER BY m.id LIMIT %(limit)s"""
    rows = await tx.rows(query, {"after": after, "limit": limit})
    ids = {"ids": [row[0] for row in rows]}
    query = """SELECT v.memory, e.name, array_agg(halfvec_send(v.vector) ORDER BY v.passage) FROM vectors v
               JOIN epochs e ON e.number = v.epoch WHERE v.memory = ANY(%(ids)s) GROUP BY v.memory, e.name"""
    vectors = {row[0]: row[1:] for row in await tx.rows(query, ids)}
    query = """SELECT v.memory, v.n, v.operation, v.replaced, v.content, v.form, e.name,
                      ARRAY(SELECT halfvec_send(one) FROM unnest(v.vectors) one)
               FROM versions v LEFT JOIN epochs e ON e.number = v.epoch WHERE v.memory = ANY(%(ids)s) ORDER BY v.memory, v.n"""
    versions: dict[UUID, list[CarriedVersion]] = {}
    for memory, n, operation, replaced, content, form, epoch, sent in await tx.rows(query, ids):
        carried = CarriedVersion(n, operation, replaced, content, _form(form), epoch, _halves(sent) if epoch else None)
        versions.setdefault(memory, []).append(carried)
    return [
        CarriedMemory(
            id=row[0],
            namespace=row[1],
            columns=_columns(dict(zip(COLUMNS, row[9:], strict=True))),
            epoch=vectors[row[0]][0] if row[0] in vectors else None,
            vectors=_halves(vectors[row[0]][1]) if row[0] in vectors else None,
            uses=None if row[2] is None else (row[2], row[3]),
            versions=tuple(versions.get(row[0], ())),
            outcomes=None if row[4] is None else row[4:9],
        )
        for row in rows
    ]


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    ended_by = row["superseded_by"]
    return {**row, **{name: row[name].hex() for name in _BYTES}, "superseded_by": None if ended_by is None else ended_by.hex}


def _form(form: dict[str, Any]) -> dict[str, Any]:
    ended_by = form["superseded_by"]
    return {**form, "fingerprint": form["fingerprint"][2:], "superseded_by": ended_by and UUID(ended_by).hex}


def _halves(sent: Sequence[bytes]) -> bytes:
    """As `halfvec_send` gives them: two 16-bit words, then big-endian numbers."""
    return b"".join(np.frombuffer(each[4:], ">f2").astype("<f2").tobytes() for each in sent)


async def _operations(tx: Transaction) -> list[CarriedOperation]:
    query = f"SELECT o.number, s.namespace, o.at, o.action, o.subjects, o.actor, o.undoes, o.origin, o.details FROM {log.TABLES}"
    rows = await tx.rows(f"{query} ORDER BY o.number")
    return [
        CarriedOperation(row[0], row[1], row[2], row[3], row[4], tuple(row[5]), row[6], tuple(row[7] or ("", "", "")), row[8] or "")
        for row in rows
    ]


async def _prepare(tx: Transaction, inventory: Inventory) -> None:
    await log.lock_tenant(tx)
    for namespace, revision in inventory.scopes.items():
        await tx.run(
            """INSERT INTO scopes (tenant, namespace, revision) VALUES (%(tenant)s, %(namespace)s, %(revision)s)
               ON CONFLICT (tenant, namespace) DO UPDATE SET revision = greatest(scopes.revision, excluded.revision)""",
            {"tenant": tx.tenant, "namespace": namespace, "revision": revision},
        )
    for name, dimension, active in inventory.epochs:
        await tx.run(
            """INSERT INTO epochs (name, dimension, active)
               VALUES (%(name)s, %(dimension)s, %(active)s AND NOT EXISTS (SELECT FROM epochs WHERE active)) ON CONFLICT DO NOTHING""",
            {"name": name, "dimension": dimension, "active": active},
        )


async def _put(tx: Transaction, memories: Sequence[CarriedMemory]) -> None:
    await log.lock_tenant(tx)
    dimensions: dict[str, int] = dict(await tx.rows("SELECT name, dimension FROM epochs WHERE dimension IS NOT NULL"))
    async with tx.together():
        for memory in memories:
            await _put_one(tx, memory, dimensions)
        await tx.run(
            f"""INSERT INTO outbox (tier, tenant, memory) SELECT 'embed', m.tenant, m.id FROM memories m
                WHERE m.id = ANY(%(ids)s) AND {LIVE} AND NOT {HAS_VECTOR} ON CONFLICT DO NOTHING""",
            {"ids": [memory.id for memory in memories]},
        )


async def _put_one(tx: Transaction, memory: CarriedMemory, dimensions: dict[str, int]) -> None:
    row = {**memory.columns, "metadata": to_json(memory.columns["metadata"]), "actor": list(memory.columns["actor"])}
    row |= {name: bytes.fromhex(row[name]) for name in _BYTES}
    row["superseded_by"] = row["superseded_by"] and UUID(row["superseded_by"])
    key = {"id": memory.id, "tenant": tx.tenant}
    await tx.run(
        f"""INSERT INTO memories (tenant, id, scope, {", ".join(COLUMNS)})
            SELECT tenant, %(id)s, number, {", ".join(f"%({name})s" for name in COLUMNS)} FROM scopes WHERE namespace = %(namespace)s""",
        {**row, **key, "namespace": memory.namespace},
    )
    if memory.vectors and memory.epoch:
        await tx.run(
            f"""INSERT INTO vectors (tenant, memory, passage, scope, epoch, live, kind, domain, tags, at, expires, vector)
                SELECT m.tenant, m.id, v.n - 1, m.scope, e.number, {LIVE}, m.kind, m.domain, m.tags, {WHEN}, m.expires, v.vector
                FROM memories m JOIN epochs e ON e.name = %(epoch)s, unnest(%(vectors)b) WITH ORDINALITY v (vector, n)
                WHERE m.id = %(id)s""",
            {**key, "epoch": memory.epoch, "vectors": _rows(memory.vectors, dimensions[memory.epoch])},
        )
    if row["forgotten"] is None and row["superseded_by"] is None:
        words, length, spoken = words_of(row["content"], row["tags"], row["key"], memory.columns["metadata"])
        await graph.put(tx, {memory.id: spoken})
        await tx.run(
            """INSERT INTO words (tenant, memory, scope, length, words)
               SELECT tenant, id, scope, %(length)s, array_to_tsvector(ARRAY['@' || scope]) || %(words)s::tsvector
               FROM memories WHERE id = %(id)s""",
            {**key, "length": length, "words": words},
        )
    if memory.uses:
        used = {**key, "recalled": memory.uses[0], "last": memory.uses[1]}
        await tx.run("INSERT INTO uses (tenant, memory, recalled, last) VALUES (%(tenant)s, %(id)s, %(recalled)s, %(last)s)", used)
    if memory.outcomes:
        names = ("good", "bad", "seconds", "timed", "last")
        await tx.run(
            """INSERT INTO outcomes (tenant, memory, good, bad, seconds, timed, last)
               VALUES (%(tenant)s, %(id)s, %(good)s, %(bad)s, %(seconds)s, %(timed)s, %(last)s)""",
            {**key, **dict(zip(names, memory.outcomes, strict=True))},
        )
    for version in memory.versions:
        form = {name: version.form[name] for name in FORM}
        form["fingerprint"] = "\\x" + form["fingerprint"]
        vectors = None if version.vectors is None or version.epoch is None else _rows(version.vectors, dimensions[version.epoch])
        await tx.run(
            f"""INSERT INTO versions (tenant, memory, n, operation, replaced, content, form, epoch, vectors)
                VALUES (%(tenant)s, %(id)s, %(n)s, %(operation)s, %(replaced)s, %(content)s, %(form)s,
                        (SELECT number FROM epochs WHERE name = %(epoch)s), {"%(vectors)b" if vectors else "NULL"})""",
            {
                **key,
                "n": version.n,
                "operation": version.operation,
                "replaced": version.replaced,
                "content": version.content,
                "form": json.dumps(form, ensure_ascii=False),
                "epoch": version.epoch,
                "vectors": vectors,
            },
        )


def _rows(vectors: bytes, dimension: int) -> list[HalfVector]:
    return [HalfVector(row) for row in np.frombuffer(vectors, "<f2").reshape(-1, dimension)]


async def _finish(tx: Transaction, operations: Sequence[CarriedOperation]) -> None:
    head = await log.lock_tenant(tx)
    gaps = []
    for batch in batched(operations, _BATCH):
        async with tx.together():
            for carried in batch:
                if carried.number > head.number:
                    gaps.append(Gap(head.number, carried.number - 1, head.previous))
                    head = log.Head(carried.number, head.previous)
                scope, actor = Scope(tx.tenant, carried.namespace), Provenance(*carried.actor, Origin(*carried.origin))
                details = json.loads(carried.details) if carried.details else {}
                entry = (scope, carried.action, carried.subjects, actor, from_micros(carried.at), carried.undoes, details)
                await log.append(tx, head, *entry)
                head = log.after(head, *entry)
    if gaps:
        await audit.leave_gaps(tx, "migrate", gaps, Provenance(source="migrate"), utc_now(), entries=len(operations))
