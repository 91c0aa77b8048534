"""Collecting candidates: full text and vectors side by side, each under its own time budget."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import anyio
import structlog

from memory_mcp.contracts import Candidate, Candidates, Embedder, TextIndex
from memory_mcp.errors import EmbedderNotReadyError, TierError
from memory_mcp.models import Filter, Hit, Matrix, Scope
from memory_mcp.timing import Stages

log = structlog.get_logger(__name__)

BY_WORDS_ONLY = "the embedding model is not ready, so memories were found by their words only"


class NearestSearch(Protocol):
    """What gathering needs of the vector tiers: the stack, or a single index."""

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> Sequence[list[Hit]]:
        """See `VectorIndex.search`."""


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
    text: TextIndex


async def gather(
    sources: Sources, query: str, scopes: Sequence[Scope], where: Filter, *, limit: int, budgets: Budgets, stages: Stages
) -> Candidates:
    """The union of what each search found, `limit` from each, with each one's score; ordered by id.

    A search that fails or is late leaves its share out and says so in `degraded`; only when both do is
    there nothing.
    """
    similarities: dict[UUID, float] = {}
    text_scores: dict[UUID, float] = {}
    degraded: list[str] = []

    async def by_meaning() -> None:
        with stages.measure("embed"):
            vector, epoch = await embed_query(sources.embedder, query, budgets)
        with stages.measure("vector_search"), anyio.fail_after(budgets.vector_seconds):
            for scope in scopes:
                (hits,) = await sources.nearest.search(scope, vector, where, limit=limit, epoch=epoch)
                similarities.update((hit.id, hit.score) for hit in hits)

    async def by_words() -> None:
        with stages.measure("text_search"), anyio.fail_after(budgets.text_seconds):
            hits = await sources.text.search_text(scopes, query, where, limit=limit)
        text_scores.update((hit.id, hit.score) for hit in hits)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_or_say, by_meaning, degraded, "the search by meaning was too slow or failed")
        tasks.start_soon(_or_say, by_words, degraded, "the search by words was too slow or failed")
    ids = sorted(similarities.keys() | text_scores.keys(), key=lambda memory_id: memory_id.bytes)
    return Candidates(
        items=tuple(Candidate(memory_id, similarities.get(memory_id), text_scores.get(memory_id)) for memory_id in ids),
        degraded=tuple(degraded),
    )


async def embed_query(embedder: Embedder, text: str, budgets: Budgets) -> tuple[Matrix, str]:
    """The (1, d) vector of a question and its epoch.

    Raises:
        EmbedderNotReadyError, TimeoutError: There is none to be had in time.
    """
    with anyio.fail_after(budgets.embed_seconds):
        return await embedder.embed([text], urgent=True)


async def _or_say(search: Callable[[], Awaitable[None]], degraded: list[str], otherwise: str) -> None:
    try:
        await search()
    except EmbedderNotReadyError:
        degraded.append(BY_WORDS_ONLY)
    except (TierError, TimeoutError) as error:
        log.warning("gather_degraded", search=search.__name__, error=type(error).__name__)
        degraded.append(otherwise)
