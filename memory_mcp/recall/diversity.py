"""Near-duplicates among ranked memories, so that one line can stand for them. Pure."""

from collections.abc import Sequence

import numpy as np

from memory_mcp import words
from memory_mcp.models import Matrix

SAME = 0.95
"""Cosine from which on two texts say the same, if they agree in what a cosine hardly sees."""

_NEGATIONS = frozenset("not no never none without cannot don doesn didn won isn aren nicht kein keine nie ohne ne pas jamais sans".split())
_SENTENCE_WORDS = frozenset("a an the i we you he she it they my our your this that there if when in on at to for and but so".split())
"""Words that begin a sentence with a capital and name nothing."""


def collapse(texts: Sequence[str], vectors: Matrix | None) -> list[list[int]]:
    """Groups of positions, each led by its best, in the order of their leaders; every position is in one group.

    Two belong together when their words are the same in the same order, or their vectors are close and each holds the
    other's numbers, names and negations: `Jane opened port 8080` and `John opened port 8081` are two facts.

    Args:
        texts: Of the memories, best first.
        vectors: (k, d) unit rows, zeros where there is none; None: only words are compared.
    """
    forms = [tuple(words.split_words(text, for_index=False)) or (text.strip(),) for text in texts]
    marks = [_marks(text) for text in texts]
    close = np.zeros((len(texts), len(texts)), dtype=bool) if vectors is None else vectors @ vectors.T >= SAME
    groups: list[list[int]] = []
    for i in range(len(texts)):
        for group in groups:
            leader = group[0]
            if forms[i] == forms[leader] or (close[i, leader] and marks[i].issubset(forms[leader]) and marks[leader].issubset(forms[i])):
                group.append(i)
                break
        else:
            groups.append([i])
    return groups


def _marks(text: str) -> frozenset[str]:
    """The words on which two texts of one meaning must agree: capitalised, not of letters alone, or denying."""
    found: set[str] = set()
    for token in text.split():
        for word in words.split_words(token, for_index=False):
            if word in _NEGATIONS or not word.isalpha() or (token.strip("\"'(*_-")[:1].isupper() and word not in _SENTENCE_WORDS):
                found.add(word)
    return frozenset(found)
