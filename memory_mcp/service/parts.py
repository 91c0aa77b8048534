"""What the use cases share: the seams they were given, and which scopes a caller means."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from memory_mcp.contracts import Clock, Experience, RecallCache, RecordStore
from memory_mcp.errors import EmbedderNotReadyError
from memory_mcp.graph import Graph
from memory_mcp.hygiene.echoes import Echoes
from memory_mcp.models import (
    GLOBAL_NAMESPACE,
    Caller,
    Embedding,
    Filter,
    Hit,
    Memory,
    Scope,
)
from memory_mcp.passages import PASSAGE_TOKENS, weight
from memory_mcp.recall.asked import Questions
from memory_mcp.recall.gather import Budgets, Sources
from memory_mcp.recall.ranking import still_valid
from memory_mcp.recall.reinforce import Reinforcer
from memory_mcp.recall.scale import Scale
from memory_mcp.recall.signals import SignalWeights
from memory_mcp.remember import door
from memory_mcp.remember.embed import embed_texts
from memory_mcp.remember.hygiene import Policy
from memory_mcp.remember.indexer import Indexer
from memory_mcp.timing import Stages

PROMPT_TOKENS = 16 * PASSAGE_TOKENS
"""A text of up to so many is embedded while its caller waits: a quarter of a second on two cores."""
EVERY_NAMESPACE = "*"
INLINE_CHARACTERS = 20_000
"""Of what is to be stored: so many are looked through for secrets on the event loop, in a millisecond or two."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the configuration may set about remembering and recalling."""

    weights: SignalWeights = field(default_factory=SignalWeights)
    budgets: Budgets = field(default_factory=Budgets)
    candidates: int = 50
    similar_shown: int = 3
    similar_from: float = 0.6
    secrets: Policy = "refuse"


@dataclass(slots=True)
class Parts:
    """What every use case is carried out with.

    Attributes:
        questions: Takes note of what is asked; None: nobody does.
        figures: Per tier, a function that tells its figures for `stats`.
    """

    records: RecordStore
    experience: Experience
    graph: Graph
    sources: Sources
    cache: RecallCache
    scale: Scale
    indexer: Indexer
    reinforcer: Reinforcer
    questions: Questions | None
    clock: Clock
    tuning: Tuning = field(default_factory=Tuning)
    stages: Stages = field(default_factory=Stages)
    echoes: Echoes = field(default_factory=Echoes)
    started: float = field(default_factory=time.monotonic)
    figures: Mapping[str, Any] = field(default_factory=dict)

    async def _readable(self, caller: Caller, namespace: str) -> list[Scope]:
        """The scopes to search: as `_scopes`, or for `*` every one that the caller may read, his own first."""
        if namespace.strip() != EVERY_NAMESPACE:
            return self._scopes(caller, namespace)
        return list(dict.fromkeys([*self._scopes(caller, ""), *await self.records.scopes(caller.tenant)]))

    def _scopes(self, caller: Caller, namespace: str) -> list[Scope]:
        """The scope that is meant, and the global one that is read beside it."""
        own = Scope(caller.tenant, door.namespace(namespace) if namespace else caller.namespace)
        shared = Scope(caller.tenant, GLOBAL_NAMESPACE)
        return [own] if own == shared else [own, shared]

    async def _looked_through(self, look: Callable[[], T], characters: int) -> T:
        """Do what takes a while for many characters, in a worker thread if there are."""
        return look() if characters <= INLINE_CHARACTERS else await anyio.to_thread.run_sync(look)

    async def _embed(self, text: str) -> Embedding | None:
        """None where there is no vector to be had at once."""
        if weight(text) > PROMPT_TOKENS:
            return None  # others would wait for it; the indexer lets them go first
        try:
            with self.stages.measure("embed"), anyio.fail_after(self.tuning.budgets.embed_seconds):
                (embedding,) = await embed_texts(self.sources.embedder, [text], urgent=True)
        except (EmbedderNotReadyError, TimeoutError):
            return None
        return embedding

    async def _read(self, hits: Sequence[Hit], scopes: Sequence[Scope], where: Filter) -> list[Memory]:
        """The memories of these hits that are still what the search took them for."""
        memories = await self.records.get_many(scopes, [hit.id for hit in hits]) if hits else []
        now = self.clock()
        return [memory for memory in memories if still_valid(memory, where, now)]

    def _this_second(self) -> datetime:
        """Now, for filters: searches of one second ask the same, and what expires within it is left out on the fresh record."""
        return self.clock().replace(microsecond=0)
