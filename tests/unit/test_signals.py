import numpy as np
import pytest

from memory_mcp.config import WeightSettings
from memory_mcp.recall.signals import (
    Columns,
    Moments,
    covered,
    lexical_evidence,
    moments,
    neighbour_scores,
    neighbours,
    rarity,
    reply_scores,
    score_parts,
    session_scores,
    standardise,
    total,
)

OFF = WeightSettings(**dict.fromkeys(WeightSettings.model_fields, 0.0))


def columns(n: int, **given: object) -> Columns:
    plain: dict[str, object] = {
        "similarity": np.zeros(n),
        "lexical": np.zeros(n),
        "covered": np.zeros(n),
        "kinds": np.zeros(n),
        "of_an_occasion": False,
        "of_the_present": False,
        "session": np.full(n, -1),
        "session_lexical": np.zeros(0),
        "time": np.zeros(n),
        "dated": np.zeros(n, dtype=bool),
        "asking": np.zeros(n, dtype=bool),
        "specific": np.zeros(n, dtype=bool),
        "named": np.zeros(n),
        "importance": np.full(n, 0.5),
        "age_days": np.zeros(n),
        "related": np.zeros(n),
    }
    plain |= given
    plain["near"] = neighbours(plain["session"], np.arange(n))  # type: ignore[arg-type]
    return Columns(**plain)  # type: ignore[arg-type]


def test_five_memories_hardly_move_the_deviation_and_many_set_it():
    alike = moments(np.full(5, 0.3))
    many = moments(np.random.default_rng(0).normal(0.1, 0.05, 10_000))

    assert alike.mean == pytest.approx(0.3)
    assert 0.09 < alike.deviation < 0.1
    assert many.deviation == pytest.approx(0.05, abs=0.002)
    assert moments(np.array([np.nan])) == Moments(0.0, 0.1)


def test_an_unknown_similarity_is_the_mean():
    assert standardise(np.array([0.3, np.nan, 0.1]), 0.1, 0.1).tolist() == pytest.approx([2.0, 0.0, 0.0])


def test_long_questions_sum_up_more_noise():
    once = lexical_evidence(np.array([8.0]), 4)

    assert once[0] == 8.0
    assert lexical_evidence(np.array([8.0]), 16)[0] == 4.0
    assert lexical_evidence(np.array([8.0]), 1)[0] == lexical_evidence(np.array([8.0]), 2)[0]


def test_neighbours_are_those_of_the_session_in_its_order_wherever_the_rows_lie():
    session, order = np.array([0, 1, 0, 0, -1, -1]), np.array([2, 0, 0, 1, 0, 1])

    given = neighbour_scores(np.array([1.0, 7.0, 0.0, 10.0, 5.0, 5.0]), neighbours(session, order), 0.2, 0.1)

    assert given.tolist() == pytest.approx([2.0, 0.0, 2.1, 0.2, 0.0, 0.0])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_rows_have_no_neighbours(n: int):
    assert neighbour_scores(np.ones(n), neighbours(np.full(n, -1), np.arange(n)), 0.2, 0.1).tolist() == [0.0] * n


def test_a_reply_inherits_from_the_question_before_it():
    carried = reply_scores(np.array([3.0, 1.0, 2.0]), neighbours(np.array([0, 0, 0]), np.array([0, 1, 2])), np.array([True, False, False]))

    assert carried.tolist() == [0.0, 3.0, 0.0]


def bits(*standing: str) -> np.ndarray:
    """Of `pot glaze kiln`, which words stand in each memory."""
    return np.array([sum(1 << "pgk".index(letter) for letter in each) for each in standing], np.uint64)


def test_words_said_just_before_count_as_said_here_and_what_comes_after_does_not():
    session, order = np.array([0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 0])

    share = covered(bits("p", "g", "", "", "k"), (1.0, 1.0, 2.0), neighbours(session, order))

    assert share.tolist() == pytest.approx([0.25, 0.5, (1.0 + 0.7) / 4, 0.7 / 4, 0.5])


def test_a_word_said_twice_counts_once_and_a_memory_without_a_session_speaks_for_itself():
    near = neighbours(np.array([0, 0, -1, -1]), np.array([0, 1, 0, 1]))

    assert covered(bits("pg", "pg", "pgk", "k"), (1.0, 1.0, 1.0), near).tolist() == pytest.approx([2 / 3, 2 / 3, 1.0, 1 / 3])


@pytest.mark.parametrize("rarities", [(), (0.0, 0.0)])
def test_a_question_whose_words_tell_nothing_is_covered_by_nothing(rarities: tuple[float, ...]):
    assert covered(bits("p", "g"), rarities, neighbours(np.array([0, 0]), np.array([0, 1]))).tolist() == [0.0, 0.0]


def test_sixty_four_words_have_a_bit_each():
    everything = np.array([2**64 - 1, 2**63], np.uint64)

    assert covered(everything, (1.0,) * 64, neighbours(np.array([-1, -1]), np.array([0, 1]))).tolist() == pytest.approx([1.0, 1 / 64])


def test_rare_words_tell_more_and_what_stands_nowhere_tells_most():
    common, rare, absent = rarity({"the pot": 90, "kiln": 2}, ["the pot", "kiln", "glaze"], 100)

    assert 0 < common < rare < absent
    assert rarity({}, ["pot"], 0)[0] > 0


def test_sessions_count_by_what_they_have_over_the_average():
    assert session_scores(np.array([0, 1, -1]), np.array([4.0, 2.0])).tolist() == [1.0, -1.0, 0.0]
    assert session_scores(np.array([-1, -1]), np.zeros(0)).tolist() == [0.0, 0.0]


def test_every_signal_has_its_part_and_can_be_switched_off():
    rich = columns(
        3,
        similarity=np.array([0.5, 0.1, np.nan]),
        lexical=np.array([0.0, 6.0, 1.0]),
        covered=np.array([0.0, 1.0, 0.5]),
        kinds=np.array([0.5, 0.0, 1.0]),
        of_an_occasion=True,
        of_the_present=True,
        session=np.array([0, 0, -1]),
        session_lexical=np.array([2.0]),
        time=np.array([0.0, 1.0, 0.0]),
        dated=np.array([False, True, False]),
        asking=np.array([True, False, False]),
        specific=np.array([False, True, False]),
        named=np.array([0.0, 0.5, 1.0]),
        importance=np.array([0.0, 1.0, 0.5]),
        age_days=np.array([0.0, 90.0, 180.0]),
    )
    weights = WeightSettings(
        lexical=0.2, attribute=2.5, session=0.25, reply=0.3, time=2.0, dated=1.0, asking=0.75, specific=0.9, importance=0.2, recency=0.1
    )
    parts = score_parts(rich, weights, Moments(0.1, 0.1), terms=4)

    assert score_parts(rich, OFF, Moments(0.1, 0.1), terms=4) == {}
    assert set(parts) == {
        "dense",
        "lexical",
        "coverage",
        "kind",
        "occasion",
        "attribute",
        "session",
        "neighbour",
        "reply",
        "time",
        "dated",
        "asking",
        "specific",
        "importance",
        "recency",
        "latest",
    }
    assert parts["dense"].tolist() == pytest.approx([4.0, 0.0, 0.0])
    assert parts["lexical"].tolist() == pytest.approx([0.0, 1.2, 0.2])
    assert parts["kind"].tolist() == [2.25, 0.0, 4.5]
    assert parts["occasion"].tolist() == (parts["coverage"] + parts["session"]).tolist() != [0.0, 0.0, 0.0]
    assert parts["attribute"].tolist() == [0.0, 1.25, 2.5]
    assert parts["reply"].tolist() == pytest.approx([0.0, 1.2, 0.0])
    assert parts["dated"].tolist() == [0.0, 1.0, 0.0]
    assert parts["asking"].tolist() == [-0.75, 0.0, 0.0]
    assert parts["specific"].tolist() == [0.0, 0.9, 0.0]
    assert parts["importance"].tolist() == pytest.approx([-0.1, 0.1, 0.0])
    assert parts["recency"].tolist() == pytest.approx([0.1, 0.05, 0.025])
    assert parts["latest"].tolist() == pytest.approx([2.0, 1.0, 0.5])
    assert total(parts, 3).tolist() == pytest.approx(sum(np.array(part) for part in parts.values()).tolist())
    assert "neighbour" in score_parts(rich, OFF.model_copy(update={"second_neighbour": 0.1}), Moments(0.1, 0.1), terms=4)


def test_no_memory_and_no_signal_are_no_error():
    assert total(score_parts(columns(0), WeightSettings(), moments(np.zeros(0)), terms=0), 0).tolist() == []
    assert total({}, 2).tolist() == [0.0, 0.0]


def test_what_the_whole_store_says_the_candidates_say_too():
    """Of a scope too large to look at whole the same functions get some rows and figures of a sample."""
    rng = np.random.default_rng(1)
    whole = columns(2_000, similarity=rng.normal(0.05, 0.09, 2_000), lexical=rng.exponential(1.0, 2_000))
    rows = np.argsort(-whole.similarity)[:300]
    some = columns(300, similarity=whole.similarity[rows], lexical=whole.lexical[rows])
    of_sample = moments(whole.similarity[::5])

    best = np.argsort(-total(score_parts(whole, WeightSettings(), moments(whole.similarity), terms=4), 2_000))[:20]
    best_of_some = rows[np.argsort(-total(score_parts(some, WeightSettings(), of_sample, terms=4), 300))[:20]]

    assert len(set(best) & set(best_of_some)) >= 19


def test_an_entity_that_the_question_names_counts_by_how_telling_it_is():
    given = columns(3, related=np.array([0.0, 1.0, 0.25]))

    assert score_parts(given, OFF.model_copy(update={"entity": 2.0}), Moments(0.0, 0.1), terms=1)["entity"].tolist() == [0.0, 2.0, 0.5]
    assert "entity" not in score_parts(given, WeightSettings(), Moments(0.0, 0.1), terms=1)  # it did not help: off until somebody wants it
