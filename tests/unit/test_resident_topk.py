import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.tiers.resident.topk import BLOCK_SCORES, largest

levels = st.sampled_from([-np.inf, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0])


def as_scores(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


@given(
    values=st.lists(levels, min_size=1, max_size=6 * BLOCK_SCORES),
    limit=st.integers(1, 900),
    slack=st.sampled_from([0.0, 0.25, 0.6]),
)
def test_it_finds_exactly_the_scores_that_reach_the_last_of_the_largest(values: list[float], limit: int, slack: float) -> None:
    scores = as_scores(values)
    finite = sorted((value for value in values if value > -np.inf), reverse=True)
    last = finite[limit - 1] if limit <= len(finite) else -np.inf

    assert largest(scores, limit, slack).tolist() == [i for i, value in enumerate(values) if value >= last - slack and value > -np.inf]


@given(seed=st.integers(0, 2**32), n=st.integers(1, 5000), limit=st.integers(1, 50))
def test_distinct_scores_give_exactly_the_limit(seed: int, n: int, limit: int) -> None:
    scores = np.random.default_rng(seed).permutation(n).astype(np.float32)

    assert sorted(scores[largest(scores, limit, 0.0)]) == list(range(max(n - limit, 0), n))


def test_a_last_block_that_is_not_full_counts() -> None:
    scores = as_scores([0.0] * BLOCK_SCORES * 3 + [0.5, 0.75])

    assert largest(scores, 1, 0.0).tolist() == [3 * BLOCK_SCORES + 1]
