"""The texts of one scope in memory, with what a question may ask of the memories around them."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.clock import to_micros
from memory_mcp.contracts import Circumstances
from memory_mcp.models import Filter, Hit, Memory
from memory_mcp.text.terms import Asked, asked, bag
from memory_mcp.text.words import labels_of
from memory_mcp.tiers.resident.asides import UTTERANCE, Asides, Labels, later_names
from memory_mcp.tiers.resident.bm25 import NO_SESSION, Matches, Scores, View
from memory_mcp.tiers.resident.kinds import kinds_told
from memory_mcp.tiers.resident.postings import Documents, Postings

Rows = NDArray[np.intp]

MEMORY_BYTES = 600
"""About what one memory takes here, its words not yet known."""
_LABEL_BYTES = 600
"""About what tags and metadata take, where a memory has any; memories with equal ones share them."""
_BESIDE = np.array([-2, -1, 1, 2])
_TELLING_SESSIONS = 3
"""Sessions whose memories are all candidates: nearly as good as looking at a whole scope (measured)."""
MOST_AROUND = 200
"""Of those that stand around what was found; 400 found nothing more (measured)."""
_NOTHING_SPECIAL = {"session": NO_SESSION, "importance": 0.5}
_FIRST_LOOK = 4
"""So many times as many matches as are wanted are looked at first, where a filter may keep some out."""


class Texts:
    """Postings and circumstances of a scope's live memories; written by one at a time, read by any."""

    def __init__(self, memories: Sequence[Memory] = ()) -> None:
        self._postings = Postings()
        self._codes: dict[str, int] = {}  # of kinds and domains
        self._speakers: Counter[str] = Counter()
        self._names: frozenset[str] = frozenset()
        self._labelled = 0
        self._labels: dict[Hashable, Labels] = {}
        self.apply(memories, ())

    def __len__(self) -> int:
        return len(self._postings)

    @property
    def nbytes(self) -> int:
        """About how much memory this takes."""
        return self._postings.nbytes + _LABEL_BYTES * self._labelled

    def apply(self, memories: Sequence[Memory], removed: Sequence[UUID]) -> None:
        """Remove, and insert or replace; unknown ids are nothing to worry about."""
        memories = list({memory.id: memory for memory in memories}.values())
        documents, before = _documents(memories, self._codes, self._labels), self._postings.view
        left = before.rows_of(list({*documents.ids, *removed}))
        self._postings.apply(documents, removed)
        for labels in before.asides.labels[left[left >= 0]]:
            self._speakers.subtract(labels.speakers)
            self._labelled -= bool(labels.terms)
        for labels in documents.asides.labels:
            self._speakers.update(labels.speakers)
            self._labelled += bool(labels.terms)
        self._names = frozenset(term for term, count in self._speakers.items() if count > 0)

    def look(self, query: str) -> "Look":
        """What stands here of a question's words."""
        terms, view = asked(query), self._postings.view
        return Look(view, view.look_up(np.array(terms.keys, np.uint32)), terms, self._codes, self._names)


class _Told(NamedTuple):
    """What the words of a question tell of n memories and m sessions: (n,), (m,) and (n,) of `kinds_told`."""

    rows: Scores
    sessions: Scores
    kinds: NDArray[np.float64]


class Look:
    """One scope in view of one question, as of one moment.

    Attributes:
        rows: How many memories there are.
        frequency: In how many of them each of the question's words stands.
        speakers: The words of names in memories that speak of themselves as `I`.
    """

    def __init__(self, view: View, matches: Matches, terms: Asked, codes: Mapping[str, int], speakers: frozenset[str]) -> None:
        self._view, self._matches, self._codes = view, matches, codes
        self._terms = frozenset(terms.words)
        self._later = later_names(terms.words, speakers)
        self._asked = terms
        self.rows = view.live
        self.frequency = dict(zip(terms.words, matches.frequencies.tolist(), strict=True))
        self.speakers = speakers

    @cached_property
    def _told(self) -> "_Told":
        """Found out when the first answers are asked for: what is to be embedded is known without, so that the model can begin."""
        return _Told(self._matches.rows(), self._matches.sessions(), kinds_told(self._view, self._matches, self._asked))

    def best(self, where: Filter, limit: int) -> list[Hit]:
        """The `limit` best matches by words that pass the filter, best first, equal ones by id."""
        looked = limit if where == Filter(now=where.now) else limit * _FIRST_LOOK
        while True:
            rows = self._view.best(self._told.rows, looked)
            kept = self._passing(rows, where)
            if len(kept) >= limit or len(rows) < looked:
                kept = kept[:limit]
                return [Hit(memory_id, score) for memory_id, score in zip(self._ids(kept), self._told.rows[kept].tolist(), strict=True)]
            looked *= _FIRST_LOOK

    def around(self, ids: Sequence[UUID], where: Filter) -> list[UUID]:
        """Memories up to two places from one of these in its session, and those of the sessions that speak most of the question."""
        view = self._view
        known = view.rows_of(ids)
        rows = known[known >= 0]
        rows = rows[view.session[rows] >= 0]
        telling = np.argsort(-self._told.sessions, kind="stable")[:_TELLING_SESSIONS]
        telling = telling[self._told.sessions[telling] > 0]
        if not len(rows) and not len(telling):
            return []
        asked = np.zeros(len(self._told.sessions) + 1, np.bool_)  # the last is what rows without a session point at
        asked[view.session[rows]] = asked[telling] = True
        mates = np.flatnonzero(asked[view.session])
        places = view.session[mates] << 32 | view.order[mates]
        near = (view.session[rows] << 32 | view.order[rows])[:, None] + _BESIDE
        is_near = np.isin(places, near)
        chosen = np.concatenate((mates[is_near], mates[~is_near & np.isin(view.session[mates], telling)]))[:MOST_AROUND]
        return self._ids(self._passing(chosen[~np.isin(chosen, known)], where))

    def circumstances(self, ids: Sequence[UUID]) -> Circumstances:
        """What is known of these memories, in this order; of one that is gone, nothing special."""
        rows = self._view.rows_of(ids)
        there = rows >= 0
        found = self._of_rows(rows[there])
        return found if there.all() else _spread(found, there)

    def _of_rows(self, rows: Rows) -> Circumstances:
        view = self._view
        facts = view.asides.facts[rows]
        return Circumstances(
            lexical=self._told.rows[rows].astype(np.float64),
            standing=self._matches.standing(rows),
            kinds=self._told.kinds[rows],
            session=view.session[rows],
            order=view.order[rows],
            session_lexical=self._told.sessions.astype(np.float64),
            when=view.when[rows],
            asking=facts["asking"],
            dated=facts["dated"],
            specific=facts["specific"],
            named=view.asides.named(rows, self._terms, self._later),
            importance=facts["importance"],
        )

    def _passing(self, rows: Rows, where: Filter) -> Rows:
        """Those of the rows that pass the filter."""
        return rows[self._view.asides.passing(rows, self._view.when[rows], where, self._codes)]

    def _ids(self, rows: Rows) -> list[UUID]:
        return [UUID(int=high << 64 | low) for high, low in self._view.ids[rows].tolist()]


def _spread(found: Circumstances, there: NDArray[np.bool_]) -> Circumstances:
    """What is known of some memories as of more, of which nothing special is known."""

    def column(name: str) -> NDArray[Any]:
        known: NDArray[Any] = getattr(found, name)
        values = np.full(len(there), _NOTHING_SPECIAL.get(name, 0), known.dtype)
        values[there] = known
        return values

    names = {field.name for field in fields(Circumstances)} - {"session_lexical"}
    return replace(found, **{name: column(name) for name in names})


def _documents(memories: Sequence[Memory], codes: dict[str, int], labels: dict[Hashable, Labels]) -> Documents:
    return Documents(
        ids=[memory.id for memory in memories],
        bags=[bag(memory.content, labels_of(memory.tags, memory.key, memory.metadata)) for memory in memories],
        sessions=[_session_of(memory) for memory in memories],
        when=np.array([to_micros(memory.when) for memory in memories], np.int64),
        asides=Asides.of(memories, codes, labels),
    )


def _session_of(memory: Memory) -> str:
    """Its session; utterances that nobody put into one are together with the others of their day (UTC).

    A day holds other memories together by nothing but chance.
    """
    return memory.session_id or (f"\x00{memory.when.date()}" if memory.kind == UTTERANCE else "")
