"""Whom and what a question names: a name that none of the answers speaks of tells that its owner was never spoken of. Pure.

`When is Bob's birthday?` finds Alice's birthday, with most of the words and nearly the same meaning; only the name tells
them apart. By form alone: a capital within a sentence. Nothing is told by a question in small letters, by one whose
words all begin with a capital, and by one in German, where every noun does.
"""

import re
from collections.abc import Iterable

from memory_mcp.text import words
from memory_mcp.text.entities import OPENERS
from memory_mcp.text.languages import language_of
from memory_mcp.text.terms import key_set

_POSSESSIVE = re.compile(r"['’]s?$")
_TITLES = frozenset(("mr", "mrs", "ms", "dr", "prof"))


def names_in(question: str) -> list[str]:
    """The words that are capitalised as names are, without an ending `'s`; months, days and titles are none."""
    if language_of(question) == "de":
        return []
    tokens = question.split()
    bare = [_POSSESSIVE.sub("", token.strip("\"'“”‘’()[],.;:!?")) for token in tokens]
    names: list[str] = []
    for before, word in zip(tokens, bare[1:], strict=False):
        if not (word[:1].isupper() and word[1:2].islower()) or before[-1] in ".!?:":
            continue
        if not words.content_terms(word):  # The Words of a Title
            return []
        if word.lower() not in OPENERS and word.lower() not in _TITLES:
            names.append(word)
    return names


def strange(question: str, texts: Iterable[str]) -> float:
    """Share of the names in a question that none of these texts speaks of, in [0, 1]; 0 where it has none.

    One word of a name is enough: `JavaScript` is spoken of by `script`, too.
    """
    names = names_in(question)
    if not names:
        return 0.0
    known = frozenset[int]().union(*map(key_set, texts))
    language = language_of(question)
    return sum(known.isdisjoint(key_set(" ".join(words.content_terms(name)), language)) for name in names) / len(names)
