"""The times that a text names, by the grammar of the language that they are named in. Pure, with the clock passed in."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from memory_mcp.text.languages import language_of
from memory_mcp.text.timewords import english_german
from memory_mcp.text.timewords.grammar import Grammar, grammar_of
from memory_mcp.text.timewords.intervals import DAY, Interval
from memory_mcp.text.timewords.names import ENGLISH_GERMAN, NAMES, UNIT_OF, folded
from memory_mcp.text.timewords.phrases import PHRASES
from memory_mcp.text.timewords.readers import Read, number
from memory_mcp.text.timewords.spans import MOST_TIMES, OPEN_WEIGHT, TimeSpan, exactness
from memory_mcp.text.timewords.telling import DOUBTFUL_WORDS, SURE_WORDS, foreign_languages

_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_WORD, _DIGIT = re.compile(r"\w+"), re.compile(r"\d")


def time_spans(query: str, now: datetime) -> tuple[TimeSpan, ...]:
    """What a question says of time, in the order of its words; empty where it says nothing.

    Args:
        now: Aware; days, weeks and months are those of its time zone. What has no year lies in the past.
    """
    text = query.replace("İ", "I").lower()  # the one letter that lower() makes two of: positions stay
    own = _read(text, now, english_german.GRAMMAR)
    foreign = [_read(folded(text), now, _grammar(language)) for language in foreign_languages(query)]
    return max(*foreign, own, key=_characters) if foreign else own


def _characters(spans: Sequence[TimeSpan]) -> int:
    """How much of its question a reading has understood."""
    return sum(end - start for start, end in {span.words for span in spans})


def states_time(text: str) -> bool:
    """Whether a text names any time, so that it can answer such a question: `last Friday`, `every Sunday`, `at 6:42`, `2019`."""
    lower = text.lower()
    named = set(_WORD.findall(lower))
    return (
        not named.isdisjoint(english_german.TIME_WORDS)
        or not named.isdisjoint(SURE_WORDS)
        or (_DIGIT.search(lower) is not None and english_german.CLOCK.search(lower) is not None)
        or (not named.isdisjoint(ENGLISH_GERMAN.months) and english_german.IN_MONTH.search(lower) is not None)
        or (not named.isdisjoint(DOUBTFUL_WORDS) and _states_in_its_language(text, folded(lower)))
    )


def _states_in_its_language(text: str, lower: str) -> bool:
    language = language_of(text)
    return language in PHRASES and any(pattern.search(lower) for pattern, _ in _grammar(language).rules)


@cache
def _grammar(language: str) -> Grammar:
    return grammar_of(NAMES[language], PHRASES[language])


def _read(text: str, now: datetime, grammar: Grammar) -> tuple[TimeSpan, ...]:
    found: list[TimeSpan] = []
    named: list[tuple[int, int]] = []
    for match, read in ((match, read) for pattern, read in grammar.rules for match in pattern.finditer(text)):
        if len(named) == MOST_TIMES:
            break
        if any(match.start() < end and start < match.end() for start, end in named):
            continue  # a more precise rule has read these words
        if possible := _possible(read, match, now):
            named.append(match.span())
            found += [TimeSpan(start, end, weight, match.span()) for start, end, weight in possible]
    found.sort(key=lambda span: (span.words, -span.weight))
    return tuple(_related(text, found, grammar))


def _possible(read: Read, match: re.Match[str], now: datetime) -> list[Interval]:
    try:
        return list(read(match, now))
    except (ValueError, OverflowError):  # February 30, or 9,999 years ago
        return []


def _related(text: str, spans: Sequence[TimeSpan], grammar: Grammar) -> Iterator[TimeSpan]:
    """With what stands before them: `before` and `since` open a span to one side, `the week before` lies beside it, `between` joins two."""
    rest = list(spans)
    while rest:
        span = rest.pop(0)
        lead = text[: span.words[0]]
        named = _own_words(text, span, grammar)
        alternatives = [other for other in rest if other.words == span.words]
        others = [other for other in rest if other.words != span.words]
        if others and grammar.between.search(lead + named) and grammar.joint.fullmatch(text[span.words[1] : others[0].words[0]]):
            rest = [other for other in others if other.words != others[0].words]
            until = others[0]
            start = next(
                (one.start for one in (span, *alternatives) if one.start <= until.start), until.start
            )  # the year stands with the second
            yield TimeSpan(start, until.end, exactness(until.end - start), (span.words[0], until.words[1]))
        elif beside := grammar.beside.search(lead) or grammar.beside.search(lead + named):
            for one in (span, *alternatives):
                yield _beside(beside, one)
            rest = others
        elif grammar.before.search(lead + named):
            yield replace(span, start=_EARLIEST, weight=OPEN_WEIGHT)
            rest = others
        elif grammar.after.search(lead + named):
            yield replace(span, end=_LATEST, weight=OPEN_WEIGHT)
            rest = others
        else:
            yield span


def _beside(match: re.Match[str], span: TimeSpan) -> TimeSpan:
    """What lies before or after a span: `the week before`, `two days after`, `the weekend before`."""
    count, unit, weekend, before = match.groups()
    if weekend:
        back = (span.start.weekday() + 2) % 7  # to the Saturday of a week day's last weekend; a weekend's own is not before it
        start = span.start - (back if back >= 2 else back + 7) * DAY if before else span.end + (5 - span.end.weekday()) % 7 * DAY
        end = start + 2 * DAY
    else:
        length = {"day": 1, "week": 7, "month": 30, "year": 365}[UNIT_OF[unit]] * DAY
        off = (number(count) - 1 if count else 0) * length
        start, end = (span.start - off - length, span.start - off) if before else (span.end + off, span.end + off + length)
    counts = span.weight * exactness(end - start) / exactness(span.end - span.start)
    return replace(span, start=start, end=end, weight=counts, words=(match.start(), span.words[1]))


def _own_words(text: str, span: TimeSpan, grammar: Grammar) -> str:
    """The preposition that a rule has read together with its time; the `vor` of `vor drei Tagen` means ago."""
    first, *rest = text[span.words[0] : span.words[1]].split()
    counted = len(rest) > 1 and (rest[0].isdigit() or rest[0] in grammar.numbers)  # the 2019 of `since 2019` is no count
    return "" if not rest or counted else first + " "
