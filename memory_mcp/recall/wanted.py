"""What kind of answer a question wants, told by its own words: a time, one occasion, what is so at present. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime

from memory_mcp import words
from memory_mcp.timewords import TimeSpan

_WHEN = re.compile(r"\b(?:when|how long|how often|wh(?:at|ich) (?:year|month|day|date|time)|wann|wie (?:lange|oft)|quand)\b", re.IGNORECASE)
_OCCASION = re.compile(r"\bdid(?:n['’]?t)?\b", re.IGNORECASE)
_PRESENT = re.compile(
    r"\b(?:now|nowadays|current|currently|at present|at the moment|these days|latest|newest"
    r"|jetzt|aktuell\w*|derzeit\w*|momentan\w*|zurzeit|neueste\w*|actuel\w*|maintenant)\b",
    re.IGNORECASE,
)

_OF_LATE = re.compile(
    r"\b(?:(?:the )?(?:last|latest|most recent|recent|previous)(?: (?:time|things?|sessions?|conversations?|chats?|work))?"
    r"|recently|lately|previously|(?:leave|left) off|(?:what|anything)(?: is|['’]s)? new"
    r"|(?:das |beim |die )?letzte[ns]? (?:mal|sitzung|gespräch)|als letztes|zuletzt|neulich|kürzlich|stehen ?geblieben"
    r"|(?:la )?dernière fois|dernièrement|récemment|en dernier|où en (?:étions|étais|sommes|suis))\b",
    re.IGNORECASE,
)
_DOING = frozenset(
    """accomplish accomplished continue conversation discuss discussed discussing done finish finished get go going got happen happened
    happening let lets project repo resume pick session talk talked talking thing things together us work worked working
    an arbeitet auf besprochen da das den die du es gab geht gemacht geredet gearbeitet geschehen gesprochen getan gibt hab habe haben
    hast ich ihr ist los machte machten passiert sind stehen uns waren warst was wir wo woran woruber worum
    a ai as avions avons ce ci de est et etait etions fait faisais faisions il j je nous on ou parle parlions passe quoi qu que s sommes sur
    travaillais travaille travaillions""".split()
)
"""What is said of doing anything at all, folded as `words` does; English stop words go without saying."""


def asks_when(query: str) -> bool:
    """Whether a question wants a time as its answer."""
    return _WHEN.search(query) is not None


def asks_of_an_occasion(query: str) -> bool:
    """Whether a question is about one thing that happened: English asks so by `did`, of what lasts by `do`, of all so far by `have`."""
    return _OCCASION.search(query) is not None


def asks_of_the_present(query: str) -> bool:
    """Whether a question wants what is so now, so that of several statements about one thing the latest is meant."""
    return _PRESENT.search(query) is not None


def asks_of_a_time_alone(query: str, times: Sequence[TimeSpan]) -> bool:
    """Whether a question names no topic, only when: `what did we do yesterday?`, `where did we leave off?`

    Nothing that answers it shares a word with it, nor its meaning.

    Args:
        times: That the question names (`timewords.time_spans`).
    """
    rest = query
    for span in sorted({time.words for time in times}, reverse=True):
        rest = f"{rest[: span[0]]} {rest[span[1] :]}"
    topic = _OF_LATE.sub(" ", rest)
    return (bool(times) or topic != rest) and _DOING.issuperset(words.content_terms(topic))


def time_asked_for(times: Sequence[TimeSpan], now: datetime) -> tuple[datetime | None, datetime]:
    """From when until when: of what a name may mean the likeliest, and all of the past where no time is named."""
    likeliest: dict[tuple[int, int], TimeSpan] = {}
    for time in times:
        likeliest[time.words] = max(likeliest.get(time.words, time), time, key=lambda one: one.weight)
    meant = likeliest.values()
    return min((time.start for time in meant), default=None), max((time.end for time in meant), default=now)
