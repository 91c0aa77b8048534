"""The rows of a block in bytes: a first look at all of them that reads a quarter of what the rows take.

What a block returns is not less exact for it. How far the bytes are from the rows is measured when they are put, and from a
query when it comes; all that could be among the closest within these is proposed, and the block compares it in float32.

Measured on one core, 384 numbers a row, ms for the products of one query with 100,000 rows: 1.6, with the rows themselves
4.9; of 32 queries 8.9 and 16.8.

Source:
    Scalar quantization, a step for each row: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018, section 2.1. The products are exact sums of integers, by NumKong.
"""

import logging
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix
from memory_mcp.tiers.resident.columns import grown
from memory_mcp.tiers.resident.mirror import Proposed
from memory_mcp.tiers.resident.scan import parts, rounding
from memory_mcp.tiers.resident.topk import largest

try:
    import numkong
except ImportError:  # there is none for this machine: then blocks read their rows
    numkong = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

LARGEST_CODE = 127
LEAST_ROWS = 8192
"""Below so many passing rows all is over too soon to begin with a first look (measured)."""
LEAST_SHARE = 0.12
"""Below this share of passing rows, fetching those beats reading the bytes of all (measured)."""
MOST_SHARE = 0.1
"""Above this share of the rows, comparing what is proposed takes as long as comparing all (measured: from 0.2 on). It comes to that
with models whose vectors differ little beside one large number."""
LONGEST_PAUSE = 1023
"""So many searches go by, at most, until a first look is tried again where it was of no use."""
PRODUCT_QUERIES = 3
"""From this many queries on, one matrix product beats a pass for each (measured)."""
TOO_SMALL = 1e-40
"""Longer than what no step is small enough for."""
CHUNK_ROWS = 8192
"""Rows at a time, so that their products are still in the cache when they are turned and scaled (measured)."""


class _Quantized(NamedTuple):
    """n vectors in bytes.

    Attributes:
        codes: (n, d).
        steps: (n,) what one of a vector's codes is worth.
        lengths: (n,) of the vectors.
        errors: (n,) of the differences between the vectors and what their codes say.
    """

    codes: NDArray[np.int8]
    steps: NDArray[np.float32]
    lengths: NDArray[np.float64]
    errors: NDArray[np.float64]


class QuantizedRows:
    """A `Proposer`: a block's rows beside themselves, a byte a number.

    Not safe by itself: whoever writes holds the block's lock, and who searches reads only slots that nobody writes to.
    """

    def __init__(self, capacity: int = 0, dimension: int = 0) -> None:
        self._codes = np.empty((capacity, dimension), np.int8)
        self._steps = np.empty(capacity, np.float32)
        self._error = 0.0  # the longest difference between a row and what its codes say
        self._length = 0.0  # of the longest row
        self._pause = self._pausing = 0

    @property
    def nbytes(self) -> int:
        """Memory, room for growth included."""
        return self._codes.nbytes + self._steps.nbytes

    def grown(self, capacity: int, dimension: int) -> "QuantizedRows":
        """A longer copy; this one stays as it is for whoever still reads it."""
        longer = QuantizedRows()
        longer._codes = grown(self._codes, capacity) if len(self._codes) else np.empty((capacity, dimension), np.int8)
        longer._steps = grown(self._steps, capacity)
        longer._error, longer._length, longer._pause = self._error, self._length, self._pause
        return longer

    def put(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
        """Write (n, d) rows into their slots."""
        for start in range(0, len(slots), CHUNK_ROWS):
            self._put(slots[start : start + CHUNK_ROWS], vectors[start : start + CHUNK_ROWS])

    def _put(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
        rows = _quantized(vectors)
        self._codes[slots], self._steps[slots] = rows.codes, rows.steps
        self._length = max(self._length, float(rows.lengths.max()))
        self._error = max(self._error, float(rows.errors.max()))

    def propose(self, passing: NDArray[np.bool_], survivors: int, queries: Matrix, limit: int) -> Proposed | None:
        """See `Proposer`."""
        most = MOST_SHARE * len(passing)
        if survivors < max(LEAST_ROWS, LEAST_SHARE * len(passing)) or limit > most:
            return None
        if self._pausing:
            self._pausing -= 1
            return None
        asked = _quantized(queries)
        apart = asked.lengths * self._error + asked.errors * (self._length + self._error)
        apart += asked.lengths * self._length * rounding(queries.shape[1])
        with np.errstate(divide="ignore"):
            slack = 2.02 * apart / asked.steps  # in a query's own steps, as its scores are; without end where it has none
        barred = None if survivors == len(passing) else ~passing
        found = [rows if len(rows) <= most else None for rows in self._closest(asked.codes, slack, barred, len(passing), limit)]
        self._pause = min(2 * self._pause + 1, LONGEST_PAUSE) if all(rows is None for rows in found) else 0
        self._pausing = self._pause
        return found

    def _closest(
        self, asked: NDArray[np.int8], slack: NDArray[np.float64], barred: NDArray[np.bool_] | None, used: int, limit: int
    ) -> list[NDArray[np.intp]]:
        room = slack.tolist()
        found: list[list[tuple[NDArray[np.intp], Matrix]]] = [[] for _ in asked]
        for part in parts(used, len(asked)):
            scores = self._scores(part, asked)
            if barred is not None:
                np.copyto(scores, -np.inf, where=barred[part])
            for mine, row, near in zip(found, scores, room, strict=True):
                best = largest(row, limit, near)
                mine.append((part.start + best, row[best]))
        return [_largest_of(mine, limit, near) for mine, near in zip(found, room, strict=True)]

    def _scores(self, part: slice, asked: NDArray[np.int8]) -> Matrix:
        """(q, n) products of what the codes say with the queries in their own steps."""
        scores = np.empty((len(asked), part.stop - part.start), np.float32)
        for start in range(part.start, part.stop, CHUNK_ROWS):
            rows = slice(start, min(start + CHUNK_ROWS, part.stop))
            out = scores[:, rows.start - part.start : rows.stop - part.start]
            np.multiply(_products(self._codes[rows], asked).T, self._steps[rows], out=out, dtype=np.float32, casting="same_kind")
        return scores


def _largest_of(found: list[tuple[NDArray[np.intp], Matrix]], limit: int, slack: float) -> NDArray[np.intp]:
    """Of what was found in each part the best of all."""
    if len(found) == 1:
        return found[0][0]
    rows, scores = (np.concatenate(column) for column in zip(*found, strict=True))
    return rows[largest(scores, limit, slack)] if len(rows) else rows


@cache
def is_available() -> bool:
    """Whether the products of bytes can be had on this machine, and are right."""
    if numkong is None:
        return False
    rows = np.resize(np.array([127, -127, 3, 0, -128, 127, 127], np.int8), (40, 384))
    expected = rows.astype(np.int64) @ rows[:5].astype(np.int64).T
    if all(np.array_equal(_products(rows, rows[:queries]), expected[:, :queries]) for queries in (1, 5)):
        return True
    log.warning("NumKong computes wrong products on this machine: vectors are searched without it, which takes three times as long.")
    return False


def _products(codes: NDArray[np.int8], asked: NDArray[np.int8]) -> NDArray[np.int32] | NDArray[np.float64]:
    """(n, q) integers."""
    if len(asked) < PRODUCT_QUERIES:
        return np.concatenate([np.asarray(numkong.cdist(codes, one[None], "dot")) for one in asked], axis=1)
    return np.asarray(numkong.dots_packed(codes, numkong.dots_pack(asked)))


def _quantized(vectors: Matrix) -> _Quantized:
    """Lengths are taken in steps, whose squares neither overflow nor vanish. Rows too small for a step are zeros."""
    steps = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(LARGEST_CODE)
    scaled = np.divide(vectors, steps[:, None], out=np.zeros_like(vectors), where=steps[:, None] > 0)
    codes = np.rint(scaled).astype(np.int8)
    lengths = steps * np.sqrt(np.vecdot(scaled, scaled), dtype=np.float64)
    scaled -= codes
    return _Quantized(codes, steps, lengths, steps * np.sqrt(np.vecdot(scaled, scaled), dtype=np.float64) + TOO_SMALL)
