"""A text as a tsvector and a question as a tsquery: literals whose every word is quoted, so that none is an operator (rule R11)."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from memory_mcp.text import terms, words

_MOST_BYTES = 900_000
"""Of a tsvector, which ends at 1 MB; what a text of more different words has beyond that, it is not found by."""
_MOST_OCCURRENCES = 12
"""Of one word: ranking hardly tells more from it."""
_LONGEST_WORD = 200
"""Bytes; a longer one stands as its beginning and a digest."""

BODY, LABEL = "A", "B"


def text_vector(content: str, labels: str) -> tuple[str, int]:
    """The words of a text, and of its labels with less weight; and how many there are, the one that holds a scope together counted.

    Positions only count occurrences: those in the text first, and then those in the labels.
    """
    body, beside = Counter(_stems(words.index_text(content).split())), Counter(_stems(words.index_text(labels).split()))
    parts: list[str] = []
    room = _MOST_BYTES
    for word in dict.fromkeys([*body, *beside]):
        in_text, in_labels = min(body[word], _MOST_OCCURRENCES), min(beside[word], _MOST_OCCURRENCES)
        room -= len(word.encode()) + 2 * (in_text + in_labels) + 8
        if room < 0:
            break
        places = [f"{n}{BODY}" for n in range(1, in_text + 1)] + [f"{in_text + n}{LABEL}" for n in range(1, in_labels + 1)]
        parts.append(f"{_quoted(word)}:{','.join(places)}")
    return " ".join(parts), body.total() + beside.total() + 1


def asked(query: str) -> list[str]:
    """The words of a question, each as a tsquery."""
    return [_quoted(word) for word in dict.fromkeys(_stems(words.query_terms(query)))]


def any_of(terms: Sequence[str]) -> str:
    """A tsquery that any of them answers."""
    return " | ".join(terms)


def _stems(found: Sequence[str]) -> list[str]:
    return [_shortened(stem) for stem in terms.stems(found)]


def _shortened(word: str) -> str:
    if len(word) * 4 <= _LONGEST_WORD or len(encoded := word.encode()) <= _LONGEST_WORD:
        return word
    digest = hashlib.blake2b(encoded, digest_size=8).hexdigest()
    return encoded[: _LONGEST_WORD - 20].decode(errors="ignore") + "#" + digest


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
