"""Comparing queries with rows: every row, or every row that passes the filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Hit, Matrix
from memory_mcp.tiers.resident.mirror import Proposer
from memory_mcp.tiers.resident.topk import largest

CHUNK_ROWS = 2048
"""Rows compared at a time: 3 MB at 384 numbers a row, so the second query finds them in cache."""
PRODUCT_QUERIES = 6
"""From this many queries on, one matrix product beats a dot product for each (measured: 5 to 7)."""
GATHERED_SHARE = 0.3
"""Below this share of surviving rows, fetching them one by one beats reading them all (measured)."""
SCORES_HELD = 1 << 22
"""Scores kept at a time, 16 MiB of float32: what a search needs beside the rows, however many there are."""


@dataclass(frozen=True, slots=True)
class View:
    """Rows as of one moment.

    Attributes:
        matrix: (n, d) unit rows.
        ids: (n, 2) uint64, upper and lower half of each row's UUID.
        passing: (n,) bool, which rows may be found.
        passages: (n,) the number of the passage a row holds; None where each memory has one row.
        survivors: How many rows pass; counted here where it is not known.
        proposers: What may propose candidates in place of a scan, each for what those before it decline.
    """

    matrix: Matrix
    ids: NDArray[np.uint64]
    passing: NDArray[np.bool_]
    passages: NDArray[np.int32] | None = None
    survivors: int = -1
    proposers: Sequence[Proposer] = ()

    def __post_init__(self) -> None:
        if self.survivors < 0:
            object.__setattr__(self, "survivors", int(np.count_nonzero(self.passing)))


def closest(view: View, queries: Matrix, limit: int) -> list[list[Hit]]:
    """For each of (q, d) query rows the `limit` closest memories, by their passing rows, closest first, equal ones by id.

    Exact: a product only proposes candidates, with room for its rounding; what is returned and ordered
    are dot products taken row by row, so a score does not depend on the number of queries.
    """
    if min(limit, view.survivors, len(queries)) < 1:
        return [[] for _ in queries]
    rows = limit
    while True:
        found = _closest_of(view, queries, rows, limit)
        if view.passages is None or rows >= view.survivors or all(len(hits) == limit for hits in found):
            return found
        rows *= 4  # so many passages of few memories are among the closest that others are missing


def _closest_of(view: View, queries: Matrix, rows: int, limit: int) -> list[list[Hit]]:
    """The closest memories by the `rows` closest passages."""
    proposed: dict[int, NDArray[np.intp]] = {}
    for proposer in view.proposers:
        left = [i for i in range(len(queries)) if i not in proposed]
        found = proposer.propose(view.passing, view.survivors, queries[left], rows) if left else None
        proposed.update((i, one) for i, one in zip(left, found or (), strict=False) if one is not None)
    if left := [i for i in range(len(queries)) if i not in proposed]:
        proposed.update(zip(left, _scanned(view, queries[left], rows), strict=True))
    return [_ranked(view, query, proposed[i], rows, limit) for i, query in enumerate(queries)]


def _scanned(view: View, queries: Matrix, limit: int) -> list[NDArray[np.intp]]:
    """Candidates for each query, by reading the rows here."""
    if view.survivors < GATHERED_SHARE * len(view.passing):
        return _among(view, np.flatnonzero(view.passing), queries, limit)
    return _among_all(view, queries, limit)


def dots(rows: Matrix, queries: Matrix) -> Matrix:
    """(n, q) dot products of a few rows with a few queries, on this thread alone."""
    if not len(rows) or not len(queries):
        return np.empty((len(rows), len(queries)), np.float32)
    return np.stack([np.vecdot(rows, query) for query in queries], axis=1)


def rounding(dimension: int) -> float:
    """How far two ways of computing the same two dot products of unit rows can move them apart.

    Source:
        Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 3.1: each is off by at
        most d * 2**-24 in float32; four such errors stand between two comparisons.
    """
    return dimension * 2.0**-22


def _among(view: View, rows: NDArray[np.intp], queries: Matrix, limit: int) -> list[NDArray[np.intp]]:
    """Candidates for each query out of some rows."""
    proposed = []
    for part in parts(len(rows), len(queries)):
        scores = _products(queries, view.matrix, rows[part])
        proposed.append([rows[part][best] for best in _best(scores, limit, view)])
    return [np.concatenate(parts) for parts in zip(*proposed, strict=True)]


def _among_all(view: View, queries: Matrix, limit: int) -> list[NDArray[np.intp]]:
    """Candidates for each query, reading every row and barring those that do not pass."""
    barred = None if view.survivors == len(view.passing) else ~view.passing
    proposed = []
    for part in parts(len(view.matrix), len(queries)):
        scores = _products(queries, view.matrix[part])
        if barred is not None:
            np.copyto(scores, -np.inf, where=barred[part])
        proposed.append([part.start + best for best in _best(scores, limit, view)])
    return [np.concatenate(parts) for parts in zip(*proposed, strict=True)]


def _best(scores: Matrix, limit: int, view: View) -> list[NDArray[np.intp]]:
    slack = rounding(view.matrix.shape[1])
    return [largest(row, limit, slack) for row in scores]


def parts(rows: int, queries: int) -> list[slice]:
    """Runs of rows whose scores for all queries are held at once: `SCORES_HELD`."""
    step = max(SCORES_HELD // queries, CHUNK_ROWS)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _products(queries: Matrix, matrix: Matrix, rows: NDArray[np.intp] | None = None) -> Matrix:
    """(q, n) dot products of the queries with all n rows of the matrix, or with n chosen ones."""
    count = len(matrix) if rows is None else len(rows)
    scores = np.empty((len(queries), count), np.float32)
    for start in range(0, count, CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        chunk = matrix[part] if rows is None else matrix[rows[part]]
        if len(queries) < PRODUCT_QUERIES:
            for query, out in zip(queries, scores[:, part], strict=True):
                np.vecdot(chunk, query, out=out)
        else:
            np.matmul(queries, chunk.T, out=scores[:, part])
    return scores


def _ranked(view: View, query: Matrix, rows: NDArray[np.intp], most: int, limit: int) -> list[Hit]:
    """The best `most` of the candidates, scored anew row by row and clipped to what a cosine can be: each memory by its best passage.

    Of equal passages the first counts, and no more than `limit` memories.
    """
    scores = np.clip(_products(query[None], view.matrix, rows)[0], -1.0, 1.0)
    upper, lower = view.ids[rows].T
    if view.passages is None:
        order = np.lexsort((lower, upper, -scores))[:limit]
        passages = [0] * len(order)
    else:
        order = np.lexsort((view.passages[rows], lower, upper, -scores))[:most]
        order = order[np.sort(np.unique(view.ids[rows[order]], axis=0, return_index=True)[1])][:limit]
        passages = view.passages[rows[order]].tolist()
    ids = zip(upper[order].tolist(), lower[order].tolist(), scores[order].tolist(), passages, strict=True)
    return [Hit(UUID(int=high << 64 | low), score, passage) for high, low, score, passage in ids]
