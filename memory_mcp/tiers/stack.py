"""The vector tiers as one: the hottest that holds a scope whole answers, the record store if none does."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

from memory_mcp.contracts import Comparison, VectorIndex
from memory_mcp.errors import ScopeNotCoveredError, TierUnavailableError
from memory_mcp.models import Filter, Hit, Matrix, Scope

log = structlog.get_logger(__name__)

T = TypeVar("T")


class ExactSearch(Protocol):
    """The search that needs no index: every vector of the record store, read and compared."""

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> list[list[Hit]]:
        """See `VectorIndex.search`."""

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
        """See `VectorSource.compare`."""


class VectorStack:
    """Tiers by name, hottest first."""

    def __init__(self, tiers: Mapping[str, VectorIndex], last: ExactSearch) -> None:
        self._tiers, self._last = tiers, last
        self.answered: dict[str, int] = {**dict.fromkeys(tiers, 0), "records": 0}

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> Sequence[list[Hit]]:
        """See `VectorIndex.search`; a tier that fails is passed over."""
        hits = await self._first(scope, epoch, lambda tier: tier.search(scope, vectors, where, limit=limit, epoch=epoch, at=at))
        return hits if hits is not None else await self._last.search(scope, vectors, where, limit=limit, epoch=epoch)

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """See `VectorIndex.compare`."""
        found = await self._first(scope, epoch, lambda tier: tier.compare(scope, vectors, ids, epoch, at))
        return found if found is not None else await self._last.compare(scope, vectors, ids, epoch)

    async def _first(self, scope: Scope, epoch: str, ask: Callable[[VectorIndex], Awaitable[T]]) -> T | None:
        """The answer of the hottest tier that covers the scope; None where none does."""
        for name, tier in self._tiers.items():
            try:
                answer = await ask(tier)
            except ScopeNotCoveredError:
                continue
            except TierUnavailableError as error:
                log.warning("tier_passed_over", tier=name, error=type(error).__name__)
            else:
                self.answered[name] += 1
                return answer
        self.answered["records"] += 1
        return None
