from datetime import UTC, datetime, timedelta

import pytest

from memory_mcp.recall.wanted import asks_of_a_time_alone, asks_of_an_occasion, asks_of_the_present, asks_when, time_asked_for
from memory_mcp.timewords import time_spans

NOW = datetime(2026, 11, 18, 9, 30, tzinfo=UTC)
TODAY = datetime(2026, 11, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "asks"),
    [
        ("When did Ann move?", True),
        ("how long does it take", True),
        ("Wann ist Schluss?", True),
        ("Where is it?", False),
        ("whenever", False),
    ],
)
def test_questions_for_a_time_are_known(query: str, asks: bool):
    assert asks_when(query) is asks


@pytest.mark.parametrize(
    ("query", "of_one"),
    [
        ("What did Ann buy in Rome?", True),
        ("Why didn't the build work?", True),
        ("When did we choose Postgres", True),
        ("What does Ann like?", False),
        ("Which instruments has she played?", False),
        ("was darf der Hund nicht fressen", False),
        ("", False),
        ("the candid camera", False),
    ],
)
def test_a_question_of_what_somebody_did_is_about_one_occasion(query: str, of_one: bool) -> None:
    assert asks_of_an_occasion(query) is of_one


@pytest.mark.parametrize(
    ("query", "of_the_present"),
    [
        ("Which database do we use now?", True),
        ("what is Ann's current project", True),
        ("Welche Datenbank nutzen wir jetzt?", True),
        ("wie ist der aktuelle Stand", True),
        ("the latest release", True),
        ("Which database did we use?", False),
        ("what do you know of electric currents", False),
        ("", False),
    ],
)
def test_a_question_of_what_is_so_now_is_known(query: str, of_the_present: bool) -> None:
    assert asks_of_the_present(query) is of_the_present


@pytest.mark.parametrize(
    ("query", "of_a_time_alone"),
    [
        ("What did we do yesterday?", True),
        ("what happened last week", True),
        ("What have I been working on lately?", True),
        ("what was I working on last?", True),
        ("Where did we leave off?", True),
        ("let's continue where we left off", True),
        ("What did we discuss last time?", True),
        ("what's new?", True),
        ("last session", True),
        ("What did I do in March?", True),
        ("Was haben wir gestern gemacht?", True),
        ("Woran habe ich zuletzt gearbeitet?", True),
        ("Wo sind wir stehen geblieben?", True),
        ("Qu'avons-nous fait la dernière fois ?", True),
        ("Où en étions-nous la dernière fois ?", True),
        ("What did Ann do yesterday?", False),
        ("What did we decide last week?", False),
        ("what happened yesterday with the billing tests?", False),
        ("Where did we leave off with the migration?", False),
        ("What did we talk about after lunch last time?", False),
        ("the latest release", False),
        ("Which database did we use last?", False),
        ("Welche Datenbank haben wir zuletzt genommen?", False),
        ("what do I do?", False),
        ("what is left to do", False),
        ("work", False),
        ("last name", False),
        ("new", False),
        ("", False),
    ],
)
def test_a_question_of_a_time_alone_is_known(query: str, of_a_time_alone: bool) -> None:
    assert asks_of_a_time_alone(query, time_spans(query, NOW)) is of_a_time_alone


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ("What did we do yesterday?", TODAY - timedelta(days=1), TODAY),
        ("What did I do in March?", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)),
        ("What happened between March and June?", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)),
        ("What did we do in March and yesterday?", datetime(2026, 3, 1, tzinfo=UTC), TODAY),
        ("Where did we leave off?", None, NOW),
    ],
)
def test_the_time_asked_for(query: str, since: datetime | None, until: datetime) -> None:
    assert time_asked_for(time_spans(query, NOW), NOW) == (since, until)
