"""Answers that still hold, for questions that are asked again.

An answer is kept with all that it was made of: whom it was asked of, the revisions of these scopes, which every change of
what is stored moves, and the model. What time alone changes ends it as well: something in it expires, what the question
calls yesterday is another day now, memories grow older. So nothing here can be stale, and nothing need be told of a change.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from memory_mcp.answers import Answer
from memory_mcp.config import WeightSettings
from memory_mcp.models import Filter, Scope
from memory_mcp.pages import Page
from memory_mcp.recall.calibration import Scales
from memory_mcp.text.timewords import TimeSpan, time_spans

LIFETIME = timedelta(minutes=5)
"""Nobody's place changes by growing so much older."""
MAX_CHARACTERS = 16_000_000
"""Of all answers that are kept together."""
_A_HIT = 2_000
"""What a hit takes beside its text, in characters: its other attributes, and what a door has made of it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of whom.

    Attributes:
        scopes: In the order in which they are read: the first is the answer's own.
        where: Without its `now`.
    """

    query: str
    scopes: tuple[Scope, ...]
    where: Filter
    limit: int
    min_score: float
    page: Page | None


class Stamp(NamedTuple):
    """What an answer was made of.

    Attributes:
        revisions: Of the question's scopes.
        epoch: Of the embedder.
        scales: Of its model.
        weights: Of the signals.
    """

    revisions: tuple[int, ...]
    epoch: str | None
    scales: Scales
    weights: WeightSettings


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer, and from when until when it holds.

    Attributes:
        spans: The times that the question named.
        weight: In characters, see `MAX_CHARACTERS`.
    """

    answer: Answer
    stamp: Stamp
    spans: tuple[TimeSpan, ...]
    since: datetime
    until: datetime
    weight: int


class KnownAnswers:
    """Keeps answers until they hold no longer, or there is no room: then those made first go first.

    Args:
        max_entries: As many answers are kept; 0: none is.
    """

    def __init__(self, max_entries: int, max_characters: int = MAX_CHARACTERS) -> None:
        self._max_entries, self._max_characters = max_entries, max_characters
        self._known: OrderedDict[Question, _Known] = OrderedDict()  # in the order in which they were made
        self._characters = 0
        self.hits = self.misses = 0

    @property
    def scopes(self) -> set[Scope]:
        """Of all that is kept."""
        return {scope for question in self._known for scope in question.scopes}

    def lookup(self, question: Question, stamp: Stamp, now: datetime) -> Answer | None:
        """The answer, if it is known and would be the same now."""
        known = self._known.get(question)
        if (
            known is None
            or known.stamp != stamp
            or not known.since <= now < known.until  # a clock may be set back
            or (known.spans and known.spans != _spans(question, now))
        ):
            self.misses += 1
            return None
        self.hits += 1
        return known.answer

    def store(self, question: Question, stamp: Stamp, answer: Answer, now: datetime, until: datetime | None) -> None:
        """Keep an answer made `now`.

        Args:
            stamp: Read before it was made, so that what changed meanwhile makes it unknown.
            until: When the first of the memories it was made of expires; None: none does.
        """
        self._drop(question)
        ends = now + LIFETIME if until is None else min(until, now + LIFETIME)
        weight = sum(len(hit.memory.content) + _A_HIT for hit in answer.hits) + len(question.query) + _A_HIT
        self._known[question] = _Known(answer, stamp, _spans(question, now), now, ends, weight)
        self._characters += weight
        while len(self._known) > self._max_entries or self._characters > self._max_characters:
            self._drop(next(iter(self._known)))

    def drop_old(self, now: datetime) -> None:
        """Let go of answers that have had their time."""
        while self._known:
            question, known = next(iter(self._known.items()))
            if known.since <= now < known.since + LIFETIME:
                return
            self._drop(question)

    def drop_changed(self, revisions: Mapping[Scope, int]) -> None:
        """Let go of answers that were made before these revisions: nobody will get them, but what is erased is to be nowhere."""
        for question, known in list(self._known.items()):
            if any(revisions.get(scope, made) != made for scope, made in zip(question.scopes, known.stamp.revisions, strict=True)):
                self._drop(question)

    def clear(self) -> None:
        """Let go of every answer."""
        self._known.clear()
        self._characters = 0

    def _drop(self, question: Question) -> None:
        if (known := self._known.pop(question, None)) is not None:
            self._characters -= known.weight


def _spans(question: Question, now: datetime) -> tuple[TimeSpan, ...]:
    """The times that it names, to the minute: what is recent is so a little later, too."""
    return time_spans(question.query, now.replace(second=0, microsecond=0))
