"""What is known of memories beside the words of their texts, by columns, one entry a row."""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

import numpy as np
from numpy.typing import NDArray

from memory_mcp.clock import to_micros
from memory_mcp.models import NEVER, Filter, Memory
from memory_mcp.text import words
from memory_mcp.text.timewords import states_time

SPEAKER_KEYS = frozenset({"speaker", "author", "sender"})
"""Metadata whose value says who `I` is."""
LATER_NAME = 0.5
"""How much it counts that a question names a speaker after another one: most is said by whom it names first."""

FACTS = np.dtype(
    [("kind", "i4"), ("domain", "i4"), ("expires", "i8"), ("importance", "f8"), ("asking", "?"), ("dated", "?"), ("specific", "?")]
)
"""Kind and domain as codes; microseconds since 1970 UTC or `NEVER`; in [0, 1]; whether the text ends with a question mark, whether
it states a time, and whether it is an utterance that names something."""

UTTERANCE = "chat"
"""The kind of memories that nobody chose for what they tell: of the others each is specific in its way. What a speaker said in a
session is one, too, whatever it was called."""

_NAME_BEFORE = re.compile(r"^[ \t]*(?P<name>[^\W\d_][\w.'’-]{0,30}(?: [^\W\d_][\w.'’-]{0,30}){0,2}):[ \t]+(?=\S)", re.MULTILINE)
_ROLES = frozenset(("user", "assistant", "human"))
"""Names before what is said that need no capital."""

_SHARED = 1 << 14
"""Labels of a scope that are known by what they were made of."""

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Labels:
    """Tags and metadata of a memory; memories with equal ones may share it.

    Attributes:
        terms: The words of each tag and metadata value, stop words out.
        speakers: The words of the names that say who `I` is.
    """

    tags: frozenset[str] = frozenset()
    terms: tuple[tuple[str, ...], ...] = ()
    speakers: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Asides:
    """Of n memories.

    Attributes:
        facts: (n,) of `FACTS`.
        labels: (n,) of `Labels`.
    """

    facts: NDArray[np.void]
    labels: NDArray[np.object_]

    @classmethod
    def of(cls, memories: Sequence[Memory], codes: dict[str, int], shared: dict[Hashable, Labels]) -> "Asides":
        """Of these memories, in their order; kinds and domains without a code are given one, and equal labels stand once in `shared`."""
        facts = [
            (
                codes.setdefault(memory.kind, len(codes)),
                codes.setdefault(memory.domain, len(codes)),
                NEVER if memory.expires_at is None else to_micros(memory.expires_at),
                memory.importance,
                memory.content.rstrip().endswith(("?", "？")),
                states_time(memory.content),
                _is_utterance(memory) and words.names_something(memory.content),
            )
            for memory in memories
        ]
        labels = np.empty(len(memories), np.object_)
        labels[:] = [_labels_of(memory, shared) for memory in memories]
        return cls(np.array(facts, FACTS), labels)

    def at(self, rows: Rows) -> "Asides":
        """Of these rows."""
        return Asides(self.facts[rows], self.labels[rows])

    def passing(self, rows: Rows, when: NDArray[np.int64], where: Filter, codes: Mapping[str, int]) -> Flags:
        """(k,) which of these rows, of these times, pass the filter."""
        facts = self.facts[rows]
        passing = np.ones(len(rows), np.bool_)
        if where.kinds:
            passing &= np.isin(facts["kind"], _codes(where.kinds, codes))
        if where.domains:
            passing &= np.isin(facts["domain"], _codes(where.domains, codes))
        if where.tags:
            passing &= np.fromiter((where.tags <= labels.tags for labels in self.labels[rows]), np.bool_, len(rows))
        if where.since is not None:
            passing &= when >= to_micros(where.since)
        if where.until is not None:
            passing &= when < to_micros(where.until)
        if where.now is not None:
            passing &= facts["expires"] > to_micros(where.now)
        return passing

    def named(self, rows: Rows, terms: frozenset[str], later: frozenset[str]) -> NDArray[np.float64]:
        """(k,) 1 where a tag or metadata value of the row stands whole among a question's words, `LATER_NAME` where only later names do.

        Args:
            later: See `later_names`.
        """
        return np.fromiter((_named(labels, terms, later) for labels in self.labels[rows]), np.float64, len(rows))


def _named(labels: Labels, terms: frozenset[str], later: frozenset[str]) -> float:
    found = [LATER_NAME if later.issuperset(label) else 1.0 for label in labels.terms if terms.issuperset(label)]
    return max(found, default=0.0)


def later_names(terms: Sequence[str], speakers: frozenset[str]) -> frozenset[str]:
    """Of a question's words, in order, those of speakers' names after the first; two side by side, as in `Ann and Bob`, are as one.

    Args:
        terms: Without stop words.
        speakers: The words of all speakers' names.
    """
    from_first = dropwhile(lambda term: term not in speakers, terms)
    return speakers.intersection(dropwhile(lambda term: term in speakers, from_first))


def _codes(names: Iterable[str], codes: Mapping[str, int]) -> list[int]:
    return [codes[name] for name in names if name in codes]


def _is_utterance(memory: Memory) -> bool:
    return memory.kind == UTTERANCE or (bool(memory.session_id) and not SPEAKER_KEYS.isdisjoint(memory.metadata))


def _labels_of(memory: Memory, shared: dict[Hashable, Labels]) -> Labels:
    speakers = [value for name, value in memory.metadata.items() if name in SPEAKER_KEYS and isinstance(value, str)]
    if not speakers and memory.kind == UTTERANCE:
        speakers = _said_by(memory.content)
    said = (memory.tags, (*words.label_texts(memory.metadata), *speakers), tuple(speakers))
    labels = shared.get(said)
    if labels is None:
        if len(shared) >= _SHARED:
            shared.clear()
        labels = shared[said] = _labels(*said)
    return labels


def _said_by(text: str) -> list[str]:
    """The name before what is said, as in `Ann: I moved to Oslo.`; none where several speak."""
    if _NAME_BEFORE.match(text) is None:
        return []
    names = {match["name"] for match in _NAME_BEFORE.finditer(text)}
    names = {name for name in names if name in _ROLES or all(word[0].isupper() for word in name.split())}
    return list(names) if len(names) == 1 else []


def _labels(tags: Sequence[str], texts: Sequence[str], names: Sequence[str]) -> Labels:
    terms = {tuple(words.query_terms(label)) for label in (*tags, *texts)} - {()}
    return Labels(frozenset(tags), tuple(terms), tuple(term for name in names for term in words.query_terms(name)))
