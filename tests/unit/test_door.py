"""The door for input, case by case."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.errors import RequestError
from memory_mcp.remember import door

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@given(st.text())
def test_a_text_comes_through_unchanged_or_not_at_all(text: str) -> None:
    try:
        assert door.content(text) == text
    except RequestError:
        assert not text.strip() or "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", None),
        ("2026-03-31", datetime(2026, 3, 31, tzinfo=UTC)),
        ("2026-03-31T17:00:00Z", datetime(2026, 3, 31, 17, tzinfo=UTC)),
        ("2026-03-31T17:00:00+02:00", datetime(2026, 3, 31, 15, tzinfo=UTC)),
        ("2026-03-31 17:00", datetime(2026, 3, 31, 17, tzinfo=UTC)),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_moments(given: str, expected: datetime | None) -> None:
    assert door.moment(given, "since") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", None),
        ("2026-03-31", datetime(2026, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("20260331", datetime(2026, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        (" 2026-05-01 ", NOW),
        ("2026-05-02", datetime(2026, 5, 2, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("9999-12-31", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2026-03-31T00:00", datetime(2026, 3, 31, tzinfo=UTC)),
        ("2026-05-01T18:00:00Z", datetime(2026, 5, 1, 18, tzinfo=UTC)),
    ],
)
def test_a_day_is_looked_back_on_from_its_end_and_today_from_now(given: str, expected: datetime | None) -> None:
    assert door.looked_back_from(given, "as_of", NOW) == expected


@pytest.mark.parametrize(
    "given", ["tomorrow", "2026-02-30", "31.12.2026", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "٢٠٢٦-01-01"]
)
def test_what_is_no_moment_is_refused(given: str) -> None:
    with pytest.raises(RequestError, match="not a date"):
        door.moment(given, "since")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("90 minutes", timedelta(minutes=90)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("1 Day", timedelta(days=1)),
        ("2 weeks", timedelta(weeks=2)),
        ("3 months", timedelta(days=90)),
        ("1y", timedelta(days=365)),
    ],
)
def test_lifetimes(given: str, expected: timedelta) -> None:
    assert door.lifetime(given, "expires_in", NOW) == NOW + expected


@pytest.mark.parametrize("given", ["-1d", "0d", "soon", "1 fortnight", "1.5h", "9" * 20 + "d", "999999y"])
def test_what_is_no_lifetime_is_refused(given: str) -> None:
    with pytest.raises(RequestError):
        door.lifetime(given, "expires_in", NOW)


@pytest.mark.parametrize(
    "value", [{"a": float("nan")}, {"a": [float("inf")]}, {"a": 2**63}, {"a": "\0"}, {"\ud800": 1}, {1: 2}, {"a": {"b": object()}}]
)
def test_metadata_that_a_store_cannot_hold_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(RequestError, match="metadata"):
        door.metadata(value)


def test_metadata_within_its_bounds_is_taken() -> None:
    value = {"speaker": "Ann", "n": -(2**63), "x": 1.5, "none": None, "flag": True, "list": ["a", {"b": "c"}]}

    assert door.metadata(value) == value


@pytest.mark.parametrize("name", ["", " ", "-a", "a b", "a\n", "ü", "a" * 201, "../x", "/etc"])
def test_what_is_no_namespace_is_refused(name: str) -> None:
    with pytest.raises(RequestError):
        door.namespace(name)


@pytest.mark.parametrize("name", ["global", "github.com/owner/repo", "personal/ann@example.com", "a", "A1_b-c~d+e:f"])
def test_namespaces(name: str) -> None:
    assert door.namespace(name) == name


def test_ids_are_distinct_and_in_order() -> None:
    one, two = str(UUID(int=1)), str(UUID(int=2))

    assert door.memory_ids([two, one, two.upper()]) == [UUID(two), UUID(one)]
    with pytest.raises(RequestError):
        door.memory_ids([one] * 101)
