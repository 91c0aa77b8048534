"""The vector tiers as one: the hottest that holds a scope whole answers, the record store if none does."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from memory_mcp.contracts import VectorIndex
from memory_mcp.errors import TierUnavailableError
from memory_mcp.models import Filter, Hit, Matrix, Scope

log = structlog.get_logger(__name__)


class ExactSearch(Protocol):
    """The search that needs no index: every vector of the record store, read and compared."""

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> list[list[Hit]]:
        """See `VectorIndex.search`."""


class VectorStack:
    """Tiers by name, hottest first."""

    def __init__(self, tiers: Mapping[str, VectorIndex], last: ExactSearch) -> None:
        self._tiers, self._last = tiers, last
        self.answered: dict[str, int] = {**dict.fromkeys(tiers, 0), "records": 0}

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> Sequence[list[Hit]]:
        """See `VectorIndex.search`; a tier that fails is passed over."""
        for name, tier in self._tiers.items():
            try:
                if await tier.covers(scope, epoch) is not None:
                    hits = await tier.search(scope, vectors, where, limit=limit, epoch=epoch)
                    self.answered[name] += 1
                    return hits
            except TierUnavailableError as error:
                log.warning("tier_passed_over", tier=name, error=type(error).__name__)
        self.answered["records"] += 1
        return await self._last.search(scope, vectors, where, limit=limit, epoch=epoch)
