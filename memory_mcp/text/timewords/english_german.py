"""How English and German speak of times. Both are read by the same rules: little of one means a time in the other. Pure."""

import re

from memory_mcp.text.timewords import readers
from memory_mcp.text.timewords.grammar import ISO, YEAR, Grammar, any_of
from memory_mcp.text.timewords.names import ENGLISH_GERMAN

_N = rf"(\d{{1,3}}|{any_of(ENGLISH_GERMAN.numbers)})"
_MONTH = rf"\b({any_of(ENGLISH_GERMAN.months)})\b\.?"
CLEAR_MONTHS = [name for name in ENGLISH_GERMAN.months if len(name) > 3 and name != "march"]
_CLEAR_MONTH = rf"\b({any_of(CLEAR_MONTHS)})\b"
_WEEKDAY = rf"({any_of(ENGLISH_GERMAN.weekdays)})"
_SEASON = rf"({any_of(ENGLISH_GERMAN.seasons)})\b"
_ELSE = r"(?:fall|spring)\b"
"""What names other things than a season, too: `the fall of the wall`, `what caused the fall?`"""
_IN_THE = "|".join(rf"(?<=\b{word} )the" for word in "in during since until before after by over for from through".split())
_DAY_NUMBER = r"\b([0-3]?\d)(?:st|nd|rd|th|\.)?"
_UNIT = rf"({any_of(ENGLISH_GERMAN.units)})\b"
_IN = r"(?:in|of|from|between|zwischen|during|since|until|till|before|after|by|on|early|late|mid|im|in|seit|bis|vor|nach|anfang|mitte|ende)"
_LAST, _THIS, _NEXT = r"(?:last|previous|past|vorige|letzte)[nmrs]?", r"(?:this|current|diese)[nmrs]?", r"(?:next|coming|nächste)[nmrs]?"

_RULES = [
    (re.compile(pattern), read)
    for pattern, read in (
        (ISO, readers.iso),
        (r"\b([0-3]?\d)\.([01]?\d)\.((?:19|20)\d\d)\b", readers.day_month_year),
        (rf"{_MONTH}\s+(?:the\s+)?{_DAY_NUMBER}\b(?:,?\s+(?:of\s+)?{YEAR})?", readers.month_day),
        (rf"{_DAY_NUMBER}\s+(?:of\s+)?{_MONTH}(?:,?\s+{YEAR})?", readers.day_month),
        (rf"{_MONTH},?\s+(?:of\s+|in\s+)?{YEAR}", readers.month_year),
        (
            rf"\b(?:in|last|this|of|im|letzte[nrs]?|during|{_IN_THE}|the(?!\s+{_ELSE}\s*(?:[^\w\s]|$)))"
            rf"\s+(?!{_ELSE}\s+of\s+(?!\d)){_SEASON}(?:\s+(?:of\s+)?{YEAR})?",
            readers.season,
        ),
        (rf"\bq([1-4])\b(?:\s+(?:of\s+)?{YEAR})?", readers.quarter),
        (rf"\b{_N}\s+(?:of\s+)?{_UNIT}\s+ago\b", readers.ago),
        (rf"\bvor\s+{_N}\s+{_UNIT}", readers.ago),
        (rf"\b(?:in|over|within)?\s{{0,9}}(?:the|den|die)?\s{{0,9}}\b{_LAST}\s+{_N}\s+{_UNIT}", readers.within),
        (rf"\b{_LAST}\s+{_UNIT}", readers.unit_off(-1)),
        (rf"\b{_THIS}\s+{_UNIT}", readers.unit_off(0)),
        (rf"\b{_NEXT}\s+{_UNIT}", readers.unit_off(1)),
        (rf"\b(?:{_LAST}|the|am)\s+(?:weekend|wochenende)\b(?!\s+(?:before|prior|preceding|after|following|vor|nach)\b)", readers.weekend),
        (rf"\b(?:on|{_LAST}|{_THIS}|since|am|seit)\s+{_WEEKDAY}\b", readers.weekday),
        (r"\b(?:day before yesterday|vorgestern)\b", readers.day_off(-2)),
        (r"\b(?:yesterday|last night|gestern)\b", readers.day_off(-1)),
        (r"\b(?:today|tonight|this (?:morning|afternoon|evening)|heute)\b", readers.day_off(0)),
        (r"\btomorrow\b", readers.day_off(1)),
        (r"\b(?:recently|lately|kürzlich|neulich)\b", readers.recent),
        (rf"\b(?:{_IN}|{_LAST}|{_THIS})\s+{_MONTH}", readers.month_alone),
        (_CLEAR_MONTH, readers.month_alone),
        (rf"\b{_IN}\s+(?:the\s+year\s+|jahr\s+)?{YEAR}", readers.year),
    )
]

GRAMMAR = Grammar(
    rules=_RULES,
    before=re.compile(r"\b(?:before|until|till|prior to|bis|vor)\s+(?:[^\s,;]+\s+){0,5}$"),
    after=re.compile(r"\b(?:after|since|seit|nach)\s+(?:[^\s,;]+\s+){0,5}$"),
    beside=re.compile(
        rf"\b(?:{_N}\s+)?(?:{_UNIT}|(weekend|wochenende))\s+(?:(before|prior\s+to|preceding|vor)|after|following|nach)"
        r"\s+(?:(?:the|dem|der)\s+)?$"
    ),
    between=re.compile(r"\b(?:between|from|zwischen|von)\s+(?:[^\s,;]+\s+){0,2}$"),
    joint=re.compile(r"\s*(?:and|to|until|till|und|bis|-|–)\s+(?:the\s+|on\s+|in\s+)?"),
    numbers=ENGLISH_GERMAN.numbers.keys(),
)

TIME_WORDS = frozenset(
    [
        *CLEAR_MONTHS,
        *(form for name in ENGLISH_GERMAN.weekdays for form in (name, name + "s")),
        *(form for name in "day week weekend month year hour morning evening night".split() for form in (name, name + "s")),
        *"yesterday today tonight tomorrow ago since daily weekly monthly yearly nightly gestern heute seit uhr".split(),
        *"täglich wöchentlich monatlich jährlich tag tage tagen woche wochen monat monate monaten jahr jahre jahren stunde stunden".split(),
    ]
)
"""Each of them alone states a time."""
CLOCK = re.compile(rf"{YEAR}|\b(?:[0-2]?\d:[0-5]\d|[1-9]\d?\s?[ap]m)\b")
IN_MONTH = re.compile(rf"\b{_IN}\s+{_MONTH}|{_MONTH}\s+\d|\d\.?\s+{_MONTH}")
"""Months that are words or names as well (may, march, jan) with what makes them months."""
