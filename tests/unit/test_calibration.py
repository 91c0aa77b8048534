import numpy as np
import pytest

from memory_mcp.recall.calibration import (
    MINILM,
    MINILM_SCALES,
    STRONG,
    WEAK,
    ModelScale,
    Null,
    matched,
    meaning_the_same,
    model_scale,
    relevance,
    relevance_between,
    store_null,
    verdict,
)
from memory_mcp.recall.foreign_probes import FOREIGN_PAIRS
from memory_mcp.recall.probes import PAIRS


def score(similarity: float, words: float, n: int, model: ModelScale = MINILM, *, passages: int = 1, strange: float = 0.0) -> float:
    null = Null(model.unrelated, n)
    return float(relevance(np.array([similarity]), np.array([words]), null, model, np.array([float(passages)]), strange)[0])


def test_a_close_memory_with_the_words_is_strong_and_a_distant_one_without_is_none():
    assert score(0.7, 0.6, 1_000) > STRONG
    assert score(0.25, 0.0, 1_000) < WEAK
    assert score(0.2, 0.0, 5) < WEAK


def test_what_many_memories_reach_by_chance_counts_less():
    scores = [score(0.45, 0.3, n) for n in (5, 100, 10_000, 100_000)]

    assert scores == sorted(scores, reverse=True)
    assert score(0.75, 0.8, 100_000) > STRONG


def test_the_score_rises_with_both_and_stays_between_0_and_1():
    grid = [[score(s, c, 500) for c in (0.0, 0.5, 1.0)] for s in (-1.0, 0.0, 0.5, 1.0)]

    assert (np.diff(grid, axis=0) > 0).all()
    assert (np.diff(grid, axis=1) > 0).all()
    assert 0 < np.min(grid) < np.max(grid) < 1


def test_a_model_of_narrow_cosines_gives_the_same_score():
    """As e5 and its kind have them: unrelated texts at 0.8."""
    narrow = ModelScale(0.8, 0.9, 0.015)

    def squeezed(s: float) -> float:
        return 0.8 + (s - MINILM.unrelated) * 0.1 / (MINILM.related - MINILM.unrelated)

    assert score(squeezed(0.5), 0.3, 500, narrow) == pytest.approx(score(0.5, 0.3, 500))


def test_a_model_that_tells_nothing_apart_gives_no_error():
    assert score(1.0, 0.0, 10, ModelScale(0.5, 0.5, 0.1)) <= 1.0
    assert score(-1.0, 0.0, 10, ModelScale(0.5, 0.4, 0.1)) >= 0.0


def test_without_a_vector_words_decide():
    assert score(np.nan, 1.0, 100) > STRONG
    assert score(np.nan, 0.0, 100) < WEAK


def test_the_scale_of_a_model_is_read_from_probes():
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(40, 64))
    questions, answers = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (topics, topics + 0.5 * rng.normal(size=(40, 64))))

    scale = model_scale(questions.astype(np.float32), answers.astype(np.float32))

    assert abs(scale.unrelated) < 0.05
    assert 0.8 < scale.related < 1.0


def test_few_memories_leave_the_models_figures_and_many_replace_them():
    assert store_null(MINILM, 0.9, 0, 0).mean == MINILM.unrelated
    assert store_null(MINILM, 1.0, 1, 1).mean < 0.1
    assert store_null(MINILM, 1.0, 1_000, 1_500).mean == pytest.approx(1.0, abs=0.03)


def test_a_long_memory_has_as_many_chances_as_passages():
    assert score(0.45, 0.3, 30, passages=8) == pytest.approx(score(0.45, 0.3, 240))
    assert score(0.45, 0.3, 30, passages=8) < score(0.45, 0.3, 30)


def test_names_that_nobody_speaks_of_weigh_against_a_memory_with_a_vector_and_without():
    for similarity in (0.5, np.nan):
        scores = [score(similarity, 0.7, 20, strange=share) for share in (0.0, 0.5, 1.0)]

        assert scores == sorted(scores, reverse=True)
    assert score(0.75, 1.0, 20, strange=1.0) > STRONG  # what is close in all else is still told


def test_a_share_of_many_words_tells_more_than_the_same_of_few_up_to_a_limit():
    some = [frozenset(range(count)) for count in (2, 4, 16, 64)]

    assert matched(some[1], some[1]) == 1.0
    assert matched(some[1], {0, 99}) == 0.25
    assert [matched(one, set(range(len(one) // 2))) for one in some] == pytest.approx([0.5**1.5, 0.5, 1.0, 1.0])
    assert matched(set(), {"b"}) == 0.0


def between(question: str, text: str, similarity: float, words: float, n: int = 20) -> float:
    null = Null(MINILM.unrelated, n)
    return float(relevance_between(question, [text], np.array([similarity]), np.array([words]), null, MINILM_SCALES, np.ones(1))[0])


GERMAN, ENGLISH = "Der Schlüssel hängt hinter der Garderobe.", "The key hangs behind the coats."


def test_what_all_texts_of_a_language_have_in_common_says_nothing_in_it():
    assert between("Wo ist der Brief?", GERMAN, 0.45, 0.0) < WEAK < between("Where is the letter?", ENGLISH, 0.45, 0.2)
    assert between("Wo ist der Schlüssel?", GERMAN, 0.6, 0.7) > STRONG
    assert between("Wo ist der Schlüssel?", GERMAN, 0.5, 0.5) < between("Wo ist der Schlüssel?", ENGLISH, 0.5, 0.5)
    assert between("Where is the key?", GERMAN, 0.45, 0.0) == between("Where is the key?", ENGLISH, 0.45, 0.0)


def test_where_meaning_tells_nothing_words_decide_alone():
    korean = "열쇠는 옷걸이 뒤에 있다."
    scores = [between("열쇠는 어디에 있나요?", korean, similarity, 0.5) for similarity in (0.4, 0.5, 0.6)]

    assert max(scores) - min(scores) < 0.1
    assert scores[1] == pytest.approx(score(np.nan, 0.5, 20), abs=0.05)


def test_a_language_without_probes_is_measured_as_english():
    swahili = "Ufunguo umetundikwa nyuma ya makoti."
    assert between("Ufunguo uko wapi?", swahili, 0.5, 0.5) == pytest.approx(score(0.5, 0.5, 20))


def test_what_may_be_in_either_language_is_no_better_than_in_both():
    german, told = "Wo ist der Ersatzschlüssel?", 0.5
    kept = [between(german, "Ersatzschlüssel: Garderobe links", similarity, told) for similarity in (0.2, 0.45, 0.6)]
    for similarity, score_of_both in zip((0.2, 0.45, 0.6), kept, strict=True):
        in_german, in_english = between(german, GERMAN, similarity, told), between(german, ENGLISH, similarity, told)
        assert score_of_both == pytest.approx(min(in_german, in_english))
    assert between("Ersatzschlüssel", GERMAN, 0.45, 0.0) == pytest.approx(between(german, GERMAN, 0.45, 0.0))
    assert between("Redis 7", ENGLISH, 0.45, 0.0) == pytest.approx(score(0.45, 0.0, 20))


def test_a_cosine_means_as_much_in_every_language():
    assert meaning_the_same(0.45, MINILM_SCALES, "en") == pytest.approx(0.45)
    assert meaning_the_same(0.45, MINILM_SCALES, "sw") == pytest.approx(0.45)
    assert 0.5 < meaning_the_same(0.45, MINILM_SCALES, "de") < meaning_the_same(0.45, MINILM_SCALES, "fr") < 0.75
    assert meaning_the_same(1.0, MINILM_SCALES, "ko") == pytest.approx(1.0)


def test_the_verdict_is_that_of_the_best():
    assert [verdict(best) for best in (None, WEAK - 0.01, WEAK, STRONG)] == ["none", "none", "weak", "strong"]


def test_probes_are_pairs_of_their_own():
    for pairs in (PAIRS, *FOREIGN_PAIRS.values()):
        assert len({text for pair in pairs for text in pair}) == 2 * len(pairs)
    assert {"en", *FOREIGN_PAIRS} == MINILM_SCALES.keys()
