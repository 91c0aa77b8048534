"""A long text in passages, each short enough for a model to take in whole. Pure.

An embedding model reads the first few hundred tokens of a text and no more, and one vector for many subjects is close to
none of them. So a long text has a vector for each passage, and is found by its best one. The cuts follow from the text
alone, so that nothing about them has to be stored.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from itertools import accumulate
from math import ceil
from types import MappingProxyType
from typing import NamedTuple

PASSAGE_TOKENS = 160.0
"""The longest passage, in tokens as `weight` estimates them; all-MiniLM-L6-v2 reads 256 real ones, and code has more than estimated."""

_ASCII, _OTHER_BYTE = 1 / 4, 1 / 3
"""Tokens a character, and a byte of any other character."""
_LEAST = _ASCII
"""No character weighs less."""
_BREAK = re.compile(r"(\n\s*\n\s*)|(\n\s*)|(?<=[.!?])[\"')\]]*(\s+)|(?<=[。！？])()|\s+()")
"""The groups: after a paragraph, a line, a sentence, a sentence without spaces, a word."""
_WORTH = (0, 4, 3, 2, 2, 1)
_SHORTEST, _LONGEST = 0.7, 1.3
"""Where a passage may end, as shares of what is aimed at."""


class Passage(NamedTuple):
    """Where a passage starts and ends in its text, of how many it is one, and what is looked for in it.

    Attributes:
        telling: What each of the question's words tells that are looked for, in nats, by its key (`terms.keys_of`).
    """

    start: int = 0
    end: int = 0
    of: int = 1
    telling: Mapping[int, float] = MappingProxyType({})


BEGINNING = Passage()
"""Where nobody has looked which one answers."""


def weight(text: str, most: float | None = None) -> float:
    """About how many tokens a text has; of one that has more than `most`, only that it has more."""
    if most is not None:
        text = text[: int(most / _LEAST) + 1]
    if text.isascii():
        return len(text) * _ASCII
    return sum(map(_weight_of, text))


def _weight_of(character: str) -> float:
    return _ASCII if character.isascii() else len(character.encode(errors="replace")) * _OTHER_BYTE


def beginning(text: str, most: float) -> str:
    """The text, or as much of its beginning as weighs at most so much."""
    text = text[: int(most / _LEAST)]
    return text if weight(text) <= most else text[: bisect_right(list(accumulate(map(_weight_of, text))), most)]


def passages(text: str, most: float = PASSAGE_TOKENS) -> list[tuple[int, int]]:
    """(start, end) of each passage, in order and without a gap; of a short text the whole.

    They are about equally long. In the last part of the room it has, a passage ends where a paragraph does, else a line,
    else a sentence, else a word.

    Args:
        most: Of the `weight` of a passage; a single character may be heavier.
    """
    if weight(text) <= most:
        return [(0, len(text))]
    before = list(accumulate(map(_weight_of, text), initial=0.0))
    breaks = [(match.end(), _WORTH[match.lastindex or 0]) for match in _BREAK.finditer(text)]
    places = [place for place, _ in breaks]
    spans: list[tuple[int, int]] = []
    start = 0
    while (rest := before[-1] - before[start]) > most:
        aim = rest / ceil(rest / most)
        first = bisect_left(before, before[start] + _SHORTEST * aim)
        last = max(bisect_right(before, before[start] + min(_LONGEST * aim, most)) - 1, start + 1)
        middle = bisect_left(before, before[start] + aim)
        within = breaks[bisect_left(places, first) : bisect_right(places, last)]
        end = max(within, key=lambda place: (place[1], -abs(place[0] - middle)))[0] if within else last
        spans.append((start, end))
        start = end
    return [*spans, (start, len(text))] if start < len(text) else spans
