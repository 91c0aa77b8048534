from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.contracts import Candidate, Candidates
from memory_mcp.models import Filter, Memory, Scope
from memory_mcp.recall.fusion import Weights
from memory_mcp.recall.ranking import coverage, rank, shortlist, still_valid

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WEIGHTS = Weights()


def memory(number: int, content: str = "Text.", *, days_old: int = 0, **fields) -> Memory:
    when = NOW - timedelta(days=days_old)
    return Memory(UUID(int=number), Scope("local", "project"), content, when, when, when, **fields)


def candidates(*scores: tuple[float | None, float | None]) -> Candidates:
    return Candidates(tuple(Candidate(UUID(int=i), *pair) for i, pair in enumerate(scores, 1)))


def numbers(ids) -> list[int]:
    return [memory_id.int for memory_id in ids]


# shortlist


@pytest.mark.parametrize(
    ("scores", "best_first"),
    [
        ([], []),
        ([(None, None)], [1]),
        ([(0.1, None), (0.9, None)], [2, 1]),
        ([(None, 1.0), (None, 9.0)], [2, 1]),
        ([(0.5, None), (0.5, 7.0), (0.4, 7.0)], [2, 3, 1]),
        ([(0.3, 2.0), (0.3, 2.0), (0.3, 2.0)], [1, 2, 3]),
        ([(0.8, None), (None, 5.0), (0.2, 5.0)], [1, 2, 3]),
    ],
)
def test_the_shortlist_goes_by_both_searches_and_equal_ones_by_id(
    scores: list[tuple[float | None, float | None]], best_first: list[int]
) -> None:
    assert numbers(memory_id for memory_id, _ in shortlist(candidates(*scores), WEIGHTS, 10)) == best_first


score = st.none() | st.floats(0, 1)


@given(scores=st.lists(st.tuples(score, score), max_size=20), limit=st.integers(0, 25))
def test_a_shorter_shortlist_is_the_beginning_of_a_longer_one(scores: list[tuple[float | None, float | None]], limit: int) -> None:
    everything = shortlist(candidates(*scores), WEIGHTS, 100)

    assert sorted(numbers(memory_id for memory_id, _ in everything)) == list(range(1, len(scores) + 1))
    assert shortlist(candidates(*scores), WEIGHTS, limit) == everything[:limit]


# rank


def ranked(memories: list[Memory], query: str = "question", *, parts: dict[int, float] | None = None, limit: int = 10) -> list[int]:
    given_parts = {one.id: {"dense": (parts or {}).get(one.id.int, 0.0)} for one in memories}
    hits = rank(memories, given_parts, {one.id: 0.5 for one in memories}, query, WEIGHTS, limit=limit)
    return numbers(hit.memory.id for hit in hits)


def test_the_sum_of_the_parts_orders() -> None:
    assert ranked([memory(1), memory(2), memory(3)], parts={1: 1.0, 2: 3.0, 3: 2.0}) == [2, 3, 1]


def test_equal_ones_go_by_time_then_by_id() -> None:
    assert ranked([memory(3, days_old=1), memory(2, days_old=1), memory(1, days_old=5), memory(4)]) == [4, 2, 3, 1]


def test_importance_decides_between_equal_ones() -> None:
    assert ranked([memory(1, importance=0.4), memory(2, importance=0.9, days_old=9)]) == [2, 1]


def test_a_named_attribute_is_a_boost_and_no_filter() -> None:
    of_ann = memory(1, metadata={"speaker": "Ann"})
    others = [memory(2), memory(3)]

    assert ranked([of_ann, *others], "what does Ann like", parts={2: 1.9, 3: 2.1}) == [3, 1, 2]
    assert ranked([of_ann, *others], "what do they like", parts={2: 1.9, 3: 2.1}) == [3, 2, 1]


def test_parts_tell_how_the_place_came_about() -> None:
    one = memory(1, metadata={"speaker": "Ann"}, importance=1.0)
    (hit,) = rank([one], {one.id: {"dense": 4.0, "lexical": 1.0}}, {one.id: None}, "Ann", WEIGHTS, limit=5)

    assert hit.parts == {"dense": 4.0, "lexical": 1.0, "importance": pytest.approx(0.05), "attribute": 2.0}
    assert 0 < hit.score < 1


@given(
    importances=st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=12), limit=st.integers(0, 15), random=st.randoms(use_true_random=False)
)
def test_the_order_of_what_comes_in_does_not_matter(importances: list[float], limit: int, random) -> None:
    memories = [memory(i, importance=importance, days_old=i % 3) for i, importance in enumerate(importances, 1)]
    shuffled = random.sample(memories, len(memories))

    assert ranked(shuffled, limit=limit) == ranked(memories, limit=20)[:limit]


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


# coverage


@pytest.mark.parametrize(
    ("terms", "one", "share"),
    [
        (set(), memory(1, "anything"), 0.0),
        ({"postgres", "port"}, memory(1, "Postgres listens on port 5433."), 1.0),
        ({"postgres", "port"}, memory(1, "It is on 5433.", tags=("postgres",)), 0.5),
        ({"ann", "editor"}, memory(1, "Helix", key="user.editor", metadata={"speaker": "Ann", "line": 3}), 1.0),
        ({"nothing"}, memory(1, ""), 0.0),
    ],
)
def test_coverage_counts_text_tags_key_and_metadata(terms: set[str], one: Memory, share: float) -> None:
    assert coverage(terms, one) == share
