"""Questions without a topic: `what did we do yesterday?`, `which decisions were made?`, `where did we leave off?` Pure.

Nothing that answers one shares a word with it, nor its meaning: what is asked for is all of a time, of a kind, or the latest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memory_mcp import words
from memory_mcp.timewords import TimeSpan

_OF_LATE = re.compile(
    r"\b(?:(?:the )?(?:last|latest|most recent|recent|previous)(?: (?:time|things?|sessions?|conversations?|chats?|work))?"
    r"|recently|lately|previously|(?:leave|left) off|(?:what|anything)(?: is|['’]s)? new"
    r"|(?:das |beim |die )?letzte[ns]? (?:mal|sitzung|gespräch)|als letztes|zuletzt|neulich|kürzlich|stehen ?geblieben"
    r"|(?:la )?dernière fois|dernièrement|récemment|en dernier|où en (?:étions|étais|sommes|suis))\b",
    re.IGNORECASE,
)
_EVERYTHING = frozenset(
    "everything know overview remember summarise summarize summary tell alles erinnerst erzahl uberblick weisst".split()
)
"""What asks for all there is, folded as `words` does."""
_ALL = frozenset({"all"})
"""Or no word at all: what is typed where a list of everything is expected, like `*`."""
_OF_KIND = {
    word: kind
    for kind, named in {
        "decision": "decide decided decision decisions entscheidung entscheidungen entschieden",
        "rule": "convention conventions guideline guidelines rule rules konventionen regel regeln richtlinien",
        "error": "bug bugs error errors issues problems fehler probleme",
        "procedure": "procedure procedures runbook runbooks anleitungen",
        "event": "event events ereignisse",
        "insight": "insight insights lessons erkenntnisse",
        "fact": "facts fakten",
    }.items()
    for word in named.split()
}
"""Words for a kind of memories."""
_NO_TOPIC = frozenset(
    """accomplish accomplished after anything apply before between change changed continue conversation current discuss discussed discussing
    done encounter encountered exist far finish finished fix fixed follow found get go going got happen happened happening important known
    learn learned let lets list made main make memories pick project ran repo repository resume run saw seen session show since solved
    stored taken talk talked talking thing things together us user work worked working
    alle an arbeitet auf aufgetreten bekannt bekannte bekannten besprochen da das den die dir du es gab gearbeitet geht gelten gemacht
    geredet geschehen gespeichert gesprochen getan getroffen gibt hab habe haben hast ich ihr ist los mach machte machten mich mir nach
    passiert projekt seit sind stehen uber und uns von vor waren warst was welche welchen wir wo woran woruber worum wurden
    a ai as avions avons ce ci de est et etait etions faisais faisions fait il j je nous on ou parle parlions passe qu que quoi s sommes
    sur travaillais travaille travaillions""".split()
)
"""What is said of doing anything at all; English stop words go without saying."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What is asked for: all of these kinds, or of any; and of this time, which ends now where none is named."""

    kinds: frozenset[str]
    since: datetime | None
    until: datetime


def overview(query: str, times: Sequence[TimeSpan], now: datetime) -> Overview | None:
    """What a question without a topic asks for; None where it has one.

    Args:
        times: That the question names (`timewords.time_spans`).
    """
    rest = query
    for start, end in sorted({time.words for time in times}, reverse=True):
        rest = f"{rest[:start]} {rest[end:]}"
    without = _OF_LATE.sub(" ", rest)
    terms = frozenset(words.content_terms(without))
    if query and not terms and _ALL.issuperset(words.split_words(query, for_index=False)):
        return Overview(frozenset(), None, now)
    kinds = frozenset(_OF_KIND[term] for term in terms if term in _OF_KIND)
    if not (times or kinds or without != rest or terms & _EVERYTHING) or not terms <= _OF_KIND.keys() | _EVERYTHING | _NO_TOPIC:
        return None
    meant = _likeliest(times)
    return Overview(kinds, min((time.start for time in meant), default=None), max((time.end for time in meant), default=now))


def _likeliest(times: Sequence[TimeSpan]) -> list[TimeSpan]:
    """Of all that one name may mean, such as the months of several years, the one that it mostly means."""
    best: dict[tuple[int, int], TimeSpan] = {}
    for time in times:
        best[time.words] = max(best.get(time.words, time), time, key=lambda one: one.weight)
    return list(best.values())
