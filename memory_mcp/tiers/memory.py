"""The recall cache inside the process: what is asked again is answered again without a search."""

from collections import OrderedDict

from memory_mcp.contracts import Candidates


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
