"""The phrases for times of the languages beside English and German, in which accents may be left out."""

from collections.abc import Mapping
from dataclasses import dataclass

NEVER = "(?!)"
"""What a language does not say; matches nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """Of one language that puts `last` before its noun or behind it; alternatives with `|` between, otherwise regular expressions.

    Attributes:
        articles: With those that a preposition has grown into; one that ends with `'` is written together with its noun.
        of: Between a day and its month, a month and its year, a count and its unit.
        ordinal: What a day's number may end with.
        at: Stands before a month or a year, and makes it one.
        unclear: Months that need such a word, being other words, too.
        on: Stands before a day of the week and makes it the last of its name; empty where it needs none.
        not_after: Words after which a day of the week is every one, or the next.
        short_weekdays: That are other words, too, unless their sentence ends with them, or `last` follows.
        current: `this`, behind its noun.
        about: Between `ago` and its count.
        ago, ago_behind: `ago` before its count and behind its unit; empty where there is none.
        for_count: Before a count, all the time since: `depuis trois jours`.
        days: By how far they are from today.
        before, after: May have up to five words between themselves and their time.
        at_once_before, at_once_after: Directly before theirs.
        beside_before, beside_after: After a count of units.
    """

    articles: str
    of: str
    ordinal: str
    at: str
    unclear: str
    on: str = ""
    not_after: str = NEVER
    short_weekdays: str = NEVER
    last: str
    this: str
    current: str
    next: str
    about: str
    ago: str = NEVER
    ago_behind: str = NEVER
    for_count: str = NEVER
    weekend: str
    days: Mapping[int, str]
    recently: str
    before: str
    at_once_before: str = NEVER
    after: str
    at_once_after: str = NEVER
    beside_before: str
    beside_after: str
    between: str
    joint: str


PHRASES: Mapping[str, Phrases] = {
    "fr": Phrases(
        articles="le|la|les|l'|du|de|des|au|aux",
        of="de|du|d'",
        ordinal="er|e",
        at="en|de|du|entre|depuis|avant|après|jusqu'en|jusqu'à|début|fin|mi|mi-|pendant|durant|vers",
        unclear="mars|mai",
        not_after="chaque|premier|prochain|le|les",
        last="derni(?:er|ère)s?|passée?s?|précédente?s?",
        this="ce|cet|cette",
        current="en cours|actuel(?:le)?",
        next="prochaine?s?|suivante?s?|qui vient|gras",  # Mardi Gras is none of the last Tuesdays
        about="environ|près de|à peu près|plus de|moins de",
        ago="il y a|y a|voilà",
        for_count="depuis",
        weekend="week-?end|fin de semaine",
        days={
            -2: "avant[- ]hier",
            -1: "hier soir|hier matin|hier|la nuit dernière",
            0: "aujourd'hui|ce matin|ce soir|cet après-midi|cette nuit",
            2: "après[- ]demain",
            1: "demain",
        },
        recently="récemment|dernièrement|ces derniers (?:temps|jours|mois)|ces dernières semaines|il y a peu(?: de temps)?",
        before="avant|jusqu'(?:à|au|aux|en)",
        after="après|depuis|à partir d[eu]|à compter d[eu]",
        beside_before="avant|précédant",
        beside_after="après|suivant",
        between="entre|de|du",
        joint="et|à|au|jusqu'(?:à|au|en)",
    ),
    "es": Phrases(
        articles="el|la|los|las|del|de|a|al",
        of="de|del",
        ordinal="º|ro|o",
        at="en|el|de|del|desde|hasta|entre|durante|a principios de|a finales de|a mediados de",
        unclear="mayo|julio",
        on="el|del|al|desde",
        not_after="próximo|cada|los",
        last="pasad[oa]s?|últim[oa]s?|anterior(?:es)?",
        this="este|esta|estos|estas",
        current="actual|en curso",
        next="próxim[oa]s?|que viene|siguientes?",
        about="unos|unas|casi|como|más de|menos de|cerca de",
        ago="hace",
        ago_behind="atrás",
        weekend="fin de semana|finde",
        days={
            -2: "anteayer|antier|antes de ayer",
            -1: "ayer por la (?:mañana|tarde|noche)|ayer|anoche",
            0: "hoy|esta (?:mañana|tarde|noche)",
            2: "pasado mañana",
            1: r"(?<!\bla )(?<!\bcada )mañana",
        },
        recently="recientemente|últimamente|hace poco(?: tiempo)?"
        "|(?:estos|en los) últimos (?:días|meses|tiempos)|(?:estas|en las) últimas semanas",
        before="antes|hasta",
        after="después|desde|tras|a partir de",
        beside_before="antes|anterior(?:es)?|previ[oa]s?",
        beside_after="después|siguientes?|posterior(?:es)?",
        between="entre|de|del|desde",
        joint="y|e|a|al|hasta",
    ),
    "it": Phrases(
        articles="il|la|lo|i|le|gli|l'|di|del|dello|della|dell'|al|alla|all'|nel|nella|nell'|d'",
        of="di|del|dell'|d'",
        ordinal="º|°",
        at="in|a|di|del|nel|tra|fra|da|dal|fino a|dopo|durante|inizio|metà|fine",
        unclear="marzo|maggio",
        not_after="ogni|prossimo|il",
        last="scors[oaie]|passat[oaie]|ultim[oaie]",
        this="questo|questa|quest'",
        current="corrente|in corso",
        next="prossim[oaie]|seguenti?|successiv[oaie]",
        about="circa|quasi|più di|meno di|un",
        ago_behind="fa|or sono",
        for_count="da",
        weekend="fine settimana|week-?end",
        days={
            -2: "l'altro ieri|altro ieri|altroieri|avantieri|ieri l'altro",
            -1: "ieri sera|ieri mattina|ieri|la notte scorsa",
            0: "oggi|stamattina|stamani|stasera|stanotte|questa (?:mattina|sera|notte)",
            2: "dopodomani",
            1: "domani",
        },
        recently="recentemente|ultimamente|di recente|poco (?:tempo )?fa|negli ultimi (?:giorni|mesi|tempi)|nelle ultime settimane",
        before=r"prima (?:di|del|dello|della|che)|fino (?:a|al|alla)",
        after="dopo|a partire da(?:l|lla)?",
        at_once_after="da|dal|dalla",
        beside_before="prima",
        beside_after="dopo",
        between="tra|fra|da|dal",
        joint="e|ed|a|al",
    ),
    "pt": Phrases(
        articles="o|a|os|as|do|da|dos|das|de|ao|no|na|nos|nas",
        of="de|do",
        ordinal="º|o",
        at="em|de|do|desde|até|entre|durante|antes de|depois de|após|no início de|no fim de|em meados de",
        unclear="março|maio",
        on="na|no|da|do|desde|nesta|neste|desta|deste",
        not_after="próxima|próximo|cada",
        short_weekdays="segunda|terça|quarta|quinta|sexta",
        last="passad[oa]s?|últim[oa]s?|anterior(?:es)?",
        this="este|esta|neste|nesta|deste|desta|esse|essa|nesse|nessa",
        current="atual|corrente|em curso",
        next="próxim[oa]s?|que vem|seguintes?",
        about="cerca de|quase|mais de|menos de",
        ago="há|faz",
        ago_behind="atrás",
        weekend="fim de semana|fim-de-semana|final de semana",
        days={
            -2: "anteontem|antes de ontem",
            -1: "ontem à (?:noite|tarde)|ontem|noite passada",
            0: "hoje|esta (?:manhã|tarde|noite)",
            2: "depois de amanhã",
            1: "amanhã",
        },
        recently="recentemente|ultimamente|há pouco(?: tempo)?|nos últimos (?:dias|meses|tempos)|nas últimas semanas",
        before="antes|até",
        after="depois|desde|após|a partir d[eoa]",
        beside_before="antes|anterior(?:es)?",
        beside_after="depois|seguintes?|após",
        between="entre|de|do|desde",
        joint="e|a|ao|até",
    ),
    "nl": Phrases(
        articles="de|het",
        of="van",
        ordinal="e|ste|de",
        at="in|van|tussen|sinds|tot|vanaf|voor|na|begin|half|eind|tijdens",
        unclear="mei",
        not_after="elke|iedere|volgende|komende|aanstaande",
        last="vorige?|afgelopen|laatste|verleden",
        this="deze|dit",
        current="nu",
        next="volgende?|komende?|aanstaande",
        about="ongeveer|bijna|zo'n|een|meer dan|minder dan",
        ago_behind="geleden|terug",
        for_count="sinds",
        weekend="weekend|weekeinde",
        days={
            -2: "eergisteren",
            -1: "gisteren|gisteravond|gisterenavond|gistermiddag|gisterochtend|gistermorgen|afgelopen nacht",
            0: "vandaag|vanavond|vanmorgen|vanochtend|vanmiddag|vannacht",
            2: "overmorgen",
            1: "morgen",
        },
        recently="onlangs|recentelijk|kort ?geleden|de (?:laatste|afgelopen) (?:tijd|dagen|weken|maanden)",
        before="tot",
        at_once_before="voor",
        after="na|sinds|vanaf",
        beside_before="voor",
        beside_after="na",
        between="tussen|van",
        joint="en|tot|tot en met",
    ),
}
