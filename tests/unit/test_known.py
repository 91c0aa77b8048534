"""Which answers are kept, and how long."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from memory_mcp.answers import Answer
from memory_mcp.config import WeightSettings
from memory_mcp.models import Filter, Memory, Recalled, Scope
from memory_mcp.pages import Told
from memory_mcp.recall.calibration import MINILM_SCALES
from memory_mcp.service.known import LIFETIME, KnownAnswers, Question, Stamp

R1, R2 = (Stamp((revision,), "", MINILM_SCALES, WeightSettings()) for revision in (1, 2))
NOW = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)


def question(query: str = "Where is it?", tenant: str = "local", **other: int | Told) -> Question:
    return Question(query, (Scope(tenant, "project"),), Filter(), **{"limit": 8, "min_score": 0.0, "page": None, **other})  # type: ignore[arg-type]


def answer(text: str = "Here", hits: int = 1) -> Answer:
    memories = [
        Memory(
            id=UUID(int=number),
            scope=Scope("local", "project"),
            content=text,
            kind="fact",
            domain="general",
            created_at=NOW,
            updated_at=NOW,
            valid_from=NOW,
        )
        for number in range(hits)
    ]
    return Answer([Recalled(memory, 0.9) for memory in memories], "strong", "project")


def test_an_answer_is_known_to_the_very_same_question_of_the_very_same_state() -> None:
    known, made = KnownAnswers(10), answer()
    known.store(question(), R1, made, NOW, None)

    assert known.lookup(question(), R1, NOW) is made
    for other in (question("Where is he?"), question(tenant="stranger"), question(limit=7), question(page=Told(8))):
        assert known.lookup(other, R1, NOW) is None
    assert known.lookup(question(), R2, NOW) is None
    assert known.lookup(question(), R1._replace(weights=WeightSettings(time=0.0)), NOW) is None
    assert (known.hits, known.misses) == (1, 6)


@pytest.mark.parametrize(
    ("until", "later", "holds"),
    [
        (None, LIFETIME - timedelta(seconds=1), True),
        (None, LIFETIME, False),
        (None, -timedelta(microseconds=1), False),
        (timedelta(seconds=9), timedelta(seconds=9) - timedelta(microseconds=1), True),
        (timedelta(seconds=9), timedelta(seconds=9), False),
        (timedelta(days=9), LIFETIME, False),
    ],
)
def test_an_answer_holds_until_something_in_it_expires_and_never_long(until: timedelta | None, later: timedelta, holds: bool) -> None:
    known = KnownAnswers(10)
    known.store(question(), R1, answer(), NOW, None if until is None else NOW + until)

    assert (known.lookup(question(), R1, NOW + later) is not None) == holds


@pytest.mark.parametrize(
    ("query", "later", "holds"),
    [
        ("What was said yesterday?", timedelta(seconds=50), True),
        ("What was said yesterday?", timedelta(seconds=70), False),
        ("What was said before noon?", timedelta(seconds=70), True),
        ("What was said recently?", timedelta(seconds=50), True),
        ("What was said recently?", timedelta(seconds=70), False),
    ],
)
def test_a_question_that_names_a_time_is_the_same_only_while_it_means_the_same(query: str, later: timedelta, holds: bool) -> None:
    midnight = datetime(2026, 5, 6, tzinfo=UTC) - timedelta(minutes=1)
    known = KnownAnswers(10)
    known.store(question(query), R1, answer(), midnight, None)

    assert (known.lookup(question(query), R1, midnight + later) is not None) == holds


def test_room_is_made_by_number_and_by_size_those_made_first_going_first() -> None:
    known = KnownAnswers(3)
    for number in range(5):
        known.store(question(f"q{number}"), R1, answer(), NOW, None)
    assert [known.lookup(question(f"q{number}"), R1, NOW) is not None for number in range(5)] == [False, False, True, True, True]

    small = KnownAnswers(100, max_characters=30_000)
    for number in range(5):
        small.store(question(f"q{number}"), R1, answer("x" * 8_000), NOW, None)
    assert [small.lookup(question(f"q{number}"), R1, NOW) is not None for number in range(5)] == [False, False, False, True, True]
    small.store(question("large"), R1, answer("x" * 50_000), NOW, None)
    assert small.lookup(question("large"), R1, NOW) is None

    none = KnownAnswers(0)
    none.store(question(), R1, answer(), NOW, None)
    assert none.lookup(question(), R1, NOW) is None


def test_a_newer_answer_takes_the_place_of_the_older_one() -> None:
    known = KnownAnswers(100, max_characters=30_000)
    for revision in range(50):
        known.store(question(), Stamp((revision,), "", MINILM_SCALES, WeightSettings()), answer("x" * 8_000), NOW, None)
    known.store(question("another"), R1, answer("x" * 8_000), NOW, None)

    assert known.lookup(question(), Stamp((49,), "", MINILM_SCALES, WeightSettings()), NOW) is not None
    assert known.lookup(question("another"), R1, NOW) is not None


def test_texts_do_not_stay_longer_than_they_may() -> None:
    known = KnownAnswers(10)
    known.store(question("first"), R1, answer(), NOW, None)
    known.store(question("second"), R1, answer(), NOW + timedelta(minutes=2), None)
    known.drop_old(NOW + LIFETIME)
    left = [known.lookup(question(name), R1, NOW + timedelta(minutes=3)) is not None for name in ("first", "second")]
    known.drop_old(NOW - timedelta(days=1))  # a clock that was set back tells nothing of how old they are
    gone = known.lookup(question("second"), R1, NOW + timedelta(minutes=3))
    known.store(question("third"), R1, answer(), NOW, None)
    known.clear()

    assert left == [False, True]
    assert gone is None
    assert known.lookup(question("third"), R1, NOW) is None


def test_answers_of_scopes_that_have_changed_are_let_go() -> None:
    known = KnownAnswers(10)
    known.store(question(), R1, answer(), NOW, None)
    known.store(question(tenant="other"), R1, answer(), NOW, None)
    known.drop_changed({Scope("local", "project"): 2, Scope("other", "project"): 1})

    assert known.lookup(question(), R1, NOW) is None
    assert known.lookup(question(tenant="other"), R1, NOW) is not None
    assert known.scopes == {Scope("other", "project")}
