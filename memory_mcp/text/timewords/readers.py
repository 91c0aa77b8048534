"""One reader a rule: from what a pattern has matched to the intervals that it may mean, the likeliest first. Pure.

A pattern's groups are the names and numbers of its time, in the order of the words, in small letters.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from memory_mcp.text.timewords.intervals import DAY, Interval, calendar, day_back, each_year, from_day, from_month, one_day
from memory_mcp.text.timewords.names import MONTHS, NUMBERS, SEASONS, UNIT_OF, WEEKDAYS

RECENT_WEIGHT, RECENT_DAYS = 0.4, 30
"""Of `recently`."""

Read = Callable[[re.Match[str], datetime], Iterator[Interval]]
"""Raises ValueError or OverflowError for what no calendar has."""


def number(word: str) -> int:
    """Of a numeral, in digits or letters."""
    return int(word) if word.isdigit() else NUMBERS[word]


def iso(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`2023-05-03`, `2023-05`"""
    year, month, day = match.groups()
    yield from [one_day(int(year), int(month), int(day), now)] if day else [from_month(int(year), int(month), 1, now)]


def day_month_year(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`3.5.2023`"""
    day, month, year = map(int, match.groups())
    yield one_day(year, month, day, now)


def month_day(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`May 3`, `May 3, 2023`"""
    month, day, year = match.groups()
    yield from _dated(month, day, year, now)


def day_month(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`3rd of May`, `3 mai 2023`"""
    day, month, year = match.groups()
    yield from _dated(month, day, year, now)


def _dated(month: str, day: str, year: str | None, now: datetime) -> Iterator[Interval]:
    if year:
        yield one_day(int(year), MONTHS[month], int(day), now)
    else:
        yield from each_year(now, MONTHS[month], 1, int(day))


def month_year(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`May 2023`"""
    yield from_month(int(match[2]), MONTHS[match[1]], 1, now)


def month_alone(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`in May`"""
    yield from each_year(now, MONTHS[match[1]], 1)


def season(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`last summer`, `the summer of 2022`"""
    month = SEASONS[match[1]]
    if match[2]:
        yield from_month(int(match[2]), month, 3, now)
    else:
        yield from each_year(now, month, 3)


def quarter(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`Q3`, `Q3 2025`"""
    month = 3 * int(match[1]) - 2
    if match[2]:
        yield from_month(int(match[2]), month, 3, now)
    else:
        yield from each_year(now, month, 3)


def ago(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """About as exact as its unit: two weeks ago is a week, give or take some days."""
    unit = UNIT_OF[match[2]]
    middle = day_back(now, unit, number(match[1]))
    around = {"day": 0, "week": 3, "month": 15, "year": 182}[unit] * DAY
    yield from_day(middle - around, middle + around + DAY, now)


def within(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """`the last two weeks`"""
    yield from_day(day_back(now, UNIT_OF[match[2]], number(match[1])), now.date() + DAY, now)


def unit_off(offset: int) -> Read:
    """Last, this or next week, month or year."""

    def read(match: re.Match[str], now: datetime) -> Iterator[Interval]:
        yield calendar(UNIT_OF[match[1]], offset, now)

    return read


def weekend(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """The last one."""
    saturday = now.date() - ((now.weekday() - 5) % 7 or (7 if now.weekday() == 5 else 0)) * DAY
    yield from_day(saturday, saturday + 2 * DAY, now)


def weekday(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """The last of its name; never today."""
    day = now.date() - ((now.weekday() - WEEKDAYS[match[1]]) % 7 or 7) * DAY
    yield from_day(day, day + DAY, now)


def day_off(offset: int) -> Read:
    """Yesterday, today or tomorrow."""

    def read(match: re.Match[str], now: datetime) -> Iterator[Interval]:
        yield calendar("day", offset, now)

    return read


def recent(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """The last `RECENT_DAYS`, but little sure of it."""
    yield *from_day(now.date() - RECENT_DAYS * DAY, now.date() + DAY, now)[:2], RECENT_WEIGHT


def year(match: re.Match[str], now: datetime) -> Iterator[Interval]:
    """Years far ahead are numbers of something else."""
    if int(match[1]) <= now.year + 2:
        yield from_month(int(match[1]), 1, 12, now)
