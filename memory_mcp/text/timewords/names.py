"""What numbers, months, days of the week, seasons and lengths of time are called, and what the names stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

UNITS = ("day", "week", "month", "year")
_SPRING_TO_WINTER = (3, 6, 9, 12)
_ACCENTS = str.maketrans("àáâãäåçèéêëìíîïñòóôõöùúûüÿ’", "aaaaaaceeeeiiiinooooouuuuy'")  # one for one: positions stay


def folded(text: str) -> str:
    """A text in small letters without its accents, which many leave out; each character stays in its place."""
    return text.translate(_ACCENTS)


_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Names:
    """Of one language, or of two that are read together: each name with its value.

    Attributes:
        months: 1 to 12.
        weekdays: 0 to 6, from Monday.
        seasons: The month in which they begin.
        units: One of `UNITS`.
    """

    numbers: Mapping[str, int]
    months: Mapping[str, int]
    weekdays: Mapping[str, int]
    seasons: Mapping[str, int]
    units: Mapping[str, str]


def _values(names: str, values: Sequence[_Value]) -> dict[str, _Value]:
    """What stands between two `|` is called by all its words."""
    return {name: value for value, same in zip(values, names.split("|"), strict=False) for name in same.split()}


def _names(numbers: str, months: str, weekdays: str, seasons: str, units: str) -> Names:
    return Names(
        _values(numbers, range(1, 16)),
        _values(months, range(1, 13)),
        _values(weekdays, range(7)),
        _values(seasons, _SPRING_TO_WINTER),
        _values(units, UNITS),
    )


ENGLISH_GERMAN = _names(
    "a an one ein eine einem einer|two couple zwei|three few drei|four vier|five fünf|six sechs|seven sieben|eight acht|nine neun|ten zehn"
    "|eleven elf|twelve zwölf",
    "january jan januar|february feb februar|march mar märz maerz|april apr|may mai|june jun juni|july jul juli|august aug"
    "|september sept sep|october oct oktober|november nov|december dec dezember",
    "monday montag|tuesday dienstag|wednesday mittwoch|thursday donnerstag|friday freitag|saturday samstag|sunday sonntag",
    "spring frühling frühjahr|summer sommer|autumn fall herbst|winter",
    "day days tag tage tagen|week weeks woche wochen|month months monat monate monaten|year years jahr jahre jahren",
)

NAMES: Mapping[str, Names] = {
    "fr": _names(
        "un une|deux|trois quelques|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|||quinze",
        "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre",
        "lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche",
        "printemps|été|automne|hiver",
        "jour jours journée journées|semaine semaines|mois|an ans année années",
    ),
    "es": _names(
        "un una|dos|tres unos unas|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce|||quince",
        "enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre setiembre|octubre|noviembre|diciembre",
        "lunes|martes|miércoles|jueves|viernes|sábado|domingo",
        "primavera|verano|otoño|invierno",
        "día días|semana semanas|mes meses|año años",
    ),
    "it": _names(
        "un uno una|due paio|tre|quattro|cinque|sei|sette|otto|nove|dieci|undici|dodici|||quindici",
        "gennaio|febbraio|marzo|aprile|maggio|giugno|luglio|agosto|settembre|ottobre|novembre|dicembre",
        "lunedì|martedì|mercoledì|giovedì|venerdì|sabato|domenica",
        "primavera|estate|autunno|inverno",
        "giorno giorni|settimana settimane|mese mesi|anno anni",
    ),
    "pt": _names(
        "um uma|dois duas|três uns umas|quatro|cinco|seis|sete|oito|nove|dez|onze|doze|||quinze",
        "janeiro|fevereiro|março|abril|maio|junho|julho|agosto|setembro|outubro|novembro|dezembro",
        "segunda-feira segunda|terça-feira terça|quarta-feira quarta|quinta-feira quinta|sexta-feira sexta|sábado|domingo",
        "primavera|verão|outono|inverno",
        "dia dias|semana semanas|mês meses|ano anos",
    ),
    "nl": _names(
        "een één|twee|drie paar|vier|vijf|zes|zeven|acht|negen|tien|elf|twaalf",
        "januari|februari|maart|april|mei|juni|juli|augustus|september|oktober|november|december",
        "maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag",
        "lente voorjaar|zomer|herfst najaar|winter",
        "dag dagen|week weken|maand maanden|jaar jaren",
    ),
}
"""By language, with accents, which those who ask may leave out."""

ALL = (ENGLISH_GERMAN, *NAMES.values())


def _together(*named: Mapping[str, _Value]) -> dict[str, _Value]:
    return {form: value for names in named for name, value in names.items() for form in (name, folded(name))}


NUMBERS = _together(*(names.numbers for names in ALL))
MONTHS = _together(*(names.months for names in ALL))
WEEKDAYS = _together(*(names.weekdays for names in ALL))
SEASONS = _together(*(names.seasons for names in ALL))
UNIT_OF = _together(*(names.units for names in ALL))
"""Of all languages together, in which no name stands for two values."""
