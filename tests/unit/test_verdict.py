import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.recall.verdict import STRONG, WEAK, relevance, verdict

similarity = st.none() | st.floats(-1, 1)
share = st.floats(0, 1)


@pytest.mark.parametrize(
    ("best", "word"),
    [(None, "none"), (0.0, "none"), (WEAK - 1e-9, "none"), (WEAK, "weak"), (STRONG - 1e-9, "weak"), (STRONG, "strong"), (1.0, "strong")],
)
def test_one_word_for_the_best_relevance(best: float | None, word: str) -> None:
    assert verdict(best) == word


@pytest.mark.parametrize(
    ("similarity", "coverage", "word"),
    [
        (0.7, 0.0, "strong"),  # the same in other words
        (0.45, 0.5, "strong"),
        (0.4, 0.2, "weak"),
        (0.1, 0.0, "none"),  # unrelated
        (0.15, 0.25, "none"),  # a word in common by chance
        (None, 1.0, "strong"),  # by words alone
        (None, 0.5, "weak"),
        (None, 0.2, "none"),
    ],
)
def test_typical_answers(similarity: float | None, coverage: float, word: str) -> None:
    assert verdict(relevance(similarity, coverage)) == word


@given(similarity=similarity, coverage=share)
def test_relevance_is_a_share(similarity: float | None, coverage: float) -> None:
    assert 0 < relevance(similarity, coverage) < 1


@given(similarity=similarity, low=share, high=share)
def test_relevance_rises_with_coverage(similarity: float | None, low: float, high: float) -> None:
    low, high = sorted((low, high))

    assert relevance(similarity, low) <= relevance(similarity, high)


@given(low=st.floats(-1, 1), high=st.floats(-1, 1), coverage=share)
def test_relevance_rises_with_similarity(low: float, high: float, coverage: float) -> None:
    low, high = sorted((low, high))

    assert relevance(low, coverage) <= relevance(high, coverage)
