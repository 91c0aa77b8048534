"""An index behind guards: what it may take, and when it is left alone."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from memory_mcp.contracts import CarriedIndex, Comparison, VectorIndex
from memory_mcp.errors import MemoryMcpError, TierUnavailableError
from memory_mcp.models import Delta, Filter, Hit, Matrix, Points, Scope
from memory_mcp.tiers.guard import Guard

log = structlog.get_logger(__name__)

T = TypeVar("T")
AnyIndex = TypeVar("AnyIndex", bound=VectorIndex)


class GuardedIndex(Generic[AnyIndex]):
    """A `VectorIndex` whose every call is made through a guard; what it raises that is not ours counts as being away.

    Args:
        reads, writes: Those who ask for an answer wait less long than those who carry. Each learns by itself that the
            index is away.
    """

    def __init__(self, index: AnyIndex, reads: Guard, writes: Guard) -> None:
        self._index, self._reads, self._writes = index, reads, writes

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        """See `contracts.VectorIndex`."""
        return await self._read("covers", lambda: self._index.covers(scope, epoch))

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        """See `contracts.VectorIndex`."""
        return await self._read("search", lambda: self._index.search(scope, vectors, where, limit=limit, epoch=epoch, at=at))

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """See `contracts.VectorIndex`."""
        return await self._read("compare", lambda: self._index.compare(scope, vectors, ids, epoch, at))

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        """See `contracts.VectorIndex`."""
        await self._writes.run(lambda: self._ours(lambda: self._index.upsert(scope, points, epoch)), "upsert")

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        """See `contracts.VectorIndex`."""
        await self._writes.run(lambda: self._ours(lambda: self._index.delete(scope, ids, epoch)), "delete")

    async def _read(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        return await self._reads.run(lambda: self._ours(call), name)

    async def _ours(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await call()
        except (MemoryMcpError, TimeoutError):
            raise
        except Exception as error:  # of a tier that others wrote; it must not take an answer down with it
            log.exception("tier_raised", tier=self._reads.name)
            raise TierUnavailableError(self._reads.name, f"{self._reads.name} failed in a way that it should not.") from error


class GuardedCarriedIndex(GuardedIndex[CarriedIndex]):
    """Likewise a `CarriedIndex`."""

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
        """See `contracts.CarriedIndex`."""
        return await self._read(
            "search", lambda: self._index.search(scope, vectors, where, limit=limit, epoch=epoch, at=at, without=without)
        )

    async def compare(
        self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None, *, without: Collection[UUID] = ()
    ) -> Comparison:
        """See `contracts.CarriedIndex`."""
        return await self._read("compare", lambda: self._index.compare(scope, vectors, ids, epoch, at, without=without))

    async def apply(self, scope: Scope, delta: Delta, epoch: str) -> None:
        """See `contracts.CarriedIndex`."""
        await self._writes.run(lambda: self._ours(lambda: self._index.apply(scope, delta, epoch)), "apply")
