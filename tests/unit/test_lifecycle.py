"""What fades, what is kept, what becomes one: with a clock passed in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.config import MaintenanceSettings
from memory_mcp.models import Memory, Scope, Tally
from memory_mcp.upkeep.lifecycle import LASTING_KINDS, plan, same, strength, value, worth

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = MaintenanceSettings()


def memory(number: int, content: str = "", *, age: timedelta = timedelta(), **fields: Any) -> Memory:
    then = NOW - age
    return replace(Memory(UUID(int=number), Scope("local", "p"), content or f"memory {number}", then, then, then), **fields)


def ids(memories: Any) -> list[int]:
    return [one.id.int for one in memories]


def test_half_is_left_after_a_half_life_and_recalls_slow_it() -> None:
    assert strength(memory(1, age=180 * DAY), NOW, 180) == pytest.approx(0.5)
    assert strength(memory(1, age=360 * DAY), NOW, 180) == pytest.approx(0.25)
    recalled = memory(1, age=900 * DAY, recalled_count=2, last_recalled_at=NOW - 540 * DAY)
    assert strength(recalled, NOW, 180) == pytest.approx(0.5)


@given(st.integers(0, 10_000), st.integers(0, 100), st.floats(0, 1), st.integers(0, 50), st.integers(0, 50))
def test_strength_and_value_keep_to_their_ranges_and_fall_with_time(
    days: int, recalls: int, importance: float, good: int, bad: int
) -> None:
    one = memory(1, age=days * DAY, recalled_count=recalls, importance=importance)
    tally = Tally(good, bad)

    assert 0 <= strength(one, NOW + DAY, 180) <= strength(one, NOW, 180) <= 1
    assert 0 <= value(one, tally, NOW + DAY, 180) <= value(one, tally, NOW, 180) <= worth(one, tally) <= 1
    assert worth(one, Tally(good + 1, bad)) >= worth(one, tally) >= worth(one, Tally(good, bad + 1))


def test_only_what_has_no_value_any_more_is_archived() -> None:
    old, ancient = 400 * DAY, 2_000 * DAY
    memories = [
        memory(1, age=ancient),
        memory(2, age=old),
        memory(3, age=old, importance=0.05),
        memory(4, age=ancient, key="user.editor"),
        memory(5, age=ancient, recalled_count=30, last_recalled_at=NOW - old),
        memory(6, age=ancient, expires_at=NOW - DAY),
        *(memory(10 + number, age=ancient, kind=kind) for number, kind in enumerate(sorted(LASTING_KINDS))),
    ]

    assert ids(plan(memories, {}, NOW, POLICY).archive) == [1, 3]
    assert ids(plan(memories, {}, NOW, POLICY.model_copy(update={"archive_below": 0.0})).archive) == []


def test_short_term_memories_that_keep_being_recalled_are_promoted() -> None:
    week = NOW + 7 * DAY
    memories = [
        memory(1, retention="short_term", expires_at=week, recalled_count=3),
        memory(2, retention="short_term", expires_at=week, recalled_count=2),
        memory(3, expires_at=week, recalled_count=9),
        memory(4, retention="short_term", expires_at=NOW, recalled_count=9),
    ]
    assert ids(plan(memories, {}, NOW, POLICY).promote) == [1]


def test_those_that_say_the_same_become_one_and_the_weightiest_stays() -> None:
    memories = [
        memory(1, "The build server runs on port 8080", age=DAY),
        memory(2, "the build server runs on port 8080.", importance=0.9),
        memory(3, "The build server runs on port 8081"),
        memory(4, "The build server never runs on port 8080"),
        memory(5, "The build server runs on port 8080!", tags=("ci",)),
        memory(6, "The build server runs on port 8080 ", metadata={"speaker": "Ada"}),
        memory(7, "The build server runs on port 8080…", kind="chat"),
        memory(8, "The build server  runs on port 8080", key="build.port"),
    ]
    assert [(kept.id.int, ids(others)) for kept, others in same(memories)] == [(2, [1])]
    assert not plan(memories, {}, NOW, POLICY.model_copy(update={"merge": False})).merge
