"""Which memories the last sitting wrote."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from memory_mcp.models import Memory, Scope
from memory_mcp.recall.sessions import MAX_TITLE_CHARACTERS, PAUSE, TITLE, Session, last_session, sessions

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


def test_sessions_are_listed_latest_first_with_when_and_what() -> None:
    memories = [
        memory(1, timedelta(0), session_id="monday", kind="chat"),
        memory(2, timedelta(minutes=5)),
        memory(3, timedelta(minutes=9), kind="error"),
        memory(4, timedelta(hours=1), session_id="monday", kind="decision"),
        memory(5, timedelta(hours=1, minutes=1), session_id="monday", kind="chat"),
        memory(6, timedelta(hours=1, minutes=2)),
    ]

    assert sessions(memories[::-1]) == [
        Session("", "memory 6", *[NOW + timedelta(hours=1, minutes=2)] * 2, {"fact": 1}),
        Session("monday", "memory 4", NOW, NOW + timedelta(hours=1, minutes=1), {"chat": 2, "decision": 1}),
        Session("", "memory 2", NOW + timedelta(minutes=5), NOW + timedelta(minutes=9), {"fact": 1, "error": 1}),
    ]
    assert sessions([]) == []


def test_an_import_is_dated_by_what_it_tells_and_one_date_alone_moves_no_session() -> None:
    then = datetime(2024, 2, 29, tzinfo=UTC)
    imported = [memory(number, timedelta(0), session_id="old", occurred_at=then + timedelta(hours=number)) for number in (1, 2)]
    spoken = [memory(3, timedelta(0), session_id="now"), memory(4, timedelta(1), session_id="now", occurred_at=then)]
    now, old = sessions([*imported, *spoken])

    assert (now.began, now.ended) == (NOW, NOW + timedelta(1))
    assert (old.began, old.ended) == (then + timedelta(hours=1), then + timedelta(hours=2))


def test_a_title_is_given_or_the_most_telling_line() -> None:
    first = memory(1, timedelta(0), session_id="s", importance=0.9, content="We ship on Monday\nand so on")
    given = [memory(number, timedelta(number), session_id="s", metadata={TITLE: title}) for number, title in ((2, "Old"), (3, "New\nline"))]
    odd = [memory(4 + number, timedelta(9), session_id="s", metadata={TITLE: title}) for number, title in enumerate((" ", 7, None))]
    long = memory(9, timedelta(0), session_id="s", content="x" * 5_000)

    assert [one.title for one in sessions([*odd, *given, first])] == ["New"]
    assert [one.title for one in sessions([*odd, first])] == ["We ship on Monday"]
    assert len(sessions([long])[0].title) == MAX_TITLE_CHARACTERS
