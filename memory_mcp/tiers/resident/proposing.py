"""One search on the GPU: which rows could be among the closest.

The steps are told in `kernels.cu`. Up to four queries are compared by a kernel that lists candidates while it reads the rows; more by
matrix products, whose scores stay in the device's cache. Neither writes a score a row to memory.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix
from memory_mcp.tiers.resident.driver import CHUNK_NUMBERS, GROUPS, LANES, ROWS_PER_BLOCK, THREADS, Buffer, Gpu

BLOCKS_PER_PROCESSOR = 8
SCAN_QUERIES = 4
QUERY_BYTES = 48 << 10
"""Shared memory that holds the queries of a scan: what a block gets without asking."""
MOST_LIMIT, MOST_QUERIES = 1024, 256
LISTED = 1 << 15
"""Places in the list of a query. Where each s-th row is looked at first, about limit * s rows reach the bound that this gives;
`STEPS` are chosen so that these are a quarter of the places."""
STEPS = (61, 31, 13, 7, 3)
"""Prime, so that rows that alternate in a pattern do not hide between the steps."""
LEAST_SAMPLES = 2048
SCORE_BYTES = 24 << 20
"""Scores of one matrix product: they are read again at once, and should still be in the device's cache."""
ATTEMPTS = 2
"""Scans: a second one starts from the bound that the overfull list of the first has proven."""
TOO_MANY = 0xFFFFFFFF


@dataclass
class Segment:
    """Slots from `first` on, in one piece of memory."""

    first: int
    rows: int
    halves: Buffer


@dataclass(frozen=True)
class Asked:
    """Queries as the device gets them.

    Attributes:
        floats: (q, width) float32, filled up with zeros.
        halves: The same rounded to float16.
        lengths: (q,) of the queries.
        rounded_lengths: (q,) of what rounding changed.
    """

    floats: Matrix
    halves: NDArray[np.float16]
    lengths: NDArray[np.float64]
    rounded_lengths: NDArray[np.float64]

    @classmethod
    def of(cls, queries: Matrix, width: int) -> "Asked":
        """(q, d) float32 queries, filled up to `width` numbers."""
        floats = np.zeros((len(queries), width), np.float32)
        floats[:, : queries.shape[1]] = queries
        with np.errstate(over="ignore", invalid="ignore"):
            halves = floats.astype(np.float16)
            rounded = np.linalg.norm((floats - halves).astype(np.float64), axis=1)
        return cls(floats, halves, np.linalg.norm(floats.astype(np.float64), axis=1), rounded)

    @property
    def rounded(self) -> float:
        """The most that rounding changed in one of them; infinite or no number where halves cannot hold it."""
        return float(self.rounded_lengths.max())


@dataclass
class Search:
    """One search for up to MOST_QUERIES queries over the first `used` slots."""

    gpu: Gpu
    segments: list[Segment]
    used: int
    width: int
    mask: Buffer | None
    limit: int
    queries: int

    def run(self, asked: Asked, slack: Matrix, as_product: bool) -> list[NDArray[np.intp] | None]:
        """Candidates for each query; None for one that has too many."""
        driver, gpu, q = self.gpu.driver, self.gpu, self.queries
        room = 4 * self.limit + 87
        self._step = step_for(self.used, self.limit)
        self._maxima = gpu.maxima(q)
        self._lists, self._listed = gpu.buffer("lists", q * LISTED, np.uint64), gpu.buffer("listed", q, np.uint32)
        self._floors, self._found = gpu.buffer("floors", q, np.float32), gpu.buffer("found", q * (room + 1), np.uint32)
        self._slack = gpu.buffer("slack", q, np.float32)
        driver.upload(slack, self._slack)
        kind, values = ("halves", asked.halves.view(np.uint16)) if as_product else ("floats", asked.floats)
        self._asked = gpu.buffer(kind, q * self.width, values.dtype.type)
        driver.upload(values.reshape(-1), self._asked)
        look = self._look_by_product if as_product else self._look_by_scan
        look(sampling=True)
        driver.launch("threshold", (q, 1), 0, self._maxima, self.limit, self._slack, self._floors, self._listed)
        for _ in range(ATTEMPTS):
            look(sampling=False)
            lists = (self._lists, self._listed, LISTED, self.limit, self._slack, self._floors, self._found, room)
            driver.launch("choose", (q, 1), 0, *lists)
            found = driver.download(self._found[: q * (room + 1)]).reshape(q, room + 1)
            if (found[:, 0] != TOO_MANY).all():
                break
        return [row[1 : row[0] + 1].astype(np.intp) if row[0] <= room else None for row in found]

    def _look_by_scan(self, *, sampling: bool) -> None:
        driver, chunks = self.gpu.driver, self.width // CHUNK_NUMBERS
        together = min(SCAN_QUERIES, QUERY_BYTES // (4 * self.width))
        for first in range(0, self.queries, together):
            n = min(together, self.queries - first)
            asked, shared = self._asked[first * self.width :], n * self.width * 4
            maxima, floors, listed = self._maxima[first * GROUPS :], self._floors[first:], self._listed[first:]
            for segment, count in self._parts():
                here = (segment.halves, count, segment.first)
                if sampling:
                    groups = (GROUPS * LANES // THREADS, 1)
                    driver.launch(f"sample_{n}", groups, shared, *here, self._step, chunks, self.mask, asked, maxima)
                else:
                    blocks = (min(-(-count // ROWS_PER_BLOCK), driver.processors * BLOCKS_PER_PROCESSOR), 1)
                    lists = (floors, self._lists[first * LISTED :], listed, LISTED)
                    driver.launch(f"scan_{n}", blocks, shared, *here, chunks, self.mask, asked, *lists)

    def _look_by_product(self, *, sampling: bool) -> None:
        driver, q, step = self.gpu.driver, self.queries, self._step if sampling else 1
        most = max(SCORE_BYTES // (4 * q), 1)
        scores = self.gpu.buffer("scores", most * q, np.float32)
        for segment, count in self._parts():
            samples = -(-count // step)
            for start in range(0, samples, most):
                n = min(most, samples - start)
                driver.product(segment.halves[start * step * self.width :], step, n, self._asked, self.width, scores[: n * q])
                first = segment.first + start * step
                if sampling:
                    driver.launch("sample_product", (GROUPS // THREADS, q), 0, scores, n, first, step, self.mask, self._maxima)
                else:
                    lists = (self._floors, self._lists, self._listed, LISTED)
                    driver.launch("sift", (-(-n // (4 * THREADS)), q), 0, scores, n, first, self.mask, *lists)

    def _parts(self) -> list[tuple[Segment, int]]:
        """Each segment with how many of its rows are used."""
        return [(segment, min(segment.rows, self.used - segment.first)) for segment in self.segments if segment.first < self.used]


def step_for(rows: int, limit: int) -> int:
    """Of which so-manieth row the best are looked at first."""
    return next((step for step in STEPS if step * limit <= LISTED // 4 and rows >= step * LEAST_SAMPLES), 1)


def summing(dimension: int, as_product: bool) -> float:
    """How far sums of the products of unit rows can be from each other, here and on the device.

    Source:
        Higham, as in `scan.rounding`; matrix units may cut off where others round.
    """
    return dimension * (2.0**-21 if as_product else 2.0**-23)
