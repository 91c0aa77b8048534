"""Redis as a tier: what it keeps for whom, over one client, and how it is doing."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio

from memory_mcp.contracts import RecordStore
from memory_mcp.models import Operation
from memory_mcp.telemetry.instruments import Lookups
from memory_mcp.tiers.guard import Guard
from memory_mcp.tiers.redis.behind import WriteBehind
from memory_mcp.tiers.redis.candidates import SharedCandidates
from memory_mcp.tiers.redis.changes import AnnouncedStore
from memory_mcp.tiers.redis.client import TIER, RedisClient
from memory_mcp.tiers.redis.questions import OwnEmbedder, SharedQuestions
from memory_mcp.tiers.redis.settings import RedisSettings

_LONGEST_REST_SECONDS = 5.0
"""A try costs one question `lookup_seconds`; so it is soon noticed that Redis is back."""
_LAST_SECONDS = 0.2
"""For what is still to be written when this closes: whoever reads the stream of changes would not hear of it."""


class RedisTier:
    """What Redis brings. None of it is needed for an answer to be right.

    Reading and writing are guarded each by itself: a Redis that is full still answers, and one that is too slow for a
    question to wait for should not seem well because it takes writes.

    Attributes:
        guards: Both.
    """

    def __init__(self, client: RedisClient, settings: RedisSettings) -> None:
        self._client, self._settings = client, settings
        self._reads = Guard(TIER, call_seconds=settings.lookup_seconds, longest_rest_seconds=_LONGEST_REST_SECONDS)
        self._writes = Guard(f"{TIER}_writes", longest_rest_seconds=_LONGEST_REST_SECONDS)  # the client has time limits
        self._questions: SharedQuestions | None = None
        self.guards = (self._reads, self._writes)
        self._announced: AnnouncedStore | None = None
        self.behind = WriteBehind(self._writes)
        self.candidates = SharedCandidates(
            client, self._reads, self.behind, ttl_seconds=settings.ttl_seconds, max_bytes=settings.max_entry_bytes
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: RedisSettings) -> AsyncIterator["RedisTier"]:
        """The tier over a client of its own; waits for nothing, whether Redis is there or not, but a moment for the last writes."""
        async with RedisClient.open(settings) as client:
            tier = cls(client, settings)
            try:
                yield tier
            finally:
                with anyio.move_on_after(_LAST_SECONDS, shield=True):
                    await tier.behind.flush()

    async def run(self) -> None:
        """Write behind, until cancelled; begins by connecting, so that no question has to wait for it."""
        self.behind.put(self._client.ping)
        await self.behind.run()

    def questions(self, embedder: OwnEmbedder) -> SharedQuestions:
        """The embedder, for questions."""
        self._questions = SharedQuestions(
            embedder,
            self._client,
            self._reads,
            self.behind,
            ttl_seconds=self._settings.embedding_ttl_seconds,
            max_bytes=self._settings.max_entry_bytes,
        )
        return self._questions

    def announced(self, records: RecordStore) -> RecordStore:
        """The record store, its writes told in the stream of changes, unless that is switched off."""
        length = self._settings.stream_length
        if not length:
            return records
        self._announced = AnnouncedStore(records, self._client, self.behind, length=length)
        return self._announced

    def tell(self, operation: Operation) -> None:
        """Tell in the stream of an entry of the log that was not made through `announced`."""
        if self._announced is not None:
            self._announced.told(operation)

    def lookups(self) -> Mapping[str, Callable[[], Lookups]]:
        """What was looked up here, and what of it was there."""
        found: dict[str, Callable[[], Lookups]] = {"shared_candidates": lambda: (self._reads.hits, self._reads.misses)}
        if (questions := self._questions) is not None:
            found["shared_embeddings"] = lambda: (questions.hits, questions.misses)
        return found

    def figures(self) -> dict[str, Any]:
        """For `stats`: those of reading, and what became of the writes."""
        reads, writes = self._reads.figures(), self._writes.figures()
        if reads["health"] == "ok" and writes["health"] != "ok":
            reads["health"] = "takes no writes"
        asked = self._questions.hits + self._questions.misses if self._questions else 0
        if self._questions and asked:
            reads["question_hit_rate"] = round(self._questions.hits / asked, 3)
        behind = {"writes": writes["calls"] - writes["errors"], "writes_dropped": self.behind.dropped}
        return {"role": "candidates, questions, changes", **reads, **behind}
