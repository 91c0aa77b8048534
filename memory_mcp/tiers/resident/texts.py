"""The texts of one scope in memory, with what a question may ask of the memories around them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp import words
from memory_mcp.clock import to_micros
from memory_mcp.contracts import Circumstances
from memory_mcp.models import Filter, Hit, Memory
from memory_mcp.terms import bag, keys_of
from memory_mcp.tiers.resident.bm25 import Matches, View
from memory_mcp.tiers.resident.postings import Documents, Postings
from memory_mcp.timewords import states_time

SPEAKER_KEYS = frozenset({"speaker", "author", "sender"})
"""Metadata whose value says who `I` is."""
LATER_NAME = 0.5
"""How much it counts that a question names a speaker after another one: most is said by whom it names first."""
MEMORY_BYTES = 600
"""About what one memory's circumstances take here."""
_BESIDE = np.array([-2, -1, 1, 2])
_TELLING_SESSIONS = 3
"""Sessions whose memories are all candidates: nearly as good as looking at a whole scope (measured)."""
MOST_AROUND = 200
"""Of those that stand around what was found; 400 found nothing more (measured)."""
_FIRST_LOOK = 4
"""So many times as many matches as are wanted are looked at first, where a filter may keep some out."""


@dataclass(frozen=True, slots=True)
class _Aside:
    """What is known of a memory beside its words.

    Attributes:
        labels: The words of each tag and metadata value, stop words out.
        speakers: The words of the names that say who `I` is.
    """

    kind: str
    domain: str
    tags: frozenset[str]
    when: int
    expires: int | None
    importance: float
    asking: bool
    dated: bool
    labels: tuple[tuple[str, ...], ...]
    speakers: tuple[str, ...]


class Texts:
    """Postings and circumstances of a scope's live memories; written by one at a time, read by any."""

    def __init__(self, memories: Sequence[Memory] = ()) -> None:
        self._postings = Postings()
        self._asides: dict[int, _Aside] = {}  # by UUID.int
        self._speakers: Counter[str] = Counter()
        self._names: frozenset[str] = frozenset()
        self.apply(memories, ())

    def __len__(self) -> int:
        return len(self._asides)

    @property
    def nbytes(self) -> int:
        """About how much memory this takes."""
        return self._postings.nbytes + MEMORY_BYTES * len(self._asides)

    def apply(self, memories: Sequence[Memory], removed: Sequence[UUID]) -> None:
        """Remove, and insert or replace; unknown ids are nothing to worry about."""
        asides = {memory.id.int: _aside(memory) for memory in memories}
        self._postings.apply(_documents(memories), removed)
        for key in {*asides, *(memory_id.int for memory_id in removed)} & self._asides.keys():
            self._speakers.subtract(self._asides[key].speakers)
        for aside in asides.values():
            self._speakers.update(aside.speakers)
        self._asides.update(asides)  # at no moment is a memory missing that is only changed
        for memory_id in removed:
            self._asides.pop(memory_id.int, None)
        self._names = frozenset(term for term, count in self._speakers.items() if count > 0)

    def look(self, query: str) -> "Look":
        """What stands here of a question's words."""
        terms = words.query_terms(query)
        view = self._postings.view
        return Look(view, view.look_up(keys_of(terms)), terms, self._asides, self._names)


class Look:
    """One scope in view of one question, as of one moment.

    Attributes:
        rows: How many memories there are.
        frequency: In how many of them each of the question's words stands.
        speakers: The words of names in memories that speak of themselves as `I`.
    """

    def __init__(self, view: View, matches: Matches, terms: Sequence[str], asides: dict[int, _Aside], speakers: frozenset[str]) -> None:
        self._view, self._matches, self._asides = view, matches, asides
        self._terms = frozenset(terms)
        self._later = _later_names(terms, speakers)
        self._scores = matches.rows()
        self._session_scores = matches.sessions()
        self.rows = view.live
        self.frequency = dict(zip(terms, matches.frequencies.tolist(), strict=True))
        self.speakers = speakers

    def best(self, where: Filter, limit: int) -> list[Hit]:
        """The `limit` best matches by words that pass the filter, best first, equal ones by id."""
        passes = _Passing(where, self._asides)
        looked = limit if where == Filter(now=where.now) else limit * _FIRST_LOOK
        while True:
            rows = self._view.best(self._scores, looked)
            keys = _keys(self._view.ids[rows])
            kept = [(key, float(self._scores[row])) for key, row in zip(keys, rows.tolist(), strict=True) if passes(key)]
            if len(kept) >= limit or len(rows) < looked:
                return [Hit(UUID(int=key), score) for key, score in kept[:limit]]
            looked *= _FIRST_LOOK

    def around(self, ids: Sequence[UUID], where: Filter) -> list[UUID]:
        """Memories up to two places from one of these in its session, and those of the sessions that speak most of the question."""
        view = self._view
        rows = view.rows_of(ids)
        rows = rows[rows >= 0]
        rows = rows[view.session[rows] >= 0]
        telling = np.argsort(-self._session_scores, kind="stable")[:_TELLING_SESSIONS]
        telling = telling[self._session_scores[telling] > 0]
        if not len(rows) and not len(telling):
            return []
        asked = np.zeros(len(self._session_scores) + 1, np.bool_)  # the last is what rows without a session point at
        asked[view.session[rows]] = asked[telling] = True
        mates = np.flatnonzero(asked[view.session])
        places = view.session[mates] << 32 | view.order[mates]
        near = (view.session[rows] << 32 | view.order[rows])[:, None] + _BESIDE
        is_near = np.isin(places, near)
        chosen = np.concatenate((mates[is_near], mates[~is_near & np.isin(view.session[mates], telling)]))[:MOST_AROUND]
        passes, known = _Passing(where, self._asides), {memory_id.int for memory_id in ids}
        return [UUID(int=key) for key in _keys(view.ids[chosen]) if key not in known and passes(key)]

    def circumstances(self, ids: Sequence[UUID]) -> Circumstances:
        """What is known of these memories, in this order; of one that is gone, nothing special."""
        view = self._view
        rows = view.rows_of(ids)
        there = rows >= 0
        asides = [self._asides.get(memory_id.int) for memory_id in ids]
        return Circumstances(
            lexical=np.where(there, self._scores[rows], 0.0).astype(np.float64) if len(self._scores) else np.zeros(len(ids)),
            standing=self._matches.standing(rows),
            session=np.where(there, view.session[rows], -1).astype(np.int64) if len(view.session) else np.full(len(ids), -1),
            order=np.where(there, view.order[rows], 0).astype(np.int64) if len(view.order) else np.zeros(len(ids), np.int64),
            session_lexical=self._session_scores.astype(np.float64),
            when=np.array([0 if aside is None else aside.when for aside in asides], np.int64),
            asking=np.array([aside is not None and aside.asking for aside in asides], np.bool_),
            dated=np.array([aside is not None and aside.dated for aside in asides], np.bool_),
            named=np.array([0.0 if aside is None else self._named(aside) for aside in asides], np.float64),
            importance=np.array([0.5 if aside is None else aside.importance for aside in asides]),
        )

    def _named(self, aside: _Aside) -> float:
        named = [LATER_NAME if self._later.issuperset(label) else 1.0 for label in aside.labels if self._terms.issuperset(label)]
        return max(named, default=0.0)


class _Passing:
    """Tells whether a memory passes a filter."""

    def __init__(self, where: Filter, asides: dict[int, _Aside]) -> None:
        self._where, self._asides = where, asides
        self._since, self._until, self._now = (None if at is None else to_micros(at) for at in (where.since, where.until, where.now))

    def __call__(self, key: int) -> bool:
        aside, where = self._asides.get(key), self._where
        return (
            aside is not None
            and (not where.kinds or aside.kind in where.kinds)
            and (not where.domains or aside.domain in where.domains)
            and where.tags <= aside.tags
            and (self._since is None or aside.when >= self._since)
            and (self._until is None or aside.when < self._until)
            and (self._now is None or aside.expires is None or aside.expires > self._now)
        )


def _later_names(terms: Sequence[str], speakers: frozenset[str]) -> frozenset[str]:
    """The words of speakers' names after the first; side by side as in `Ann and Bob`, stop words aside, two are as one."""
    from_first = dropwhile(lambda term: term not in speakers, terms)
    return speakers.intersection(dropwhile(lambda term: term in speakers, from_first))


def _keys(ids: NDArray[np.uint64]) -> list[int]:
    return [high << 64 | low for high, low in ids.tolist()]


def _documents(memories: Sequence[Memory]) -> Documents:
    return Documents(
        ids=[memory.id for memory in memories],
        bags=[bag(memory.content, " ".join([*memory.tags, memory.key, *_texts(memory)])) for memory in memories],
        sessions=[memory.session_id for memory in memories],
        when=np.array([to_micros(memory.when) for memory in memories], np.int64),
    )


def _texts(memory: Memory) -> list[str]:
    return [value for value in memory.metadata.values() if isinstance(value, str)]


def _aside(memory: Memory) -> _Aside:
    labels = {tuple(words.query_terms(label)) for label in (*memory.tags, *_texts(memory))}
    names = [value for name, value in memory.metadata.items() if name in SPEAKER_KEYS and isinstance(value, str)]
    return _Aside(
        kind=memory.kind,
        domain=memory.domain,
        tags=frozenset(memory.tags),
        when=to_micros(memory.when),
        expires=None if memory.expires_at is None else to_micros(memory.expires_at),
        importance=memory.importance,
        asking=memory.content.rstrip().endswith(("?", "？")),
        dated=states_time(memory.content),
        labels=tuple(label for label in labels if label),
        speakers=tuple(term for name in names for term in words.query_terms(name)),
    )
