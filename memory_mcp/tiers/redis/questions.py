"""Embeddings of questions in Redis: what one process has embedded, no other needs to."""

from collections.abc import Sequence
from typing import Protocol

from memory_mcp.contracts import Embedder, EmbedderState
from memory_mcp.errors import TierError
from memory_mcp.models import Matrix
from memory_mcp.tiers.guard import Guard
from memory_mcp.tiers.redis.behind import WriteBehind
from memory_mcp.tiers.redis.client import RedisClient
from memory_mcp.tiers.redis.codec import decode_vector, encode_vector
from memory_mcp.tiers.redis.keys import question_key


class OwnEmbedder(Embedder, Protocol):
    """What embeds in this process, and remembers some of it."""

    def holds(self, text: str) -> bool:
        """Whether the text's vector is at hand."""


class SharedQuestions:
    """An `Embedder` of questions: asks this process's memory, then Redis, then the model, and tells Redis.

    Not for memories: their vectors are kept for good, and what a cache says is not.
    """

    def __init__(self, inner: OwnEmbedder, client: RedisClient, guard: Guard, behind: WriteBehind, *, ttl_seconds: int, max_bytes: int):
        self._inner, self._client, self._guard, self._behind = inner, client, guard, behind
        self._ttl, self._max_bytes = ttl_seconds, max_bytes
        self.hits = self.misses = 0

    @property
    def state(self) -> EmbedderState:
        """The model's."""
        return self._inner.state

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> tuple[Matrix, str]:
        """See `Embedder`; only a single urgent text is looked up, anything else is no question."""
        state = self._inner.state
        if len(texts) != 1 or not urgent or state.epoch is None or state.dimension is None or self._inner.holds(texts[0]):
            return await self._inner.embed(texts, urgent=urgent)
        key = question_key(state.epoch, texts[0])
        vector = await self._known(key, state.dimension)
        if vector is not None:
            self.hits += 1
            return vector[None], state.epoch
        self.misses += 1
        vectors, epoch = await self._inner.embed(texts, urgent=urgent)
        if epoch == state.epoch:
            self._behind.put(lambda: self._client.set(key, encode_vector(key, vectors[0]), self._ttl))
        return vectors, epoch

    async def _known(self, key: str, dimension: int) -> Matrix | None:
        try:
            data = await self._guard.run(lambda: self._client.get(key, self._max_bytes), "get_embedding")
        except TierError:
            return None  # the model is there
        return None if data is None else decode_vector(data, key, dimension)
