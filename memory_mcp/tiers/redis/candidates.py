"""Recall candidates in Redis, shared by all processes on one store."""

from memory_mcp.contracts import Candidates
from memory_mcp.tiers.guard import Guard
from memory_mcp.tiers.redis.behind import WriteBehind
from memory_mcp.tiers.redis.client import RedisClient
from memory_mcp.tiers.redis.codec import decode_candidates, encode_candidates
from memory_mcp.tiers.redis.keys import candidates_key


class SharedCandidates:
    """A `RecallCache` over Redis: read under the guard, written behind.

    Args:
        guard: Told of hits and misses.
        max_bytes: Of an entry; a larger one is neither written nor read.
    """

    def __init__(self, client: RedisClient, guard: Guard, behind: WriteBehind, *, ttl_seconds: int, max_bytes: int) -> None:
        self._client, self._guard, self._behind = client, guard, behind
        self._ttl, self._max_bytes = ttl_seconds, max_bytes

    async def lookup(self, key: str, stamp: str) -> Candidates | None:
        """See `RecallCache`.

        Raises:
            TierUnavailableError: Redis is away, or slower than a question wants to wait.
        """
        data = await self._guard.run(lambda: self._client.get(candidates_key(key), self._max_bytes), "get_candidates")
        found = None if data is None else decode_candidates(data, key, stamp)
        if found is None:
            self._guard.miss()
        else:
            self._guard.hit()
        return found

    async def store(self, key: str, stamp: str, candidates: Candidates) -> None:
        """See `RecallCache`; returns before it is written."""

        async def write() -> None:
            data = encode_candidates(key, stamp, candidates)
            if len(data) <= self._max_bytes:
                await self._client.set(candidates_key(key), data, self._ttl)

        self._behind.put(write)
