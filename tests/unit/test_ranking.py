"""From candidates to an order: pure, with tables and properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.clock import to_micros
from memory_mcp.config import WeightSettings
from memory_mcp.contracts import Candidates, Circumstances
from memory_mcp.models import Filter, Memory, Recalled, Scope
from memory_mcp.recall.calibration import MINILM_SCALES
from memory_mcp.recall.ranking import as_ranked, best_passage, judged, looked_for, shortlist, still_valid
from memory_mcp.text.timewords import time_spans

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WEIGHTS = WeightSettings()


def memory(number: int, content: str = "Text.", **fields: Any) -> Memory:
    return Memory(UUID(int=number), Scope("local", "project"), content, NOW, NOW, NOW, **fields)


def candidates(*scores: tuple[float | None, float], **columns: Any) -> Candidates:
    n = len(scores)
    around: dict[str, Any] = {
        "lexical": [lexical for _, lexical in scores],
        "standing": [int(lexical > 0) for _, lexical in scores],
        "kinds": [0.0] * n,
        "session": [-1] * n,
        "order": [0] * n,
        "session_lexical": [],
        "when": [to_micros(NOW)] * n,
        "asking": [False] * n,
        "specific": [False] * n,
        "dated": [False] * n,
        "named": [0.0] * n,
        "importance": [0.5] * n,
    }
    around.update(columns)
    kinds = {
        "standing": np.uint64,
        "session": np.int64,
        "order": np.int64,
        "when": np.int64,
        "asking": np.bool_,
        "dated": np.bool_,
        "specific": np.bool_,
    }
    arrays = {name: np.array(values, kinds.get(name, np.float64)) for name, values in around.items()}
    similarity = np.array([np.nan if score is None else score for score, _ in scores], np.float64)
    ids = tuple(UUID(int=i) for i in range(1, n + 1))
    return Candidates(ids, similarity, Circumstances(**arrays), mean=0.0, deviation=0.1, unrelated=0.04, sampled=n, rows=n, rarity=(1.0,))


def order(found: Candidates, query: str = "", limit: int = 100) -> list[int]:
    return [memory_id.int for memory_id in shortlist(found, WEIGHTS, query, time_spans(query, NOW), NOW, limit)]


@pytest.mark.parametrize(
    ("scores", "best_first"),
    [
        ([], []),
        ([(None, 0.0)], [1]),
        ([(0.1, 0.0), (0.9, 0.0)], [2, 1]),
        ([(None, 1.0), (None, 9.0)], [2, 1]),
        ([(0.5, 0.0), (0.5, 7.0), (0.4, 7.0)], [2, 3, 1]),
        ([(0.3, 2.0), (0.3, 2.0), (0.3, 2.0)], [1, 2, 3]),
    ],
)
def test_the_order_goes_by_meaning_and_words_and_equal_ones_by_id(scores: list[tuple[float | None, float]], best_first: list[int]) -> None:
    assert order(candidates(*scores)) == best_first


def test_of_two_statements_the_later_one_comes_first_if_the_question_wants_what_is_so_now() -> None:
    a_year_ago = to_micros(NOW - timedelta(days=365))
    found = candidates((0.5, 0.0), (0.48, 0.0), (0.1, 0.0), when=[a_year_ago, to_micros(NOW - timedelta(days=30)), to_micros(NOW)])

    assert order(found, "what do we use?")[:2] == [1, 2]
    assert order(found, "what do we use now?")[:2] == [2, 1]  # and not what is newer, but of something else


pair = st.tuples(st.none() | st.floats(-1, 1), st.floats(0, 20))


@given(scores=st.lists(pair, max_size=20), limit=st.integers(0, 25))
def test_a_shorter_shortlist_is_the_beginning_of_a_longer_one(scores: list[tuple[float | None, float]], limit: int) -> None:
    everything = order(candidates(*scores))

    assert sorted(everything) == list(range(1, len(scores) + 1))
    assert order(candidates(*scores), limit=limit) == everything[:limit]


def test_a_named_attribute_is_a_boost_and_no_filter() -> None:
    scores = ((0.3, 0.0), (0.5, 0.0), (0.7, 0.0))

    assert order(candidates(*scores, named=(1.0, 0.0, 0.0))) == [3, 1, 2]
    assert order(candidates(*scores)) == [3, 2, 1]


def test_the_time_a_question_names_is_preferred() -> None:
    then = to_micros(NOW - timedelta(days=1))
    found = candidates((0.4, 0.0), (0.45, 0.0), when=(then, to_micros(NOW - timedelta(days=300))))

    assert order(found, "what was decided yesterday?") == [1, 2]
    assert order(found, "what was decided?") == [2, 1]


def test_what_was_said_beside_speaks_for_a_memory() -> None:
    alone = candidates((0.9, 9.0), (0.3, 0.0), (0.3, 0.0), session=(0, 1, 0), order=(0, 0, 1), session_lexical=(3.0, 0.0))

    assert order(alone) == [1, 3, 2]


def test_a_kind_of_what_is_asked_speaks_for_a_memory() -> None:
    assert order(candidates((0.3, 0.0), (0.3, 0.0), kinds=(0.0, 0.5))) == [2, 1]


def test_what_somebody_did_is_found_by_its_words_and_what_somebody_likes_by_its_meaning() -> None:
    found = candidates((0.7, 0.0), (0.3, 0.0), standing=(0, 1))

    assert order(found, "what did we choose?") == [2, 1]
    assert order(found, "what do we choose?") == [1, 2]


def test_importance_decides_between_equal_ones() -> None:
    assert order(candidates((0.3, 0.0), (0.3, 0.0), importance=(0.4, 0.9))) == [2, 1]


def test_parts_tell_how_the_place_came_about() -> None:
    found = candidates((0.5, 3.0), named=(1.0,))
    parts = shortlist(found, WEIGHTS, "", (), NOW, 5)
    (hit,) = judged([memory(1)], parts, found, "question", (), MINILM_SCALES)

    assert hit.parts["dense"] == pytest.approx(5.0)
    assert hit.parts["attribute"] == WEIGHTS.attribute
    assert 0 < hit.score < 1


def test_a_signal_that_is_off_has_no_part() -> None:
    (parts,) = shortlist(candidates((0.5, 3.0), named=(1.0,)), WEIGHTS.model_copy(update={"attribute": 0.0}), "", (), NOW, 5).values()

    assert "attribute" not in parts


# still_valid

LATER, EARLIER = NOW + timedelta(hours=1), NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("change", "where", "valid"),
    [
        ({}, Filter(), True),
        ({"superseded_by": UUID(int=9)}, Filter(), False),
        ({"expires_at": LATER}, Filter(), True),
        ({"expires_at": NOW}, Filter(), False),
        ({"kind": "rule"}, Filter(kinds=frozenset({"rule", "fact"})), True),
        ({"kind": "chat"}, Filter(kinds=frozenset({"rule"})), False),
        ({"domain": "coding"}, Filter(domains=frozenset({"business"})), False),
        ({"tags": ("a", "b")}, Filter(tags=frozenset({"a"})), True),
        ({"tags": ("a",)}, Filter(tags=frozenset({"a", "b"})), False),
        ({"occurred_at": EARLIER}, Filter(since=EARLIER), True),
        ({"occurred_at": EARLIER}, Filter(since=NOW), False),
        ({"occurred_at": EARLIER}, Filter(until=EARLIER), False),
        ({"occurred_at": EARLIER}, Filter(until=NOW), True),
    ],
)
def test_what_a_fresh_record_must_satisfy(change: dict, where: Filter, valid: bool) -> None:
    assert still_valid(replace(memory(1), **change), where, NOW) is valid


def test_words_that_name_a_time_are_said_by_a_memory_of_that_time() -> None:
    found = replace(candidates((0.3, 0.0), (0.3, 0.0), (0.3, 0.0)), rarity=(1.0,) * 4)
    then, later = datetime(2024, 5, 20, tzinfo=UTC), datetime(2025, 5, 20, tzinfo=UTC)
    memories = [
        memory(1, "The kiln broke", occurred_at=then),
        memory(2, "The kiln broke", occurred_at=later),
        memory(3, "The kiln broke in May 2024", occurred_at=later),
    ]

    question = "Did the kiln break in May 2024?"
    parts = shortlist(found, WEIGHTS, "", (), NOW, 5)
    of_then, of_later, told = judged(memories, parts, found, question, time_spans(question, NOW), MINILM_SCALES)

    assert of_then.score == told.score > of_later.score


def test_tags_metadata_and_endings_count_as_said() -> None:
    found = replace(candidates((0.3, 0.0), (0.3, 0.0)), rarity=(1.0,) * 3)
    memories = [memory(1, "Nothing of it"), memory(2, "It listens there.", tags=("postgres",), metadata={"what": "ports"})]
    hits = judged(memories, shortlist(found, WEIGHTS, "", (), NOW, 5), found, "postgres port listening", (), MINILM_SCALES)

    assert hits[1].score > 0.9 > hits[0].score


def hit(number: int, score: float, place: float) -> Recalled:
    return Recalled(memory(number), score, {"dense": place - 1.0, "lexical": 1.0})


def test_scores_never_rise_and_the_first_is_as_likely_as_any_that_was_judged() -> None:
    found = as_ranked([hit(1, 0.6, 5.0), hit(2, 0.9, 5.0), hit(3, 0.9, 4.0), hit(4, 0.95, 3.9), hit(5, 0.5, 2.0)])

    assert [one.memory.id.int for one in found] == [1, 2, 3, 4, 5]
    assert [round(one.score, 3) for one in found] == [0.95, 0.9, 0.331, 0.316, 0.025]


def test_equal_places_leave_scores_as_they_are_and_what_was_not_judged_lifts_nobody() -> None:
    equal = as_ranked([Recalled(memory(number), 0.5) for number in range(1, 12)])
    late = as_ranked([*(hit(number, 0.5, 5.0) for number in range(1, 11)), hit(11, 0.99, 5.0)])

    assert {one.score for one in equal} == {one.score for one in late} == {0.5}
    assert as_ranked([]) == []


SECTIONS = {
    "import": "The import job reads the orders of the shop each night. What happened in the job is written to its log. " * 5,
    "codes": "Of what the log may say E4711 is a file that is locked, and E4712 one that has no header line. " * 5,
    "people": "Ann looks after the shop and its orders, Ben after the warehouse and the vans that leave from there. " * 5,
}
HANDBOOK = "\n\n".join(SECTIONS.values())


def section(question: str, rarities: list[float] | None = None, closest: int | None = 0) -> str:
    """The first words of the passage that is chosen."""
    found = best_passage(HANDBOOK, looked_for(question, rarities, time_spans(question, NOW)), closest)

    assert found.of == 3
    return HANDBOOK[found.start : found.end][:6]


def test_a_number_or_a_rare_word_chooses_the_passage_over_many_that_stand_in_others_too() -> None:
    assert section("What happened in the import job of the shop: E4711?") == "Of wha"
    assert section("Which orders does the import job of the shop read into the vans?", [1.0, 1.0, 1.0, 1.0, 1.0, 9.0]) == "Ann lo"
    assert section("Which orders does the import job read?", closest=2) == "The im"


def test_words_that_tell_the_same_leave_it_to_the_meaning() -> None:
    assert [section("Ann and the import", closest=number) for number in (0, 2)] == ["The im", "Ann lo"]
    assert section("something else altogether", closest=1) == "Of wha"


def test_the_numbers_of_a_date_choose_no_passage() -> None:
    question = "job 4711 in May 2024"
    shares = [looked_for(question, None, times).shares.values() for times in ((), time_spans(question, NOW))]

    assert [list(each) for each in shares] == [[1.0, 3.0, 1.0, 3.0], [1.0, 3.0, 1.0, 1.0]]


def test_of_a_short_text_nothing_is_chosen() -> None:
    sought = looked_for("import job", [2.0, 1.0])

    assert best_passage("The import job is done", sought, 3) == (0, 22, 1, sought.telling)
    assert list(sought.telling.values()) == [2.0, 1.0]
