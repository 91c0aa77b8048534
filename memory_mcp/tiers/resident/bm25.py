"""BM25 over the rows of a scope, and over its sessions: one moment of the text index, and what a question finds in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.text.terms import OCCURRENCE
from memory_mcp.tiers.resident.asides import Asides
from memory_mcp.tiers.resident.runs import Packed, counts_of, find, rows_of
from memory_mcp.tiers.resident.topk import largest

Scores = NDArray[np.float32]

K1, B = 1.2, 0.75
"""How soon repeating a term stops to count, and how much of a text's length is held against it."""

NO_SESSION = -1
"""The session code of rows without a session, and of those that are gone."""


@dataclass(frozen=True, eq=False)
class View:
    """A scope's text index as of one moment: n rows and m sessions, some of them gone. Nothing here is written to.

    Attributes:
        ids: (n, 2) uint64, upper and lower half of each row's UUID.
        alive: (n,) bool, False where the memory is gone or has moved to another row.
        when: (n,) int64, microseconds since 1970 UTC.
        session: (n,) int64 codes below m; `NO_SESSION` where there is none.
        order: (n,) int64, place of a row among its session's, from 0, by time and then by id; 0 without a session.
        lengths: (n,) float32, words of each row, in halves.
        asides: Of the n rows.
        session_rows: (m,) int64, how many rows each session has; 0: it is gone.
        session_lengths: (m,) float64, the sum of their lengths.
        live: How many rows are alive.
        live_length: The sum of their lengths.
        numbering: While it is the same in two views, so is the row of a memory that did not change between them.
    """

    runs: tuple[Packed, ...]
    ids: NDArray[np.uint64]
    alive: NDArray[np.bool_]
    when: NDArray[np.int64]
    session: NDArray[np.int64]
    order: NDArray[np.int64]
    lengths: NDArray[np.float32]
    asides: Asides
    session_rows: NDArray[np.int64]
    session_lengths: NDArray[np.float64]
    live: int
    live_length: float
    numbering: int
    slots: Mapping[int, int]

    def rows_of(self, ids: Sequence[UUID]) -> NDArray[np.intp]:
        """(k,) the row of each id, -1 where it has none."""
        n = len(self.ids)
        rows = (self.slots.get(memory_id.int, -1) for memory_id in ids)
        return np.fromiter((row if row < n else -1 for row in rows), np.intp, len(ids))  # rows beyond n came later

    def look_up(self, keys: NDArray[np.uint32]) -> "Matches":
        """What stands under each of (q,) keys of a question's words."""
        distinct = np.array(list(dict.fromkeys(keys.tolist())), np.uint32)
        postings, lengths = find(self.runs, distinct)
        return Matches(self, keys, distinct, np.repeat(np.arange(len(distinct)), lengths), rows_of(postings), counts_of(postings))

    def best(self, scores: Scores, limit: int, passing: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
        """At most `limit` rows of the largest of (n,) scores above 0, best first, equal ones by id.

        Args:
            passing: (n,) bool, which rows may be found; None: any.
        """
        if limit < 1 or not len(scores):
            return np.empty(0, np.intp)
        barred = scores <= 0 if passing is None else (scores <= 0) | ~passing
        rows = largest(np.where(barred, np.float32(-np.inf), scores), limit, 0.0)
        upper, lower = self.ids[rows].T
        return np.asarray(rows[np.lexsort((lower, upper, -scores[rows]))[:limit]])

    @cached_property
    def saturation(self) -> Scores:
        """(n,) the count, in halves, at which a term has half its weight in a row; infinite where the row is gone."""
        saturation = _saturation(self.lengths, self.live_length, self.live)
        saturation[~self.alive] = np.inf
        return saturation

    @cached_property
    def session_saturation(self) -> Scores:
        """(m,) the same for sessions; infinite for those without rows."""
        there = self.session_rows > 0
        saturation = _saturation(self.session_lengths, float(self.session_lengths.sum()), int(there.sum()))
        saturation[~there] = np.inf
        return saturation


@dataclass(frozen=True, eq=False)
class Matches:
    """The p postings of a question, those of one term after those of another.

    Attributes:
        keys: (q,) uint32, as asked for.
        distinct: (d,) uint32, each once.
        terms: (p,) int64, which of the distinct ones; ascending.
        postings: (p,) int64, the row of each.
        counts: (p,) uint64, how often the term stands there, in halves.
    """

    view: View
    keys: NDArray[np.uint32]
    distinct: NDArray[np.uint32]
    terms: NDArray[np.intp]
    postings: NDArray[np.intp]
    counts: Packed

    @property
    def frequencies(self) -> NDArray[np.int64]:
        """(q,) in how many of the `view.live` rows each of the question's words stands, as its stem."""
        return self._frequencies[[self._place[key] for key in self.keys.tolist()]]

    def rows(self) -> Scores:
        """(n,) BM25 of every row, 0 where no word matches.

        Source:
            Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.4, with
            ln(1 + odds) so that no word counts against a row, and k1 + 1 so that one occurrence in a row of
            average length counts what its rarity says. A word of a label is half an occurrence (section 3.6).
        """
        weights = _weights(self._frequencies, self.view.live)
        return _scores(weights[self.terms], self.counts.astype(np.float32), self.postings, self.view.saturation)

    def standing(self, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
        """(k,) of each of these rows: bit i is set where the i-th of the keys stands there. Keys are at most 64."""
        bits = np.zeros(len(self.distinct), np.uint64)
        for i, key in enumerate(self.keys.tolist()):
            bits[self._place[key]] |= np.uint64(1 << i)
        wanted = np.full(len(self.view.ids), len(rows), np.intp)
        wanted[rows] = np.arange(len(rows))
        standing = np.zeros(len(rows) + 1, np.uint64)  # the last takes what nobody asked for
        np.bitwise_or.at(standing, wanted[self.postings], bits[self.terms])
        return standing[:-1]

    def sessions(self) -> Scores:
        """(m,) BM25 of every session as one text of all its rows; rows without a session are no text, and one that is gone has 0."""
        terms, codes, sums = self._by_session()
        total = int(np.count_nonzero(self.view.session_rows))
        weights = _weights(np.bincount(terms, minlength=len(self.distinct)), total)
        return _scores(weights[terms], sums, codes, self.view.session_saturation)

    def _by_session(self) -> tuple[NDArray[np.intp], NDArray[np.intp], Scores]:
        """Each term with each session it stands in, and its count there; by sorting, since sessions may be many."""
        codes = self.view.session[self.postings]
        pairs = ((self.terms << 32 | codes << 8).astype(np.uint64) | self.counts)[codes != NO_SESSION]
        if not len(pairs):
            return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0, np.float32)
        pairs.sort()
        keys = (pairs >> np.uint64(8)).astype(np.intp)
        first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        sums = np.add.reduceat((pairs & np.uint64(0xFF)).astype(np.float32), first)
        return keys[first] >> 24, keys[first] & 0xFFFFFF, sums

    def rows_with(self, key: int) -> NDArray[np.intp]:
        """Rows in which what is under this one of the keys stands."""
        return np.asarray(self.postings[self.terms == self._place[key]])

    @cached_property
    def _place(self) -> Mapping[int, int]:
        return {key: i for i, key in enumerate(self.distinct.tolist())}

    @cached_property
    def _frequencies(self) -> NDArray[np.int64]:
        everything = self.view.live == len(self.view.ids)
        alive = self.terms if everything else self.terms[self.view.alive[self.postings]]
        return np.bincount(alive, minlength=len(self.distinct))


def _scores(weights: Scores, counts: Scores, places: NDArray[np.intp], saturation: Scores) -> Scores:
    """What p postings add up to, at each of their places."""
    scores = np.zeros(len(saturation), np.float32)
    np.add.at(scores, places, weights * counts / (counts + saturation[places]))
    return scores


def _weights(frequencies: NDArray[np.int64], total: int) -> Scores:
    """(q,) what one occurrence of each term counts at the most."""
    return np.asarray((K1 + 1) * rarity(frequencies, total), np.float32)


def rarity(frequencies: NDArray[np.int64], total: int) -> NDArray[np.float64]:
    """(q,) what each of the terms tells of a row, in nats: ln(1 + odds) that a row is without it."""
    return np.asarray(np.log1p((total - frequencies + 0.5) / (frequencies + 0.5)))


def _saturation(lengths: NDArray[np.floating], total: float, count: int) -> Scores:
    average = total / count if total else 1.0  # empty texts alone have no average
    return np.asarray(OCCURRENCE * K1 * (1 - B + B / average * lengths), np.float32)
