"""An index that lags, and beside it what it does not hold yet, searched exactly: together as fresh as the record store."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import numpy as np

from memory_mcp.contracts import CarriedIndex, Comparison
from memory_mcp.errors import ScopeNotCoveredError
from memory_mcp.models import Delta, Filter, Hit, Matrix, Points, Scope

MOST_PASSAGES = 20_000
"""Beside an index: 30 MB, and 1.5 ms a search. A scope that lags further counts as not covered."""
MARK_SECONDS = 2.0
"""How long a mark that was read is believed. It only grows, unless somebody replaces the index by an older copy."""
BEHIND_SECONDS = 1.0
"""How long a scope that lags too far is not looked at again."""
KEPT_PASSAGES = 5 * MOST_PASSAGES
REBASE_PASSAGES = 500
"""What the index has caught up with is let go when it is more than this."""
KEPT_SCOPES = 1_000
"""What is empty takes 2 KB."""
KEPT_MARKS = 10_000
INLINE_PASSAGES = 2000
"""Up to so many are searched where they are; the way to a thread takes as long."""
SAMPLED = 1000

T = TypeVar("T")


class ChangeSource(Protocol):
    """Two methods of the record store."""

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """See `contracts.RecordStore`."""

    async def vector_changes(self, scope: Scope, since: int, epoch: str, *, limit: int | None = None) -> Delta:
        """See `contracts.VectorSource`."""


class ExactBlock(Protocol):
    """Passages in memory, searched exactly; safe in several threads."""

    def apply(self, points: Points, removed: Sequence[UUID]) -> None:
        """Remove and upsert in one step."""

    def search(self, vectors: Matrix, where: Filter, limit: int) -> list[list[Hit]]:
        """See `contracts.VectorIndex.search`."""

    def compare(self, vectors: Matrix, ids: Sequence[UUID], sampled: int) -> Comparison:
        """See `contracts.VectorIndex.compare`."""


@dataclass(slots=True, eq=False)
class Recent:
    """What changed in a scope between two revisions.

    Attributes:
        since: The revision that the index held when this was begun; it may hold more by now.
        upto: The revision up to which this has followed.
        touched: Memories that changed or went: what the index says of them does not count.
        passages: About how many were read, at the most `MOST_PASSAGES`.
        told: The revision at which it was last told that the index lags: once is enough.
    """

    epoch: str
    since: int
    upto: int
    block: ExactBlock
    touched: set[UUID] = field(default_factory=set)
    passages: int = 0
    told: int = 0


class Beside:
    """A `VectorIndex`, level with the record store, over a `CarriedIndex` that somebody else brings level in the background.

    Args:
        make_block: An empty `ExactBlock`.
        lagging: Told of scopes that the index should be brought level in.
    """

    def __init__(
        self,
        name: str,
        index: CarriedIndex,
        source: ChangeSource,
        make_block: Callable[[], ExactBlock],
        lagging: Callable[[Scope], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._index, self._source, self._make_block, self._lagging = name, index, source, make_block, lagging
        self._clock = clock
        self._marks: OrderedDict[tuple[Scope, str], tuple[float, int | None]] = OrderedDict()
        self._recent: OrderedDict[Scope, Recent] = OrderedDict()  # least recently used first
        self._locks: WeakValueDictionary[Scope, anyio.Lock] = WeakValueDictionary()

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        """The revision up to which the scope can be searched, after catching up; None: the index lags too far behind."""
        try:
            return (await self._catch_up(scope, epoch, None)).upto
        except ScopeNotCoveredError:
            return None

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        """See `contracts.VectorIndex`."""
        recent = await self._catch_up(scope, epoch, at)
        held = await self._asked(
            scope, epoch, lambda: self._index.search(scope, vectors, where, limit=limit, epoch=epoch, at=at, without=recent.touched)
        )
        fresh = await self._run(recent, lambda: recent.block.search(vectors, where, limit))
        return [merged(old, new, recent.touched, limit) for old, new in zip(held, fresh, strict=True)]

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """See `contracts.VectorIndex`; of a large scope the sample leaves out what the index does not hold yet."""
        recent = await self._catch_up(scope, epoch, at)
        old = await self._asked(scope, epoch, lambda: self._index.compare(scope, vectors, ids, epoch, at, without=recent.touched))
        if not recent.touched:
            return old
        new = await self._run(recent, lambda: recent.block.compare(vectors, ids, SAMPLED))
        touched = np.array([memory_id in recent.touched for memory_id in ids], np.bool_)
        sample = old.sample if len(old.sample) >= SAMPLED else np.concatenate((old.sample, new.sample))[:SAMPLED]
        return Comparison(np.where(touched[:, None], new.similarity, old.similarity), np.where(touched, new.passage, old.passage), sample)

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        """See `contracts.VectorIndex`."""
        await self._index.upsert(scope, points, epoch)

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        """See `contracts.VectorIndex`."""
        await self._index.delete(scope, ids, epoch)
        self._recent.pop(scope, None)

    def figures(self) -> dict[str, int]:
        """For people: what is searched beside the index."""
        return {"scopes_beside": len(self._recent), "passages_beside": sum(recent.passages for recent in self._recent.values())}

    async def _asked(self, scope: Scope, epoch: str, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            return await ask()
        except ScopeNotCoveredError:
            raise self._lags(scope, epoch) from None

    async def _catch_up(self, scope: Scope, epoch: str, at: int | None) -> Recent:
        """What the index lacks of the scope as of now, or at least as of revision `at`.

        Raises:
            ScopeNotCoveredError: That is too much, or cannot be told.
        """
        mark = await self._mark(scope, epoch)
        revision = at
        if revision is None:
            (revision,) = await self._source.revisions((scope,))
        recent = self._recent.get(scope)
        if recent is None or not _serves(recent, epoch, mark) or recent.upto < revision:
            async with self._locks.setdefault(scope, anyio.Lock()):
                recent = await self._follow(scope, epoch, mark, revision)
        if mark < revision and recent.told != revision:
            recent.told = revision
            self._lagging(scope)
        return recent

    async def _follow(self, scope: Scope, epoch: str, mark: int, revision: int) -> Recent:
        recent = self._recent.get(scope)  # who held the lock may have caught up
        if recent is None or not _serves(recent, epoch, mark):
            recent = Recent(epoch, mark, mark, self._make_block())
        if recent.upto < revision:
            room = MOST_PASSAGES - recent.passages
            delta = await self._source.vector_changes(scope, recent.upto, epoch, limit=room + 1)
            if (delta.whole and recent.upto) or delta.revision < revision or len(delta.points) + len(delta.removed) > room:
                self._recent.pop(scope, None)
                raise self._lags(scope, epoch)
            await self._run(recent, lambda: recent.block.apply(delta.points, delta.removed))
            recent.touched.update(delta.points.ids, delta.removed)  # last: so that no search misses both forms of a memory
            recent.passages += len(delta.points) + len(delta.removed)
            recent.upto = max(recent.upto, delta.revision)
        self._keep(scope, recent)
        return recent

    def _keep(self, scope: Scope, recent: Recent) -> None:
        self._recent[scope] = recent
        self._recent.move_to_end(scope)
        while len(self._recent) > KEPT_SCOPES or (len(self._recent) > 1 and self.figures()["passages_beside"] > KEPT_PASSAGES):
            self._recent.popitem(last=False)

    async def _mark(self, scope: Scope, epoch: str) -> int:
        until, mark = self._marks.get((scope, epoch), (0.0, None))
        if until <= self._clock():
            mark = await self._index.covers(scope, epoch)
            if mark is None:
                raise self._lags(scope, epoch)
            self._note(scope, epoch, MARK_SECONDS, mark)
        if mark is None:
            self._lagging(scope)
            raise ScopeNotCoveredError(self._name)
        return mark

    def _lags(self, scope: Scope, epoch: str) -> ScopeNotCoveredError:
        self._note(scope, epoch, BEHIND_SECONDS, None)
        self._lagging(scope)
        return ScopeNotCoveredError(self._name)

    def _note(self, scope: Scope, epoch: str, seconds: float, mark: int | None) -> None:
        self._marks[scope, epoch] = (self._clock() + seconds, mark)
        self._marks.move_to_end((scope, epoch))
        if len(self._marks) > KEPT_MARKS:
            self._marks.popitem(last=False)

    async def _run(self, recent: Recent, work: Callable[[], T]) -> T:
        if recent.passages < INLINE_PASSAGES:
            return work()
        return await anyio.to_thread.run_sync(work)


def _serves(recent: Recent, epoch: str, mark: int) -> bool:
    """Whether what was followed begins where the index ends, or not much before."""
    if recent.epoch != epoch or mark < recent.since:
        return False
    return mark == recent.since or recent.passages < REBASE_PASSAGES


def merged(held: Sequence[Hit], fresh: Sequence[Hit], touched: Collection[UUID], limit: int) -> list[Hit]:
    """The best of what an index holds and of what is newer than it, best first, equal ones by id. Pure."""
    newer = {hit.id for hit in fresh}
    left = [hit for hit in held if hit.id not in newer and hit.id not in touched]
    return sorted((*left, *fresh), key=lambda hit: (-hit.score, hit.id.bytes))[:limit]
