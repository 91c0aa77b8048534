"""Near-duplicates among ranked memories, so that one line can stand for them. Pure.

A cosine cannot tell `Jane opened port 8080` from `John opened port 8081`, nor tabs over spaces from spaces over tabs;
their words can.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from memory_mcp.text import words
from memory_mcp.text.terms import key_set, keys_of

SAME = 0.9
"""Share of their words, stop words out, that two texts have in common in the same order, from which on they say the same."""
WORTH_A_LOOK = 0.7
"""Share of all their words, small ones included, below which two texts are not compared further."""

LONG = 4_000
"""Texts of more characters are one only where they are equal: to compare them word by word would take seconds."""

_CACHED_PIECES, _CACHED_LENGTH = 1 << 14, 48
"""Longer pieces between white space seldom come again, and a million characters may be one."""

_NEGATIONS = frozenset("not no never none without cannot don doesn didn won isn aren nicht kein keine nie ohne ne pas jamais sans".split())
_SENTENCE_WORDS = frozenset("a an the i we you he she it they my our your this that there if when in on at to for and but so".split())
"""Words that begin a sentence with a capital and name nothing."""


def collapse(texts: Sequence[str]) -> list[list[int]]:
    """Groups of positions, each led by its best, in the order of their leaders; every position is in one group.

    Two belong together when nearly all their words, stop words and endings aside, stand in both in the same order, and they
    agree in every number, name and negation. `LONG` ones have to be equal.

    Args:
        texts: Of the memories, best first.
    """
    bags = [key_set(text) if len(text) <= LONG else frozenset() for text in texts]
    groups: list[list[int]] = []
    for i, bag in enumerate(bags):
        group = next((group for group in groups if _overlap(bag, bags[group[0]]) and _alike(texts[i], texts[group[0]])), None)
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    return groups


def _overlap(a: frozenset[int], b: frozenset[int]) -> bool:
    """Whether it is worth looking closer, which it seldom is."""
    return 2 * len(a & b) >= WORTH_A_LOOK * (len(a) + len(b))


def _alike(one: str, other: str) -> bool:
    if max(len(one), len(other)) > LONG:
        return one == other
    if not (_marks(one) <= key_set(other) and _marks(other) <= key_set(one)):
        return False
    a, b = _form(one), _form(other)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return a == b or (matcher.quick_ratio() >= SAME and matcher.ratio() >= SAME)


def _form(text: str) -> Sequence[object]:
    """The words that count, in order, as keys; of a text without any, its pieces."""
    pieces = text.split()
    return [key for piece in pieces for key in (_short_form if len(piece) <= _CACHED_LENGTH else _piece_form)(piece)] or pieces


def _marks(text: str) -> frozenset[int]:
    """The words on which two texts of one meaning must agree: capitalised, not of letters alone, or denying."""
    return frozenset().union(*((_short_marks if len(piece) <= _CACHED_LENGTH else _piece_marks)(piece) for piece in text.split()))


def _piece_form(piece: str) -> tuple[int, ...]:
    return tuple(keys_of(words.content_terms(piece)).tolist())


def _piece_marks(piece: str) -> frozenset[int]:
    capital = piece.strip("\"'(*_-")[:1].isupper()
    marks = [
        word
        for word in words.split_words(piece, for_index=False)
        if word in _NEGATIONS or not word.isalpha() or (capital and word not in _SENTENCE_WORDS)
    ]
    return frozenset(keys_of(marks).tolist())


_short_form, _short_marks = lru_cache(_CACHED_PIECES)(_piece_form), lru_cache(_CACHED_PIECES)(_piece_marks)
