"""The vector tiers as one: the hottest that holds a scope whole answers, the record store if none does."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar
from uuid import UUID

import numpy as np
import structlog
from numpy.typing import NDArray

from memory_mcp.contracts import VectorIndex
from memory_mcp.errors import TierUnavailableError
from memory_mcp.models import Filter, Hit, Matrix, Scope

log = structlog.get_logger(__name__)

T = TypeVar("T")


class ExactSearch(Protocol):
    """The search that needs no index: every vector of the record store, read and compared."""

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> list[list[Hit]]:
        """See `VectorIndex.search`."""

    async def compare(self, scope: Scope, vector: Matrix, ids: Sequence[UUID], epoch: str) -> list[float | None]:
        """See `VectorSource.compare`."""


class VectorStack:
    """Tiers by name, hottest first."""

    def __init__(self, tiers: Mapping[str, VectorIndex], last: ExactSearch) -> None:
        self._tiers, self._last = tiers, last
        self.answered: dict[str, int] = {**dict.fromkeys(tiers, 0), "records": 0}

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> Sequence[list[Hit]]:
        """See `VectorIndex.search`; a tier that fails is passed over."""
        hits = await self._first(scope, epoch, lambda tier: tier.search(scope, vectors, where, limit=limit, epoch=epoch))
        return hits if hits is not None else await self._last.search(scope, vectors, where, limit=limit, epoch=epoch)

    async def compare(self, scope: Scope, vector: Matrix, ids: Sequence[UUID], epoch: str) -> list[float | None]:
        """See `VectorSource.compare`."""
        if not ids:
            return []
        found = await self._first(scope, epoch, lambda tier: tier.compare(scope, vector, ids, epoch))
        return found if found is not None else await self._last.compare(scope, vector, ids, epoch)

    async def sample(self, scope: Scope, vector: Matrix, epoch: str) -> NDArray[np.float32]:
        """(k,) the similarity of one vector to some memories of the scope; empty where only the record store could tell."""
        found = await self._first(scope, epoch, lambda tier: tier.sample(scope, vector, epoch))
        return found if found is not None else np.empty(0, np.float32)

    async def _first(self, scope: Scope, epoch: str, ask: Callable[[VectorIndex], Awaitable[T]]) -> T | None:
        """The answer of the hottest tier that covers the scope; None where none does."""
        for name, tier in self._tiers.items():
            try:
                if await tier.covers(scope, epoch) is not None:
                    answer = await ask(tier)
                    self.answered[name] += 1
                    return answer
            except TierUnavailableError as error:
                log.warning("tier_passed_over", tier=name, error=type(error).__name__)
        self.answered["records"] += 1
        return None
