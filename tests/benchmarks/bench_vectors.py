"""Exact search in memory, against one read of the same rows at the speed of memory.

    python tests/benchmarks/bench_vectors.py [--large] [--json]

One thread, medians, 384 numbers a row, the 10 closest of evenly spread unit rows. The floor and what is
compared with it are measured in turns, since a shared machine drifts by more than they differ.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import NEVER, Filter, Hit, Matrix, Points
from memory_mcp.tiers.resident.block import Block

try:
    from threadpoolctl import threadpool_limits
except ImportError:
    threadpool_limits = None  # then the variables above decide, if NumPy was not imported before

DIMENSION, LIMIT, BATCH = 384, 10, 32
SIZES, LARGE = (10_000, 100_000), 1_000_000
ANYTHING = Filter()
FILTERS = {
    "not_expired": Filter(now=datetime(2026, 1, 1, tzinfo=UTC)),
    "kind_10_percent": Filter(kinds=frozenset({"event"})),
    "kind_1_percent": Filter(kinds=frozenset({"rule"})),
    "tag_10_percent": Filter(tags=frozenset({"often"})),
    "tag_1_percent": Filter(tags=frozenset({"seldom"})),
}
TARGETS = {"single_per_floor": 1.25, "batch_per_single": 0.30, "namespace_1_percent_per_single": 0.03}


def run(sizes: Sequence[int] = SIZES) -> dict[str, Any]:
    """Figures for each size, by the number of rows as text: milliseconds, ratios, recall."""
    with _one_thread():
        return {str(size): _figures(size) for size in sizes}


def _figures(size: int) -> dict[str, float]:
    rng = np.random.default_rng(size)
    points = _points(rng, size)
    queries = _unit_rows(rng, BATCH)
    started = perf_counter()
    block = Block(points)
    load_ms = (perf_counter() - started) * 1000
    namespace = Block(_points(rng, size // 100))
    measured = _in_turns(
        {
            "floor": _reading(points.vectors),
            "single": lambda: block.search(queries[:1], ANYTHING, LIMIT),
            "batch": lambda: block.search(queries, ANYTHING, LIMIT),
            "namespace_1_percent": lambda: namespace.search(queries[:1], ANYTHING, LIMIT),
            "numpy_argpartition": lambda: _as_most_write_it(points.vectors, queries[0]),
            "upsert_one": _upserting(block, points),
        }
        | {name: _filtered(block, queries, where) for name, where in FILTERS.items()},
        rounds=7 if size >= LARGE else 31,
    )
    return {f"{name}_ms": value for name, value in measured.items()} | {
        "single_per_floor": measured["single"] / measured["floor"],
        "batch_per_single": measured["batch"] / BATCH / measured["single"],
        "namespace_1_percent_per_single": measured["namespace_1_percent"] / measured["single"],
        "numpy_argpartition_per_floor": measured["numpy_argpartition"] / measured["floor"],
        **{f"{name}_per_single": measured[name] / measured["single"] for name in FILTERS},
        "load_ms": load_ms,
        "bytes_per_row": block.nbytes / size,
        "recall": _recall(block.search(queries, ANYTHING, LIMIT), points, queries),
    }


def _in_turns(works: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Median milliseconds of each, one after the other, round after round; the first round does not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name, work in works.items():
            started = perf_counter()
            work()
            if turn:
                taken[name].append((perf_counter() - started) * 1000)
    return {name: median(times) for name, times in taken.items()}


def _reading(vectors: Matrix) -> Callable[[], object]:
    """One read of the rows: of sum, max, bit operations and this, this came closest to the bandwidth of memory."""
    flat = vectors.reshape(-1)
    return lambda: np.dot(flat, flat)


def _as_most_write_it(vectors: Matrix, query: Matrix) -> NDArray[np.intp]:
    scores = vectors @ query
    best = np.argpartition(scores, -LIMIT)[-LIMIT:]
    return best[np.argsort(-scores[best])]


def _filtered(block: Block, queries: Matrix, where: Filter) -> Callable[[], object]:
    return lambda: block.search(queries[:1], where, LIMIT)


def _upserting(block: Block, points: Points) -> Callable[[], object]:
    one = Points(
        points.ids[:1], points.vectors[:1], points.kinds[:1], points.domains[:1], points.tags[:1], points.when[:1], points.expires[:1]
    )
    return lambda: block.upsert(one)


def _recall(answers: Sequence[Sequence[Hit]], points: Points, queries: Matrix) -> float:
    """Share of the closest by exhaustive float64 comparison that were found."""
    exact = np.concatenate([_exact(points.vectors[i : i + 10_000], queries) for i in range(0, len(points), 10_000)], axis=1)
    closest = np.argsort(-exact, axis=1, kind="stable")[:, :LIMIT]
    found = sum(len({hit.id for hit in hits} & {points.ids[i] for i in rows}) for hits, rows in zip(answers, closest, strict=True))
    return found / closest.size


def _exact(vectors: Matrix, queries: Matrix) -> NDArray[np.float64]:
    return queries.astype(np.float64) @ vectors.astype(np.float64).T


def _points(rng: np.random.Generator, size: int) -> Points:
    numbers = range(size)
    return Points(
        ids=[UUID(bytes=rng.bytes(16)) for _ in numbers],
        vectors=_unit_rows(rng, size),
        kinds=["event" if i % 10 == 0 else "rule" if i % 100 == 1 else "fact" for i in numbers],
        domains=["general"] * size,
        tags=[tuple(tag for tag, every in (("often", 10), ("seldom", 100)) if i % every == 3) for i in numbers],
        when=np.arange(size, dtype=np.int64),
        expires=np.full(size, NEVER, np.int64),
    )


def _unit_rows(rng: np.random.Generator, size: int) -> Matrix:
    rows = rng.standard_normal((size, DIMENSION), dtype=np.float32)
    return np.divide(rows, np.linalg.norm(rows, axis=1, keepdims=True), out=rows)


@contextmanager
def _one_thread() -> Iterator[None]:
    if threadpool_limits is None:
        yield
        return
    with threadpool_limits(limits=1):
        yield


def _print_table(figures: Mapping[str, Mapping[str, float]]) -> None:
    names = list(next(iter(figures.values())))
    print(f"{'rows':34}" + "".join(f"{int(size):>12,}" for size in figures) + f"{'target':>12}")
    for name in names:
        target = f"{TARGETS[name]:>12.2f}" if name in TARGETS else ""
        print(f"{name:34}" + "".join(f"{values[name]:>12.3f}" for values in figures.values()) + target)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="a million rows as well: 6 GB of memory, about a minute")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    figures = run((*SIZES, LARGE) if arguments.large else SIZES)
    if arguments.json:
        print(json.dumps(figures))
    else:
        _print_table(figures)


if __name__ == "__main__":
    main()
