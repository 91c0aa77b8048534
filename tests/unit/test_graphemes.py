"""What is seen as one character stays whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.text.graphemes import whole_until

FAMILY = "👩\u200d👩\u200d👧"


@pytest.mark.parametrize(
    "one",
    ["e\u0301", "क्ष", "कि", FAMILY, "👍🏽", "🇧🇪", "❤\ufe0f", "\r\n", "\u1100\u1161\u11a8", "ก\u0e49", "か\u3099", "ｶ\uff9e"],
    ids=[
        "accent",
        "conjunct",
        "vowel sign",
        "family",
        "skin",
        "flag",
        "variation",
        "line end",
        "jamo",
        "Thai tone",
        "voiced",
        "half width",
    ],
)
def test_no_place_within_it_is_one_to_cut_at(one: str) -> None:
    text = f"ab{one}cd"

    assert {whole_until(text, place) for place in range(2, 2 + len(one))} == {2}
    assert whole_until(text, 2 + len(one)) == 2 + len(one)


def test_flags_are_told_apart() -> None:
    assert [whole_until("🇧🇪🇳🇱🇫🇷", place) for place in range(7)] == [0, 0, 2, 2, 4, 4, 6]


def test_a_mountain_of_marks_is_cut_after_all() -> None:
    assert whole_until("a" + "\u0301" * 1_000, 500) == 500


@given(st.text(max_size=60), st.integers(0, 60))
def test_the_place_is_in_the_text_and_none_but_a_little_earlier(text: str, at: int) -> None:
    at = min(at, len(text))

    assert at - 32 <= whole_until(text, at) <= at
    assert whole_until(text, 0) == 0
    assert whole_until(text, len(text)) == len(text)
