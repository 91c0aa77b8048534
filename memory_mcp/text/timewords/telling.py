"""In which language a text may name times. Pure.

Questions are short, and few of their words tell a language. So the names of times do: with `semana` in it a question
speaks of times in Spanish or Portuguese, whatever its other words look like.
"""

import re
from collections.abc import Iterable, Set

from memory_mcp.text.languages import language_of
from memory_mcp.text.timewords.names import ENGLISH_GERMAN, NAMES, folded
from memory_mcp.text.timewords.phrases import PHRASES

_ALSO_ENGLISH_OR_GERMAN = frozenset("an ans dag estate hier jour lente marco mars mayo morgen primavera week weekend".split()).union(
    ENGLISH_GERMAN.months, ENGLISH_GERMAN.seasons, ENGLISH_GERMAN.units
)
_OTHER_WORDS_TOO = frozenset(
    """anni ano anos avril ayer dia dias domenica domingo ete été hoy julio lunes maggio mardi mei mes mese sabato segunda terça terca
    quarta quinta sexta""".split()
)
_BESIDE_THEM = {
    "fr": "1er d'hier d’hier dernier dernière derniers dernières passé",
    "es": "mañana pasado pasada",
    "it": "scorso scorsa",
    "pt": "feira passado passada",
    "nl": "afgelopen geleden volgende vorig",
}
"""Words that stand beside the names of times, so that those which are other words, too, are taken for names."""
_WORD, _DIGIT = re.compile(r"\bd['’]hier\b|\w+"), re.compile(r"\d")


def _forms(words: Iterable[str]) -> frozenset[str]:
    return frozenset(form for word in words if _WORD.fullmatch(word) for form in (word, folded(word)))


def _of_times(language: str) -> frozenset[str]:
    names, phrases = NAMES[language], PHRASES[language]
    called = {*names.months, *names.weekdays, *names.seasons, *names.units, *phrases.recently.split("|")}
    return _forms(called.union(*(words.replace("'hui", "").split("|") for words in phrases.days.values())))


_ANY = {language: _of_times(language) | _forms(_BESIDE_THEM[language].split()) for language in PHRASES}
_TELLING = {language: words - _ALSO_ENGLISH_OR_GERMAN for language, words in _ANY.items()}
_ANY_TELLING = frozenset().union(*_TELLING.values())
_WORTH_A_LOOK = frozenset().union(
    *_ANY.values(),
    *(re.findall(r"\w{4,}", folded("|".join((phrases.recently, phrases.weekend, *phrases.days.values())))) for phrases in PHRASES.values()),
)

SURE_WORDS: Set[str] = frozenset().union(*map(_of_times, PHRASES)) - _ALSO_ENGLISH_OR_GERMAN - _OTHER_WORDS_TOO
"""Each of them alone states a time."""
DOUBTFUL_WORDS: Set[str] = frozenset().union(*_ANY.values()) - SURE_WORDS - ENGLISH_GERMAN.units.keys()
"""Of those it takes the rest of the text to tell whether they do."""


def foreign_languages(query: str) -> list[str]:
    """Those of `PHRASES`, so neither English nor German, that a question may name a time in, the likeliest first."""
    words = set(_WORD.findall(query.lower()))
    telling = not words.isdisjoint(_ANY_TELLING)
    if not telling and words.isdisjoint(_WORTH_A_LOOK) and not _DIGIT.search(query):
        return []  # nearly every question in English ends here
    told = language_of(query)
    if not telling and told not in PHRASES:
        return []
    votes = {language: len(words & of_it) for language, of_it in (_ANY if told in PHRASES else _TELLING).items()}
    return sorted((one for one, count in votes.items() if count or one == told), key=lambda one: (-votes[one], one != told))
