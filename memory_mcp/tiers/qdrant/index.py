"""A `CarriedIndex` in Qdrant: approximate search over scopes too large for memory."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, models

from memory_mcp.contracts import Comparison
from memory_mcp.errors import ScopeNotCoveredError
from memory_mcp.models import Delta, Filter, Hit, Matrix, Points, Scope
from memory_mcp.tiers.qdrant import collections, layout
from memory_mcp.tiers.qdrant.connection import Connection
from memory_mcp.tiers.qdrant.faults import TIER, CollectionGoneError, qdrant_errors
from memory_mcp.tiers.qdrant.samples import SAMPLED, Sample, Samples
from memory_mcp.tiers.qdrant.settings import QdrantSettings

log = structlog.get_logger(__name__)

T = TypeVar("T")

BATCH = 256
"""Passages in one write: half a megabyte at 384 numbers each."""
IDS = 500
"""Memories named in one condition."""
SPARE, MORE, MOST = 16, 4, 20_000
"""Passages asked for beyond the memories wanted; times as many when they were too few; and at the most."""


@dataclass(frozen=True, slots=True)
class Known:
    """A collection that was found in use.

    Attributes:
        faults: Why it cannot be used, in sentences.
    """

    name: str
    dimension: int
    faults: tuple[str, ...] = ()


class QdrantIndex:
    """Vectors of one record store, a collection for each epoch behind an alias.

    Reading goes by the collection that `covers` found last, so that mark and answer are of the same one.

    Args:
        identity: Of the record store; see `contracts.Origin`.
        building: Whether this is the collection in the making, beside the one in use (see `reindex`).
    """

    def __init__(self, connection: Connection, settings: QdrantSettings, identity: str, *, building: bool = False) -> None:
        self._connection, self._settings, self._identity, self._building = connection, settings, identity, building
        self._known: dict[str, Known] = {}
        self._samples = Samples()

    def alias(self, epoch: str) -> str:
        """What leads to the epoch's collection."""
        return layout.alias(self._settings.prefix, self._identity, epoch) + ("-next" if self._building else "")

    def beside(self) -> "QdrantIndex":
        """The index in the making, which nobody searches yet."""
        return QdrantIndex(self._connection, self._settings, self._identity, building=True)

    async def find(self, epoch: str) -> Known | None:
        """The collection in use, looked up again; None where there is none."""
        with qdrant_errors():
            client = await self._connection.client()
            name = await collections.behind(client, self.alias(epoch))
            known = self._known.get(epoch)
            if name is None:
                self._known.pop(epoch, None)
                return None
            if known is None or known.name != name or known.faults:
                info = await client.get_collection(name)
                found = tuple(layout.faults(info, local=self._connection.local))
                known = self._known[epoch] = Known(name, layout.dimension_of(info), found)
                if found:
                    log.warning("qdrant_collection_unusable", collection=name, faults=found)
            return known

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        """See `contracts.CarriedIndex`."""
        known = await self.find(epoch)
        if known is None or known.faults:
            return None
        with qdrant_errors():
            client = await self._connection.client()
            marks = await client.retrieve(known.name, [layout.mark_id(scope)], with_payload=True)
            held = (marks[0].payload or {}).get("held") if marks else None
            return held if isinstance(held, int) else None

    async def search(
        self,
        scope: Scope,
        vectors: Matrix,
        where: Filter,
        *,
        limit: int,
        epoch: str,
        at: int | None = None,
        without: Collection[UUID] = (),
    ) -> list[list[Hit]]:
        """See `contracts.CarriedIndex`; what Qdrant's graph finds, some 99 of 100, and of a small scope all.

        Raises:
            ScopeNotCoveredError: The collection went away, or its vectors are of another dimension.
        """
        condition = layout.within(scope, *layout.conditions(where))

        async def found(client: AsyncQdrantClient, name: str) -> list[list[Hit]]:
            return await self._best(client, name, condition, vectors, limit, without)

        return await self._reading(epoch, vectors.shape[1], [[] for _ in vectors], found)

    async def compare(
        self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None, *, without: Collection[UUID] = ()
    ) -> Comparison:
        """See `contracts.CarriedIndex`."""
        wanted = [memory_id for memory_id in dict.fromkeys(ids) if memory_id not in without]

        async def compared(client: AsyncQdrantClient, name: str) -> Comparison:
            hits: list[list[Hit]] = [[] for _ in vectors]
            for some in _parts(wanted, IDS):
                condition = layout.within(scope, layout.of_memories(some))
                for all_hits, found in zip(hits, await self._best(client, name, condition, vectors, len(some), ()), strict=True):
                    all_hits += found
            sample = await self._sample(client, name, scope, vectors.shape[1])
            return Comparison(*_table(ids, hits), sample.similarity(vectors, without))

        nothing = Comparison(*_table(ids, [[] for _ in vectors]), np.empty((0, len(vectors)), np.float32))
        return await self._reading(epoch, vectors.shape[1], nothing, compared)

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        """See `contracts.VectorIndex`; the mark stays where it is."""
        with qdrant_errors():
            known = await self._writable(epoch, points.vectors.shape[1])
            if known is not None:
                await self._write(known.name, scope, points, 0, ())

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        """See `contracts.VectorIndex`."""
        known = await self.find(epoch)
        if known is not None:
            with qdrant_errors():
                await self._remove(known.name, scope, ids, ())

    async def apply(self, scope: Scope, delta: Delta, epoch: str) -> None:
        """See `contracts.CarriedIndex`: points first, then the mark, all in the one collection that is found at the start.

        Qdrant writes a shard's changes in the order in which they came. So where a collection has one shard, a mark that
        survived a power cut tells of points that did; with several, a cut of some of their machines may take points of
        the last seconds and leave the mark: `reindex` mends that.
        """
        with qdrant_errors():
            client = await self._connection.client()
            if not delta.whole and await self.covers(scope, epoch) is None:  # it came back empty since somebody looked
                raise CollectionGoneError
            known = await self._writable(epoch, delta.points.vectors.shape[1])
            if known is None:
                return
            stale = [layout.between("revision", lte=delta.revision)]
            if delta.whole:
                stale = []
                await client.delete(known.name, models.PointIdsList(points=[layout.mark_id(scope)]), wait=True)
                await client.delete(known.name, models.FilterSelector(filter=layout.within(scope)), wait=True)
            await self._write(known.name, scope, delta.points, delta.revision, stale)
            await self._remove(known.name, scope, delta.removed, stale)
            await client.upsert(known.name, [layout.mark(scope, delta.revision, known.dimension)], wait=True)
            self._samples.forget(known.name, scope)

    async def held(self, scope: Scope, epoch: str) -> dict[UUID, int]:
        """Every memory of the scope with how many of its passages there are."""
        counts: dict[UUID, int] = {}
        known = await self.find(epoch)
        with qdrant_errors():
            client = await self._connection.client()
            offset = None
            while known is not None:
                records, offset = await client.scroll(
                    known.name, scroll_filter=layout.within(scope), limit=1000, offset=offset, with_payload=["memory"], with_vectors=False
                )
                for record in records:
                    memory_id = UUID((record.payload or {})["memory"])
                    counts[memory_id] = counts.get(memory_id, 0) + 1
                if offset is None:
                    break
        return counts

    async def finish(self, epoch: str) -> None:
        """Put the collection in the making into use, in place of the one that is dropped; searches go on meanwhile."""
        with qdrant_errors():
            client = await self._connection.client()
            await collections.promote(client, self.beside().alias(epoch), self.alias(epoch))
            for name in (await collections.strays(client, self._settings.prefix, self.alias(epoch)))[0]:
                await client.delete_collection(name)  # left by a process that ended while it made one

    async def _reading(self, epoch: str, dimension: int, nothing: T, read: Callable[[AsyncQdrantClient, str], Awaitable[T]]) -> T:
        """Read from the collection in use; from another, once, if that one has taken its place meanwhile."""
        known = self._known.get(epoch) or await self.find(epoch)
        if known is None:
            return nothing
        for again in (True, False):
            if known.faults or known.dimension != dimension:
                break
            try:
                with qdrant_errors():
                    return await read(await self._connection.client(), known.name)
            except CollectionGoneError:
                found = await self.find(epoch)
                if not again or found is None:
                    break
                known = found
        raise ScopeNotCoveredError(TIER)

    async def _best(
        self, client: AsyncQdrantClient, name: str, condition: models.Filter, vectors: Matrix, limit: int, without: Collection[UUID]
    ) -> list[list[Hit]]:
        """The best memories for each vector: passages are asked for until they belong to enough memories."""
        best: list[list[Hit]] = [[] for _ in vectors]
        pending = list(range(len(vectors))) if limit else []
        ask = min(limit + SPARE + min(len(without), 4 * SPARE), MOST)
        rows = np.ascontiguousarray(vectors, np.float32)
        while pending:
            answers = await client.query_batch_points(
                name,
                [
                    models.QueryRequest(
                        query=rows[row].tolist(),
                        filter=condition,
                        params=layout.searching(self._settings),
                        limit=ask,
                        with_payload=["memory", "passage"],
                    )
                    for row in pending
                ],
            )
            unfinished = []
            for row, answer in zip(pending, answers, strict=True):
                best[row] = _memories(answer.points, without)
                last = answer.points[-1].score if answer.points else 0.0
                enough = len(best[row]) >= limit and best[row][limit - 1].score > last
                if len(answer.points) == ask < MOST and not enough:
                    unfinished.append(row)
                del best[row][limit:]
            pending, ask = unfinished, min(MORE * ask, MOST)
        return best

    async def _sample(self, client: AsyncQdrantClient, name: str, scope: Scope, dimension: int) -> Sample:
        """Passages evenly taken: the first by their ids, which are hashes."""
        kept = self._samples.get(name, scope)
        if kept is not None:
            return kept
        records, following = await client.scroll(
            name, scroll_filter=layout.within(scope), limit=SAMPLED, with_payload=["memory"], with_vectors=True
        )
        ids = [UUID((record.payload or {})["memory"]) for record in records]
        rows = np.array([record.vector for record in records], np.float32).reshape(len(ids), dimension)
        return self._samples.keep(name, scope, Sample(ids, rows, partial=following is not None))

    async def _writable(self, epoch: str, dimension: int) -> Known | None:
        """The collection to write to, made where there is none that will do; None where the dimension is not known yet.

        The dimension is 0 where there is nothing to write.
        """
        known = await self.find(epoch)
        if known is not None and not known.faults and dimension in (0, known.dimension):
            return known
        if dimension == 0:
            return None
        client = await self._connection.client()
        name = await collections.make(client, self._settings, self.alias(epoch), dimension, local=self._connection.local)
        self._known[epoch] = Known(name, dimension)
        return self._known[epoch]

    async def _write(self, name: str, scope: Scope, points: Points, revision: int, stale: Sequence[models.Condition]) -> None:
        """Passages of memories in place of what is `stale` of them, those that are left over of longer texts among it."""
        client = await self._connection.client()
        replaced = models.Filter(must=list(stale)) if stale else None
        for some in _parts(layout.structs(scope, points, revision), BATCH):
            await client.upsert(name, list(some), wait=True, update_filter=replaced)
        counts = layout.passages_of(points)
        for count in sorted(set(counts.values())):
            for ids in _parts([memory_id for memory_id in counts if counts[memory_id] == count], IDS):
                left_over = layout.within(scope, layout.of_memories(ids), layout.between("passage", gte=count), *stale)
                await client.delete(name, models.FilterSelector(filter=left_over), wait=True)
        self._samples.forget(name, scope)

    async def _remove(self, name: str, scope: Scope, ids: Sequence[UUID], stale: Sequence[models.Condition]) -> None:
        client = await self._connection.client()
        for some in _parts(ids, IDS):
            gone = layout.within(scope, layout.of_memories(some), *stale)
            await client.delete(name, models.FilterSelector(filter=gone), wait=True)
        self._samples.forget(name, scope)


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _memories(points: Sequence[models.ScoredPoint], without: Collection[UUID]) -> list[Hit]:
    """Each memory once, by its best passage, closest first, equal ones by id."""
    hits = []
    for point in points:
        payload = point.payload or {}
        hits.append(Hit(UUID(payload["memory"]), min(1.0, max(-1.0, point.score)), payload["passage"]))
    best: dict[UUID, Hit] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.score, hit.id.bytes, hit.passage)):
        if hit.id not in without:
            best.setdefault(hit.id, hit)
    return list(best.values())


def _table(ids: Sequence[UUID], hits: Sequence[Sequence[Hit]]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """(k, q) similarity of the memories named, NaN where there was no hit, and the passage closest to the first vector."""
    found = [{hit.id: hit for hit in of_one} for of_one in hits]
    similarity = np.array([[each[one].score if one in each else np.nan for each in found] for one in ids], np.float32)
    passage = np.array([found[0][one].passage if one in found[0] else 0 for one in ids], np.intp)
    return similarity.reshape(len(ids), len(hits)), passage
