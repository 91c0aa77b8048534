import pytest

from memory_mcp.recall.topics import topic_query, topic_terms
from memory_mcp.text import words


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("When did Ann paint her sunrise?", "When did I paint her sunrise?"),
        ("What is Ann's favourite book?", "What is my favourite book?"),
        ("Why did the Kestrel build fail?", "Why did the build fail?"),
        ("What does the ann like?", "What does I like?"),
        ("Who is Ann?", "Who is Ann?"),
        ("Kestrel", "Kestrel"),
        ("", ""),
    ],
)
def test_names_and_common_words_leave_the_topic(query: str, expected: str):
    def terms(text: str) -> list[str]:
        return [
            word for word in words.query_terms(text) if word not in ("who", "when", "why", "is", "did", "what", "the", "s", "her", "does")
        ]

    assert topic_query(query, {"kestrel"}, {"ann"}, terms) == expected


@pytest.mark.parametrize(
    ("frequency", "n", "left_out"),
    [
        ({"kestrel": 60, "build": 10}, 100, {"kestrel"}),
        ({"kestrel": 3, "build": 1}, 5, set()),  # of five memories nothing is common
        ({"kestrel": 60, "build": 70}, 100, set()),  # something has to remain
        ({}, 0, set()),
    ],
)
def test_words_of_more_than_a_fifth_of_the_store_are_common(frequency: dict[str, int], n: int, left_out: set[str]):
    assert topic_terms(["kestrel", "build"], frequency, n) == left_out
