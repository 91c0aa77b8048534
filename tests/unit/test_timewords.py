import time
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from memory_mcp.clock import to_micros
from memory_mcp.text.timewords import (
    MOST_TIMES,
    OPEN_WEIGHT,
    YEAR_WEIGHT,
    TimeSpan,
    of_that_time,
    states_time,
    time_preference,
    time_spans,
)
from memory_mcp.text.timewords.readers import RECENT_WEIGHT

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # a Friday


def dates(query: str, now: datetime = NOW) -> tuple[str, str] | None:
    """First and last day of the likeliest span."""
    spans = time_spans(query, now)
    return (f"{spans[0].start:%Y-%m-%d}", f"{spans[0].end - timedelta(days=1):%Y-%m-%d}") if spans else None


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("what did we do yesterday?", "2026-11-19", "2026-11-19"),
        ("what happened last night", "2026-11-19", "2026-11-19"),
        ("what is due today", "2026-11-20", "2026-11-20"),
        ("decisions of last week", "2026-11-09", "2026-11-15"),
        ("decisions of this week", "2026-11-16", "2026-11-22"),
        ("what did we ship last month", "2026-10-01", "2026-10-31"),
        ("last year's budget", "2025-01-01", "2025-12-31"),
        ("the outage two weeks ago", "2026-11-03", "2026-11-09"),
        ("the outage a couple of days ago", "2026-11-18", "2026-11-18"),
        ("in the past 3 months", "2026-08-20", "2026-11-20"),
        ("last Friday's meeting", "2026-11-13", "2026-11-13"),
        ("on Monday", "2026-11-16", "2026-11-16"),
        ("last weekend", "2026-11-14", "2026-11-15"),
        ("trips in May 2023", "2023-05-01", "2023-05-31"),
        ("dinner on May 3, 2023?", "2023-05-03", "2023-05-03"),
        ("dinner on the 3rd of May, 2023?", "2023-05-03", "2023-05-03"),
        ("the release on December 25", "2025-12-25", "2025-12-25"),
        ("the release in March", "2026-03-01", "2026-03-31"),
        ("the release in December", "2025-12-01", "2025-12-31"),
        ("what broke on 2024-05-06", "2024-05-06", "2024-05-06"),
        ("what broke in 2024-05", "2024-05-01", "2024-05-31"),
        ("the summer of 2022", "2022-06-01", "2022-08-31"),
        ("trips of the fall of 2022", "2022-09-01", "2022-11-30"),
        ("what broke in the fall?", "2026-09-01", "2026-11-30"),
        ("the spring release", "2026-03-01", "2026-05-31"),
        ("results for Q3 2025", "2025-07-01", "2025-09-30"),
        ("what did we decide in 2022", "2022-01-01", "2022-12-31"),
        ("between August 11 and August 15 2023", "2023-08-11", "2023-08-15"),
        ("between March and May 2024", "2024-03-01", "2024-05-31"),
        ("what broke the week before 16 November 2026", "2026-11-09", "2026-11-15"),
        ("the day after May 3, 2023", "2023-05-04", "2023-05-04"),
        ("two days before the 3rd of May 2023", "2023-05-01", "2023-05-01"),
        ("plans for the weekend before 9 June 2023", "2023-06-03", "2023-06-04"),
        ("plans for the weekend before 10 June 2023", "2023-06-03", "2023-06-04"),
        ("plans for the weekend before 11 June 2023", "2023-06-03", "2023-06-04"),
        ("plans for the weekend after 9 June 2023", "2023-06-10", "2023-06-11"),
        ("the month after May 2023", "2023-06-01", "2023-06-30"),
        ("the week before December 25", "2025-12-18", "2025-12-24"),
        ("the day after tomorrow", "2026-11-22", "2026-11-22"),
        ("die Woche vor dem 16. November 2026", "2026-11-09", "2026-11-15"),
        ("was haben wir gestern beschlossen", "2026-11-19", "2026-11-19"),
        ("die Störung letzte Woche", "2026-11-09", "2026-11-15"),
        ("der Ausfall vor drei Tagen", "2026-11-17", "2026-11-17"),
        ("im März 2024", "2024-03-01", "2024-03-31"),
        ("am 3.5.2024", "2024-05-03", "2024-05-03"),
    ],
)
def test_times_are_read_as_people_mean_them(query: str, first: str, last: str):
    assert dates(query) == (first, last)


@pytest.mark.parametrize(
    "query",
    [
        *[
            "",
            "what may happen",
            "march on",
            "HTTP 2019 error",
            "the 1.2.3 release",
            "9999 years ago",
            "port 2048",
            "who is April's second"[:6],
        ],
        *["the fall", "what caused the fall?", "The spring, was it oiled?", "in the fall of the wall", "the Fall of Rome"],
    ],
)
def test_other_words_are_no_times(query: str):
    assert time_spans(query, NOW) == ()


def test_before_and_since_open_a_span():
    (before,) = time_spans("what did we decide before the release in March", NOW)
    (since,) = time_spans("what changed since Monday", NOW)

    assert (before.end, before.weight) == (datetime(2026, 4, 1, tzinfo=UTC), OPEN_WEIGHT)
    assert before.start.year == 1
    assert (since.start, since.weight) == (datetime(2026, 11, 16, tzinfo=UTC), OPEN_WEIGHT)
    assert since.end.year == 9999
    assert {span.end.month for span in time_spans("what did we do before the fall", NOW)} == {12}
    assert [span.end.year for query in ("before 2023", "since 2023") for span in time_spans(query, NOW)] == [2024, 9999]


def test_a_month_without_a_year_may_be_an_earlier_one_but_less_likely():
    spans = time_spans("in May", NOW)

    assert [span.start.year for span in spans[:3]] == [2026, 2025, 2024]
    assert sorted((span.weight for span in spans), reverse=True) == [span.weight for span in spans]


def test_recently_counts_less_than_a_date():
    assert [span.weight for span in time_spans("what did I do recently", NOW)] == [RECENT_WEIGHT]


def test_the_more_exact_a_time_the_more_it_counts():
    queries = ("on May 3, 2023", "last week", "in May 2023", "in summer 2023", "in 2023", "before 2023")

    weights = [span.weight for query in queries for span in time_spans(query, NOW)]

    assert weights == sorted(weights, reverse=True)
    assert [weights[0], weights[-2], weights[-1]] == [1.0, YEAR_WEIGHT, OPEN_WEIGHT]
    assert 0.7 < weights[2] < 0.8
    (joined,) = time_spans("between August 11 and August 15 2023", NOW)
    assert weights[1] < joined.weight < 1.0


def test_days_are_those_of_the_clock():
    east = timezone(timedelta(hours=9))

    (span,) = time_spans("yesterday", datetime(2026, 11, 20, 1, 0, tzinfo=east))

    assert span.start == datetime(2026, 11, 18, 15, 0, tzinfo=UTC)


def test_what_lies_beside_a_day_of_any_year_is_likeliest_beside_the_last_one():
    first, second, *_ = time_spans("the week before December 25", NOW)

    assert (f"{second.start:%Y-%m-%d}", second.weight < first.weight) == ("2024-12-18", True)
    assert "the week before December 25"[slice(*first.words)] == "week before December 25"


@pytest.mark.parametrize("query", ["February 30, 2023", "on 29 February", "0 weeks ago", "999 years ago", "between May 2024 and March"])
def test_impossible_dates_do_no_harm(query: str):
    time_spans(query, NOW)
    time_spans(query, datetime(2, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("unit", ["März ", "1 day ago ", "2026-03-01 "])
def test_of_a_question_of_nothing_but_times_so_many_are_read_and_no_more(unit: str):
    began = time.perf_counter()
    spans = time_spans((unit * 10_000)[:10_000], NOW)

    assert len({span.words for span in spans}) == MOST_TIMES
    assert time.perf_counter() - began < 2


def test_preference_is_full_inside_and_fades_faster_before_than_after():
    day = timedelta(days=1)
    start = datetime(2023, 5, 3, tzinfo=UTC)
    moments = [start - 3 * day, start, start + 3 * day, start + 400 * day]

    fit = time_preference(np.array([to_micros(moment) for moment in moments]), [TimeSpan(start, start + day, 1.0, (0, 1))])

    assert fit[1] == 1.0
    assert 0.1 < fit[0] < fit[2] < 0.7
    assert fit[3] < 1e-6
    assert time_preference(np.array([0]), []).tolist() == [0.0]


def test_a_memory_is_of_a_time_when_it_lies_in_it_or_close_by():
    days = [datetime(2023, 4, 24, tzinfo=UTC), datetime(2023, 5, 31, tzinfo=UTC), datetime(2023, 6, 10, tzinfo=UTC), NOW]
    when = np.array([to_micros(day) for day in days])

    assert of_that_time(when, time_spans("in May 2023", NOW)).tolist() == [True, True, True, False]
    assert of_that_time(when, time_spans("on May 31, 2023", NOW)).tolist() == [False, True, False, False]
    assert of_that_time(when, ()).tolist() == [False] * 4


def test_extreme_times_are_far_and_no_overflow():
    extremes = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max])

    assert np.isfinite(time_preference(extremes, time_spans("since yesterday", NOW))).all()


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("We moved last Friday.", True),
        ("It is wiped every Sunday night", True),
        ("The train goes at 6:42", True),
        ("Vegetarian since 2019", True),
        ("höchstens zwei Stunden", True),
        ("You may go, march on", False),
        ("port 8080 is open", False),
        ("", False),
    ],
)
def test_texts_that_state_a_time_are_known(text: str, states: bool):
    assert states_time(text) is states
