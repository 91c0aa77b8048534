"""The vector tiers as one: the hottest that holds a scope whole answers, the record store if none does."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar
from uuid import UUID

import structlog

from memory_mcp.contracts import Comparison, VectorIndex
from memory_mcp.errors import ScopeNotCoveredError, TierError
from memory_mcp.models import Filter, Hit, Matrix, Scope
from memory_mcp.tiers.guard import Guard

log = structlog.get_logger(__name__)

T = TypeVar("T")


class ExactSearch(Protocol):
    """The search that needs no index: every vector of the record store, read and compared."""

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> list[list[Hit]]:
        """See `VectorIndex.search`."""

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
        """See `VectorSource.compare`."""


RECORDS = "records"
"""What the exact search of the record store is called here."""


class VectorStack:
    """Tiers by name, hottest first. They are only timed here: one that can be away brings a guard of its own (`GuardedIndex`)."""

    def __init__(self, tiers: Mapping[str, VectorIndex], last: ExactSearch) -> None:
        self._tiers, self._last = tiers, last
        self._guards = {name: Guard(name, failures=None) for name in (*tiers, RECORDS)}
        self._away: dict[str, None] = {}
        self.answered: dict[str, int] = {**dict.fromkeys(tiers, 0), RECORDS: 0}

    def guard(self, name: str) -> Guard:
        """What times the calls to a tier."""
        return self._guards[name]

    def away(self) -> Sequence[str]:
        """The tiers that were passed over when they were last asked, because they failed."""
        return list(self._away)

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> Sequence[list[Hit]]:
        """See `VectorIndex.search`; a tier that fails is passed over."""
        hits = await self._first("search", lambda tier: tier.search(scope, vectors, where, limit=limit, epoch=epoch, at=at))
        if hits is not None:
            return hits
        return await self._guards[RECORDS].run(lambda: self._last.search(scope, vectors, where, limit=limit, epoch=epoch), "search")

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """See `VectorIndex.compare`."""
        found = await self._first("compare", lambda tier: tier.compare(scope, vectors, ids, epoch, at))
        if found is not None:
            return found
        return await self._guards[RECORDS].run(lambda: self._last.compare(scope, vectors, ids, epoch), "compare")

    async def _first(self, call: str, ask: Callable[[VectorIndex], Awaitable[T]]) -> T | None:
        """The answer of the hottest tier that covers what is asked; None where none does."""
        for name, tier in self._tiers.items():
            try:
                answer = await self._guards[name].run(partial(ask, tier), call)
            except ScopeNotCoveredError:
                self._away.pop(name, None)
            except TierError as error:  # whatever it is, the tier is derived: another one knows as much
                if name not in self._away:
                    log.warning("tier_passed_over", tier=name, error=type(error).__name__)
                self._away[name] = None
            else:
                self._away.pop(name, None)
                self.answered[name] += 1
                return answer
        self.answered[RECORDS] += 1
        return None
