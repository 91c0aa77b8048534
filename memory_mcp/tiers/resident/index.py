"""Blocks for whole scopes, kept level with the record store and within a budget of memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from memory_mcp.contracts import Comparison
from memory_mcp.errors import ScopeNotCoveredError, TierUnavailableError
from memory_mcp.models import Delta, Filter, Hit, Matrix, Points, Scope
from memory_mcp.tiers.resident.block import Block, bytes_needed
from memory_mcp.tiers.resident.device import Device
from memory_mcp.tiers.resident.turns import Turns

DEFAULT_BUDGET_BYTES = 640 * 1024 * 1024
INLINE_ROWS = 2000
"""Rows below which writing is done on the event loop."""
INLINE_SCORES = 12_000
"""Rows times queries below which searching is: 12,000 rows take 0.5 ms, and the way to a worker thread
and back 0.05 ms by itself, but 0.3 ms after the model has run, which leaves nothing in the caches (measured, 384 numbers a row)."""

SAMPLED_ROWS = 1000

Result = TypeVar("Result")


class ChangeSource(Protocol):
    """What the index fills itself from: two methods of the record store."""

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """See `contracts.RecordStore`."""

    async def vector_changes(self, scope: Scope, since: int, epoch: str) -> Delta:
        """See `contracts.VectorSource`."""


@dataclass(frozen=True, slots=True)
class Held:
    """A scope as of a revision.

    Attributes:
        block: None where the scope is too large to be held; it is then followed by counting.
        rows: How many there are; without a block, at least.
        nbytes: What the block takes; without one, what it would need at least.
    """

    epoch: str
    revision: int
    block: Block | None
    rows: int
    nbytes: int


class ResidentIndex:
    """A `VectorIndex` over scopes held whole in memory; the least recently used make room for others.

    Every search first asks the source for the scope's revision and, if it moved, for what changed since;
    a scope is loaded when it is first asked for. So nobody has to tell the index of a write, and an answer
    is never older than the call. What fails on the way leaves the former state.

    Large blocks are copied to a GPU behind the searches, where there is one (`device`); it changes no answer.
    """

    def __init__(
        self,
        source: ChangeSource,
        limiter: anyio.CapacityLimiter,
        *,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
        device: Device | None = None,
    ) -> None:
        self._source = source
        self._limiter = limiter
        self._budget_bytes = budget_bytes
        self._device = device or Device("cpu")
        self._mirroring: asyncio.Task[None] | None = None
        self._held: OrderedDict[Scope, Held] = OrderedDict()  # least recently used first
        self._turns: dict[tuple[Scope, str, Filter, int], Turns] = {}
        self._loading: WeakValueDictionary[Scope, anyio.Lock] = WeakValueDictionary()
        self._bytes = self._evictions = self._searches = 0

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        """The revision up to which the scope is held, after catching up; None: it is too large for the budget.

        Raises:
            TierError: The source failed, or gave vectors that cannot be searched.
        """
        held = await self._level(scope, epoch)
        return None if held.block is None else held.revision

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        """See `contracts.VectorIndex`; exact, after catching up.

        Searches that ask for the same in the same scope while one is at work are carried out together after it: their
        vectors share one matrix product, and one look at the revision.

        Raises:
            ScopeNotCoveredError: The scope is not held, as `covers` tells.
            TierError: As `covers`; or the queries are not finite or of another dimension.
        """
        turns = self._turns.get((scope, epoch, where, limit))
        if turns is None:
            turns = self._turns[scope, epoch, where, limit] = Turns(partial(self._search, scope, where, limit, epoch))
            turns.on_idle = partial(self._turns.pop, (scope, epoch, where, limit), None)
        self._searches += 1
        return await turns.take(vectors, at)

    async def _search(self, scope: Scope, where: Filter, limit: int, epoch: str, vectors: Matrix, at: int | None) -> list[list[Hit]]:
        block = await self._block(scope, epoch, at)
        if self._mirroring is None and self._device.wants(block):
            self._mirroring = asyncio.create_task(self._mirror(block))
        return await self._run(block.rows * len(vectors) < INLINE_SCORES, lambda: block.search(vectors, where, limit))

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """See `contracts.VectorIndex`."""
        return (await self._block(scope, epoch, at)).compare(vectors, ids, SAMPLED_ROWS)

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        """Insert or replace in a scope that is held; one that is not will be loaded whole when it is asked for.

        For sources that tell no changes. Where the source does, a late call would undo what was caught up since.
        """
        await self._write(scope, epoch, lambda block: block.upsert(points))

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        """Remove from a scope that is held; see `upsert`."""
        await self._write(scope, epoch, lambda block: block.delete(ids))

    def drop(self, scopes: Collection[Scope]) -> None:
        """Let go of scopes; they are loaded anew when they are next asked for."""
        for scope in scopes:
            self._let_go(scope)

    def figures(self) -> dict[str, int | str]:
        """For people: what is held, and what happened since the start."""
        blocks = [held.block for held in self._held.values() if held.block is not None]
        return {
            "bytes": self._bytes,
            "budget_bytes": self._budget_bytes,
            "scopes": len(blocks),
            "scopes_too_large": len(self._held) - len(blocks),
            "rows": sum(map(len, blocks)),
            "evictions": self._evictions,
            "searches": self._searches,
            **self._device.figures(),
        }

    async def _mirror(self, block: Block) -> None:
        try:
            await anyio.to_thread.run_sync(self._device.hold, block, abandon_on_cancel=True)
        finally:
            self._mirroring = None

    async def _block(self, scope: Scope, epoch: str, at: int | None) -> Block:
        block = (await self._level(scope, epoch, at)).block
        if block is None:
            raise ScopeNotCoveredError("resident")
        return block

    async def _level(self, scope: Scope, epoch: str, at: int | None = None) -> Held:
        """The scope as of now, or at least as of revision `at`."""
        revision = at
        if revision is None:
            (revision,) = await self._source.revisions((scope,))
        held = self._held.get(scope)
        if held is None or (held.epoch, held.revision) != (epoch, revision):
            held = await self._catch_up(scope, epoch, revision)
        if scope in self._held:
            self._held.move_to_end(scope)
        return held

    async def _catch_up(self, scope: Scope, epoch: str, revision: int) -> Held:
        async with self._lock(scope):
            held = self._held.get(scope)
            if held is not None and held.epoch == epoch and held.revision > revision:
                (revision,) = await self._source.revisions((scope,))  # another search was here meanwhile, or time went back
            if held is not None and (held.epoch, held.revision) == (epoch, revision):
                return held
            if held is None or held.epoch != epoch or held.revision > revision:  # back in time: another store was restored
                held = await self._load(scope, epoch)
            else:
                held = await self._follow(scope, held)
            return self._admit(scope, held)

    async def _load(self, scope: Scope, epoch: str) -> Held:
        return await self._build(await self._source.vector_changes(scope, 0, epoch), epoch)

    async def _follow(self, scope: Scope, held: Held) -> Held:
        """The scope with what changed since it was held."""
        delta = await self._source.vector_changes(scope, held.revision, held.epoch)
        if delta.whole:
            return await self._build(delta, held.epoch)
        block = held.block
        if block is not None:
            work = len(delta.points) + (0 if block.has_room(len(delta.points)) else block.rows)
            await self._run(work < INLINE_ROWS, lambda: block.apply(delta.points, delta.removed))
            return _holding(block, held.epoch, delta.revision)
        gone = min(len(delta.removed), held.rows)
        rows, nbytes = held.rows - gone, held.nbytes - held.nbytes * gone // max(held.rows, 1)
        if nbytes <= self._budget_bytes:
            return await self._load(scope, held.epoch)
        return Held(held.epoch, delta.revision, None, rows, nbytes)

    async def _build(self, delta: Delta, epoch: str) -> Held:
        rows = len(delta.points)
        needed = bytes_needed(rows, delta.points.vectors.shape[1] if rows else 0)
        if needed > self._budget_bytes:
            return Held(epoch, delta.revision, None, rows, needed)
        return _holding(await self._run(rows < INLINE_ROWS, lambda: Block(delta.points)), epoch, delta.revision)

    def _admit(self, scope: Scope, held: Held) -> Held:
        """Hold a scope in place of its former state, evicting others; or let it go if it has outgrown the budget."""
        self._let_go(scope)
        if held.block is not None and held.nbytes > self._budget_bytes:
            held = replace(held, block=None)
            self._evictions += 1
        if held.block is not None:
            self._bytes += held.nbytes
        while self._bytes > self._budget_bytes:
            self._let_go(next(other for other, state in self._held.items() if state.block is not None))
            self._evictions += 1
        self._held[scope] = held
        return held

    def _let_go(self, scope: Scope) -> None:
        held = self._held.pop(scope, None)
        if held is not None and held.block is not None:
            self._bytes -= held.nbytes

    async def _write(self, scope: Scope, epoch: str, work: Callable[[Block], None]) -> None:
        async with self._lock(scope):
            held = self._held.get(scope)
            if held is None or held.block is None or held.epoch != epoch:
                return
            block = held.block
            await self._run(block.rows < INLINE_ROWS, lambda: work(block))
            self._admit(scope, _holding(block, epoch, held.revision))

    def _lock(self, scope: Scope) -> anyio.Lock:
        """One change of a scope at a time; the lock is there as long as somebody holds or awaits it."""
        return self._loading.setdefault(scope, anyio.Lock())

    async def _run(self, here: bool, work: Callable[[], Result]) -> Result:
        """Do it here, or in a worker thread."""
        try:
            if here:
                return work()
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except MemoryError as error:
            raise TierUnavailableError("resident", "There is no memory left for vectors; give the index a smaller budget.") from error


def _holding(block: Block, epoch: str, revision: int) -> Held:
    return Held(epoch, revision, block, len(block), block.nbytes)
