"""How a language speaks of times: rules from words to intervals, made from a table of its phrases or written out. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, fields, replace
from typing import Any

from memory_mcp.text.timewords import readers
from memory_mcp.text.timewords.names import Names, folded
from memory_mcp.text.timewords.phrases import Phrases
from memory_mcp.text.timewords.readers import Read

YEAR = r"\b((?:19|20)\d\d)\b"
ISO = r"\b((?:19|20)\d\d)-([01]\d)(?:-([0-3]\d))?(?![\d-])"


@dataclass(frozen=True, slots=True)
class Grammar:
    """Of one language, or of two that are read together.

    Attributes:
        rules: The more exact first; what one has read is not read by those after it.
        before, after, between: End where a time begins, and say how it lies to what is meant.
        beside: The same of `two weeks before`; its groups are count, unit, weekend, and what says before.
        joint: What stands between two times of which one stretch is meant.
        numbers: Its numerals in letters.
    """

    rules: Sequence[tuple[re.Pattern[str], Read]]
    before: re.Pattern[str]
    after: re.Pattern[str]
    beside: re.Pattern[str]
    between: re.Pattern[str]
    joint: re.Pattern[str]
    numbers: Set[str]


def any_of(words: Iterable[str]) -> str:
    """Any of these words; of two that begin alike the longer one."""
    return "(?:" + "|".join(sorted(words, key=lambda word: (-len(word), word))) + ")"


def grammar_of(names: Names, phrases: Phrases) -> Grammar:
    """Of a language that puts `last` before its noun or behind it; for texts that are `folded`."""
    plain: dict[str, Any] = {field.name: folded(getattr(phrases, field.name)) for field in fields(phrases) if field.name != "days"}
    p = replace(phrases, **plain)
    numbers, units = frozenset(map(folded, names.numbers)), any_of(map(folded, names.units))
    number, unit, articles = rf"(\d{{1,3}}|{any_of(numbers)})", rf"({units})\b", _lead(p.articles)
    return Grammar(
        rules=[(re.compile(pattern), read) for pattern, read in _rules(names, p, number, unit)],
        before=_leading(p.before, p.at_once_before, articles),
        after=_leading(p.after, p.at_once_after, articles),
        beside=re.compile(
            rf"\b(?:{number}\s+)?(?:{unit}|({p.weekend}))\s+(?:({p.beside_before})|{p.beside_after})\s+(?:que\s+)?{articles}*$"
        ),
        between=re.compile(rf"\b(?:{p.between})\s+(?:[^\s,;]+\s+){{0,2}}(?:[ld]')?$"),
        joint=re.compile(rf"\s*(?:(?:{p.joint})\s+|[-–]\s*)(?:{articles}|{_lead(p.at)})?"),
        numbers=numbers,
    )


def _rules(names: Names, p: Phrases, number: str, unit: str) -> Iterator[tuple[str, Read]]:
    months, short = set(map(folded, names.months)), p.short_weekdays.split("|")
    month, clear = rf"\b({any_of(months)})\b", rf"\b({any_of(months - set(p.unclear.split('|')))})\b"
    season = rf"({any_of(map(folded, names.seasons))})\b"
    year_name = any_of(folded(name) for name, value in names.units.items() if value == "year")
    last, coming, this, articles, at = f"(?:{p.last})", f"(?:{p.next})", _lead(p.this), _lead(p.articles), _lead(p.at)
    of, about = f"{_lead(p.of)}?", f"{_lead(p.about)}?"
    counted = rf"{number}\s+{of}{unit}"
    its_end = rf"(?=\s*(?:$|[?!.,;])|\s+{last}\b)"
    weekday = rf"({any_of(set(map(folded, names.weekdays)) - set(short))}|{any_of(short)}{its_end})\b"
    on = rf"(?:{_lead(p.on)}|{last}\s+|{this})" if p.on else rf"(?:{last}\s+|{this})?"
    not_after = "".join(rf"(?<!\b{word} )" for word in p.not_after.split("|"))

    yield ISO, readers.iso
    yield r"\b([0-3]?\d)[./-]([01]?\d)[./-]((?:19|20)\d\d)\b", readers.day_month_year
    yield rf"\b([0-3]?\d)(?:{p.ordinal})?\s+{of}{month}(?:,?\s+{of}{YEAR})?", readers.day_month
    yield rf"{month},?\s+{of}{YEAR}", readers.month_year
    yield rf"\b(?:{articles}|{at}|{this}|{last}\s+){season}(?:\s+{last}\b)?(?:\s+{of}{YEAR})?", readers.season
    yield rf"\bq([1-4])\b(?:\s+{of}{YEAR})?", readers.quarter
    yield rf"\b(?:{p.recently})\b", readers.recent
    yield rf"\b(?:{p.ago})\s+{about}{counted}", readers.ago
    yield rf"\b{counted}\s+(?:{p.ago_behind})\b", readers.ago
    yield rf"\b(?:{p.for_count})\s+{about}{counted}", readers.within
    yield rf"\b{last}\s+{number}\s+{unit}", readers.within
    yield rf"\b{number}\s+{last}\s+{unit}", readers.within
    yield rf"\b{number}\s+{unit}\s+{last}\b", readers.within
    elsewhere = rf"(?!\s+(?:{p.next}|{p.beside_before}|{p.beside_after})\b)"
    yield rf"\b(?:{articles}|{this}|{last}\s+)(?:{p.weekend})\b(?:\s+{last}\b)?{elsewhere}", readers.weekend
    yield rf"\b{last}\s+{unit}", readers.unit_off(-1)
    yield rf"\b{unit}\s+{last}\b", readers.unit_off(-1)
    yield rf"\b{this}{unit}(?!-la\b)", readers.unit_off(0)
    yield rf"\b{unit}\s+(?:{p.current})\b", readers.unit_off(0)
    yield rf"\b{coming}\s+{unit}", readers.unit_off(1)
    yield rf"\b{unit}\s+{coming}\b", readers.unit_off(1)
    yield rf"\b{on}{not_after}\b{weekday}(?:\s+{last}\b)?(?!\s+(?:\d|{coming}\b))", readers.weekday
    yield rf"\b{weekday}\s+{last}\b", readers.weekday
    yield from ((rf"\b(?:{folded(words)})\b", readers.day_off(offset)) for offset, words in p.days.items())
    yield rf"\b(?:{at}|{this}|{last}\s+){month}(?:\s+{last}\b)?", readers.month_alone
    yield rf"{clear}(?:\s+{last}\b)?", readers.month_alone
    yield rf"\b(?:{at}|{articles}(?={year_name})){articles}?(?:{year_name}\s+)?{of}{YEAR}", readers.year


def _lead(words: str) -> str:
    """Any of these words with the space behind it; what ends with `'` or `-` has none."""
    return "(?:" + "|".join(word if word.endswith(("'", "-")) else rf"{word}\s+" for word in words.split("|")) + ")"


def _leading(words: str, at_once: str, articles: str) -> re.Pattern[str]:
    """Up to five words may stand behind `words`, behind `at_once` an article and the day of a month."""
    return re.compile(rf"\b(?:(?:{words})\s+(?:[^\s,;]+\s+){{0,5}}(?:[ld]')?|(?:{at_once})\s+{articles}*(?:\d\S*\s+)?)$")
