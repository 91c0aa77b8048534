"""What of a text is shown where there is no room for all of it: whole sentences or lines, around what answers. Pure."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from memory_mcp.text.graphemes import whole_until
from memory_mcp.text.languages import language_of
from memory_mcp.text.passages import BEGINNING, Passage

CUT = "…"
_SENTENCE = re.compile(
    r"\n(?:[^\S\n]*\n)*"
    r"|(?:(?<=[^\W\d_]{2}\.)|(?<=[^\w\s]\.)|(?<=[!?…؟۔।]))[\"'”’»)\]]*\s+"  # none after the dots of `z. B.` and `17. Mai`
    r"|(?<=[。！？｡])[」』”）]*"
)
_WORD = re.compile(r"\s+|(?<=[，、；：,;])")
_FULL = 1 / 2
"""Share of the room that sentences should fill; else the next one is shown as far as there is room for its words."""
_WORD_SHARE, _PIECE_SHARE, _LEAST_PIECE = 1 / 3, 1 / 8, 4
"""Shares of the room that a word may take, and that pieces of a longer one take, like encoded data or text without spaces; and
characters that a piece has at least: of those without spaces two are a word."""

Span = tuple[int, int]


def excerpt(text: str, most: int, passage: Passage = BEGINNING) -> str:
    """The text, or about `most` characters of it, with `…` where something is left out before or after.

    Shown is the passage where there is room for it, else of the passage the sentences or lines that hold most of what the
    question's words tell; and of what stands around it as much as there is room for, after and before in turn.

    Args:
        passage: Where the text answers best; by default its beginning is shown.
    """
    if len(text) <= most:
        return text
    start, end = _window(text, most, passage)
    start, end = whole_until(text, start), whole_until(text, end)
    before, after = (CUT if part.strip() else "" for part in (text[:start], text[end:]))
    return before + text[start:end].lstrip("\r\n").rstrip() + after


def _window(text: str, most: int, passage: Passage) -> Span:
    first, last = passage.start, max(passage.end, passage.start)
    room = max(0, first - most - 1), min(len(text), last + most + 1)  # one more, so that what lies across its edge does not fit
    sentences = [part for span in _parts(text, room, _SENTENCE) for part in _short_enough(text, span, most)]
    start, end = (first, last) if last - first <= most else _most_telling(text, sentences, most, passage)
    start, end = _grown(sentences, start, end, most)
    if end - start < _FULL * most:
        start, end = _grown([part for span in _parts(text, room, _WORD) for part in _pieces(text, span, most)], start, end, most)
    return start, end


def _parts(text: str, span: Span, ends: re.Pattern[str]) -> list[Span]:
    places = [span[0], *(match.end() for match in ends.finditer(text, *span)), span[1]]
    return [(start, end) for start, end in pairwise(places) if start < end]


def _short_enough(text: str, span: Span, most: int) -> list[Span]:
    """A sentence, or its words where it is too long."""
    if span[1] - span[0] <= most:
        return [span]
    return [part for word in _parts(text, span, _WORD) for part in _pieces(text, word, most)]


def _pieces(text: str, word: Span, most: int) -> list[Span]:
    """A word, or pieces of it where it is long."""
    if word[1] - word[0] <= _WORD_SHARE * most:
        return [word]
    step = max(_LEAST_PIECE, int(_PIECE_SHARE * most))
    places = [word[0], *(whole_until(text, place) for place in range(word[0] + step, word[1], step)), word[1]]
    return [(start, end) for start, end in pairwise(places) if start < end]


def _most_telling(text: str, parts: Sequence[Span], most: int, passage: Passage) -> Span:
    """Of the passage the fewest sentences that hold most of what the question's words tell; its beginning where it holds none.

    Of equal ones the longer: a heading has the same words as what stands under it, and says less.
    """
    inside = [(max(start, passage.start), min(end, passage.end)) for start, end in parts if start < passage.end and end > passage.start]
    held = _held(text, inside, passage.telling)
    best, span = (0.0, 0, 0), (passage.start, max((end for _, end in inside if end - passage.start <= most), default=passage.start))
    for n, (start, _) in enumerate(inside):
        found: set[int] = set()
        for fewer, ((_, end), more) in enumerate(zip(inside[n:], held[n:], strict=True)):
            if not held[n] or end - start > most:
                break
            if not more <= found:
                found |= more
                worth = sum(passage.telling[key] for key in found), -fewer, end - start
                best, span = max((best, span), (worth, (start, end)), key=lambda pair: pair[0])
    return span


def _held(text: str, parts: Sequence[Span], telling: Mapping[int, float]) -> list[set[int]]:
    """Which of the question's words each part holds."""
    if not telling:
        return [set() for _ in parts]
    from memory_mcp.text.terms import key_set  # noqa: PLC0415 - with it comes NumPy, for which a handshake does not wait

    language = language_of(text)
    return [telling.keys() & key_set(text[start:end], language) for start, end in parts]


def _grown(parts: Sequence[Span], start: int, end: int, most: int) -> Span:
    """As many of the parts around a span as there is room for, after and before in turn."""
    after, before = [stop for _, stop in reversed(parts) if stop > end], [begin for begin, _ in parts if begin < start]
    grows = True
    while grows:
        grows = False
        if after and after[-1] - start <= most:
            end, grows = after.pop(), True
        if before and end - before[-1] <= most:
            start, grows = before.pop(), True
    return start, end
