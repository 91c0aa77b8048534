"""Which memories the last sitting wrote."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from memory_mcp.models import Memory, Scope
from memory_mcp.recall.sessions import PAUSE, last_session

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def memory(number: int, written: timedelta, **fields: Any) -> Memory:
    then = NOW + written
    return replace(Memory(UUID(int=number), Scope("local", "p"), f"memory {number}", then, then, then), **fields)


def ids(memories: list[Memory]) -> list[int]:
    return [one.id.int for one in memories]


def test_a_named_session_is_all_that_bears_its_name() -> None:
    memories = [
        memory(1, timedelta(0), session_id="monday"),
        memory(2, timedelta(days=1), session_id="other"),
        memory(3, timedelta(days=2), session_id="monday"),
        memory(4, timedelta(days=1, hours=1)),
    ]
    assert ids(last_session(memories)) == [1, 3]


def test_without_a_name_it_goes_back_to_the_first_pause() -> None:
    memories = [memory(1, timedelta(0)), memory(2, PAUSE + timedelta(seconds=1)), memory(3, 2 * PAUSE), memory(4, 2 * PAUSE)]

    assert ids(last_session(memories)) == [2, 3, 4]


def test_what_belongs_to_a_session_ends_it() -> None:
    memories = [memory(1, timedelta(0)), memory(2, timedelta(minutes=1), session_id="x"), memory(3, timedelta(minutes=2))]

    assert ids(last_session(memories)) == [3]
    assert last_session([]) == []
