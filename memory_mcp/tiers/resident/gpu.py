"""The rows of a block in half precision on a GPU.

Needs NumPy only: what touches the device is a `Driver`. All is done on one stream, by whoever holds the lock; searches that
queue meanwhile have been joined before (`turns`).
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix
from memory_mcp.tiers.resident.driver import CHUNK_NUMBERS, THREADS, Buffer, DeviceFullError, DeviceLostError, Gpu
from memory_mcp.tiers.resident.mirror import Proposed
from memory_mcp.tiers.resident.proposing import MOST_LIMIT, MOST_QUERIES, QUERY_BYTES, SCAN_QUERIES, Asked, Search, Segment, summing

PUT_ROWS = 8192
GROWTH_SHARE, LEAST_ROWS = 4, 1024
"""A further segment has a quarter of the rows there are, and so many at least: a scope that doubles gets about three."""


class GpuRows:
    """A `Mirror` in half precision.

    What a block returns is not less exact for it: the rounding of the rows is measured when they are put, that of the queries
    when they come, and everything that could be among the closest within these is proposed; the block compares it in float32.
    """

    def __init__(self, gpu: Gpu, dimension: int, least_rows: int = 0) -> None:
        """Nothing is taken from the device yet; below `least_rows` passing rows nothing is proposed."""
        self.gpu = gpu
        self.least_rows = least_rows
        self.closed = False
        self._width = -(-dimension // CHUNK_NUMBERS) * CHUNK_NUMBERS
        self._segments: list[Segment] = []
        self._noted: deque[tuple[NDArray[np.intp], Matrix]] = deque()
        self._error = 0.0  # the longest difference between a row and its halves
        self._length = 0.0  # of the longest row
        self._mask: tuple[NDArray[np.bool_], Buffer] | None = None

    @property
    def nbytes(self) -> int:
        """Memory on the device, room for growth included."""
        return sum(int(segment.halves.nbytes) for segment in self._segments)

    def bytes_for(self, rows: int) -> int:
        """What so many rows will take."""
        return 2 * self._width * rows

    @property
    def slots(self) -> int:
        """How many slots there is room for."""
        return self._segments[-1].first + self._segments[-1].rows if self._segments else 0

    def close(self) -> None:
        """Give the memory back; from now on nothing is proposed."""
        self.closed = True
        with self.gpu.lock:
            self._drop()

    def reserve(self, rows: int) -> None:
        """See `Mirror`."""
        self._do(lambda: self._reserve(rows))

    def put(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
        """See `Mirror`."""
        self._do(lambda: self._put(slots, vectors))

    def note(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
        """See `Mirror`; the vectors are kept as they are until then, not copied."""
        if not self.closed:
            self._noted.append((slots, vectors))

    def propose(self, passing: NDArray[np.bool_], survivors: int, queries: Matrix, limit: int) -> Proposed | None:
        """See `Mirror`."""
        if survivors < self.least_rows or limit > MOST_LIMIT or self._width * 4 > QUERY_BYTES:
            return None
        found: list[NDArray[np.intp] | None] = []
        for start in range(0, len(queries), MOST_QUERIES):
            part = queries[start : start + MOST_QUERIES]
            proposed = self._do(lambda part=part: self._propose(passing, survivors, part, limit))  # type: ignore[misc]
            if proposed is None:
                return None
            found += proposed
        return found

    def _do(self, work: Callable[[], Any]) -> Any:
        """Do it on the device, or close this for good and say why."""
        if self.closed or self.gpu.lost:
            return None
        with self.gpu.lock:
            if self.closed or self.gpu.lost:
                return None
            try:
                with self.gpu.driver.at_work():
                    return work()
            except (DeviceFullError, DeviceLostError) as error:
                fault = error
                self.closed = True
                self._drop()
        if isinstance(fault, DeviceLostError):
            self.gpu.lose(str(fault))
        else:
            self.gpu.on_full(self)
        return None

    def _drop(self) -> None:
        self._segments.clear()
        self._noted.clear()
        self._mask = None

    def _reserve(self, rows: int) -> None:
        more = rows - self.slots
        if more > 0:
            more = max(more, self.slots // GROWTH_SHARE, LEAST_ROWS)
            self._segments.append(Segment(self.slots, more, self.gpu.driver.empty(more * self._width, np.uint16)))

    def _put(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
        if not len(slots):
            return
        self._reserve(int(slots.max()) + 1)
        for segment in self._segments:
            here = (slots >= segment.first) & (slots < segment.first + segment.rows)
            within, rows = (slots, vectors) if here.all() else (slots[here], vectors[here])
            for start in range(0, len(within), PUT_ROWS):
                self._put_some(segment, within[start : start + PUT_ROWS], rows[start : start + PUT_ROWS])

    def _put_some(self, segment: Segment, slots: NDArray[np.intp], vectors: Matrix) -> None:
        driver, halves = self.gpu.driver, np.zeros((len(slots), self._width), np.float16)
        with np.errstate(over="ignore", invalid="ignore"):  # what halves cannot hold makes the error infinite
            halves[:, : vectors.shape[1]] = vectors
            self._error = max(self._error, longest(halves[:, : vectors.shape[1]].astype(np.float32) - vectors))
        self._length = max(self._length, longest(vectors))
        source = self.gpu.buffer("rows", PUT_ROWS * self._width, np.uint16)
        places = self.gpu.buffer("slots", PUT_ROWS, np.uint32)
        driver.upload(halves.view(np.uint16).reshape(-1), source)
        driver.upload((slots - segment.first).astype(np.uint32), places)
        chunks = self._width // CHUNK_NUMBERS
        driver.launch("scatter", (-(-len(slots) * chunks // THREADS), 1), 0, source, places, len(slots), chunks, segment.halves)

    def _propose(self, passing: NDArray[np.bool_], survivors: int, queries: Matrix, limit: int) -> list[NDArray[np.intp] | None] | None:
        while self._noted:
            self._put(*self._noted.popleft())
        used = len(passing)
        if not np.isfinite(self._error) or used > self.slots:
            return None
        as_product = self.gpu.driver.multiplies and len(queries) > SCAN_QUERIES and -(-len(queries) // SCAN_QUERIES) * survivors > used
        asked = Asked.of(queries, self._width)
        if as_product and not np.isfinite(asked.rounded):
            return None
        search = Search(self.gpu, self._segments, used, self._width, self._uploaded(passing, survivors), limit, len(queries))
        slack = 2 * (asked.lengths * self._error + asked.lengths * self._length * summing(queries.shape[1], as_product))
        if as_product:
            slack += 2 * asked.rounded_lengths * self._length
        return search.run(asked, (slack * 1.01).astype(np.float32), as_product)

    def _uploaded(self, passing: NDArray[np.bool_], survivors: int) -> Buffer | None:
        """The mask as bits on the device; sent once for all searches that pass the same object."""
        if survivors == len(passing):
            return None
        if self._mask is None or self._mask[0] is not passing:
            bits = np.packbits(passing, bitorder="little")
            held = self._mask[1] if self._mask is not None and len(self._mask[1]) >= len(bits) else None
            buffer = self.gpu.driver.empty(-(-self.slots // 8), np.uint8) if held is None else held
            self._mask = None
            self.gpu.driver.upload(bits, buffer)
            self._mask = passing, buffer
        return self._mask[1]


def longest(rows: Matrix) -> float:
    """Length of the longest row; infinite or not a number where one is."""
    squares = np.vecdot(rows, rows, dtype=np.float64)
    return float(np.sqrt(squares.max())) if np.isfinite(squares).all() else float("inf")
