"""Collecting candidates: by words and by meaning, each under its own time budget, and what stands around them."""

import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import Protocol
from uuid import UUID

import anyio
import numpy as np
import structlog
from anyio.lowlevel import checkpoint
from numpy.typing import NDArray

from memory_mcp.config import RecallSettings
from memory_mcp.contracts import Candidates, Circumstances, Comparison, Embedder, Look, TextIndex, TextReader
from memory_mcp.errors import EmbedderNotReadyError, TierError, TierUnavailableError
from memory_mcp.graph import Graph, Named
from memory_mcp.models import Filter, Hit, Matrix, Scope
from memory_mcp.recall.signals import moments, rarity
from memory_mcp.recall.topics import topic_query, topic_terms
from memory_mcp.telemetry.timing import Stages
from memory_mcp.text import words
from memory_mcp.text.entities import asked_keys

log = structlog.get_logger(__name__)

_A_RELATION_AWAY = 0.5
"""What it counts, beside being what the question names."""
_HANDING_OVER_SECONDS = 50e-6
"""In which the model's thread takes the interpreter; else it would wait for the search by words to end (measured: 0.3 ms)."""
_LED = 40
"""Of the best by words and by meaning so many bring the memories beside them along."""

BY_WORDS_ONLY = "the embedding model is not ready, so memories were found by their words only"
BY_ANOTHER_MODEL = (
    "another server has embedded these memories with another model, so this one finds them by their words: "
    "give both the same model in [embedding] of their configurations"
)
WORDS_MISSING = "the search by words was too slow or failed"
NAMES_MISSING = "the search by names was too slow or failed"
MEANING_MISSING = "the search by meaning was too slow or failed"
NOTHING_SEARCHED = "The memory store could not be searched in time, so nothing can be said of what is stored. Nothing was lost; try again."
STORE_LATE = "The memory store took too long to answer. Nothing was lost; try again."


class NearestSearch(Protocol):
    """What gathering needs of the vector tiers: the stack, or a single index."""

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> Sequence[list[Hit]]:
        """See `VectorIndex.search`."""

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """See `VectorIndex.compare`."""


@contextmanager
def asking_records(settings: RecallSettings) -> Iterator[None]:
    """What is asked of the record store within is not waited for without end.

    Raises:
        TierUnavailableError: It was too slow.
    """
    try:
        with anyio.fail_after(settings.records_seconds):
            yield
    except TimeoutError as error:
        raise TierUnavailableError("records", STORE_LATE) from error


@dataclass(frozen=True, slots=True)
class Sources:
    """Where candidates come from.

    Attributes:
        probe: The (d,) mean of unrelated questions in the embedder's present epoch; None while nobody has embedded them.
        questions: Embeds questions in place of `embedder`, if there is one: what is embedded so is never stored with a memory.
        graph: Finds memories by the entities that a question names; None: they are not asked for.
        away: Names the vector tiers that were passed over of late, because they failed.
        overtaken: Whether memories are embedded in another epoch than the embedder's by now.
    """

    embedder: Embedder
    nearest: NearestSearch
    reader: TextReader
    text: TextIndex
    probe: Callable[[], Matrix | None]
    questions: Embedder | None = None
    away: Callable[[], Sequence[str]] = tuple
    overtaken: Callable[[], bool] = lambda: False
    graph: Graph | None = None


@dataclass(slots=True)
class _Found:
    """What the searches brought up in one scope."""

    scope: Scope
    revision: int
    look: Look | None = None
    by_words: dict[UUID, float] = field(default_factory=dict)
    by_meaning: dict[UUID, float] = field(default_factory=dict)
    passage: dict[UUID, int] = field(default_factory=dict)
    beside: list[UUID] = field(default_factory=list)
    by_names: list[Named] = field(default_factory=list)
    sample: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 2), np.float32))

    @property
    def named(self) -> list[UUID]:
        """Memories that were found by the entities that the question names."""
        return [one.memory for one in self.by_names]

    @property
    def ids(self) -> list[UUID]:
        """Every candidate, in the order of the ids' bytes."""
        return sorted({*self.by_words, *self.by_meaning, *self.beside, *self.named}, key=lambda memory_id: memory_id.int)


async def gather(
    sources: Sources, query: str, revisions: Mapping[Scope, int], where: Filter, *, limit: int, settings: RecallSettings, stages: Stages
) -> Candidates:
    """The union of what each search found in each scope, `limit` from each, with its neighbours; by scope and id.

    A search that fails or is late leaves its share out and says so in `degraded`.

    Args:
        revisions: The scopes, with the revisions they have now.

    Raises:
        TierUnavailableError: All of them failed or were late: that there is nothing is not known.
    """
    found = [_Found(scope, revision) for scope, revision in revisions.items()]
    degraded: list[str] = []
    embedded: list[tuple[Matrix, str]] = []
    probed = False

    async def embed() -> None:
        with stages.measure("embed"), anyio.fail_after(settings.embed_seconds):
            embedded.append(await (sources.questions or sources.embedder).embed([_topic(query, found)], urgent=True))

    async def by_words() -> None:
        with stages.measure("text_search"), anyio.fail_after(settings.text_seconds):
            for one in found:
                await _search_words(sources.text, query, one, where, limit)

    async def by_names() -> None:
        if sources.graph is not None and (keys := asked_keys(query)):
            with stages.measure("graph"), anyio.fail_after(settings.text_seconds):
                for one in found:
                    one.by_names = await sources.graph.named([one.scope], keys, where, limit=limit)

    async def by_meaning() -> None:
        nonlocal probed
        ((vector, epoch),) = embedded
        probe = sources.probe()
        probed = probe is not None and probe.shape == vector[0].shape  # else the model has just changed
        vectors = np.vstack((vector, probe if probed and probe is not None else vector))
        with stages.measure("vector_search"), anyio.fail_after(settings.vector_seconds):
            for one in found:
                await _search_meaning(sources.nearest, vectors, epoch, one, where, limit)

    with stages.measure("look"):  # it tells what the topic is
        for one in found:
            await _look(sources.reader, query, one, settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_or_say, embed, degraded, MEANING_MISSING)
        await checkpoint()  # the model's thread has been told by now, and only needs the interpreter for a moment
        if not embedded:
            time.sleep(_HANDING_OVER_SECONDS)  # noqa: ASYNC251 - to let go of the interpreter is what it is for
        await _or_say(by_words, degraded, WORDS_MISSING)
        await _or_say(by_names, degraded, NAMES_MISSING)
    if embedded:
        await _or_say(by_meaning, degraded, MEANING_MISSING)
        if MEANING_MISSING in degraded:
            degraded.extend(f"the tier {name} is away, which would have been faster" for name in sources.away())
        if sources.overtaken():
            degraded.append(BY_ANOTHER_MODEL)
    if {MEANING_MISSING, BY_WORDS_ONLY} & {*degraded} and WORDS_MISSING in degraded and not any(one.ids for one in found):
        raise TierUnavailableError("records", NOTHING_SEARCHED)
    return _candidates(found, words.query_terms(query), tuple(degraded), probed=probed)


async def _look(reader: TextReader, query: str, one: _Found, settings: RecallSettings) -> None:
    """Without a look, because the scope is too large or still being read, the store's own text index answers meanwhile."""
    with suppress(TierError, TimeoutError), anyio.fail_after(settings.text_seconds / 2):
        one.look = await reader.look(one.scope, query, one.revision)


async def _search_words(text: TextIndex, query: str, one: _Found, where: Filter, limit: int) -> None:
    if one.look is not None:
        hits = one.look.best(where, limit)
    else:
        hits = await text.search_text([one.scope], query, where, limit=limit)
    one.by_words = {hit.id: hit.score for hit in hits}


def _topic(query: str, found: Sequence[_Found]) -> str:
    """What of the question to embed."""
    looks = [one.look for one in found if one.look is not None]
    common = topic_terms(words.query_terms(query), _frequency(looks), sum(look.rows for look in looks))
    speakers = frozenset().union(*(look.speakers for look in looks))
    return topic_query(query, common, speakers, words.content_terms)


def _frequency(looks: Sequence[Look]) -> Counter[str]:
    frequency: Counter[str] = Counter()
    for look in looks:
        frequency.update(look.frequency)
    return frequency


async def _search_meaning(nearest: NearestSearch, vectors: Matrix, epoch: str, one: _Found, where: Filter, limit: int) -> None:
    """Search with the first of two vectors; how both compare with a sample is noted."""
    (hits,) = await nearest.search(one.scope, vectors[:1], where, limit=limit, epoch=epoch, at=one.revision)
    one.by_meaning = {hit.id: hit.score for hit in hits}
    one.passage = {hit.id: hit.passage for hit in hits if hit.passage}
    if one.look is not None:
        best = [*list(one.by_words)[:_LED], *list(one.by_meaning)[:_LED]]
        one.beside = one.look.around(best, where)
    unknown = [memory_id for memory_id in dict.fromkeys((*one.by_words, *one.beside, *one.named)) if memory_id not in one.by_meaning]
    compared = await nearest.compare(one.scope, vectors, unknown, epoch, one.revision)
    one.by_meaning.update(zip(unknown, compared.similarity[:, 0].tolist(), strict=True))
    one.passage.update((unknown[row], int(compared.passage[row])) for row in np.flatnonzero(compared.passage))
    one.sample = compared.sample


def _candidates(found: Sequence[_Found], terms: Sequence[str], degraded: tuple[str, ...], *, probed: bool) -> Candidates:
    ids: list[UUID] = []
    similarity: list[float] = []
    around: list[Circumstances] = []
    for one in found:
        own = one.ids
        ids += own
        similarity += [one.by_meaning.get(memory_id, np.nan) for memory_id in own]
        around.append(one.look.circumstances(own) if one.look is not None else _unknown([one.by_words.get(i, 0.0) for i in own]))
    cosine = np.array(similarity, np.float64)
    sample = np.concatenate([one.sample for one in found])
    spread = moments(sample[:, 0].astype(np.float64) if len(sample) else cosine)
    rows = sum(one.look.rows if one.look is not None else len(one.ids) for one in found)
    return Candidates(
        ids=tuple(ids),
        similarity=cosine,
        around=_joined(around),
        mean=spread.mean,
        deviation=spread.deviation,
        unrelated=float(sample[:, 1].mean()) if len(sample) else 0.0,
        sampled=len(sample) if probed else 0,
        rows=rows,
        rarity=rarity(_frequency([one.look for one in found if one.look is not None]), terms, rows),
        passage={memory_id: passage for one in found for memory_id, passage in one.passage.items()},
        related={named.memory: telling(named.frequency, rows) * _A_RELATION_AWAY**named.hops for one in found for named in one.by_names},
        whole=not degraded and all(one.look is not None for one in found),
        degraded=degraded,
    )


def telling(frequency: int, rows: int) -> float:
    """How much it narrows down `rows` memories that one is among the `frequency` of an entity, in [0, 1]: 1 for the only one."""
    return max(0.0, 1 - math.log(max(frequency, 1)) / math.log(max(rows, 2)))


def _joined(around: Sequence[Circumstances]) -> Circumstances:
    """Of several scopes as of one: sessions are numbered through."""
    if len(around) == 1:
        return around[0]
    sessions = 0
    for one in around:
        one.session[one.session >= 0] += sessions
        sessions += len(one.session_lexical)
    names = [column.name for column in fields(Circumstances)]
    return Circumstances(**{name: np.concatenate([getattr(one, name) for one in around]) for name in names})


def _unknown(lexical: Sequence[float]) -> Circumstances:
    """Of memories of which only the store's text index has been asked."""
    n = len(lexical)
    return Circumstances(
        lexical=np.array(lexical, np.float64),
        standing=np.zeros(n, np.uint64),
        kinds=np.zeros(n, np.float64),
        session=np.full(n, -1, np.int64),
        order=np.zeros(n, np.int64),
        session_lexical=np.empty(0, np.float64),
        when=np.zeros(n, np.int64),
        asking=np.zeros(n, np.bool_),
        dated=np.zeros(n, np.bool_),
        specific=np.zeros(n, np.bool_),
        named=np.zeros(n, np.float64),
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
