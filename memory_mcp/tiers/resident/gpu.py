"""Rows in half precision on a GPU, and the search that proposes the closest of them.

Needs NumPy only: what touches the device is a `Driver`. The steps are told in `kernels.cu`. Up to four queries are compared by a
kernel that lists candidates while it reads the rows; more by matrix products whose scores stay in the device's cache. All is
done on one stream, by whoever holds the lock; searches that queue meanwhile are joined before (`turns`).
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix
from memory_mcp.tiers.resident.mirror import Proposed

CHUNK_NUMBERS = 8
"""Halves that a lane reads at once, 16 bytes; rows are filled up with zeros to a multiple of them."""
GROUPS, THREADS, ROWS_PER_BLOCK = 2048, 256, 64
"""As in `kernels.cu`; the last is what a block of a scan takes at a time."""
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
PUT_ROWS = 8192
GROWTH_SHARE, LEAST_ROWS = 4, 1024
"""A further segment has a quarter of the rows there are, and so many at least: a scope that doubles gets about three."""
ATTEMPTS = 2
"""Scans: a second one starts from the bound that the overfull list of the first has proven."""
TOO_MANY = 0xFFFFFFFF

Buffer = Any
"""An array on the device; what is done with it here is slicing, and asking for its `nbytes` and length."""


class DeviceFullError(Exception):
    """The device has no memory left for this."""


class DeviceLostError(Exception):
    """The device, its driver or a library of theirs failed; the message is for people."""


class Driver(Protocol):
    """A device with one stream; every call but `at_work` is made inside it, by one thread at a time."""

    processors: int
    multiplies: bool
    """Whether `product` can be called."""

    def at_work(self) -> AbstractContextManager[None]:
        """Make device and stream current.

        Raises:
            DeviceFullError: Something inside found no memory.
            DeviceLostError: Something inside failed otherwise.
        """

    def free_bytes(self) -> int:
        """Memory that nobody has taken."""

    def empty(self, items: int, dtype: type[np.generic]) -> Buffer:
        """Memory for so many items."""

    def upload(self, values: NDArray[Any], into: Buffer) -> None:
        """Copy an array to the beginning of a buffer; the array may be changed afterwards."""

    def download(self, source: Buffer) -> NDArray[Any]:
        """Wait for all that was asked for, and copy a buffer to the host."""

    def wait(self) -> None:
        """Wait for all that was asked for."""

    def launch(self, kernel: str, grid: tuple[int, int], shared_bytes: int, *arguments: Buffer | int | None) -> None:
        """Start a kernel of `kernels.cu`; integers are 32-bit, None is null."""

    def product(self, rows: Buffer, step: int, count: int, queries: Buffer, width: int, scores: Buffer) -> None:
        """scores[q * count + i] = row i * step times query q: halves in, summed and given as float32."""

    def give_back(self) -> None:
        """Return memory that is no longer used to other programs."""


@dataclass
class Segment:
    """Slots from `first` on, in one piece of memory."""

    first: int
    rows: int
    halves: Buffer


@dataclass
class Gpu:
    """A device and what all searches on it share.

    Attributes:
        on_full: Called with a mirror for which there was no memory; it is closed by then.
        on_lost: Called with a sentence when the device is lost, once.
    """

    driver: Driver
    on_full: Callable[["GpuRows"], object] = lambda rows: None
    on_lost: Callable[[str], object] = lambda reason: None
    lost: str = ""
    lock: Lock = field(default_factory=Lock)
    _buffers: dict[str, Buffer] = field(default_factory=dict)

    def buffer(self, name: str, items: int, dtype: type[np.generic]) -> Buffer:
        """Working memory under a name, of at least so many items; what was in it may be gone."""
        held = self._buffers.get(name)
        if held is None or len(held) < items:
            self._buffers.pop(name, None)
            held = self._buffers[name] = self.driver.empty(items, dtype)
        return held

    def maxima(self, queries: int) -> Buffer:
        """(queries, GROUPS) float32, all -inf, as every search leaves them."""
        held = self._buffers.get("maxima")
        if held is None or len(held) < queries * GROUPS:
            held = self.buffer("maxima", queries * GROUPS, np.float32)
            self.driver.launch("clear", (128, 1), 0, held, queries * GROUPS)
        return held

    def lose(self, reason: str) -> None:
        """Use the device no more in this process."""
        if not self.lost:
            self.lost = reason
            self._buffers.clear()
            self.on_lost(reason)


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
        chunks, together = self.width // CHUNK_NUMBERS, min(SCAN_QUERIES, QUERY_BYTES // (4 * self.width))
        for first in range(0, self.queries, together):
            n = min(together, self.queries - first)
            asked, shared = self._asked[first * self.width :], n * self.width * 4
            for segment, count in self._parts():
                if sampling:
                    grid, maxima = GROUPS * 16 // THREADS, self._maxima[first * GROUPS :]
                    rows = (segment.halves, count, segment.first, self._step, chunks, self.mask, asked)
                    self.gpu.driver.launch(f"sample_{n}", (grid, 1), shared, *rows, maxima)
                else:
                    grid = min(-(-count // ROWS_PER_BLOCK), self.gpu.driver.processors * 8)
                    lists = (self._floors[first:], self._lists[first * LISTED :], self._listed[first:], LISTED)
                    rows = (segment.halves, count, segment.first, chunks, self.mask, asked)
                    self.gpu.driver.launch(f"scan_{n}", (grid, 1), shared, *rows, *lists)

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


def longest(rows: Matrix) -> float:
    """Length of the longest row; infinite or not a number where one is."""
    squares = np.vecdot(rows, rows, dtype=np.float64)
    return float(np.sqrt(squares.max())) if np.isfinite(squares).all() else float("inf")
