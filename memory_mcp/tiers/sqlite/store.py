"""The embedded record store: one SQLite file, one writer lane, a few readers off the event loop."""

import queue
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import anyio
import apsw

from memory_mcp.contracts import Comparison
from memory_mcp.errors import UNEXPECTED, MemoryMcpError, StoreReadOnlyError, TierError
from memory_mcp.graph import Mentions, Named, Relation
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
from memory_mcp.states import State
from memory_mcp.text.entities import Entity
from memory_mcp.tiers.sqlite import database, erasing, experience, graph, outbox, reads, shelves, timeline, undoing, writes
from memory_mcp.tiers.sqlite.cipher import TIER, Key
from memory_mcp.tiers.sqlite.database import sqlite_errors
from memory_mcp.tiers.sqlite.footing import Footing
from memory_mcp.tiers.sqlite.journal import Derived
from memory_mcp.tiers.sqlite.keys import find_key
from memory_mcp.tiers.sqlite.lane import Write, WriterLane
from memory_mcp.tiers.sqlite.lock import StoreLock
from memory_mcp.tiers.sqlite.log_part import LogPart
from memory_mcp.tiers.sqlite.presence import present
from memory_mcp.tiers.sqlite.settings import NOT_ENCRYPTED, EncryptionSettings
from memory_mcp.tiers.sqlite.tending import tending
from memory_mcp.tiers.sqlite.watch import Watch

T = TypeVar("T")

_READERS = 4


class SqliteStore(LogPart):
    """Every seam of a record store over one file.

    They are `RecordStore`, `TextIndex`, `VectorSource`, `Origin`, `Outbox`, `OperationLog`, `Shelves`, `Experience`, `Graph`,
    `Erasing` and `Gate`.

    Attributes:
        reads, writes: How many there have been.
        encrypted: Whether the file is.
        unclean: Whether the last process that wrote did not close the file, or still has it open: worth a full `check`.
    """

    def __init__(
        self, folder: Path, key: Key | None, lane: WriterLane | None, watch: Watch | None, footing: Footing, derived: Derived
    ) -> None:
        self.folder, self.encrypted = folder, key is not None
        self.unclean = False
        self.reads = self.writes = 0
        self._closed = False
        self._key, self._lane, self._watch, self._footing, self._derived = key, lane, watch, footing, derived
        self._readers: queue.SimpleQueue[apsw.Connection] = queue.SimpleQueue()
        self._limiter = anyio.CapacityLimiter(_READERS)
        self._opened: list[apsw.Connection] = []

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        encryption: EncryptionSettings = NOT_ENCRYPTED,
        *,
        derived_tiers: Sequence[str] = (),
        lock_wait_seconds: float = database.LOCK_WAIT_SECONDS,
    ) -> AsyncIterator["SqliteStore"]:
        """Open the data directory's store, making it where there is none; close it on leaving.

        A store that this process may not write is opened all the same: every write then raises StoreReadOnlyError.

        Raises:
            StoreBusyError, StoreDamagedError, StoreKeyError, SchemaTooNewError, TierError: See `errors`; nothing was changed.
        """
        lock = StoreLock(folder / database.LOCK_NAME)
        unclean: list[bool] = []
        with ExitStack() as held:

            def opened() -> tuple[Key | None, WriterLane | None, Watch | None, Footing]:
                path, key = folder / database.FILE_NAME, find_key(encryption, folder)
                with sqlite_errors():
                    if database.is_read_only(folder):
                        database.open_reader(folder, key).close()
                        return key and key.derived(path), None, None, Footing(path)
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    database.refuse_network(folder)
                    held.enter_context(present(folder, lock_wait_seconds))
                    unclean.append(database.has_wal(folder))
                    try:
                        key = key and key.derived(path)
                        connection = database.open_writer(folder, key, lock, lock_wait_seconds)
                        key = key and key.derived(path)  # a new file has its salt by now
                        watch = Watch(database.connect(path, key))
                        footing = Footing(path)
                        return key, WriterLane(connection, lock, footing, lock_wait_seconds), watch, footing
                    except BaseException:
                        lock.close()
                        raise

            store = cls(folder, *await anyio.to_thread.run_sync(opened), Derived(tuple(derived_tiers)))
            store.unclean = any(unclean)
            try:
                yield store
            finally:
                with anyio.CancelScope(shield=True):
                    await store._close()

    @property
    def trouble(self) -> str:
        """Why nothing can be written, or why the newest write failed; else empty."""
        failure = StoreReadOnlyError(TIER) if self._lane is None else self._lane.failure
        return "" if failure is None else str(failure) if isinstance(failure, MemoryMcpError) else UNEXPECTED

    def in_place(self) -> bool:
        """Whether the file that is open is still the one that lies in the folder."""
        return self._footing.holds()

    async def _close(self) -> None:
        self._closed = True
        for _ in range(_READERS):  # none is left at work
            await self._limiter.acquire_on_behalf_of(object())
        for connection in self._opened:
            connection.close()
        if self._watch is not None:
            self._watch.close()
        if self._lane is not None:
            await self._lane.close()

    async def _read(self, read: Callable[[apsw.Connection], T]) -> T:
        if self._closed:
            raise TierError(TIER, "The memory store is closed.")
        self.reads += 1
        return await anyio.to_thread.run_sync(self._with_reader, read, limiter=self._limiter)

    def _with_reader(self, read: Callable[[apsw.Connection], T]) -> T:
        with sqlite_errors():
            try:
                connection = self._readers.get_nowait()
            except queue.Empty:
                self._footing.refuse_moved()
                connection = database.connect(self.folder / database.FILE_NAME, self._key, read_only=self._lane is None)
                connection.pragma("query_only", True)
                self._opened.append(connection)
            try:
                connection.execute("BEGIN")
                return read(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._readers.put(connection)

    async def _write(self, write: Write[T], *, alone: bool = False) -> T:
        if self._lane is None:
            raise StoreReadOnlyError(TIER)
        self.writes += 1
        return await self._lane.run(write, alone=alone)

    # RecordStore

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """See `RecordStore`."""
        read = partial(self._read, partial(reads.revisions, scopes=scopes))
        return await (read() if self._watch is None else self._watch.revisions(scopes, read))

    async def scopes(self, tenant: str) -> list[Scope]:
        """See `RecordStore`."""
        return await self._read(partial(reads.scopes, tenant=tenant))

    async def add(self, draft: Draft, embedding: Embedding | None, *, within: Sequence[Scope]) -> Added:
        """See `RecordStore`."""
        return await self._write(partial(writes.add, derived=self._derived, draft=draft, embedding=embedding, within=within))

    async def add_many(self, drafts: Sequence[Draft]) -> list[Added]:
        """See `RecordStore`."""
        return await self._write(partial(writes.add_many, derived=self._derived, drafts=drafts))

    async def revise(self, scopes: Sequence[Scope], memory_id: UUID, changes: Changes, actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        revise = partial(writes.revise, derived=self._derived, scopes=scopes, memory_id=memory_id, changes=changes, actor=actor, now=now)
        return await self._write(revise)

    async def forget(self, scopes: Sequence[Scope], ids: Sequence[UUID], actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        return await self._write(partial(writes.forget, derived=self._derived, scopes=scopes, ids=ids, actor=actor, now=now))

    async def merge(self, scope: Scope, keep: UUID, others: Sequence[UUID], actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        return await self._write(partial(writes.merge, derived=self._derived, scope=scope, keep=keep, others=others, actor=actor, now=now))

    async def undo(self, scope: Scope, operation: int | None, actor: Provenance, now: datetime, *, count: int = 1) -> list[Operation]:
        """See `RecordStore`."""
        undo = partial(undoing.undo, derived=self._derived, scope=scope, number=operation, actor=actor, now=now, count=count)
        return await self._write(undo)

    async def get_many(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> list[Memory]:
        """See `RecordStore`."""
        return await self._read(partial(reads.get_many, scopes=scopes, ids=ids))

    async def newest(
        self, scopes: Sequence[Scope], where: Filter, *, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[Memory]:
        """See `RecordStore`."""
        return await self._read(partial(reads.newest, scopes=scopes, where=where, limit=limit, after=after))

    async def history(self, scopes: Sequence[Scope], memory_id: UUID) -> list[Version]:
        """See `RecordStore`."""
        return await self._read(partial(reads.history, scopes=scopes, memory_id=memory_id))

    async def replaced(self, scopes: Sequence[Scope], memory_id: UUID, *, limit: int) -> list[Version]:
        """See `RecordStore`."""
        return await self._read(partial(timeline.replaced, scopes=scopes, memory_id=memory_id, limit=limit))

    async def as_of(
        self, scopes: Sequence[Scope], where: Filter, moment: datetime, vector: Matrix | None, words: str, *, limit: int
    ) -> list[tuple[Memory, float]]:
        """See `RecordStore`."""
        return await self._read(partial(reads.as_of, scopes=scopes, where=where, moment=moment, vector=vector, text=words, limit=limit))

    async def count_uses(self, tenant: str, times: Mapping[UUID, int], now: datetime) -> None:
        """See `RecordStore`."""
        await self._write(partial(writes.count_uses, tenant=tenant, times=times, now=now))

    async def counts(self, tenant: str, namespaces: Collection[str] | None = None) -> StoreCounts:
        """See `RecordStore`."""
        return await self._read(partial(reads.counts, tenant=tenant, namespaces=namespaces))

    async def check(self) -> list[str]:
        """See `RecordStore`."""
        return await self._read(database.faults)

    @asynccontextmanager
    async def tending(self) -> AsyncIterator[bool]:
        """Whether this is the one process that tends the store, for as long as the context lasts; never where it may not write."""
        if self._lane is None:
            yield False
            return
        with tending(self.folder) as chosen:
            yield chosen

    # Experience

    async def report(self, scopes: Sequence[Scope], memory_id: UUID, *, good: bool, seconds: float | None, now: datetime) -> Tally:
        """See `Experience`."""
        return await self._write(partial(experience.report, scopes=scopes, memory_id=memory_id, good=good, seconds=seconds, now=now))

    async def tallies(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> dict[UUID, Tally]:
        """See `Experience`."""
        return await self._read(partial(experience.tallies, scopes=scopes, ids=ids)) if ids else {}

    async def count_questions(self, scope: Scope, asked: Sequence[Asked]) -> None:
        """See `Experience`."""
        await self._write(partial(experience.count_questions, scope=scope, asked=asked))

    async def questions(self, scopes: Sequence[Scope], since: datetime) -> list[Asked]:
        """See `Experience`."""
        return await self._read(partial(experience.questions, scopes=scopes, since=since))

    # Graph

    async def reach(self, scopes: Sequence[Scope], key: str, *, depth: int, now: datetime) -> dict[str, int]:
        """See `Graph`."""
        return await self._read(partial(graph.reach, scopes=scopes, key=key, depth=depth, now=now))

    async def relations(self, scopes: Sequence[Scope], keys: Sequence[str] | None, *, now: datetime, limit: int) -> list[Relation]:
        """See `Graph`."""
        return await self._read(partial(graph.relations, scopes=scopes, keys=keys, now=now, limit=limit))

    async def mentions(self, scopes: Sequence[Scope], keys: Sequence[str], *, now: datetime, limit: int) -> dict[str, Mentions]:
        """See `Graph`."""
        return await self._read(partial(graph.mentions, scopes=scopes, keys=keys, now=now, limit=limit))

    async def names(self, scopes: Sequence[Scope], part: str, *, now: datetime, limit: int) -> list[Entity]:
        """See `Graph`."""
        return await self._read(partial(graph.names, scopes=scopes, part=part, now=now, limit=limit))

    async def named(self, scopes: Sequence[Scope], keys: Sequence[str], where: Filter, *, limit: int) -> list[Named]:
        """See `Graph`."""
        return await self._read(partial(graph.named, scopes=scopes, keys=keys, where=where, limit=limit))

    async def mention_older(self, limit: int) -> int:
        """See `Graph`."""
        return await self._write(partial(graph.mention_older, limit=limit))

    # TextIndex, VectorSource and the exact search that needs no index

    async def search_text(self, scopes: Sequence[Scope], text: str, where: Filter, *, limit: int) -> list[Hit]:
        """See `TextIndex`."""
        return await self._read(partial(reads.search_text, scopes=scopes, text=text, where=where, limit=limit))

    async def vector_changes(self, scope: Scope, since: int, epoch: str, *, limit: int | None = None) -> Delta:
        """See `VectorSource`."""
        return await self._read(partial(reads.vector_changes, scope=scope, since=since, epoch=epoch, limit=limit))

    async def changed(self, scope: Scope, since: int, *, limit: int | None = None) -> Changed:
        """See `VectorSource`."""
        return await self._read(partial(reads.changed, scope=scope, since=since, limit=limit))

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
        """See `VectorSource`."""
        return await self._read(partial(reads.compare, scope=scope, vectors=vectors, ids=ids, epoch=epoch))

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> list[list[Hit]]:
        """See `VectorIndex`: exact, and as slow as reading every vector."""
        return await self._read(partial(reads.search_vectors, scope=scope, vectors=vectors, where=where, limit=limit, epoch=epoch))

    async def adopt_epoch(self, epoch: str) -> int:
        """See `VectorSource`."""
        return await self._write(partial(outbox.adopt_epoch, epoch=epoch))

    async def settle_embeddings(self, notes: Sequence[Note], embeddings: Sequence[Embedding | None]) -> None:
        """See `VectorSource`."""
        await self._write(partial(outbox.settle_embeddings, derived=self._derived, notes=notes, embeddings=embeddings))

    async def contents(self, notes: Sequence[Note]) -> list[str | None]:
        """See `VectorSource`."""
        return await self._read(partial(outbox.contents, notes=notes))

    # Outbox

    async def claim(self, tier: str, *, limit: int, lease_seconds: float) -> list[Note]:
        """See `Outbox`."""
        return await self._write(partial(outbox.claim, tier=tier, limit=limit, lease_seconds=lease_seconds))

    async def settle(self, notes: Sequence[Note]) -> None:
        """See `Outbox`."""
        await self._write(partial(outbox.settle, notes=notes))

    async def postpone(self, notes: Sequence[Note], delay_seconds: float) -> None:
        """See `Outbox`."""
        await self._write(partial(outbox.postpone, notes=notes, delay_seconds=delay_seconds))

    async def notes(self) -> dict[str, int]:
        """See `Outbox`."""
        return await self._read(outbox.count)

    async def keep_tiers(self, tiers: Collection[str]) -> None:
        """See `Outbox`."""
        await self._write(partial(outbox.keep_tiers, tiers=tiers))

    # Origin

    async def identity(self) -> str:
        """See `Origin`; made when it is first asked for."""
        known = await self._read(reads.identity)
        return known if known is not None else await self._write(outbox.make_identity)

    async def active_epoch(self) -> str | None:
        """See `Origin`."""
        return await self._read(reads.active_epoch)

    async def tenants(self) -> list[str]:
        """See `Origin`."""
        return await self._read(reads.tenants)

    # Shelves

    async def browse(
        self,
        scopes: Sequence[Scope],
        where: Filter,
        states: Collection[State],
        *,
        now: datetime,
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> list[Memory]:
        """See `Shelves`."""
        return await self._read(partial(shelves.browse, scopes=scopes, where=where, states=states, now=now, limit=limit, after=after))

    async def holdings(self, scopes: Sequence[Scope], *, now: datetime) -> dict[Scope, dict[State, int]]:
        """See `Shelves`."""
        return await self._read(partial(shelves.holdings, scopes=scopes, now=now))

    # Erasing

    async def meant(self, tenant: str, what: Meant) -> list[tuple[UUID, Scope]]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(partial(erasing.meant, tenant=tenant, what=what))

    async def texts(self, tenant: str, ids: Sequence[UUID]) -> list[str]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(partial(erasing.texts, tenant=tenant, ids=ids))

    async def erase(
        self, tenant: str, ids: Sequence[UUID], actor: Provenance, now: datetime, *, action: EraseAction = "erase"
    ) -> list[Operation]:
        """See `upkeep.erasing.Erasing`."""
        erase = partial(erasing.erase, derived=self._derived, tenant=tenant, ids=ids, actor=actor, now=now, action=action)
        return await self._write(erase)

    async def scour(self, *, compact: bool) -> bool:
        """See `upkeep.erasing.Erasing`."""
        return await self._write(partial(erasing.scour, compact=compact), alone=True)

    async def scouring_owed(self) -> bool:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(erasing.is_owed)

    async def standing(self, tenant: str, strings: Sequence[str]) -> list[str]:
        """See `upkeep.erasing.Erasing`; of all tenants, whose texts lie in the one file."""
        return await self._read(partial(erasing.standing, strings=strings))

    async def remains(self, tenant: str, ids: Sequence[UUID]) -> list[str]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(partial(erasing.remains, tenant=tenant, ids=ids))

    async def epochs(self) -> list[str]:
        """See `upkeep.erasing.Erasing`."""
        return await self._read(erasing.epochs)
