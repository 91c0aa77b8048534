"""The record store in PostgreSQL: the same contract as the embedded one, for several machines and many tenants."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import anyio
from psycopg_pool import AsyncConnectionPool

from memory_mcp.contracts import Comparison
from memory_mcp.errors import MemoryNotFoundError, TierError
from memory_mcp.models import (
    Added,
    Asked,
    Changed,
    Changes,
    Delta,
    Draft,
    Embedding,
    EraseAction,
    Filter,
    Hit,
    Matrix,
    Meant,
    Memory,
    Note,
    Operation,
    Provenance,
    Scope,
    StoreCounts,
    Tally,
    Version,
)
from memory_mcp.tiers.postgres import erasing, experience, log, outbox, reads, schema, search, timeline, undoing, writes
from memory_mcp.tiers.postgres.faults import TIER, postgres_errors
from memory_mcp.tiers.postgres.graph_part import GraphPart
from memory_mcp.tiers.postgres.journal import Derived
from memory_mcp.tiers.postgres.log_part import LogPart
from memory_mcp.tiers.postgres.session import NOBODY, Pulse, Sessions, Transaction, configure, scopes_by_tenant
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.postgres.shelves_part import ShelvesPart
from memory_mcp.tiers.postgres.transport import refuse_plaintext

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]


class PostgresStore(GraphPart, LogPart, ShelvesPart):
    """Every seam of a record store over one database.

    They are `RecordStore`, `TextIndex`, `VectorSource`, `Origin`, `Outbox`, `OperationLog`, `Shelves`, `Experience`, `Graph`,
    `Erasing` and `Gate`.

    Attributes:
        reads, writes: How many there have been.
        server: The server's version.
    """

    def __init__(self, sessions: Sessions, settings: PostgresSettings, derived: Derived, server: str) -> None:
        self.reads = self.writes = 0
        self.server = server
        self._sessions, self._settings, self._derived = sessions, settings, derived
        self._approximate = search.Approximate(settings.exact_rows)

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: PostgresSettings, *, derived_tiers: Sequence[str] = ()) -> AsyncIterator["PostgresStore"]:
        """Open the database as the role that serves, bringing the schema up to date where `owner_dsn` is known.

        Raises:
            TierUnavailableError: The server is away.
            TierError: The role may do too much or too little, or the schema is of another version; nothing was changed.
        """
        logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # its lines name hosts and users; what matters is raised
        dsn = settings.dsn.get_secret_value()
        standing = await look(settings)
        if standing.version < standing.known and not standing.powers and settings.owner_dsn.get_secret_value():
            await schema.migrate(settings.owner_dsn.get_secret_value(), standing.role)
            standing = await look(settings)
        if standing.refusal:
            raise TierError(TIER, standing.refusal)
        pulse = Pulse()
        pool = AsyncConnectionPool(
            dsn,
            kwargs={"connect_timeout": schema.CONNECT_SECONDS, "prepare_threshold": 2},
            min_size=1,
            max_size=settings.pool_size,
            timeout=settings.pool_seconds,
            max_waiting=settings.max_waiting,
            configure=partial(configure, answer_seconds=settings.answer_seconds, pulse=pulse),
            check=pulse.check,
            reconnect_timeout=5.0,
            open=False,
        )
        sessions = Sessions(pool, pulse, settings.answer_seconds)
        with postgres_errors():
            await pool.open()
        try:
            yield cls(sessions, settings, Derived(tuple(derived_tiers)), standing.server)
        finally:
            with anyio.CancelScope(shield=True):
                await sessions.close()

    def figures(self) -> dict[str, Any]:
        """For people: how it is doing."""
        health = self._sessions.trouble or "ok"
        calls = {"reads": self.reads, "writes": self.writes}
        return {"role": "records", "health": health, **calls, "server": self.server, **self._sessions.figures()}

    def in_place(self) -> bool:
        """Whether what is open is still what the settings name: of a server, always."""
        return True

    async def _read(self, tenant: str, work: Work[T]) -> T:
        self.reads += 1
        return await self._sessions.read(tenant, work)

    async def _write(self, tenant: str, work: Work[T]) -> T:
        self.writes += 1
        return await self._sessions.write(tenant, work, log.landed)

    async def _each(self, scopes: Sequence[Scope], work: Callable[[Transaction, list[str]], Awaitable[T]]) -> list[T]:
        """What a read gives for each tenant among the scopes: nearly always one."""
        answers = []
        for tenant, namespaces in scopes_by_tenant(scopes).items():
            answers.append(await self._read(tenant, partial(_with_namespaces, work, namespaces)))
        return answers

    # RecordStore

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """See `RecordStore`."""
        found: dict[Scope, int] = {}
        for tenant, namespaces in scopes_by_tenant(scopes).items():
            known = await self._read(tenant, partial(reads.revisions, namespaces=namespaces))
            found.update({Scope(tenant, namespace): revision for namespace, revision in known.items()})
        return tuple(found.get(scope, 0) for scope in scopes)

    async def scopes(self, tenant: str) -> list[Scope]:
        """See `RecordStore`."""
        return await self._read(tenant, reads.scopes)

    async def add(self, draft: Draft, embedding: Embedding | None, *, within: Sequence[Scope]) -> Added:
        """See `RecordStore`."""
        words = await writes.words_of(draft)
        add = partial(writes.add, derived=self._derived, draft=draft, embedding=embedding, within=within, words=words)
        return await self._write(draft.scope.tenant, add)

    async def revise(self, scopes: Sequence[Scope], memory_id: UUID, changes: Changes, actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        revise = partial(writes.revise, derived=self._derived, scopes=scopes, memory_id=memory_id, changes=changes, actor=actor, now=now)
        return await self._write(_tenant(scopes, [memory_id]), revise)

    async def forget(self, scopes: Sequence[Scope], ids: Sequence[UUID], actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        forget = partial(writes.forget, derived=self._derived, scopes=scopes, ids=ids, actor=actor, now=now)
        return await self._write(_tenant(scopes, ids), forget)

    async def merge(self, scope: Scope, keep: UUID, others: Sequence[UUID], actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        merge = partial(writes.merge, derived=self._derived, scope=scope, keep=keep, others=others, actor=actor, now=now)
        return await self._write(scope.tenant, merge)

    async def undo(self, scope: Scope, operation: int | None, actor: Provenance, now: datetime, *, count: int = 1) -> list[Operation]:
        """See `RecordStore`."""
        undo = partial(undoing.undo, derived=self._derived, scope=scope, number=operation, actor=actor, now=now, count=count)
        return await self._write(scope.tenant, undo)

    async def get_many(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> list[Memory]:
        """See `RecordStore`."""
        if not ids:
            return []
        answers = await self._each(scopes, partial(reads.get_many, ids=ids))
        found = {memory.id: memory for memories in answers for memory in memories}
        return [found[memory_id] for memory_id in dict.fromkeys(ids) if memory_id in found]

    async def newest(
        self, scopes: Sequence[Scope], where: Filter, *, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[Memory]:
        """See `RecordStore`."""
        answers = await self._each(scopes, partial(reads.newest, where=where, limit=limit, after=after))
        return reads.newest_first([memory for memories in answers for memory in memories])[:limit]

    async def history(self, scopes: Sequence[Scope], memory_id: UUID) -> list[Version]:
        """See `RecordStore`."""
        return await self._read(_tenant(scopes, [memory_id]), partial(reads.history, namespaces=_namespaces(scopes), memory_id=memory_id))

    async def replaced(self, scopes: Sequence[Scope], memory_id: UUID, *, limit: int) -> list[Version]:
        """See `RecordStore`."""
        earlier = partial(timeline.replaced, namespaces=_namespaces(scopes), memory_id=memory_id, limit=limit)
        return await self._read(_tenant(scopes, [memory_id]), earlier)

    async def as_of(
        self, scopes: Sequence[Scope], where: Filter, moment: datetime, vector: Matrix | None, words: str, *, limit: int
    ) -> list[tuple[Memory, float]]:
        """See `RecordStore`."""
        answers = await self._each(scopes, partial(reads.as_of, where=where, at=moment, vector=vector, text=words, limit=limit))
        return reads.closest_first([pair for pairs in answers for pair in pairs])[:limit]

    async def count_uses(self, tenant: str, times: Mapping[UUID, int], now: datetime) -> None:
        """See `RecordStore`."""
        await self._write(tenant, partial(writes.count_uses, times=times, now=now))

    async def counts(self, tenant: str, namespaces: Collection[str] | None = None) -> StoreCounts:
        """See `RecordStore`."""
        return await self._read(tenant, partial(reads.counts, namespaces=namespaces))

    async def check(self) -> list[str]:
        """See `RecordStore`; of the server's own files the server's own tools tell."""
        refusal = (await look(self._settings)).refusal
        broken = await self.verify_chain()
        return [
            sentence for sentence in (refusal, f"The log was changed from outside at operation {broken}." if broken else "") if sentence
        ]

    @asynccontextmanager
    async def tending(self) -> AsyncIterator[bool]:
        """Whether this is the one process that tends the database, for as long as the context lasts."""
        async with schema.connected(self._settings.dsn.get_secret_value()) as connection:
            with postgres_errors():
                row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (schema.TENDING_LOCK,))).fetchone()
            yield bool(row and row[0])
            with suppress(TierError), postgres_errors():  # by its end alone it is free a moment later, when the server hears of it
                await connection.execute("SELECT pg_advisory_unlock_all()")

    # Experience

    async def report(self, scopes: Sequence[Scope], memory_id: UUID, *, good: bool, seconds: float | None, now: datetime) -> Tally:
        """See `Experience`."""
        names = _namespaces(scopes)
        report = partial(experience.report, namespaces=names, memory_id=memory_id, good=good, seconds=seconds, now=now)
        return await self._write(_tenant(scopes, [memory_id]), report)

    async def tallies(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> dict[UUID, Tally]:
        """See `Experience`."""
        answers = await self._each(scopes, partial(experience.tallies, ids=ids)) if ids else []
        return {memory_id: tally for answer in answers for memory_id, tally in answer.items()}

    async def count_questions(self, scope: Scope, asked: Sequence[Asked]) -> None:
        """See `Experience`."""
        await self._write(scope.tenant, partial(experience.count_questions, namespace=scope.namespace, asked=asked))

    async def questions(self, scopes: Sequence[Scope], since: datetime) -> list[Asked]:
        """See `Experience`."""
        answers = await self._each(scopes, partial(experience.questions, since=since))
        return [asked for answer in answers for asked in answer]

    # TextIndex, VectorSource and the search that needs no other tier

    async def search_text(self, scopes: Sequence[Scope], text: str, where: Filter, *, limit: int) -> list[Hit]:
        """See `TextIndex`."""
        answers = await self._each(scopes, partial(search.search_text, text=text, where=where, limit=limit))
        return sorted((hit for hits in answers for hit in hits), key=lambda hit: (-hit.score, hit.id.bytes))[:limit]

    async def vector_changes(self, scope: Scope, since: int, epoch: str, *, limit: int | None = None) -> Delta:
        """See `VectorSource`."""
        return await self._read(scope.tenant, partial(search.vector_changes, scope=scope, since=since, epoch=epoch, limit=limit))

    async def changed(self, scope: Scope, since: int, *, limit: int | None = None) -> Changed:
        """See `VectorSource`."""
        return await self._read(scope.tenant, partial(reads.changed, scope=scope, since=since, limit=limit))

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
        """See `VectorSource`."""
        return await self._read(scope.tenant, partial(search.compare, scope=scope, vectors=vectors, ids=ids, epoch=epoch))

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> list[list[Hit]]:
        """See `VectorIndex`: exact, but for scopes of more than `exact_rows` where the approximate index is switched on."""
        approximate = self._approximate if self._settings.hnsw else None
        find = partial(search.search, scope=scope, vectors=vectors, where=where, limit=limit, epoch=epoch, approximate=approximate)
        return await self._read(scope.tenant, find)

    async def adopt_epoch(self, epoch: str) -> int:
        """See `VectorSource`."""
        return await self._write(NOBODY, partial(outbox.adopt_epoch, epoch=epoch))

    async def settle_embeddings(self, notes: Sequence[Note], embeddings: Sequence[Embedding | None]) -> None:
        """See `VectorSource`."""
        of_tenant: dict[str, list[tuple[Note, Embedding | None]]] = {}
        for note, embedding in zip(notes, embeddings, strict=True):
            of_tenant.setdefault(note.scope.tenant, []).append((note, embedding))
        for tenant, own in of_tenant.items():
            await self._write(tenant, partial(outbox.settle_embeddings, derived=self._derived, own=own))

    async def contents(self, notes: Sequence[Note]) -> list[str | None]:
        """See `VectorSource`."""
        found: dict[int, str] = {}
        for tenant in dict.fromkeys(note.scope.tenant for note in notes):
            own = [note for note in notes if note.scope.tenant == tenant]
            found.update(await self._read(tenant, partial(outbox.contents, own=own)))
        return [found.get(note.number) for note in notes]

    # Outbox

    async def claim(self, tier: str, *, limit: int, lease_seconds: float) -> list[Note]:
        """See `Outbox`."""
        claimed = await self._write(NOBODY, partial(outbox.claim, tier=tier, limit=limit, lease_seconds=lease_seconds))
        homes: dict[tuple[str, UUID], str] = {}
        for tenant in dict.fromkeys(note[1] for note in claimed):
            own = [note[2] for note in claimed if note[1] == tenant]
            known = await self._read(tenant, partial(outbox.namespaces, ids=own))
            homes.update({(tenant, memory): namespace for memory, namespace in known.items()})
        return outbox.notes(tier, claimed, homes)

    async def settle(self, notes: Sequence[Note]) -> None:
        """See `Outbox`."""
        await self._write(NOBODY, partial(outbox.settle, settled=notes))

    async def postpone(self, notes: Sequence[Note], delay_seconds: float) -> None:
        """See `Outbox`."""
        await self._write(NOBODY, partial(outbox.postpone, late=notes, delay_seconds=delay_seconds))

    async def waiting(self, tier: str) -> int:
        """How many notes there are for a tier, of all tenants."""
        count = "SELECT count(*) FROM outbox WHERE tier = %(tier)s"
        return int(await self._read(NOBODY, lambda tx: tx.value(count, {"tier": tier})))

    async def has_index(self) -> bool:
        """Whether the approximate index is there for the vectors that are made now, or there are none."""
        epoch = await self._read(NOBODY, lambda tx: tx.value("SELECT number FROM epochs WHERE active AND dimension IS NOT NULL"))
        return epoch is None or await self._read(NOBODY, partial(search.has_index, epoch=epoch))

    async def notes(self) -> dict[str, int]:
        """See `Outbox`."""
        return await self._read(NOBODY, outbox.count)

    async def keep_tiers(self, tiers: Collection[str]) -> None:
        """See `Outbox`."""
        await self._write(NOBODY, partial(outbox.keep_tiers, tiers=tiers))

    # Origin

    async def identity(self) -> str:
        """See `Origin`."""
        return await self._read(NOBODY, reads.identity)

    async def active_epoch(self) -> str | None:
        """See `Origin`."""
        return await self._read(NOBODY, reads.active_epoch)

    async def tenants(self) -> list[str]:
        """See `Origin`."""
        return await self._read(NOBODY, reads.tenants)

    # Erasing

    async def meant(self, tenant: str, what: Meant) -> list[tuple[UUID, Scope]]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(tenant, partial(erasing.meant, what=what))

    async def texts(self, tenant: str, ids: Sequence[UUID]) -> list[str]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(tenant, partial(erasing.texts, ids=ids))

    async def erase(
        self, tenant: str, ids: Sequence[UUID], actor: Provenance, now: datetime, *, action: EraseAction = "erase"
    ) -> list[Operation]:
        """See `upkeep.erasing.Erasing`."""
        return await self._write(tenant, partial(erasing.erase, derived=self._derived, ids=ids, actor=actor, now=now, action=action))

    async def scour(self, *, compact: bool) -> bool:
        """See `upkeep.erasing.Erasing`: in the server's own files only its owner can do that, with VACUUM FULL."""
        return False

    async def scouring_owed(self) -> bool:
        """See `upkeep.erasing.Erasing`."""
        return False

    async def standing(self, tenant: str, strings: Sequence[str]) -> list[str]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(tenant, partial(erasing.standing, strings=strings))

    async def remains(self, tenant: str, ids: Sequence[UUID]) -> list[str]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(tenant, partial(erasing.remains, ids=ids))

    async def epochs(self) -> list[str]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(NOBODY, erasing.epochs)


async def look(settings: PostgresSettings) -> schema.Standing:
    """How the role that serves stands to the schema.

    Raises:
        TierUnavailableError, TierError: The database cannot be looked at.
        ConfigError: It would be spoken to without TLS.
    """
    refuse_plaintext(settings)
    async with schema.connected(settings.dsn.get_secret_value()) as connection:
        return await schema.standing(connection)


def _tenant(scopes: Sequence[Scope], ids: Sequence[UUID]) -> str:
    """The one tenant of the scopes of a call.

    Raises:
        MemoryNotFoundError: There is no scope, so that nothing is visible.
    """
    if not scopes:
        raise MemoryNotFoundError(list(ids))
    (tenant,) = {scope.tenant for scope in scopes}
    return tenant


def _namespaces(scopes: Sequence[Scope]) -> list[str]:
    return [scope.namespace for scope in scopes]


async def _with_namespaces(work: Callable[[Transaction, list[str]], Awaitable[T]], namespaces: list[str], tx: Transaction) -> T:
    return await work(tx, namespaces)
