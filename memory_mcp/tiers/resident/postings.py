"""The text index of one scope: every live memory as a bag of terms, searched whole."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from threading import Lock
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.errors import TierError
from memory_mcp.tiers.resident.asides import FACTS, Asides
from memory_mcp.tiers.resident.bm25 import NO_SESSION, View
from memory_mcp.tiers.resident.columns import grown, halves_of
from memory_mcp.tiers.resident.runs import joined, merged, pack, renumbered

HEADROOM = 1.25
"""Capacity over need when room is made, as in a block."""
GONE_SHARE, GONE_FREE = 0.2, 64
"""Rows are numbered anew once this share of them is gone, and more than so many."""
ROW_BYTES = 150
"""About what a row's entry in the map from id to row takes."""


@dataclass(frozen=True, slots=True)
class Documents:
    """n memories as text, by columns.

    Attributes:
        bags: `terms.bag` of each.
        sessions: The session each belongs to; empty: none.
        when: (n,) int64, microseconds since 1970 UTC; with the id it orders a session.
        asides: What else is known of each.
    """

    ids: Sequence[UUID]
    bags: Sequence[bytes]
    sessions: Sequence[str]
    when: NDArray[np.int64]
    asides: Asides

    def __len__(self) -> int:
        return len(self.ids)


class Postings:
    """Rows are only ever appended; a changed memory moves to a new row, and the rows of those gone are given up in bulk.

    Safe in several threads. `view` is one moment and stays what it is: what is written later lies beyond its
    rows or in copies. Rows keep their numbers as long as `View.numbering` stays.
    """

    def __init__(self, documents: Documents | None = None) -> None:
        self._lock = Lock()
        self._slots: dict[int, int] = {}  # by UUID.int, as in a block
        self._codes: dict[str, int] = {}
        self._rows = _Rows()
        self._view = self._rows.view((), np.zeros(0, np.int64), np.zeros(0), {})
        if documents is not None:
            self.apply(documents, ())

    def __len__(self) -> int:
        return self._view.live

    @property
    def view(self) -> View:
        """The index as of now."""
        return self._view

    @property
    def nbytes(self) -> int:
        """About how much memory the index takes, room for growth included."""
        view = self._view
        arrays = (*view.runs, view.session_rows, view.session_lengths)
        return self._rows.nbytes + sum(array.nbytes for array in arrays) + ROW_BYTES * (len(self._slots) + len(self._codes))

    def apply(self, documents: Documents, removed: Sequence[UUID]) -> None:
        """Remove, and insert or replace, in one step; unknown ids are nothing to worry about, and of several
        documents with one id the last counts.

        Raises:
            TierError: Columns differ in length, a bag is damaged, or there are too many rows; nothing was changed.
        """
        _check(documents)
        keys = [memory_id.int for memory_id in documents.ids]
        last = dict(zip(keys, range(len(keys)), strict=True))
        chosen = documents if len(last) == len(keys) else _chosen(documents, list(last.values()))
        with self._lock:
            view, rows = self._view, copy(self._rows)  # a failure, as for want of memory, leaves everything as it is
            leaving = [self._slots[key] for key in {*last, *(memory_id.int for memory_id in removed)} if key in self._slots]
            postings, lengths = pack(chosen.bags, rows.used)
            codes = np.fromiter(map(self._code, chosen.sessions), np.int64, len(chosen))
            counts, sums = self._session_figures(leaving, codes, lengths)
            rows.drop(leaving)
            rows.append(halves_of(chosen.ids), chosen.when, codes, lengths, chosen.asides)
            rows.rank(np.concatenate((view.session[leaving], codes)), len(self._codes))
            changed = rows.view(joined(view.runs, postings), counts, sums, self._slots)
            for memory_id in removed:
                self._slots.pop(memory_id.int, None)
            self._slots.update(zip(last, range(len(view.ids), rows.used), strict=True))
            self._rows, self._view = rows, changed
            if rows.used - rows.live > max(GONE_FREE, GONE_SHARE * rows.used):
                self._compact()

    def _session_figures(
        self, leaving: Sequence[int], codes: NDArray[np.int64], lengths: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows and length of each session, after some rows leave and others come."""
        view, m = self._view, len(self._codes)
        counts, sums = grown(view.session_rows, m), grown(view.session_lengths, m)
        counts[len(view.session_rows) :] = 0
        sums[len(view.session_rows) :] = 0
        for change, rows_codes, rows_lengths in ((-1, view.session[leaving], view.lengths[leaving]), (1, codes, lengths)):
            there = rows_codes != NO_SESSION
            np.add.at(counts, rows_codes[there], change)
            np.add.at(sums, rows_codes[there], change * rows_lengths[there].astype(np.float64))
        return counts, sums

    def _code(self, session: str) -> int:
        return self._codes.setdefault(session, len(self._codes)) if session else NO_SESSION

    def _compact(self) -> None:
        """Number the rows, and the sessions, anew without those that are gone."""
        view = self._view
        rows = np.where(view.alive, np.cumsum(view.alive) - 1, -1)
        there = view.session_rows > 0
        recoded = np.append(np.cumsum(there) - 1, NO_SESSION)  # the last is what `NO_SESSION` points at
        kept, alive = _Rows(view.numbering + 1), np.flatnonzero(view.alive)
        kept.append(view.ids[alive], view.when[alive], recoded[view.session[alive]], view.lengths[alive], view.asides.at(alive))
        kept.order[: kept.used] = view.order[alive]
        slots = {key: int(rows[row]) for key, row in self._slots.items()}
        codes = {name: int(recoded[code]) for name, code in self._codes.items() if there[code]}
        run = renumbered(merged(view.runs), rows)
        self._view = kept.view((run,), view.session_rows[there], view.session_lengths[there], slots)
        self._rows, self._slots, self._codes = kept, slots, codes


class _Rows:
    """The columns of a view, with room behind them; what a view may see is copied before it is changed."""

    def __init__(self, numbering: int = 0) -> None:
        self.used = self.live = 0
        self.numbering = numbering
        self.live_length = 0.0
        self.ids = np.empty((0, 2), np.uint64)
        self.alive = np.empty(0, np.bool_)
        self.when = np.empty(0, np.int64)
        self.session = np.empty(0, np.int64)
        self.order = np.empty(0, np.int64)
        self.lengths = np.empty(0, np.float32)
        self.facts = np.empty(0, FACTS)
        self.labels = np.empty(0, np.object_)

    @property
    def nbytes(self) -> int:
        columns = (self.ids, self.alive, self.when, self.session, self.order, self.lengths, self.facts, self.labels)
        return sum(column.nbytes for column in columns)

    def append(
        self,
        ids: NDArray[np.uint64],
        when: NDArray[np.int64],
        session: NDArray[np.int64],
        lengths: NDArray[np.float32],
        asides: Asides,
    ) -> None:
        """Add rows that are alive and not yet ranked."""
        first, end = self.used, self.used + len(ids)
        if end > len(self.alive):
            self._grow(int(end * HEADROOM))
        self.ids[first:end], self.when[first:end], self.session[first:end] = ids, when, session
        self.lengths[first:end], self.alive[first:end], self.order[first:end] = lengths, True, 0
        self.facts[first:end], self.labels[first:end] = asides.facts, asides.labels
        self.used, self.live = end, self.live + len(ids)
        self.live_length += float(lengths.sum(dtype=np.float64))

    def drop(self, rows: Sequence[int]) -> None:
        if not rows:
            return
        self.alive, self.session = self.alive.copy(), self.session.copy()
        self.alive[rows], self.session[rows] = False, NO_SESSION
        self.live -= len(rows)
        self.live_length -= float(self.lengths[rows].sum(dtype=np.float64))

    def rank(self, sessions: NDArray[np.int64], total: int) -> None:
        """Number the rows of these sessions, out of so many."""
        asked = np.zeros(total + 1, np.bool_)
        asked[sessions] = True
        asked[NO_SESSION] = False  # the last
        rows = np.flatnonzero(asked[self.session[: self.used]])
        if not len(rows):
            return
        upper, lower = self.ids[rows].T
        session = self.session[rows]
        line = np.lexsort((lower, upper, self.when[rows], session))
        starts = np.searchsorted(session[line], session[line])
        self.order = self.order.copy()
        self.order[rows[line]] = np.arange(len(rows)) - starts

    def view(
        self, runs: tuple[NDArray[np.uint64], ...], counts: NDArray[np.int64], sums: NDArray[np.float64], slots: dict[int, int]
    ) -> View:
        n = self.used
        return View(
            runs=runs,
            ids=self.ids[:n],
            alive=self.alive[:n],
            when=self.when[:n],
            session=self.session[:n],
            order=self.order[:n],
            lengths=self.lengths[:n],
            asides=Asides(self.facts[:n], self.labels[:n]),
            session_rows=counts,
            session_lengths=sums,
            live=self.live,
            live_length=self.live_length,
            numbering=self.numbering,
            slots=slots,
        )

    def _grow(self, capacity: int) -> None:
        ids, alive, when = grown(self.ids, capacity), grown(self.alive, capacity), grown(self.when, capacity)
        session, order, lengths = grown(self.session, capacity), grown(self.order, capacity), grown(self.lengths, capacity)
        facts, labels = grown(self.facts, capacity), grown(self.labels, capacity)
        self.ids, self.alive, self.when, self.session, self.order, self.lengths = ids, alive, when, session, order, lengths
        self.facts, self.labels = facts, labels


def _check(documents: Documents) -> None:
    columns = (documents.bags, documents.sessions, documents.when, documents.asides.facts, documents.asides.labels)
    if any(len(column) != len(documents) for column in columns):
        raise TierError("resident", "The columns of these documents differ in length; give each one entry in every column.")


def _chosen(documents: Documents, rows: list[int]) -> Documents:
    return Documents(
        ids=[documents.ids[row] for row in rows],
        bags=[documents.bags[row] for row in rows],
        sessions=[documents.sessions[row] for row in rows],
        when=documents.when[rows],
        asides=documents.asides.at(np.array(rows, np.intp)),
    )
