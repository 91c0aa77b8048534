"""The tiers side by side on the same memories: how quick, how complete, how large; vectors first, then words.

Texts of the sets put together anew, embedded by the real model; questions of the sets. Each question goes to every tier in
turn, since a shared machine drifts by more than tiers differ. Every search says, as a recall does, that nothing expired is
wanted. Filters are tags: two by chance, and one that, like most tags that people give, is of one topic.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from memory_mcp.config import RecallSettings
from memory_mcp.models import Filter, Hit, Matrix
from tests.benchmarks.figures import TARGET, Table, Tables, progress, say
from tests.benchmarks.filling import empty_store, questions_like, texts_like
from tests.benchmarks.sets import EvalSet
from tests.benchmarks.tiers import NOW, Corpus, Opened, every_tier
from tests.postgres_server import Server, server

SIZES = (10_000,)
QUESTIONS, LIMIT = 50, 10
CANDIDATES = RecallSettings().candidates
"""As many as a recall asks for."""
AT_ONCE, BATCHES, WARM = 32, 3, 2
EMBEDDED_AT_ONCE = 256
LEAST_RECALL = 0.98
FILTERS: Mapping[str, Filter] = {
    "all": Filter(now=NOW),
    "10 %": Filter(tags=frozenset({"often"}), now=NOW),
    "1 %": Filter(tags=frozenset({"seldom"}), now=NOW),
    "1 %, one topic": Filter(tags=frozenset({"topic"}), now=NOW),
}
SHARES = {"often": 10, "seldom": 100}

Taken = dict[str, dict[str, list[float]]]
"""Milliseconds by tier, then by what was asked."""


async def run(
    sets: Sequence[EvalSet], sizes: Sequence[int] = SIZES, *, questions: int = QUESTIONS, postgres: Callable[[], Server] = server
) -> Tables:
    """Milliseconds, recall, and what a memory costs, for each size; a row for each tier."""
    tables: Tables = {}
    for size in sizes:
        say(f"  {size:,} memories")
        asked = questions_like(sets, questions)
        corpus, vectors = await _embedded(texts_like(sets, size), asked)
        with TemporaryDirectory(prefix="memory-mcp-bench-") as folder, threadpool_limits(1, user_api="blas"):
            async with every_tier(corpus, Path(folder), postgres) as tiers:
                recall, taken = await _by_vector(tiers, corpus, vectors)
                await _in_batches(tiers, vectors, taken)
                words = await _by_words(tiers, asked)
        absent: Table = {name: {} for name in tiers.absent}
        tables |= {
            f"{size:,} memories, vectors, ms": _percentiles(taken) | absent,
            f"{size:,} memories, recall@{LIMIT}": recall | absent,
            f"{size:,} memories, words, ms": _percentiles(words),
            f"{size:,} memories, what one costs": _costs(tiers),
        }
    return tables


async def _embedded(texts: Sequence[str], questions: Sequence[str]) -> tuple[Corpus, Matrix]:
    """The memories, and the questions' vectors."""
    parts = []
    async with empty_store() as service:
        embedder = service.sources.embedder
        for start in progress(range(0, len(texts), EMBEDDED_AT_ONCE), f"embedded, {EMBEDDED_AT_ONCE} at a time"):
            part, epoch = await embedder.embed(texts[start : start + EMBEDDED_AT_ONCE])
            parts.append(part)
        asked, epoch = await embedder.embed(questions)
    vectors = np.concatenate(parts)
    return Corpus(texts, vectors, _tags(vectors), epoch), asked


def _tags(vectors: Matrix) -> list[tuple[str, ...]]:
    """By chance, and for those that are closest to one of them."""
    rng, size = np.random.default_rng(7), len(vectors)
    tags: list[list[str]] = [[] for _ in range(size)]
    for tag, every in SHARES.items():
        for row in rng.choice(size, max(size // every, 1), replace=False):
            tags[row].append(tag)
    for row in np.argsort(-(vectors @ vectors[rng.integers(size)]), kind="stable")[: max(size // SHARES["seldom"], 1)]:
        tags[row].append("topic")
    return [tuple(each) for each in tags]


async def _by_vector(tiers: Opened, corpus: Corpus, asked: Matrix) -> tuple[Table, Taken]:
    """Every question by itself: recall, and milliseconds."""
    taken: Taken = {name: {} for name in tiers.vectors}
    answers: dict[tuple[str, str], list[Sequence[Hit]]] = {}
    for number, vector in enumerate(progress([*asked[:WARM], *asked], "asked")):
        for name, search in tiers.vectors.items():
            for what, where in FILTERS.items():
                started = perf_counter()
                (hits,) = await search(vector[None], where, LIMIT)
                _note(taken, name, what, started, counts=number >= WARM)
                if number >= WARM:
                    answers.setdefault((name, what), []).append(hits)
            started = perf_counter()
            await search(vector[None], FILTERS["all"], CANDIDATES)
            _note(taken, name, f"{CANDIDATES} wanted", started, counts=number >= WARM)
    recall: Table = {name: {} for name in tiers.vectors}
    for (name, what), hits in answers.items():
        share = _share_found(hits, _closest(corpus, asked, FILTERS[what], tiers.held.get(name)))
        if share is not None:
            recall[name][what] = share
    for row in recall.values():
        row[TARGET] = LEAST_RECALL
    return recall, taken


async def _in_batches(tiers: Opened, asked: Matrix, taken: Taken) -> None:
    """Questions that come together; milliseconds for each of them."""
    rng = np.random.default_rng(3)
    for turn in range(BATCHES + 1):
        vectors = asked[rng.choice(len(asked), AT_ONCE)]
        for name, search in tiers.vectors.items():
            started = perf_counter()
            await search(vectors, FILTERS["all"], LIMIT)
            _note(taken, name, f"each of {AT_ONCE}", started, counts=turn > 0, of=AT_ONCE)


async def _by_words(tiers: Opened, questions: Sequence[str]) -> Taken:
    taken: Taken = {name: {} for name in tiers.words}
    for number, question in enumerate(progress([*questions[:WARM], *questions], "asked by words")):
        for name, search in tiers.words.items():
            for what, where in FILTERS.items():
                started = perf_counter()
                await search(question, where, LIMIT)
                _note(taken, name, what, started, counts=number >= WARM)
    return taken


def _note(taken: Taken, name: str, what: str, started: float, *, counts: bool, of: int = 1) -> None:
    elapsed = 1000 * (perf_counter() - started) / of
    if counts:
        taken[name].setdefault(what, []).append(elapsed)


def _closest(corpus: Corpus, asked: Matrix, where: Filter, held: int | None) -> list[set[int]]:
    """The ids of the closest to each question among those that are held and pass, by comparing all in float64."""
    passing = np.array([n for n, tags in enumerate(corpus.tags[:held]) if where.tags <= set(tags)], np.intp)
    scores: NDArray[np.float64] = asked.astype(np.float64) @ corpus.vectors[passing].astype(np.float64).T
    return [{int(passing[row]) + 1 for row in rows} for rows in np.argsort(-scores, axis=1, kind="stable")[:, :LIMIT]]


def _share_found(answers: Sequence[Sequence[Hit]], closest: Sequence[set[int]]) -> float | None:
    """Of the closest, all questions together; None where nothing passes."""
    wanted = sum(map(len, closest))
    found = sum(len({hit.id.int for hit in hits} & ids) for hits, ids in zip(answers, closest, strict=True))
    return found / wanted if wanted else None


def _percentiles(taken: Taken) -> Table:
    return {
        name: {f"{what}, {p}": value for what, times in by_what.items() for p, value in _p50_p95(times).items()}
        for name, by_what in taken.items()
    }


def _p50_p95(times: Sequence[float]) -> dict[str, float]:
    return {"p50": median(times), "p95": quantiles(times, n=20)[-1]}


def _costs(tiers: Opened) -> Table:
    table: Table = {}
    for name, cost in tiers.costs.items():
        figures = {"s to build 1,000": None if cost.seconds is None else 1000 * cost.seconds, "bytes": cost.nbytes}
        table[name] = {what: value for what, value in figures.items() if value is not None}
    return table
