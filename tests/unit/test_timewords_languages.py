"""Times in the languages beside English and German."""

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest

from memory_mcp.text.timewords import OPEN_WEIGHT, foreign_languages, states_time, time_spans
from memory_mcp.text.timewords.names import ALL, folded
from memory_mcp.text.timewords.readers import RECENT_WEIGHT

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # a Friday

FRENCH = [
    ("Qu'est-ce qu'on a fait [hier] ?", "2026-11-19", "2026-11-19"),
    ("que s'est-il passé [hier soir] ?", "2026-11-19", "2026-11-19"),
    ("la réunion d'[hier]", "2026-11-19", "2026-11-19"),
    ("Que s'est-il passé [avant-hier] ?", "2026-11-18", "2026-11-18"),
    ("Qu’est-ce qui est prévu [aujourd’hui] ?", "2026-11-20", "2026-11-20"),
    ("et [demain] ?", "2026-11-21", "2026-11-21"),
    ("les décisions de la [semaine dernière]", "2026-11-09", "2026-11-15"),
    ("les decisions de la [semaine derniere]", "2026-11-09", "2026-11-15"),
    ("[Lundi dernier], qu'a dit Anne ?", "2026-11-16", "2026-11-16"),
    ("la réunion de [mardi]", "2026-11-17", "2026-11-17"),
    ("le budget du [mois dernier]", "2026-10-01", "2026-10-31"),
    ("les pannes de l'[an dernier]", "2025-01-01", "2025-12-31"),
    ("les pannes de l'[année dernière]", "2025-01-01", "2025-12-31"),
    ("que reste-t-il [cette semaine] ?", "2026-11-16", "2026-11-22"),
    ("et la [semaine prochaine] ?", "2026-11-23", "2026-11-29"),
    ("la panne d'[il y a deux semaines]", "2026-11-03", "2026-11-09"),
    ("la panne d'[il y a environ trois jours]", "2026-11-17", "2026-11-17"),
    ("les [trois derniers mois]", "2026-08-20", "2026-11-20"),
    ("[depuis trois jours]", "2026-11-17", "2026-11-20"),
    ("[le week-end dernier]", "2026-11-14", "2026-11-15"),
    ("décisions en [mai 2023]", "2023-05-01", "2023-05-31"),
    ("dîner le [3 mai 2023]", "2023-05-03", "2023-05-03"),
    ("dîner le [3 mai]", "2026-05-03", "2026-05-03"),
    ("férié le [1er mai 2023]", "2023-05-01", "2023-05-01"),
    ("Que s'est-il passé le [3/5/2023] ?", "2023-05-03", "2023-05-03"),
    ("qu'avons-nous livré [en mars] ?", "2026-03-01", "2026-03-31"),
    ("la version d'[août]", "2026-08-01", "2026-08-31"),
    ("qu'avons-nous décidé [en 2022] ?", "2022-01-01", "2022-12-31"),
    ("Où allons-nous [cet été] ?", "2026-06-01", "2026-08-31"),
    ("les vacances de [l'été 2022]", "2022-06-01", "2022-08-31"),
    ("[entre mars et mai 2024]", "2024-03-01", "2024-05-31"),
    ("[de mars à mai 2024]", "2024-03-01", "2024-05-31"),
    ("la [semaine avant le 16 novembre 2026]", "2026-11-09", "2026-11-15"),
    ("[deux jours après le 3 mai 2023]", "2023-05-05", "2023-05-05"),
    ("le [week-end après le 9 juin 2023]", "2023-06-10", "2023-06-11"),
]
SPANISH = [
    ("¿Qué hicimos [ayer]?", "2026-11-19", "2026-11-19"),
    ("que hicimos [anteayer]", "2026-11-18", "2026-11-18"),
    ("¿Qué pasó [anoche]?", "2026-11-19", "2026-11-19"),
    ("¿Qué hay [hoy]?", "2026-11-20", "2026-11-20"),
    ("¿Qué hay [mañana]?", "2026-11-21", "2026-11-21"),
    ("las decisiones de la [semana pasada]", "2026-11-09", "2026-11-15"),
    ("el [mes pasado]", "2026-10-01", "2026-10-31"),
    ("el [año pasado]", "2025-01-01", "2025-12-31"),
    ("el [ano pasado]", "2025-01-01", "2025-12-31"),
    ("[esta semana]", "2026-11-16", "2026-11-22"),
    ("el fallo de [hace dos semanas]", "2026-11-03", "2026-11-09"),
    ("[hace unos tres días]", "2026-11-17", "2026-11-17"),
    ("los [últimos tres meses]", "2026-08-20", "2026-11-20"),
    ("[el fin de semana pasado]", "2026-11-14", "2026-11-15"),
    ("[el lunes]", "2026-11-16", "2026-11-16"),
    ("[el lunes pasado]", "2026-11-16", "2026-11-16"),
    ("¿Qué decidimos en [mayo de 2023]?", "2023-05-01", "2023-05-31"),
    ("cena el [3 de mayo de 2023]", "2023-05-03", "2023-05-03"),
    ("cena el [3 de mayo]", "2026-05-03", "2026-05-03"),
    ("reunión el martes [3 de mayo de 2022]", "2022-05-03", "2022-05-03"),
    ("que decidimos [en 2022]", "2022-01-01", "2022-12-31"),
    ("[este verano]", "2026-06-01", "2026-08-31"),
    ("[el verano de 2022]", "2022-06-01", "2022-08-31"),
    ("[entre marzo y mayo de 2024]", "2024-03-01", "2024-05-31"),
    ("[dos semanas antes del 16 de noviembre de 2026]", "2026-11-02", "2026-11-08"),
]
ITALIAN = [
    ("cosa abbiamo deciso [ieri]?", "2026-11-19", "2026-11-19"),
    ("[l'altro ieri]", "2026-11-18", "2026-11-18"),
    ("la [settimana scorsa]", "2026-11-09", "2026-11-15"),
    ("il [mese scorso]", "2026-10-01", "2026-10-31"),
    ("l'[anno scorso]", "2025-01-01", "2025-12-31"),
    ("[due settimane fa]", "2026-11-03", "2026-11-09"),
    ("negli [ultimi tre mesi]", "2026-08-20", "2026-11-20"),
    ("[lunedì scorso]", "2026-11-16", "2026-11-16"),
    ("il [3 maggio 2023]", "2023-05-03", "2023-05-03"),
    ("nel [maggio 2023]", "2023-05-01", "2023-05-31"),
    ("dove siamo andati [quest'estate]?", "2026-06-01", "2026-08-31"),
]
PORTUGUESE = [
    ("o que decidimos [ontem]?", "2026-11-19", "2026-11-19"),
    ("a [semana passada]", "2026-11-09", "2026-11-15"),
    ("no [mês passado]", "2026-10-01", "2026-10-31"),
    ("no [ano passado]", "2025-01-01", "2025-12-31"),
    ("[há duas semanas]", "2026-11-03", "2026-11-09"),
    ("[duas semanas atrás]", "2026-11-03", "2026-11-09"),
    ("em [maio de 2023]", "2023-05-01", "2023-05-31"),
    ("no dia [3 de maio]", "2026-05-03", "2026-05-03"),
    ("[na segunda-feira]", "2026-11-16", "2026-11-16"),
    ("o que aconteceu [na segunda]?", "2026-11-16", "2026-11-16"),
    ("[este verão]", "2026-06-01", "2026-08-31"),
]
DUTCH = [
    ("wat hebben we [gisteren] besloten?", "2026-11-19", "2026-11-19"),
    ("[eergisteren]", "2026-11-18", "2026-11-18"),
    ("besluiten van [vorige week]", "2026-11-09", "2026-11-15"),
    ("[vorig jaar]", "2025-01-01", "2025-12-31"),
    ("[twee weken geleden]", "2026-11-03", "2026-11-09"),
    ("een [paar dagen geleden]", "2026-11-17", "2026-11-17"),
    ("de [afgelopen drie maanden]", "2026-08-20", "2026-11-20"),
    ("[afgelopen maandag]", "2026-11-16", "2026-11-16"),
    ("op [3 mei 2023]", "2023-05-03", "2023-05-03"),
    ("[deze zomer]", "2026-06-01", "2026-08-31"),
]


def dates(start: datetime, end: datetime) -> tuple[str, str]:
    """First and last day."""
    return f"{start:%Y-%m-%d}", f"{end - timedelta(days=1):%Y-%m-%d}"


@pytest.mark.parametrize(("marked", "first", "last"), [*FRENCH, *SPANISH, *ITALIAN, *PORTUGUESE, *DUTCH])
def test_times_are_read_as_people_mean_them_and_their_words_are_told(marked: str, first: str, last: str) -> None:
    query = marked.replace("[", "").replace("]", "")

    likeliest, *_ = time_spans(query, NOW)

    assert dates(likeliest.start, likeliest.end) == (first, last)
    assert query[slice(*likeliest.words)] == marked[marked.index("[") + 1 : marked.index("]")]


@pytest.mark.parametrize(
    "query",
    [
        "Il a été malade",
        "La planète Mars est-elle habitée ?",
        "Que fait-on le lundi ?",
        "Que fait-on chaque mardi ?",
        "Que s'est-il passé cette année-là ?",
        "et lundi prochain ?",
        "Où est mon livre ?",
        "¿Qué hacemos los lunes?",
        "¿Y el próximo lunes?",
        "¿Qué tomo por la mañana?",
        "una hamburguesa con mayo",
        "¿Dónde tomamos el sol junto al mar?",
        "los 2022 registros",
        "na segunda reunião",
        "o que há na terceira e na quarta caixa?",
        "E il mare, il sole, il duomo?",
        "elke maandag",
        "Was ist hier los?",
        "Kabel hier",
        "the mayo jar of the soup du jour",
        "What did we eat at Mardi Gras?",
    ],
)
def test_other_words_are_no_times(query: str) -> None:
    assert time_spans(query, NOW) == ()


@pytest.mark.parametrize(
    "query",
    ["Qu'est-ce qui a changé depuis mars ?",
     "depuis le 1er mars", "¿Qué cambió desde marzo?", "después de marzo", "dopo marzo", "Cosa è cambiato dal 1 marzo?",
     "desde março", "sinds maart", "na maart"],
)  # fmt: skip
def test_since_opens_a_span_to_what_comes_after(query: str) -> None:
    span, *_ = time_spans(query, NOW)

    assert (span.start, span.weight) == (datetime(2026, 3, 1, tzinfo=UTC), OPEN_WEIGHT)
    assert span.end.year == 9999


@pytest.mark.parametrize(
    "query",
    ["qu'avons-nous décidé avant la sortie de mars ?", "Qui était là jusqu'en mars ?", "antes de marzo", "hasta marzo",
     "prima di marzo", "até março", "voor maart", "voor 31 maart"],
)  # fmt: skip
def test_before_opens_a_span_to_what_came_earlier(query: str) -> None:
    span, *_ = time_spans(query, NOW)

    assert (span.end, span.weight) == (datetime(2026, 4, 1, tzinfo=UTC), OPEN_WEIGHT)
    assert span.start.year == 1


@pytest.mark.parametrize("query", ["récemment", "ces derniers jours", "recientemente", "en los últimos días", "onlangs"])
def test_what_is_recent_counts_less_than_a_date(query: str) -> None:
    assert [span.weight for span in time_spans(query, NOW)] == [RECENT_WEIGHT]


@pytest.mark.parametrize("query", ["30 février 2023", "le 29 février", "il y a 999 ans", "hace 0 días", "el 99/99/2023", "\ud800"])
def test_impossible_dates_do_no_harm(query: str) -> None:
    time_spans(query, NOW)
    time_spans(query, datetime(2, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("query", ["on monday ", "en 2020 de ", "lundi " * 4, "semana pasada el", " ", "d'", "2 "])
def test_a_long_text_is_read_fast(query: str) -> None:
    """All of time that it names cost a second once."""
    text = (query * 10_000)[:10_000]
    time_spans(text, NOW)

    start = process_time()
    time_spans(text, NOW)

    assert process_time() - start < 0.5


def test_a_letter_that_is_two_in_small_moves_no_words() -> None:
    query = "İİ, what happened last week?"

    (span,) = time_spans(query, NOW)

    assert query[slice(*span.words)] == "last week"


@pytest.mark.parametrize(
    ("query", "language"),
    [("anteayer", "es"), ("a semana passada", "pt es"), ("le mois dernier", "fr"), ("due mesi fa", "it"), ("prévu aujourd’hui", "fr"),
     ("le 1er mai", "fr"), ("décisions d'hier", "fr"), ("twee maanden", "nl")],
)  # fmt: skip
def test_the_names_of_times_tell_the_language(query: str, language: str) -> None:
    assert foreign_languages(query) == language.split()


@pytest.mark.parametrize("query", ["", "What did we do last week?", "in April 2023", "Was war im Mai?", "am 12. Juni", "winter"])
def test_english_and_german_are_no_foreign_languages(query: str) -> None:
    assert foreign_languages(query) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("What did Julio Domingo say last week?", "last week"),
        ("le 1er mai 2023", "1er mai 2023"),
        ("wat gebeurde er in december 2022", "december 2022"),
        ("Was hat Anni am 12. Juni gesagt?", "12. juni"),
        ("El lunes meeting on May 3, 2023, in Los Angeles", "May 3, 2023"),
    ],
)
def test_the_reading_that_understands_most_counts(query: str, words: str) -> None:
    assert words.lower() in {query[slice(*span.words)].lower() for span in time_spans(query, NOW)}


@pytest.mark.parametrize("kind", ["months", "weekdays", "seasons", "numbers", "units"])
def test_no_name_stands_for_two_values(kind: str) -> None:
    """They are looked up without asking for the language."""
    meanings: dict[str, set[object]] = {}
    for names in ALL:
        for name, value in getattr(names, kind).items():
            meanings.setdefault(folded(name), set()).add(value)

    assert {name: values for name, values in meanings.items() if len(values) > 1} == {}


def test_folding_moves_no_letter() -> None:
    assert folded("qu’à l’été") == "qu'a l'ete"


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("On déploie tous les jeudis, le jeudi soir.", True),
        ("Hier, nous avons tout effacé.", True),
        ("La réunion est repoussée au 18 mars.", True),
        ("Deux mois de garantie", True),
        ("Livraison aujourd’hui", True),
        ("Desde 2019 vive en Sevilla", True),
        ("La reunión es el lunes", True),
        ("Il treno parte domani", True),
        ("De trein gaat morgen, denk ik, om de oude dijk", True),
        ("Il a été malade", False),
        ("La planète Mars est rouge", False),
        ("Hier ist das Kabel", False),
        ("Jupiter a 95 lunes, et la Terre une seule", False),
        ("Mei and Julio know Anni Ayer", False),
        ("una hamburguesa con mayo", False),
        ("the soup du jour", False),
    ],
)
def test_texts_that_state_a_time_are_known(text: str, states: bool) -> None:
    assert states_time(text) is states
