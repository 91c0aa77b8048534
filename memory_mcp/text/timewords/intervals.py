"""Stretches of the calendar as intervals: days, months, what is so many weeks back. Pure, with the clock passed in."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo

from memory_mcp.text.timewords.spans import exactness

YEARS_BACK, YEAR_FADE = 6, 0.75
"""A month without its year is most often the last one of its name; each year before counts so much less."""
DAY = timedelta(days=1)

Interval = tuple[datetime, datetime, float]
"""From, up to, and how much it counts."""


def _midnight(day: date, zone: tzinfo | None) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def from_day(start: date, end: date, now: datetime, weight: float = 1.0) -> Interval:
    """From a day up to another, which is out of it."""
    return _midnight(start, now.tzinfo), _midnight(end, now.tzinfo), weight * exactness(end - start)


def one_day(year: int, month: int, day: int, now: datetime) -> Interval:
    """A date."""
    start = date(year, month, day)
    return from_day(start, start + DAY, now)


def from_month(year: int, month: int, count: int, now: datetime, weight: float = 1.0) -> Interval:
    """So many months, this one the first."""
    last = year * 12 + month - 1 + count
    return from_day(date(year, month, 1), date(last // 12, last % 12 + 1, 1), now, weight)


def day_back(now: datetime, unit: str, count: int) -> date:
    """The day so many days, weeks, months or years before today."""
    if unit in ("day", "week"):
        return now.date() - count * (DAY if unit == "day" else 7 * DAY)
    months = now.year * 12 + now.month - 1 - count * (1 if unit == "month" else 12)
    first = date(months // 12, months % 12 + 1, 1)
    return first + min(now.day - 1, 27) * DAY


def calendar(unit: str, offset: int, now: datetime) -> Interval:
    """The day, week, month or year that is `offset` from the present one."""
    if unit == "year":
        return from_month(now.year + offset, 1, 12, now)
    if unit == "month":
        months = now.year * 12 + now.month - 1 + offset
        return from_month(months // 12, months % 12 + 1, 1, now)
    days = 7 if unit == "week" else 1
    start = now.date() - (now.weekday() if unit == "week" else 0) * DAY + offset * days * DAY
    return from_day(start, start + days * DAY, now)


def each_year(now: datetime, month: int, count: int, day: int | None = None) -> Iterator[Interval]:
    """Of a name without a year: the last ones, the nearest first."""
    first = now.year if (month, day or 1) <= (now.month, now.day) else now.year - 1
    for back in range(YEARS_BACK):
        weight = YEAR_FADE**back
        if day is None:
            yield from_month(first - back, month, count, now, weight)
        elif (month, day) != (2, 29) or (first - back) % 4 == 0:
            start = date(first - back, month, day)
            yield from_day(start, start + DAY, now, weight)
