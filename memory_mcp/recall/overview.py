"""Questions without a topic: `what did we do yesterday?`, `which decisions were made?`, `where did we leave off?` Pure.

Nothing that answers one shares a word with it, nor its meaning: what is asked for is all of a time, of a kind, or the latest.
Where nothing is of the time, what says its name may be meant: `where do we go in August?`, asked in April.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from memory_mcp.text import words
from memory_mcp.text.function_words import FUNCTION_WORDS
from memory_mcp.text.languages import language_of
from memory_mcp.text.timewords import TimeSpan, foreign_languages
from memory_mcp.text.timewords.names import MONTHS, SEASONS, UNIT_OF, WEEKDAYS, folded

_OF_LATE = re.compile(
    r"\b(?:(?:the )?(?:last|latest|most recent|recent|previous)(?: (?:time|things?|sessions?|conversations?|chats?|work))?"
    r"|recently|lately|previously|(?:leave|left) off|(?:what|anything)(?: is|['’]s)? new"
    r"|(?:das |beim |die )?letzte[ns]? (?:mal|sitzung|gespräch)|als letztes|zuletzt|neulich|kürzlich|stehen ?geblieben"
    r"|(?:la )?derni[èe]re (?:fois|session|conversation|séance)|derni[èe]rement|r[ée]cemment|en dernier|quoi de (?:neuf|nouveau)"
    r"|o[ùu] en (?:étions|étais|sommes|suis|est)|o[ùu] (?:on|nous|j['’]) ?en (?:étions|étais|était|sommes|suis|est)"
    r"|(?:la )?[úu]ltima (?:vez|sesi[óo]n|conversaci[óo]n)|(?:de )?lo [úu]ltimo|[úu]ltimamente|recientemente|qu[ée] hay de nuevo|novedades"
    r"|(?:por )?d[óo]nde (?:[íi]bamos|est[áa]bamos|lo dejamos|nos quedamos))\b",
    re.IGNORECASE,
)
_NAMED = MONTHS.keys() | WEEKDAYS.keys() | SEASONS.keys()
_ALL = frozenset({"all"})
"""Or no word at all: what is typed where a list of everything is expected, like `*`."""


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """Words, folded as `words` does.

    Attributes:
        of_kind: For a kind of memories.
        everything: That ask for all there is.
        no_topic: Said of doing anything at all; English stop words go without saying.
    """

    of_kind: dict[str, str]
    everything: frozenset[str]
    no_topic: frozenset[str]

    def says_all(self, terms: Set[str]) -> bool:
        """Whether a question of these words has no topic."""
        return all(term in self.no_topic or term in self.of_kind or term in self.everything for term in terms)


def _kinds(**named: str) -> dict[str, str]:
    return {word: kind for kind, said in named.items() for word in said.split()}


_AT_HOME = _Vocabulary(
    of_kind=_kinds(
        decision="decide decided decision decisions entscheidung entscheidungen entschieden",
        rule="convention conventions guideline guidelines rule rules konventionen regel regeln richtlinien",
        error="bug bugs error errors issues problems fehler probleme",
        procedure="procedure procedures runbook runbooks anleitungen",
        event="event events ereignisse",
        insight="insight insights lessons erkenntnisse",
        fact="facts fakten",
    ),
    everything=frozenset(
        "everything know overview remember summarise summarize summary tell alles erinnerst erzahl uberblick weisst".split()
    ),
    no_topic=frozenset(
        """accomplish accomplished after anything apply before between change changed continue conversation current discuss discussed
        discussing done encounter encountered exist far finish finished fix fixed follow found get go going got happen happened happening
        important known learn learned let lets list made main make memories pick project ran repo repository resume run saw seen session
        show since solved stored taken talk talked talking thing things together us user work worked working
        alle an arbeitet auf aufgetreten bekannt bekannte bekannten besprochen da das den die dir du es gab gearbeitet geht gelten gemacht
        geredet geschehen gespeichert gesprochen getan getroffen gibt hab habe haben hast ich ihr ist los mach machte machten mich mir nach
        passiert projekt seit sind stehen uber und uns von vor waren warst was welche welchen wir wo woran woruber worum wurden
        a ai as avions avons ce ci de est et etait etions faisais faisions fait il j je nous on ou parle parlions passe qu que quoi s sommes
        sur travaillais travaille travaillions""".split()
    ),
)
_ABROAD = _Vocabulary(
    of_kind=_AT_HOME.of_kind
    | _kinds(
        decision="decidees decides decidons decisiones decidido decidimos",
        rule="consigne consignes regle regles convenciones normas regla reglas",
        error="bogue bogues erreur erreurs probleme problemes errores fallos problema problemas",
        procedure="procedimientos",
        event="evenement evenements eventos",
        insight="enseignements lecons aprendizajes lecciones",
    ),
    everything=_AT_HOME.everything
    | set("apercu rappelles resume resumer resumez sais savez souviens tout recuerdas resumen resumir sabes todas todo todos".split()),
    no_topic=_AT_HOME.no_topic.union(
        """appliquent appris arrive avance bien changer choses connues connus continuer continuons decouvert depuis discute discutions
        existe existent faire faites faits fini important liste montre note parler pris prise prises projet rencontre rencontrees
        rencontres reprendre reprenons reste resolu suivons travail travailler travaillait
        acordado anotado aprendido aprendimos cambiado cambio conocidos continuar cosas encontrado encontramos estaba estabamos estuvimos
        existen guardado hablabamos hablado hablamos hacer hacia haciamos haciendo hecho hemos hice hiciste hicimos hizo hubo ibamos
        importante lista muestra ocurrido ocurrio paso pasado proyecto resuelto sabemos seguimos seguir sucedio tenemos terminado tomado
        tomadas tomamos trabajabamos trabajado trabajamos trabajando""".split(),
        folded(" ".join(FUNCTION_WORDS["fr"] | FUNCTION_WORDS["es"])).split(),
    ),
)
"""With French and Spanish, many words of which are English words for a topic, too: `paso`, `note`, `la`."""


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
    said = _AT_HOME
    if not said.says_all(terms):
        said = _ABROAD
        if not said.says_all(terms) or not _is_foreign(query):
            return None
    kinds = frozenset(said.of_kind[term] for term in terms if term in said.of_kind)
    if not (times or kinds or without != rest or terms & said.everything):
        return None
    meant = _likeliest(times)
    return Overview(kinds, min((time.start for time in meant), default=None), max((time.end for time in meant), default=now))


def names_of(times: Sequence[TimeSpan], query: str) -> str:
    """What the times that a question names are called (`August`, `Q3`), which memories of other times may say, too; not `last week`."""
    called = dict.fromkeys(query[slice(*time.words)] for time in times)
    return " ".join(one for one in called if _has_name(one))


def _has_name(called: str) -> bool:
    found = words.split_words(folded(called), for_index=False)
    return UNIT_OF.keys().isdisjoint(found) and any(word in _NAMED or any(map(str.isdigit, word)) for word in found)


def _is_foreign(query: str) -> bool:
    return language_of(query) in ("fr", "es") or bool(foreign_languages(query))


def _likeliest(times: Sequence[TimeSpan]) -> list[TimeSpan]:
    """Of all that one name may mean, such as the months of several years, the one that it mostly means."""
    best: dict[tuple[int, int], TimeSpan] = {}
    for time in times:
        best[time.words] = max(best.get(time.words, time), time, key=lambda one: one.weight)
    return list(best.values())
