"""The recall cache inside the process, and how another one stands behind it."""

from collections import OrderedDict
from contextlib import suppress

from memory_mcp.contracts import Candidates, RecallCache
from memory_mcp.errors import TierError


class ProcessCache:
    """Candidates by question, least recently used ones dropped (`RecallCache`)."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[str, tuple[str, Candidates]] = OrderedDict()
        self.hits = self.misses = 0

    async def lookup(self, key: str, stamp: str) -> Candidates | None:
        """See `RecallCache`."""
        found = self._entries.get(key)
        if found is None or found[0] != stamp:
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return found[1]

    async def store(self, key: str, stamp: str, candidates: Candidates) -> None:
        """See `RecallCache`."""
        self._entries[key] = (stamp, candidates)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget every question."""
        self._entries.clear()


class LayeredCache:
    """The process's own cache first, then one that is shared (`RecallCache`). A shared one that fails has nothing."""

    def __init__(self, near: RecallCache, shared: RecallCache) -> None:
        self._near, self._shared = near, shared

    async def lookup(self, key: str, stamp: str) -> Candidates | None:
        """See `RecallCache`."""
        found = await self._near.lookup(key, stamp)
        if found is None:
            with suppress(TierError):
                found = await self._shared.lookup(key, stamp)
            if found is not None:
                await self._near.store(key, stamp, found)
        return found

    async def store(self, key: str, stamp: str, candidates: Candidates) -> None:
        """See `RecallCache`."""
        await self._near.store(key, stamp, candidates)
        with suppress(TierError):
            await self._shared.store(key, stamp, candidates)
