"""Being recalled strengthens a memory: counted in passing, written in bunches, never in an answer's way."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

import structlog

from memory_mcp.contracts import Clock, RecordStore
from memory_mcp.errors import TierError

log = structlog.get_logger(__name__)


class Reinforcer:
    """Collects which memories were answers; a count lost with the process is no loss."""

    def __init__(self, records: RecordStore, clock: Clock) -> None:
        self._records, self._clock = records, clock
        self._waiting: dict[str, Counter[UUID]] = {}

    def note(self, tenant: str, ids: Iterable[UUID]) -> None:
        """These memories of a tenant were an answer."""
        if noted := list(ids):
            self._waiting.setdefault(tenant, Counter()).update(noted)

    async def flush(self) -> None:
        """Write what has been noted; a store that is away keeps nothing from going on."""
        waiting, self._waiting = self._waiting, {}
        for tenant, times in waiting.items():
            try:
                await self._records.count_uses(tenant, times, self._clock())
            except TierError as error:
                log.info("uses_not_counted", error=type(error).__name__)
