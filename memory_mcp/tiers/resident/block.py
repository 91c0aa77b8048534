"""The vectors of one scope in one epoch, held in one matrix and searched exactly."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.contracts import Comparison
from memory_mcp.errors import TierError
from memory_mcp.models import Filter, Hit, Matrix, Points
from memory_mcp.tiers.resident.columns import Columns, grown, halves_of
from memory_mcp.tiers.resident.mirror import Mirror
from memory_mcp.tiers.resident.quantized import QuantizedRows, is_available
from memory_mcp.tiers.resident.scan import View, closest, dots

HEADROOM = 1.25
"""Capacity over need when room is made: rows are copied about five times each over a block's whole growth.
Room that no row was written to is not yet taken from the machine, but it is counted."""
ROW_BYTES = 180
"""About what a row takes beside its vector: columns, id, and its entry in the map from id to slot."""
EMPTY_BYTES = 4096
"""About what a block takes without a row."""
MIRRORED_ROWS = 1 << 16
"""Rows copied to a mirror at a time: between two such copies other searches have their turn on its device."""


def bytes_needed(rows: int, dimension: int) -> int:
    """About how much memory a new block of so many rows will take."""
    return EMPTY_BYTES + int(rows * HEADROOM) * (5 * dimension + ROW_BYTES)


class Block:
    """Vectors and what filters ask about them; rows live in slots, and freed slots are used again.

    A memory has a row for each of its passages. Safe in several threads: a search sees one moment, since it
    picks its rows under the lock and reads them without; meanwhile nothing it reads is written to, as growth
    makes new arrays, a changed row moves to another slot, and a freed slot rests until no search is running.

    Candidates come from the rows in bytes where there are many, or from a mirror (`attach`); what is returned is compared here
    all the same, in float32.
    """

    def __init__(self, points: Points | None = None) -> None:
        self._lock = Lock()
        self._matrix: Matrix = np.empty((0, 0), np.float32)
        self._ids = np.empty((0, 2), np.uint64)
        self._alive = np.empty(0, np.bool_)
        self._columns = Columns()
        self._quantized = QuantizedRows() if is_available() else None
        self._slots: dict[int, int] = {}  # by UUID.int: hashing a UUID itself costs five times as much
        self._further: dict[int, list[int]] = {}  # likewise, the rows of passages after the first
        self._passages = np.empty(0, np.int32)
        self._used = 0
        self._free: list[int] = []
        self._resting: list[int] = []
        self._running = self._changes = 0
        self._sampled: tuple[tuple[int, int], Matrix] | None = None
        self._narrowed: tuple[tuple[int, Filter], NDArray[np.bool_], int] | None = None
        self._mirror: Mirror | None = None
        self._unmirrored: list[tuple[NDArray[np.intp], Matrix]] | None = None
        if points is not None:
            self.upsert(points)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def dimension(self) -> int:
        """d, set by the first vectors; 0 before."""
        return int(self._matrix.shape[1])

    @property
    def rows(self) -> int:
        """One for each passage of each memory, and those that rest until no search is running."""
        return self._used - len(self._free)

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return len(self._alive)

    @property
    def nbytes(self) -> int:
        """About how much memory the block takes, room for growth included."""
        vectors = self._matrix.nbytes + (0 if self._quantized is None else self._quantized.nbytes)
        return EMPTY_BYTES + vectors + self._columns.nbytes + len(self._alive) * (ROW_BYTES - 36)

    def upsert(self, points: Points) -> None:
        """Insert or replace memories, each with all its passages.

        Raises:
            TierError: A vector is not finite or of another dimension, or columns differ in length; nothing was changed.
        """
        self.apply(points, ())

    def delete(self, ids: Sequence[UUID]) -> None:
        """Remove; unknown ids are nothing to worry about."""
        with self._lock:
            self._release([memory_id.int for memory_id in ids])

    def apply(self, points: Points, removed: Sequence[UUID]) -> None:
        """Remove and upsert in one step, of which a search sees all or nothing.

        Raises:
            TierError: As with `upsert`; nothing was changed.
        """
        if not len(points):
            self.delete(removed)
            return
        _check_points(points)
        keys = [memory_id.int for memory_id in points.ids]
        with self._lock:
            self._check_dimension(points.vectors)
            leaving = {key for key in keys if key in self._slots}
            leaving.update(memory_id.int for memory_id in removed if memory_id.int in self._slots)
            freed = 0 if self._running else len(leaving) + sum(len(self._further.get(key, ())) for key in leaving)
            self._reserve(len(keys) - freed, points.vectors.shape[1])
            self._release(leaving)
            self._write(points, keys)

    def has_room(self, rows: int) -> bool:
        """Whether so many more can be written without copying all."""
        return self._used + rows - len(self._free) <= len(self._alive)

    def search(self, vectors: Matrix, where: Filter, limit: int) -> list[list[Hit]]:
        """For each of (q, d) query rows the `limit` closest memories that pass the filter, closest first, equal ones by id.

        Exact in float32, scores clipped to [-1, 1]. Many queries share one matrix product.

        Raises:
            TierError: The queries are not finite, or of another dimension than the rows.
        """
        queries = np.ascontiguousarray(vectors, np.float32)
        _check_vectors(queries)
        with self._reading(where, queries) as view:
            return closest(view, queries, limit)

    def compare(self, vectors: Matrix, ids: Sequence[UUID], sampled: int) -> Comparison:
        """The similarity of (q, d) vectors to memories, and to at most `sampled` rows evenly taken."""
        queries = np.ascontiguousarray(vectors, np.float32)
        _check_vectors(queries)
        similarity = np.full((len(ids), len(queries)), np.nan, np.float32)
        passage = np.zeros(len(ids), np.intp)
        with self._reading(Filter(), queries) as view:
            with self._lock:  # rows found now stay as they are while this reads
                matrix = self._matrix
                slots = np.fromiter((self._slots.get(memory_id.int, -1) for memory_id in ids), np.intp, len(ids))
                further = [(row, self._further.get(memory_id.int, ())) for row, memory_id in enumerate(ids)] if self._further else []
            there = slots >= 0
            if there.any():
                similarity[there] = dots(matrix[slots[there]], queries)
            for row, others in further:
                if others:
                    scores = np.vstack((similarity[row], dots(matrix[others], queries)))
                    similarity[row], passage[row] = scores.max(0), scores[:, 0].argmax()
            sample = dots(self._sample(view, sampled), queries)
        return Comparison(np.clip(similarity, -1.0, 1.0), passage, sample)

    def attach(self, mirror: Mirror) -> None:
        """Copy all rows to a mirror, and let it propose candidates from then on; searches and writes go on meanwhile."""
        with self._lock:
            self._running += 1  # so that no row that is being copied is written to
            self._unmirrored = []
            matrix, used, capacity = self._matrix, self._used, len(self._alive)
        complete = False
        try:
            mirror.reserve(capacity)
            for start in range(0, used, MIRRORED_ROWS):
                end = min(start + MIRRORED_ROWS, used)
                mirror.put(np.arange(start, end), matrix[start:end])
            complete = True
        finally:
            with self._lock:
                if complete:
                    for written in self._unmirrored:
                        mirror.note(*written)
                    self._mirror = mirror
                self._unmirrored = None
                self._rest()

    def detach(self) -> None:
        """Search without a mirror again."""
        with self._lock:
            self._mirror = None

    def _sample(self, view: View, most: int) -> Matrix:
        """Rows evenly taken; copied once for all who compare before the next change."""
        if self._sampled is None or self._sampled[0] != (self._changes, most):
            rows = np.flatnonzero(view.passing)
            self._sampled = (self._changes, most), view.matrix[rows[:: max(1, len(rows) // most)]]
        return self._sampled[1]

    @contextmanager
    def _reading(self, where: Filter, queries: Matrix) -> Iterator[View]:
        with self._lock:
            self._check_dimension(queries)
            passing, survivors = self._passing(where)
            passages = self._passages[: self._used] if self._further else None
            proposers = [one for one in (self._mirror, self._quantized) if one is not None]
            view = View(self._matrix[: self._used], self._ids[: self._used], passing, passages, survivors, proposers)
            self._running += 1
        try:
            yield view
        finally:
            with self._lock:
                self._rest()

    def _passing(self, where: Filter) -> tuple[NDArray[np.bool_], int]:
        """Which rows pass the filter, and how many; the same array as before while nothing has changed, which nobody writes to."""
        key = self._changes, self._columns.plain(where)
        if self._narrowed is None or self._narrowed[0] != key:
            passing = self._alive[: self._used].copy()
            self._columns.narrow(passing, key[1])
            self._narrowed = key, passing, int(np.count_nonzero(passing))
        return self._narrowed[1:]

    def _rest(self) -> None:
        """A reader is done; after the last of them freed slots may be used again."""
        self._running -= 1
        if not self._running:
            self._free += self._resting
            self._resting.clear()

    def _reserve(self, more: int, dimension: int) -> None:
        """Make room for `more` rows; a failure for want of memory leaves the block as it is."""
        needed = self._used + max(more - len(self._free), 0)
        if needed <= len(self._alive):
            return
        capacity = int(needed * HEADROOM)
        matrix = grown(self._matrix, capacity) if len(self._matrix) else np.empty((capacity, dimension), np.float32)
        ids, alive, passages = grown(self._ids, capacity), grown(self._alive, capacity), grown(self._passages, capacity)
        quantized = None if self._quantized is None else self._quantized.grown(capacity, dimension)
        self._columns.grow(capacity)
        self._matrix, self._ids, self._alive, self._passages, self._quantized = matrix, ids, alive, passages, quantized

    def _release(self, keys: Sequence[int] | set[int]) -> None:
        self._changes += 1
        slots = [self._slots.pop(key) for key in keys if key in self._slots]
        if self._further:
            slots += [slot for key in keys for slot in self._further.pop(key, ())]
        self._alive[slots] = False
        self._columns.drop(slots)
        (self._resting if self._running else self._free).extend(slots)

    def _write(self, points: Points, keys: list[int]) -> None:
        slots = self._take(len(keys))
        self._matrix[slots] = points.vectors
        if self._quantized is not None:
            self._quantized.put(slots, points.vectors)
        self._ids[slots] = halves_of(points.ids)
        self._columns.put(slots, points)
        self._alive[slots] = True
        self._passages[slots] = 0
        if self._unmirrored is not None:
            self._unmirrored.append((slots, points.vectors))
        elif self._mirror is not None:
            self._mirror.note(slots, points.vectors)
        before = len(self._slots)
        self._slots.update(zip(reversed(keys), reversed(slots.tolist()), strict=True))  # the first of each counts
        if len(self._slots) - before < len(keys):
            self._write_further(keys, slots.tolist())

    def _write_further(self, keys: Sequence[int], slots: Sequence[int]) -> None:
        for key, slot in zip(keys, slots, strict=True):
            if self._slots[key] != slot:
                further = self._further.setdefault(key, [])
                further.append(slot)
                self._passages[slot] = len(further)

    def _take(self, count: int) -> NDArray[np.intp]:
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        added = count - len(reused)
        self._used += added
        return np.concatenate((np.array(reused, np.intp), np.arange(self._used - added, self._used)))

    def _check_dimension(self, vectors: Matrix) -> None:
        if len(self._matrix) and vectors.shape[1] != self.dimension:
            raise TierError(
                "resident",
                f"A vector of {vectors.shape[1]} numbers cannot be compared with vectors of {self.dimension}. "
                "Embed with the model that the stored vectors came from, or embed them anew.",
            )


def _check_points(points: Points) -> None:
    _check_vectors(points.vectors)
    columns = (points.vectors, points.kinds, points.domains, points.tags, points.when, points.expires)
    if any(len(column) != len(points) for column in columns):
        raise TierError("resident", "The columns of these points differ in length; give each point one entry in every column.")


def _check_vectors(vectors: Matrix) -> None:
    if vectors.ndim != 2:
        raise TierError("resident", f"Vectors come as rows of one matrix, not as an array of {vectors.ndim} dimensions.")
    with np.errstate(all="ignore"):  # squares of wild numbers overflow; the answer is then no, too
        finite = np.isfinite(np.vecdot(vectors, vectors, dtype=np.float32)).all()
    if not finite:
        raise TierError("resident", "A vector holds numbers that are not finite. Embed its text again.")
