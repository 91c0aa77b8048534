import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.recall.fusion import DEVIATION, WEAKEST_BEST, Weights, fuse

cosine = st.floats(-1, 1)
bm25 = st.floats(0, 50)
pairs = st.lists(st.tuples(st.just(np.nan) | cosine, st.just(np.nan) | bm25), max_size=30)
weights = st.builds(Weights, dense=st.floats(0, 10), lexical=st.floats(0, 10))


def columns(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows], float), np.array([row[1] for row in rows], float)


@pytest.mark.parametrize(
    ("similarity", "text_score", "dense", "lexical"),
    [
        ([], [], [], []),
        ([0.3], [np.nan], [3], [0]),
        ([np.nan], [8.0], [0], [1]),
        ([np.nan, np.nan], [np.nan, np.nan], [0, 0], [0, 0]),
        ([0.5, 0.2, np.nan], [np.nan, 4.0, 8.0], [5, 2, 2], [0, 0.5, 1]),
        ([-0.5, np.nan], [np.nan, 4.0], [-5, -5], [0, 1]),
        ([0.4, 0.4], [6.0, 6.0], [4, 4], [1, 1]),
        ([0.4, 0.4], [1e-6, 0.0], [4, 4], [1e-6 / WEAKEST_BEST, 0]),
    ],
)
def test_parts(similarity: list[float], text_score: list[float], dense: list[float], lexical: list[float]) -> None:
    parts = fuse(np.array(similarity, float), np.array(text_score, float), Weights(dense=1, lexical=1))

    assert parts["dense"] == pytest.approx(dense)
    assert parts["lexical"] == pytest.approx(lexical)


@given(rows=pairs, weights=weights)
def test_parts_are_finite_and_bounded(rows: list[tuple[float, float]], weights: Weights) -> None:
    parts = fuse(*columns(rows), weights)

    assert set(parts) == {"dense", "lexical"}
    assert all(part.shape == (len(rows),) for part in parts.values())
    assert np.all(np.abs(parts["dense"]) <= weights.dense / DEVIATION + 1e-9)
    assert np.all((parts["lexical"] >= 0) & (parts["lexical"] <= weights.lexical + 1e-9))


@given(rows=pairs, weights=weights, random=st.randoms(use_true_random=False))
def test_a_part_does_not_depend_on_the_order_of_the_candidates(rows: list[tuple[float, float]], weights: Weights, random) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    parts = fuse(*columns(rows), weights)
    shuffled = fuse(*columns([rows[i] for i in order]), weights)

    assert all(np.array_equal(shuffled[name], parts[name][order]) for name in parts)


@given(rows=pairs.filter(bool), weights=weights)
def test_better_in_both_searches_is_never_worse_in_the_sum(rows: list[tuple[float, float]], weights: Weights) -> None:
    similarity, text_score = columns(rows)
    total = sum(fuse(similarity, text_score, weights).values())
    known = ~np.isnan(similarity)
    closeness, words = np.where(known, similarity, -2), np.nan_to_num(text_score)

    for i in range(len(rows)):
        worse = (closeness <= closeness[i]) & (words <= words[i])
        assert np.all(total[worse] <= total[i] + 1e-9)


@given(rows=pairs)
def test_a_weight_of_zero_switches_a_signal_off(rows: list[tuple[float, float]]) -> None:
    parts = fuse(*columns(rows), Weights(dense=0, lexical=0))

    assert not any(part.any() for part in parts.values())


@given(rows=pairs.filter(bool), weights=weights, farther=st.floats(-1, -0.99))
def test_a_candidate_more_does_not_move_the_closeness_of_those_seen(
    rows: list[tuple[float, float]], weights: Weights, farther: float
) -> None:
    seen = [row for row in rows if not np.isnan(row[0])]
    before = fuse(*columns(seen), weights)["dense"]
    after = fuse(*columns([*seen, (farther, np.nan)]), weights)["dense"]

    assert np.array_equal(after[: len(seen)], before)
