import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.text.passages import PASSAGE_TOKENS, beginning, passages, weight


def cut(text: str, most: float = PASSAGE_TOKENS) -> list[str]:
    return [text[start:end] for start, end in passages(text, most)]


@pytest.mark.parametrize("text", ["", "short", "x" * 640, "好" * 160])
def test_a_short_text_is_one_passage(text: str) -> None:
    assert cut(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three. Four five six.\n\nSeven eight. Nine ten.", ["One two three. Four five six.\n\n", "Seven eight. Nine ten."]),
        ("first line here\nsecond line here", ["first line here\n", "second line here"]),
        ("A first sentence. A second one.", ["A first sentence. ", "A second one."]),
        ("word after word goes on and on", ["word after word ", "goes on and on"]),
        ("これは最初の文です。次の文はここ。", ["これは最初の文です。", "次の文はここ。"]),
    ],
    ids=["paragraphs", "lines", "sentences", "words", "sentences without spaces"],
)
def test_passages_end_where_something_ends(text: str, expected: list[str]) -> None:
    assert cut(text, most=weight(text) * 0.7) == expected


@given(st.text(max_size=400), st.floats(1, 30))
def test_together_they_are_the_text_and_none_is_too_long(text: str, most: float) -> None:
    parts = cut(text, most)

    assert "".join(parts) == text
    assert all(weight(part) <= most + 1e-9 or len(part) == 1 for part in parts)
    assert all(parts) or parts == [""]


def test_they_are_about_equally_long() -> None:
    lengths = [len(part) for part in cut("Sentences of some length follow each other here. " * 40)]

    assert max(lengths) < 1.6 * min(lengths)


def test_a_megabyte_is_cut_in_a_moment() -> None:
    assert len(passages("a b. " * 200_000)) > 1_000


@given(st.text(max_size=200), st.floats(0, 60))
def test_a_beginning_is_as_much_as_may_be(text: str, most: float) -> None:
    begun = beginning(text, most)

    assert text.startswith(begun)
    assert weight(begun) <= most + 1e-9
    assert begun == text or weight(text[: len(begun) + 1]) > most - 1e-9
