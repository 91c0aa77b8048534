"""Near-duplicates among ranked memories, so that one line can stand for them. Pure.

A cosine cannot tell `Jane opened port 8080` from `John opened port 8081`, nor tabs over spaces from spaces over tabs;
their words can.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from memory_mcp import words
from memory_mcp.terms import keys_of

SAME = 0.9
"""Share of their words, stop words out, that two texts have in common in the same order, from which on they say the same."""

_NEGATIONS = frozenset("not no never none without cannot don doesn didn won isn aren nicht kein keine nie ohne ne pas jamais sans".split())
_SENTENCE_WORDS = frozenset("a an the i we you he she it they my our your this that there if when in on at to for and but so".split())
"""Words that begin a sentence with a capital and name nothing."""


def collapse(texts: Sequence[str]) -> list[list[int]]:
    """Groups of positions, each led by its best, in the order of their leaders; every position is in one group.

    Two belong together when nearly all their words, stop words and endings aside, stand in both in the same order, and they
    agree in every number, name and negation.

    Args:
        texts: Of the memories, best first.
    """
    forms = [_form(text) for text in texts]
    groups: list[list[int]] = []
    for i, form in enumerate(forms):
        group = next((group for group in groups if _alike(form, forms[group[0]])), None)
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    return groups


@dataclass(frozen=True, slots=True)
class _Form:
    """What of a text is compared.

    Attributes:
        terms: Keys of the words that count, in order; of a text without any, its characters.
        words: All words.
        marks: Those on which two texts of one meaning must agree.
    """

    terms: tuple[object, ...]
    words: frozenset[str]
    marks: frozenset[str]


def _form(text: str) -> _Form:
    every = words.split_words(text, for_index=False)
    return _Form(tuple(keys_of(words.content_terms(text)).tolist()) or tuple(text.split()), frozenset(every), _marks(text))


def _alike(one: _Form, other: _Form) -> bool:
    a, b = one.terms, other.terms
    if 2 * min(len(a), len(b)) < SAME * (len(a) + len(b)) or not (one.marks <= other.words and other.marks <= one.words):
        return False  # quick, and nearly always so
    if a == b:
        return True
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    return matcher.quick_ratio() >= SAME and matcher.ratio() >= SAME


def _marks(text: str) -> frozenset[str]:
    """The words on which two texts of one meaning must agree: capitalised, not of letters alone, or denying."""
    found: set[str] = set()
    for token in text.split():
        for word in words.split_words(token, for_index=False):
            if word in _NEGATIONS or not word.isalpha() or (token.strip("\"'(*_-")[:1].isupper() and word not in _SENTENCE_WORDS):
                found.add(word)
    return frozenset(found)
