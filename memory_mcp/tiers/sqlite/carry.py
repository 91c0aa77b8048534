"""A tenant's rows out of the file and into it, for `migrate`."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import apsw

from memory_mcp.audit.chain import Gap
from memory_mcp.audit.entries import Origin
from memory_mcp.clock import from_micros, utc_now
from memory_mcp.models import Provenance, Scope
from memory_mcp.portable import COLUMNS, FORM, CarriedMemory, CarriedOperation, CarriedVersion, Inventory
from memory_mcp.tiers.sqlite import audit, journal
from memory_mcp.tiers.sqlite.query import all_rows, value
from memory_mcp.tiers.sqlite.rows import VALID_FROM, to_json
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.tiers.sqlite.subjects import by_id

_PLAIN = [name for name in COLUMNS if name not in ("updated", "valid_from", "actor")]


class SqliteCarrier:
    """See `portable.Carrier`."""

    def __init__(self, store: SqliteStore, tenant: str) -> None:
        self._store, self._tenant = store, tenant

    async def inventory(self) -> Inventory:
        """See `Carrier`."""
        return await self._store._read(partial(_inventory, tenant=self._tenant))

    async def memories(self, after: UUID | None, limit: int) -> list[CarriedMemory]:
        """See `Carrier`."""
        return await self._store._read(partial(_memories, tenant=self._tenant, after=after, limit=limit))

    async def operations(self) -> list[CarriedOperation]:
        """See `Carrier`."""
        return await self._store._read(partial(_operations, tenant=self._tenant))

    async def broken(self) -> int | None:
        """See `Carrier`."""
        return await self._store.verify_chain()

    async def prepare(self, inventory: Inventory) -> None:
        """See `Carrier`."""
        await self._store._write(partial(_prepare, tenant=self._tenant, inventory=inventory))

    async def put(self, memories: Sequence[CarriedMemory]) -> None:
        """See `Carrier`."""
        await self._store._write(partial(_put, tenant=self._tenant, memories=memories))

    async def finish(self, operations: Sequence[CarriedOperation]) -> None:
        """See `Carrier`."""
        await self._store._write(partial(_finish, tenant=self._tenant, operations=operations))


def _inventory(db: apsw.Connection, tenant: str) -> Inventory:
    scopes: dict[str, int] = dict(all_rows(db, "SELECT namespace, revision FROM scopes WHERE tenant = ? ORDER BY number", (tenant,)))
    epochs = [(name, dimension, bool(active)) for name, dimension, active in all_rows(db, "SELECT name, dimension, active FROM epochs")]
    memories = value(db, "SELECT count(*) FROM memories m JOIN scopes s ON s.number = m.scope WHERE s.tenant = ?", (tenant,))
    return Inventory(scopes, epochs, int(memories), int(value(db, "SELECT count(*) FROM operations")))


def _memories(db: apsw.Connection, tenant: str, after: UUID | None, limit: int) -> list[CarriedMemory]:
    query = f"""SELECT m.number, m.id, s.namespace, u.recalled, u.last, e.name, v.vector, a.client, a.user, a.agent, a.source,
                       coalesce(m.updated, m.created), {VALID_FROM}, o.good, o.bad, o.seconds, o.timed, o.last,
                       {", ".join(f"m.{name}" for name in _PLAIN)}
                FROM memories m JOIN scopes s ON s.number = m.scope JOIN actors a ON a.number = m.actor
                LEFT JOIN uses u ON u.memory = m.number LEFT JOIN outcomes o ON o.memory = m.number
                LEFT JOIN vectors v ON v.memory = m.number LEFT JOIN epochs e ON e.number = v.epoch
                WHERE s.tenant = ? AND m.id > ? ORDER BY m.id LIMIT ?"""
    carried = []
    for row in all_rows(db, query, (tenant, b"" if after is None else after.bytes, limit)):
        number, memory_id, namespace, recalled, last, epoch, vector = row[:7]
        columns = dict(zip(_PLAIN, row[18:], strict=True))
        columns |= {"actor": list(row[7:11]), "updated": row[11], "valid_from": row[12]}
        versions = _versions(db, number, columns["created"])
        uses = None if recalled is None else (recalled, last)
        outcomes = None if row[13] is None else row[13:18]
        carried.append(CarriedMemory(UUID(bytes=memory_id), namespace, _plain(columns), epoch, vector, uses, versions, outcomes))
    return carried


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Values as any store could have them."""
    plain = {**row, "tags": json.loads(row["tags"]), "metadata": json.loads(row["metadata"]), "short_term": bool(row["short_term"])}
    for name in ("superseded_by", "fingerprint", "salt"):
        if isinstance(row.get(name), bytes):
            plain[name] = row[name].hex()
    return plain


def _versions(db: apsw.Connection, number: int, created: int) -> tuple[CarriedVersion, ...]:
    query = """SELECT v.n, v.operation, v.replaced, v.content, v.form, e.name, v.vector FROM versions v
               LEFT JOIN epochs e ON e.number = v.epoch WHERE v.memory = ? ORDER BY v.n"""
    found = []
    for n, operation, replaced, content, text, epoch, vector in all_rows(db, query, (number,)):
        form = _plain(json.loads(text))
        form |= {"superseded_by": form["superseded_by"].lower() or None, "fingerprint": form["fingerprint"].lower()}
        form["updated"] = created if form["updated"] is None else form["updated"]
        since = form["occurred"] if form["occurred"] is not None else created
        form["valid_from"] = since if form["valid_from"] is None else form["valid_from"]
        found.append(CarriedVersion(n, operation, replaced, content, form, epoch, vector))
    return tuple(found)


def _operations(db: apsw.Connection, tenant: str) -> list[CarriedOperation]:
    query = f"""SELECT o.number, s.namespace, o.at, c.action, o.subjects, a.client, a.user, a.agent, a.source, o.undoes,
                      c.origin, o.details
               FROM {journal.OPERATION_TABLES} WHERE s.tenant = ? ORDER BY o.number"""
    return [
        CarriedOperation(
            row[0], row[1], row[2], row[3], by_id(db, row[4]), (row[5], row[6], row[7], row[8]), row[9], _origin(row[10]), row[11] or ""
        )
        for row in all_rows(db, query, (tenant,))
    ]


def _origin(told: str | None) -> tuple[str, str, str]:
    address, role, token = json.loads(told) if told else ("", "", "")
    return address, role, token


def _prepare(db: apsw.Connection, tenant: str, inventory: Inventory) -> None:
    for namespace, revision in inventory.scopes.items():
        number = journal.scope_number(db, Scope(tenant, namespace))
        db.execute("UPDATE scopes SET revision = max(revision, ?) WHERE number = ?", (revision, number))
    for name, dimension, active in inventory.epochs:
        db.execute(
            "INSERT OR IGNORE INTO epochs (name, dimension, active) VALUES (?, ?, ? AND NOT EXISTS (SELECT 1 FROM epochs WHERE active))",
            (name, dimension, active),
        )


def _put(db: apsw.Connection, tenant: str, memories: Sequence[CarriedMemory]) -> None:
    for memory in memories:
        row = {**memory.columns, "id": memory.id.bytes, "scope": journal.scope_number(db, Scope(tenant, memory.namespace))}
        row |= {"tags": to_json(row["tags"]), "metadata": to_json(row["metadata"])}
        row |= {name: None if row[name] is None else bytes.fromhex(row[name]) for name in ("superseded_by", "fingerprint", "salt")}
        row["actor"] = journal.actor_number(db, Provenance(*memory.columns["actor"]))
        db.execute(f"INSERT INTO memories ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row)
        number = db.last_insert_rowid()
        epoch = "(SELECT number FROM epochs WHERE name = ?)"
        if memory.vectors is not None:
            db.execute(f"INSERT INTO vectors (memory, epoch, vector) VALUES (?, {epoch}, ?)", (number, memory.epoch, memory.vectors))
        if memory.uses:
            db.execute("INSERT INTO uses (memory, recalled, last) VALUES (?, ?, ?)", (number, *memory.uses))
        if memory.outcomes:
            db.execute(
                "INSERT INTO outcomes (memory, good, bad, seconds, timed, last) VALUES (?, ?, ?, ?, ?, ?)", (number, *memory.outcomes)
            )
        for version in memory.versions:
            form = {name: version.form[name] for name in FORM}
            form |= {"tags": to_json(form["tags"]), "metadata": to_json(form["metadata"]), "superseded_by": form["superseded_by"] or ""}
            db.execute(
                f"""INSERT INTO versions (memory, n, operation, replaced, content, form, epoch, vector)
                    VALUES (?, ?, ?, ?, ?, ?, {epoch}, ?)""",
                (number, version.n, version.operation, version.replaced, version.content, to_json(form), version.epoch, version.vectors),
            )
        journal.Derived().touch(db, number)


def _finish(db: apsw.Connection, tenant: str, operations: Sequence[CarriedOperation]) -> None:
    gaps, previous, expected = [], b"", 1
    for carried in operations:
        if carried.number > expected:
            gaps.append(Gap(expected, carried.number - 1, previous))
        scope, actor = journal.scope_number(db, Scope(tenant, carried.namespace)), Provenance(*carried.actor, Origin(*carried.origin))
        told = {"details": json.loads(carried.details) if carried.details else {}, "previous": previous}
        numbered = (carried.number, scope, carried.action, carried.subjects, actor, from_micros(carried.at), carried.undoes)
        previous, expected = journal.append(db, *numbered, **told), carried.number + 1
    if gaps:
        audit.leave_gaps(db, tenant, "migrate", gaps, Provenance(source="migrate"), utc_now(), entries=len(operations))
