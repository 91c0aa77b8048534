"""What a namespace has come to, out of its memories, their outcomes and what was asked."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from memory_mcp.knowledge.insights import calibration, insights
from memory_mcp.models import Asked, Memory, Scope, Tally

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SINCE = NOW - timedelta(days=30)


def memory(number: int, kind: str = "fact", *, days: int = 1, **fields: Any) -> Memory:
    then = NOW - timedelta(days=days)
    return replace(Memory(UUID(int=number), Scope("local", "p"), f"memory {number}", then, then, then, kind=kind), **fields)


def ids(memories: Any) -> list[int]:
    return [one.id.int for one in memories]


def test_errors_are_unsolved_until_something_told_for_them_has_not_only_failed() -> None:
    memories = [
        memory(1, "error", tags=("error:a",)),
        memory(2, "error", tags=("error:b",)),
        memory(3, "error", tags=("error:c",)),
        memory(4, "procedure", tags=("error:a",)),
        memory(5, "procedure", tags=("error:b",)),
        memory(6, "error"),  # told in other words than by record_error: nobody can tell
    ]
    found = insights(memories, {UUID(int=5): Tally(0, 2), UUID(int=3): Tally(0, 4), UUID(int=1): Tally(0, 1)}, [], SINCE)

    assert ids(found.unsolved) == [2, 3]
    assert [(one.id.int, times) for one, times in found.recurring] == [(3, 5), (1, 2)]


def test_what_grew_in_the_period_and_what_is_left_open() -> None:
    memories = [
        memory(1, "decision"),
        memory(2, "decision", days=90),
        memory(3, "rule", recalled_count=2),
        memory(4, "rule"),
        memory(5, days=40, recalled_count=7),
    ]
    found = insights(memories, {UUID(int=1): Tally(1, 0)}, [], SINCE)

    assert dict(found.grew) == {"decision": 1, "rule": 2}
    assert ids(found.undecided) == [2]
    assert ids(found.unused_rules) == [4]
    assert ids(found.most_recalled) == [5, 3]


def test_questions_asked_again_and_those_that_found_nothing() -> None:
    asked = [Asked("a", 3, 1, NOW), Asked("b", 1, 1, NOW), Asked("c", 5, 5, NOW), Asked("d", 1, 0, NOW)]
    found = insights([], {}, asked, SINCE)

    assert [one.text for one in found.frequent] == ["c", "a"]
    assert [one.text for one in found.unanswered] == ["c", "b"]


def test_calibration_compares_confidence_with_outcomes() -> None:
    decisions = [
        memory(1, "decision", metadata={"confidence": 0.9}),
        memory(2, "decision", metadata={"confidence": 0.5}),
        memory(3, "decision", metadata={"confidence": "high"}),
        memory(4, "decision", metadata={"confidence": True}),
        memory(5, "decision", metadata={"confidence": 0.9}),
    ]
    tallies = {UUID(int=number): tally for number, tally in ((1, Tally(1, 0)), (2, Tally(1, 1)), (3, Tally(1, 0)), (4, Tally(1, 0)))}
    found = calibration(decisions, tallies)

    assert found is not None
    assert (found.decisions, found.stated, found.worked) == (2, 0.7, 0.75)
    assert abs(found.brier - 0.005) < 1e-12
    assert calibration(decisions, {}) is None
