"""Times that a question names, as intervals to prefer: pure, with the clock passed in. English and German.

A memory's time is when it happened or was told, which is seldom the very moment meant: of `on May 3` one tells on the
fourth. So an interval is a preference that fades around it, and excludes nothing.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from memory_mcp.clock import to_micros

YEAR_WEIGHT = 0.5
"""Of a year, beside a day's 1: the fewer memories a time lets in, the more it says that one lies in it. Between, by the logarithm."""
OPEN_WEIGHT = 0.25
"""Of `before` and `since`: half of all time says less than a year does."""
RECENT_WEIGHT, RECENT_DAYS = 0.4, 30
"""Of `recently`."""
YEARS_BACK, YEAR_FADE = 6, 0.75
"""A month without its year is most often the last one of its name; each year before counts so much less."""
SHORTEST_FADE = timedelta(days=4)
"""How slowly preference fades beyond a short interval; beyond a long one as slowly as it is long."""
MOST_TIMES = 16
"""In one question: nobody names more of them, and each is compared with every memory."""
BEFORE_SHARE = 0.4
"""Share of the fading time on the side before the interval: what happened is told later, not earlier."""

DAY, YEAR = timedelta(days=1), timedelta(days=365)
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A time that a question names: `start` <= t < `end`, aware, and how much it counts, in (0, 1].

    Attributes:
        words: The characters of the question that name it, from and to.
    """

    start: datetime
    end: datetime
    weight: float
    words: tuple[int, int]


def exactness(length: timedelta) -> float:
    """How much it counts that a time of this length is named, in [`YEAR_WEIGHT`, 1]: 1 for days, 0.78 for a month."""
    share = math.log(min(max(length, SHORTEST_FADE), YEAR) / SHORTEST_FADE) / math.log(YEAR / SHORTEST_FADE)
    return 1 - (1 - YEAR_WEIGHT) * share


def time_spans(query: str, now: datetime) -> tuple[TimeSpan, ...]:
    """What a question says of time, in the order of its words; empty where it says nothing.

    Args:
        now: Aware; days, weeks and months are those of its time zone. What has no year lies in the past.
    """
    text = query.lower()
    found: list[TimeSpan] = []
    named: list[tuple[int, int]] = []
    for match, read in ((match, read) for pattern, read in _RULES for match in pattern.finditer(text)):
        if len(named) == MOST_TIMES:
            break
        if any(match.start() < end and start < match.end() for start, end in named):
            continue  # a more precise rule has read these words
        if possible := _possible(read, match, now):
            named.append(match.span())
            found += [TimeSpan(start, end, weight, match.span()) for start, end, weight in possible]
    found.sort(key=lambda span: (span.words, -span.weight))
    return tuple(_related(text, found))


def states_time(text: str) -> bool:
    """Whether a text names any time, so that it can answer such a question: `last Friday`, `every Sunday`, `at 6:42`, `2019`."""
    text = text.lower()
    named = set(_WORD.findall(text))
    return (
        not named.isdisjoint(_TIME_WORDS)
        or (_DIGIT.search(text) is not None and _CLOCK.search(text) is not None)
        or (not named.isdisjoint(_MONTHS) and _IN_MONTH.search(text) is not None)
    )


def time_preference(when: NDArray[np.int64], spans: Sequence[TimeSpan]) -> NDArray[np.float64]:
    """(n,) how well each time fits what was named, in [0, 1]: the best of the spans; inside one it is its weight.

    Args:
        when: (n,) microseconds since 1970 UTC.
    """
    best = np.zeros(len(when))
    for span in spans:
        start, end = to_micros(span.start), to_micros(span.end)
        fade = max(end - start, SHORTEST_FADE // timedelta(microseconds=1))
        early = np.maximum(np.float64(start) - when, 0.0) / (BEFORE_SHARE * fade)
        late = np.maximum(when - np.float64(end), 0.0) / fade
        best = np.maximum(best, span.weight * np.exp(-(early + late)))
    return best


def of_that_time(when: NDArray[np.int64], spans: Sequence[TimeSpan]) -> NDArray[np.bool_]:
    """(n,) whether each time is, about, one that was named: it fits at least half as well as could be."""
    return time_preference(when, spans) >= 0.5 * max((span.weight for span in spans), default=math.inf)


Interval = tuple[datetime, datetime, float]
Read = Callable[[re.Match[str], datetime], Iterator[Interval]]


def _possible(read: Read, match: re.Match[str], now: datetime) -> list[Interval]:
    try:
        return list(read(match, now))
    except (ValueError, OverflowError):  # February 30, or 9,999 years ago
        return []


# numbers and names

_NUMBERS = {
    name: value
    for value, names in enumerate(
        ("", "a an one ein eine einem einer", "two couple zwei", "three few drei", "four vier", "five fünf", "six sechs", "seven sieben",
         "eight acht", "nine neun", "ten zehn", "eleven elf", "twelve zwölf")
    )
    for name in names.split()
}  # fmt: skip
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan januar", "february feb februar", "march mar märz maerz", "april apr", "may mai", "june jun juni", "july jul juli",
         "august aug", "september sept sep", "october oct oktober", "november nov", "december dec dezember"), 1
    )
    for name in names.split()
}  # fmt: skip
_WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday montag",
            "tuesday dienstag",
            "wednesday mittwoch",
            "thursday donnerstag",
            "friday freitag",
            "saturday samstag",
            "sunday sonntag",
        )
    )
    for name in names.split()
}
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12, "frühling": 3, "frühjahr": 3, "sommer": 6, "herbst": 9}


def _unit(word: str) -> str:
    return {"d": "day", "t": "day", "w": "week", "m": "month", "y": "year", "j": "year"}[word[0]]


def _any_of(words: Sequence[str] | dict[str, int]) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


_N = rf"(\d{{1,3}}|{_any_of(_NUMBERS)})"
_MONTH = rf"\b({_any_of(_MONTHS)})\b\.?"
_CLEAR_MONTHS = [name for name in _MONTHS if len(name) > 3 and name != "march"]
_CLEAR_MONTH = rf"\b({_any_of(_CLEAR_MONTHS)})\b"
_WEEKDAY = rf"({_any_of(_WEEKDAYS)})"
_YEAR = r"\b((?:19|20)\d\d)\b"
_DAY_NUMBER = r"\b([0-3]?\d)(?:st|nd|rd|th|\.)?"
_UNIT = r"(days?|weeks?|months?|years?|tag(?:en?)?|wochen?|monat(?:en?)?|jahr(?:en?)?)\b"
_IN = r"(?:in|of|from|between|zwischen|during|since|until|till|before|after|by|on|early|late|mid|im|in|seit|bis|vor|nach|anfang|mitte|ende)"
_LAST, _THIS, _NEXT = r"(?:last|previous|past|vorige|letzte)[nmrs]?", r"(?:this|current|diese)[nmrs]?", r"(?:next|coming|nächste)[nmrs]?"


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _NUMBERS[word]


# intervals


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _days(start: date, end: date, now: datetime, weight: float = 1.0) -> Interval:
    return _midnight(start, now.tzinfo), _midnight(end, now.tzinfo), weight * exactness(end - start)


def _months(year: int, month: int, count: int, now: datetime, weight: float = 1.0) -> Interval:
    last = year * 12 + month - 1 + count
    return _days(date(year, month, 1), date(last // 12, last % 12 + 1, 1), now, weight)


def _back(now: datetime, unit: str, count: int) -> date:
    if unit in ("day", "week"):
        return now.date() - count * (DAY if unit == "day" else 7 * DAY)
    months = now.year * 12 + now.month - 1 - count * (1 if unit == "month" else 12)
    first = date(months // 12, months % 12 + 1, 1)
    return first + min(now.day - 1, 27) * DAY


def _calendar(unit: str, offset: int, now: datetime) -> Interval:
    """The week, month or year that is `offset` from the present one."""
    if unit == "year":
        return _months(now.year + offset, 1, 12, now)
    if unit == "month":
        months = now.year * 12 + now.month - 1 + offset
        return _months(months // 12, months % 12 + 1, 1, now)
    days = 7 if unit == "week" else 1
    start = now.date() - (now.weekday() if unit == "week" else 0) * DAY + offset * days * DAY
    return _days(start, start + days * DAY, now)


def _each_year(now: datetime, month: int, count: int, day: int | None = None) -> Iterator[Interval]:
    """Of a name without a year: the last ones, the nearest first."""
    first = now.year if (month, day or 1) <= (now.month, now.day) else now.year - 1
    for back in range(YEARS_BACK):
        weight = YEAR_FADE**back
        if day is None:
            yield _months(first - back, month, count, now, weight)
        elif (month, day) != (2, 29) or (first - back) % 4 == 0:
            start = date(first - back, month, day)
            yield _days(start, start + DAY, now, weight)


# one reader a rule


def _iso(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    year, month, day = match.groups()
    yield from [_one_day(int(year), int(month), int(day), now)] if day else [_months(int(year), int(month), 1, now)]


def _one_day(year: int, month: int, day: int, now: datetime) -> Interval:
    start = date(year, month, day)
    return _days(start, start + DAY, now)


def _dotted(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    day, month, year = map(int, match.groups())
    yield _one_day(year, month, day, now)


def _month_day(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    month, day, year = match.groups()
    yield from _dated(month, day, year, now)


def _day_month(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    day, month, year = match.groups()
    yield from _dated(month, day, year, now)


def _dated(month: str, day: str, year: str | None, now: datetime) -> Iterator[Interval]:
    if year:
        yield _one_day(int(year), _MONTHS[month], int(day), now)
    else:
        yield from _each_year(now, _MONTHS[month], 1, int(day))


def _month_year(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    yield _months(int(match[2]), _MONTHS[match[1]], 1, now)


def _month_alone(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    yield from _each_year(now, _MONTHS[match[1]], 1)


def _season(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    month = _SEASONS[match[1]]
    if match[2]:
        yield _months(int(match[2]), month, 3, now)
    else:
        yield from _each_year(now, month, 3)


def _quarter(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    month = 3 * int(match[1]) - 2
    if match[2]:
        yield _months(int(match[2]), month, 3, now)
    else:
        yield from _each_year(now, month, 3)


def _ago(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """About as exact as its unit: two weeks ago is a week, give or take some days."""
    unit = _unit(match[2])
    middle = _back(now, unit, _number(match[1]))
    around = {"day": 0, "week": 3, "month": 15, "year": 182}[unit] * DAY
    yield _days(middle - around, middle + around + DAY, now)


def _within(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    yield _days(_back(now, _unit(match[2]), _number(match[1])), now.date() + DAY, now)


def _last(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    yield _calendar(_unit(match[1]), -1, now)


def _this(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    yield _calendar(_unit(match[1]), 0, now)


def _next(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    yield _calendar(_unit(match[1]), 1, now)


def _weekend(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    saturday = now.date() - ((now.weekday() - 5) % 7 or (7 if now.weekday() == 5 else 0)) * DAY
    yield _days(saturday, saturday + 2 * DAY, now)


def _weekday(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    day = now.date() - ((now.weekday() - _WEEKDAYS[match[1]]) % 7 or 7) * DAY
    yield _days(day, day + DAY, now)


def _day_off(offset: int) -> Read:
    def read(match: re.Match[str], now: datetime) -> Iterator[Interval]:
        yield _calendar("day", offset, now)

    return read


def _recent(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    yield *_days(now.date() - RECENT_DAYS * DAY, now.date() + DAY, now)[:2], RECENT_WEIGHT


def _year(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    if int(match[1]) <= now.year + 2:
        yield _months(int(match[1]), 1, 12, now)


_RULES: Sequence[tuple[re.Pattern[str], Read]] = [
    (re.compile(pattern), read)
    for pattern, read in (
        (r"\b((?:19|20)\d\d)-([01]\d)(?:-([0-3]\d))?(?![\d-])", _iso),
        (r"\b([0-3]?\d)\.([01]?\d)\.((?:19|20)\d\d)\b", _dotted),
        (rf"{_MONTH}\s+(?:the\s+)?{_DAY_NUMBER}\b(?:,?\s+(?:of\s+)?{_YEAR})?", _month_day),
        (rf"{_DAY_NUMBER}\s+(?:of\s+)?{_MONTH}(?:,?\s+{_YEAR})?", _day_month),
        (rf"{_MONTH},?\s+(?:of\s+|in\s+)?{_YEAR}", _month_year),
        (rf"\b(?:in|last|this|of|im|letzte[nrs]?|during|the)\s+({_any_of(_SEASONS)})\b(?:\s+(?:of\s+)?{_YEAR})?", _season),
        (rf"\bq([1-4])\b(?:\s+(?:of\s+)?{_YEAR})?", _quarter),
        (rf"\b{_N}\s+(?:of\s+)?{_UNIT}\s+ago\b", _ago),
        (rf"\bvor\s+{_N}\s+{_UNIT}", _ago),
        (rf"\b(?:in|over|within)?\s*(?:the|den|die)?\s*\b{_LAST}\s+{_N}\s+{_UNIT}", _within),
        (rf"\b{_LAST}\s+{_UNIT}", _last),
        (rf"\b{_THIS}\s+{_UNIT}", _this),
        (rf"\b{_NEXT}\s+{_UNIT}", _next),
        (rf"\b(?:{_LAST}|the|am)\s+(?:weekend|wochenende)\b(?!\s+(?:before|prior|preceding|after|following|vor|nach)\b)", _weekend),
        (rf"\b(?:on|{_LAST}|{_THIS}|since|am|seit)\s+{_WEEKDAY}\b", _weekday),
        (r"\b(?:day before yesterday|vorgestern)\b", _day_off(-2)),
        (r"\b(?:yesterday|last night|gestern)\b", _day_off(-1)),
        (r"\b(?:today|tonight|this (?:morning|afternoon|evening)|heute)\b", _day_off(0)),
        (r"\btomorrow\b", _day_off(1)),
        (r"\b(?:recently|lately|kürzlich|neulich)\b", _recent),
        (rf"\b(?:{_IN}|{_LAST}|{_THIS})\s+{_MONTH}", _month_alone),
        (_CLEAR_MONTH, _month_alone),
        (rf"\b{_IN}\s+(?:the\s+year\s+|jahr\s+)?{_YEAR}", _year),
    )
]

_TIME_WORDS = frozenset(
    [
        *_CLEAR_MONTHS,
        *(form for name in _WEEKDAYS for form in (name, name + "s")),
        *(form for name in "day week weekend month year hour morning evening night".split() for form in (name, name + "s")),
        *"yesterday today tonight tomorrow ago since daily weekly monthly yearly nightly gestern heute seit uhr".split(),
        *"täglich wöchentlich monatlich jährlich tag tage tagen woche wochen monat monate monaten jahr jahre jahren stunde stunden".split(),
    ]
)
"""Each of them alone states a time."""
_CLOCK = re.compile(rf"{_YEAR}|\b(?:[0-2]?\d:[0-5]\d|[1-9]\d?\s?[ap]m)\b")
_IN_MONTH = re.compile(rf"\b{_IN}\s+{_MONTH}|{_MONTH}\s+\d|\d\.?\s+{_MONTH}")
"""Months that are words or names as well (may, march, jan) with what makes them months."""
_WORD, _DIGIT = re.compile(r"\w+"), re.compile(r"\d")

_BEFORE = re.compile(r"\b(?:before|until|till|prior to|bis|vor)\s+(?:[^\s,;]+\s+){0,5}$")
_AFTER = re.compile(r"\b(?:after|since|seit|nach)\s+(?:[^\s,;]+\s+){0,5}$")
_BESIDE = re.compile(
    rf"\b(?:{_N}\s+)?(?:{_UNIT}|(weekend|wochenende))\s+(?:(before|prior\s+to|preceding|vor)|after|following|nach)\s+(?:(?:the|dem|der)\s+)?$"
)
_BETWEEN = re.compile(r"\b(?:between|from|zwischen|von)\s+(?:[^\s,;]+\s+){0,2}$")
_AND = re.compile(r"\s*(?:and|to|until|till|und|bis|-|–)\s+(?:the\s+|on\s+|in\s+)?")


def _related(text: str, spans: Sequence[TimeSpan]) -> Iterator[TimeSpan]:
    """With what stands before them: `before` and `since` open a span to one side, `the week before` lies beside it, `between` joins two."""
    rest = list(spans)
    while rest:
        span = rest.pop(0)
        lead = text[: span.words[0]]
        named = _own_words(text, span)
        alternatives = [other for other in rest if other.words == span.words]
        others = [other for other in rest if other.words != span.words]
        if others and _BETWEEN.search(lead + named) and _AND.fullmatch(text[span.words[1] : others[0].words[0]]):
            rest = [other for other in others if other.words != others[0].words]
            until = others[0]
            start = next(
                (one.start for one in (span, *alternatives) if one.start <= until.start), until.start
            )  # the year stands with the second
            yield TimeSpan(start, until.end, exactness(until.end - start), (span.words[0], until.words[1]))
        elif beside := _BESIDE.search(lead) or _BESIDE.search(lead + named):
            for one in (span, *alternatives):
                yield _beside(beside, one)
            rest = others
        elif _BEFORE.search(lead + named):
            yield replace(span, start=_EARLIEST, weight=OPEN_WEIGHT)
            rest = others
        elif _AFTER.search(lead + named):
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
        length = {"day": 1, "week": 7, "month": 30, "year": 365}[_unit(unit)] * DAY
        off = (_number(count) - 1 if count else 0) * length
        start, end = (span.start - off - length, span.start - off) if before else (span.end + off, span.end + off + length)
    counts = span.weight * exactness(end - start) / exactness(span.end - span.start)
    return replace(span, start=start, end=end, weight=counts, words=(match.start(), span.words[1]))


def _own_words(text: str, span: TimeSpan) -> str:
    """The preposition that a rule has read together with its time; the `vor` of `vor drei Tagen` means ago."""
    first, *rest = text[span.words[0] : span.words[1]].split()
    counted = len(rest) > 1 and (rest[0].isdigit() or rest[0] in _NUMBERS)  # the 2019 of `since 2019` is no count
    return "" if not rest or counted else first + " "
