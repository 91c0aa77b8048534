"""Collecting candidates: by words and by meaning, each under its own time budget, and what stands around them."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import anyio
import numpy as np
import structlog
from numpy.typing import NDArray

from memory_mcp import words
from memory_mcp.contracts import Candidates, Circumstances, Embedder, Look, TextIndex, TextReader
from memory_mcp.errors import EmbedderNotReadyError, TierError
from memory_mcp.models import Filter, Hit, Matrix, Scope
from memory_mcp.recall.signals import moments
from memory_mcp.recall.topics import topic_query, topic_terms
from memory_mcp.timing import Stages

log = structlog.get_logger(__name__)

BY_WORDS_ONLY = "the embedding model is not ready, so memories were found by their words only"


class NearestSearch(Protocol):
    """What gathering needs of the vector tiers: the stack, or a single index."""

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> Sequence[list[Hit]]:
        """See `VectorIndex.search`."""

    async def compare(self, scope: Scope, vector: Matrix, ids: Sequence[UUID], epoch: str) -> list[float | None]:
        """See `VectorSource.compare`."""

    async def sample(self, scope: Scope, vector: Matrix, epoch: str) -> NDArray[np.float32]:
        """(k,) the similarity of one vector to some memories of the scope, evenly taken; empty where that would take long."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Longest waits while gathering, in seconds; what is late is left out and named."""

    embed_seconds: float = 2.0
    vector_seconds: float = 1.0
    text_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where candidates come from."""

    embedder: Embedder
    nearest: NearestSearch
    reader: TextReader
    text: TextIndex


@dataclass(slots=True)
class _Found:
    """What the searches brought up in one scope."""

    scope: Scope
    look: Look | None = None
    by_words: dict[UUID, float] = field(default_factory=dict)
    similar: dict[UUID, float | None] = field(default_factory=dict)
    beside: list[UUID] = field(default_factory=list)
    sample: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def ids(self) -> list[UUID]:
        """Every candidate, in the order of the ids' bytes."""
        return sorted({*self.by_words, *self.similar, *self.beside}, key=lambda memory_id: memory_id.bytes)


async def gather(
    sources: Sources, query: str, scopes: Sequence[Scope], where: Filter, *, limit: int, budgets: Budgets, stages: Stages
) -> Candidates:
    """The union of what each search found in each scope, `limit` from each, with its neighbours; by scope and id.

    A search that fails or is late leaves its share out and says so in `degraded`; only when both do is
    there nothing.
    """
    found = [_Found(scope) for scope in scopes]
    degraded: list[str] = []

    async def by_words() -> None:
        with stages.measure("text_search"):
            for one in found:
                await _search_words(sources, query, one, where, limit, budgets)

    async def by_meaning() -> None:
        with stages.measure("embed"):
            vector, epoch = await embed_query(sources.embedder, _topic(query, found), budgets)
        with stages.measure("vector_search"), anyio.fail_after(budgets.vector_seconds):
            for one in found:
                await _search_meaning(sources.nearest, vector, epoch, one, where, limit)

    await _or_say(by_words, degraded, "the search by words was too slow or failed")  # first: it knows what the topic is
    await _or_say(by_meaning, degraded, "the search by meaning was too slow or failed")
    return _columns(found, len(words.query_terms(query)), tuple(degraded))


async def embed_query(embedder: Embedder, text: str, budgets: Budgets) -> tuple[Matrix, str]:
    """The (1, d) vector of a question and its epoch.

    Raises:
        EmbedderNotReadyError, TimeoutError: There is none to be had in time.
    """
    with anyio.fail_after(budgets.embed_seconds):
        return await embedder.embed([text], urgent=True)


async def _search_words(sources: Sources, query: str, one: _Found, where: Filter, limit: int, budgets: Budgets) -> None:
    try:
        with anyio.fail_after(budgets.text_seconds / 2):
            one.look = await sources.reader.look(one.scope, query)
            hits = one.look.best(where, limit)
    except (TierError, TimeoutError):  # too large, or still being read: the store's own text index answers meanwhile
        with anyio.fail_after(budgets.text_seconds):
            hits = await sources.text.search_text([one.scope], query, where, limit=limit)
    one.by_words = {hit.id: hit.score for hit in hits}


def _topic(query: str, found: Sequence[_Found]) -> str:
    """What of the question to embed."""
    looks = [one.look for one in found if one.look is not None]
    frequency: Counter[str] = Counter()
    for look in looks:
        frequency.update(look.frequency)
    common = topic_terms(words.query_terms(query), frequency, sum(look.rows for look in looks))
    speakers = frozenset().union(*(look.speakers for look in looks))
    return topic_query(query, common, speakers, words.content_terms)


async def _search_meaning(nearest: NearestSearch, vector: Matrix, epoch: str, one: _Found, where: Filter, limit: int) -> None:
    (hits,) = await nearest.search(one.scope, vector, where, limit=limit, epoch=epoch)
    one.similar.update((hit.id, hit.score) for hit in hits)
    if one.look is not None:
        one.beside = one.look.beside(one.ids, where)
    unknown = [memory_id for memory_id in one.ids if memory_id not in one.similar]
    one.similar.update(zip(unknown, await nearest.compare(one.scope, vector[0], unknown, epoch), strict=True))
    one.sample = await nearest.sample(one.scope, vector[0], epoch)


def _columns(found: Sequence[_Found], terms: int, degraded: tuple[str, ...]) -> Candidates:
    ids: list[UUID] = []
    similarity: list[float | None] = []
    around: list[Circumstances] = []
    sessions = 0
    for one in found:
        own = one.ids
        ids += own
        similarity += [one.similar.get(memory_id) for memory_id in own]
        circumstances = one.look.circumstances(own) if one.look is not None else _unknown([one.by_words.get(i, 0.0) for i in own])
        circumstances.session[circumstances.session >= 0] += sessions
        sessions += len(circumstances.session_lexical)
        around.append(circumstances)
    sampled = np.concatenate([one.sample for one in found])
    if not len(sampled):
        sampled = np.array([score for score in similarity if score is not None])
    spread = moments(sampled.astype(np.float64))

    def joined(name: str) -> tuple[Any, ...]:
        return tuple(np.concatenate([getattr(circumstances, name) for circumstances in around]).tolist())

    return Candidates(
        ids=tuple(ids),
        similarity=tuple(similarity),
        text_score=joined("lexical"),
        session=joined("session"),
        order=joined("order"),
        when=joined("when"),
        asking=joined("asking"),
        named=joined("named"),
        importance=joined("importance"),
        session_scores=joined("session_lexical"),
        mean=spread.mean,
        deviation=spread.deviation,
        terms=terms,
        degraded=degraded,
    )


def _unknown(lexical: Sequence[float]) -> Circumstances:
    """Of memories of which only the store's text index has been asked."""
    n = len(lexical)
    return Circumstances(
        lexical=np.array(lexical, np.float64),
        session=np.full(n, -1, np.int64),
        order=np.zeros(n, np.int64),
        session_lexical=np.empty(0, np.float64),
        when=np.zeros(n, np.int64),
        asking=np.zeros(n, np.bool_),
        named=np.zeros(n, np.bool_),
        importance=np.full(n, 0.5),
    )


async def _or_say(search: Callable[[], Awaitable[None]], degraded: list[str], otherwise: str) -> None:
    try:
        await search()
    except EmbedderNotReadyError:
        degraded.append(BY_WORDS_ONLY)
    except (TierError, TimeoutError) as error:
        log.warning("gather_degraded", search=search.__name__, error=type(error).__name__)
        degraded.append(otherwise)
