from datetime import UTC, datetime, timedelta

import pytest

from memory_mcp.recall.overview import Overview, names_of, overview
from memory_mcp.text.timewords import time_spans

NOW = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)
TODAY = datetime(2026, 11, 18, tzinfo=UTC)
YESTERDAY = TODAY - timedelta(days=1)
MARCH, APRIL, JULY = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 7))


def asked(query: str) -> Overview | None:
    return overview(query, time_spans(query, NOW), NOW)


@pytest.mark.parametrize(
    ("query", "kinds", "since", "until"),
    [
        ("What did we do yesterday?", "", YESTERDAY, TODAY),
        ("What did I do in March?", "", MARCH, APRIL),
        ("What happened between March and June?", "", MARCH, JULY),
        ("What did we do in March and yesterday?", "", MARCH, TODAY),
        ("Was haben wir gestern gemacht?", "", YESTERDAY, TODAY),
        ("Where did we leave off?", "", None, NOW),
        ("what was I working on last?", "", None, NOW),
        ("let's continue where we left off", "", None, NOW),
        ("What did we discuss last time?", "", None, NOW),
        ("what's new?", "", None, NOW),
        ("last session", "", None, NOW),
        ("Woran habe ich zuletzt gearbeitet?", "", None, NOW),
        ("Wo sind wir stehen geblieben?", "", None, NOW),
        ("Qu'avons-nous fait la dernière fois ?", "", None, NOW),
        ("Où en étions-nous ?", "", None, NOW),
        ("What do you know about me?", "", None, NOW),
        ("Summarize the project", "", None, NOW),
        ("all", "", None, NOW),
        ("*", "", None, NOW),
        ("?", "", None, NOW),
        ("Was weißt du über mich?", "", None, NOW),
        ("Which decisions have we made?", "decision", None, NOW),
        ("list all decisions and rules", "decision rule", None, NOW),
        ("What did we decide yesterday?", "decision", YESTERDAY, TODAY),
        ("Which errors did we run into lately?", "error", datetime(2026, 10, 19, tzinfo=UTC), TODAY + timedelta(days=1)),
        ("known issues", "error", None, NOW),
        ("What have we decided so far?", "decision", None, NOW),
        ("Has anything changed since yesterday?", "", YESTERDAY, datetime(9999, 12, 30, tzinfo=UTC)),
        ("what conventions does this project follow?", "rule", None, NOW),
        ("Welche Entscheidungen wurden getroffen?", "decision", None, NOW),
        ("Qu'est-ce qu'on a fait hier ?", "", YESTERDAY, TODAY),
        ("Que s’est-il passé hier ?", "", YESTERDAY, TODAY),
        ("Quoi de neuf depuis hier ?", "", YESTERDAY, datetime(9999, 12, 30, tzinfo=UTC)),
        ("Sur quoi a-t-on travaillé en mars ?", "", MARCH, APRIL),
        ("Quelles décisions avons-nous prises ?", "decision", None, NOW),
        ("Quelles règles suivons-nous ?", "rule", None, NOW),
        ("Quelles erreurs avons-nous rencontrées hier ?", "error", YESTERDAY, TODAY),
        ("Où en est-on ?", "", None, NOW),
        ("Reprenons où nous en étions.", "", None, NOW),
        ("Que sais-tu de moi ?", "", None, NOW),
        ("¿Qué hicimos ayer?", "", YESTERDAY, TODAY),
        ("que hicimos ayer", "", YESTERDAY, TODAY),
        ("¿Qué pasó en marzo?", "", MARCH, APRIL),
        ("¿Qué decisiones tomamos?", "decision", None, NOW),
        ("¿Qué decisiones hemos tomado desde ayer?", "decision", YESTERDAY, datetime(9999, 12, 30, tzinfo=UTC)),
        ("¿Qué errores conocidos hay?", "error", None, NOW),
        ("¿Por dónde íbamos?", "", None, NOW),
        ("¿Dónde lo dejamos la última vez?", "", None, NOW),
        ("¿Qué hay de nuevo?", "", None, NOW),
        ("¿Qué sabes de mí?", "", None, NOW),
    ],
)
def test_a_question_without_a_topic_asks_for_all_of_a_time_or_kind(query: str, kinds: str, since: datetime | None, until: datetime) -> None:
    assert asked(query) == Overview(frozenset(kinds.split()), since, until)


@pytest.mark.parametrize(
    "query",
    [
        "What did Ann do yesterday?",
        "What did we decide about Redis last week?",
        "what happened yesterday with the billing tests?",
        "Where did we leave off with the migration?",
        "the latest release",
        "Which database did we use last?",
        "Welche Datenbank haben wir zuletzt genommen?",
        "how do we handle errors in the API",
        "What is the user's profession?",
        "what is left to do",
        "what do I do?",
        "Qu'est-ce qu'Anne a fait hier ?",
        "Où en étions-nous de la migration ?",
        "Quelles décisions avons-nous prises sur Redis ?",
        "Que faire ?",
        "¿Qué hizo Ana ayer?",
        "¿Qué decidimos sobre Redis la semana pasada?",
        "¿Qué hacemos?",
        "what happened in El Paso yesterday?",
        "what happened in LA yesterday?",
        "what is on my todo list since yesterday",
        "work",
        "user",
        "project",
        "new",
        "last name",
        "",
    ],
)
def test_a_question_with_a_topic_is_no_overview(query: str) -> None:
    assert asked(query) is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        *[("Where do we go in August?", "in august"), ("winter or in summer", "in summer"), ("What is on Monday?", "on monday")],
        *[("What was done in 2025?", "in 2025"), ("Q3", "q3"), ("¿Qué pasó en marzo?", "en marzo"), ("what is new?", "")],
        *[("what happened yesterday?", ""), ("What happened 3 days ago?", ""), ("what did we do this month?", "")],
    ],
)
def test_the_names_of_times_may_be_said_at_another_time(query: str, names: str) -> None:
    assert names_of(time_spans(query, NOW), query).lower() == names
