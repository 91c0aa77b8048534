"""Every hit on one page exactly, as far as that can be, whatever is written and forgotten between the pages."""

from collections import defaultdict
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.errors import RequestError
from memory_mcp.models import Memory, Recalled, Scope
from memory_mcp.pages import KEPT, NOTHING, Behind, Page, Told, mark
from memory_mcp.server.cursors import Cursors

NOW = datetime(2026, 5, 1, tzinfo=UTC)
QUESTION = Cursors.of("Where is it?", ["fact"], 0.5)
DISTINCT = list({mark(UUID(int=number)): number for number in range(600)}.values())[: KEPT + 120]
"""Numbers of ids with marks of their own."""
BY_MARK = defaultdict[str, list[int]](list)
for each in (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128 for number in range(100_000)):  # spread as real ids are
    BY_MARK[mark(UUID(int=each))].append(each)
SHARING = [number for numbers in BY_MARK.values() if len(numbers) > 2 for number in numbers][: KEPT + 50]
"""Numbers of ids of which three and more share a mark."""


def hit(number: int, *alike: int) -> Recalled:
    return Recalled(Memory(UUID(int=number), Scope("local", "project"), "Some text", NOW, NOW, NOW), 1.0, alike=tuple(map(UUID, alike)))


def numbers(hits: list[Recalled]) -> list[int]:
    return [each.memory.id.int for each in hits]


def through_a_cursor(told: Told) -> Told:
    page = QUESTION.read(QUESTION.write(told))
    assert isinstance(page, Told)
    return page


limits = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(st.permutations(DISTINCT[:300]), limits)
def test_in_a_ranking_that_stays_the_pages_are_the_ranking(order: list[int], sizes: list[int]) -> None:
    told, seen = NOTHING, list[int]()
    for size in sizes:
        shown = told.rest(map(hit, order))[:size]
        seen += numbers(shown)
        told = through_a_cursor(told.and_these(shown)) if shown else told

    assert seen == order[: len(seen)]
    assert len(seen) == min(sum(sizes), len(order))


@given(st.permutations(SHARING), limits)
def test_so_they_are_where_marks_are_shared_and_more_is_told_than_there_are_marks_kept(order: list[int], sizes: list[int]) -> None:
    told, seen = NOTHING, list[int]()
    hits = [hit(each) for each in order]
    for size in [*sizes, KEPT, KEPT]:
        shown = told.rest(hits)[:size]
        seen += numbers(shown)
        told = told.and_these(shown)

    assert len(SHARING) > KEPT
    assert seen == order[: len(seen)]


@given(st.integers(0, KEPT), st.lists(st.tuples(st.integers(1, 9), st.permutations(DISTINCT[:120]), st.integers(0, 120)), max_size=9))
def test_however_the_ranking_changes_nothing_is_told_twice_and_what_stays_is_told(
    size: int, steps: list[tuple[int, list[int], int]]
) -> None:
    """As long as no more is told than there are marks kept: every step ranks other ones, in another order."""
    told, seen = NOTHING, list[int]()
    for limit, order, there in steps:
        shown = told.rest(map(hit, order[:there]))[:limit]
        seen += numbers(shown)
        told = told.and_these(shown)
    last = numbers(told.rest(map(hit, DISTINCT[: 120 + size])))

    assert len(seen) == len(set(seen))
    assert not {*seen} & {*last}
    assert {*seen, *last} == {*DISTINCT[: 120 + size]}


def test_what_says_the_same_as_one_that_was_told_is_told_already() -> None:
    told = NOTHING.and_these([hit(1), hit(2)])
    one, two, four = (UUID(int=number) for number in (1, 2, 4))
    changed = [Recalled(hit(3).memory, 1.0, alike=(one,)), hit(4), Recalled(hit(5).memory, 1.0, alike=(four, two))]

    assert [each.memory.id for each in told.rest(changed)] == [four]


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_place_in_time_comes_back_as_it_was(when: datetime, memory_id: UUID) -> None:
    assert QUESTION.read(QUESTION.write(Behind(when, memory_id))) == Behind(when, memory_id)


@given(st.integers(0, 999_999), st.lists(st.integers(0, 9_999), min_size=1, max_size=KEPT))
def test_a_cursor_is_short_and_taken_with_its_own_question_alone(earlier: int, told: list[int]) -> None:
    page = Told(earlier, "".join(mark(UUID(int=number)) for number in told))
    cursor = QUESTION.write(page)

    assert QUESTION.read(f" {cursor} ") == page
    assert len(cursor) <= 3 * len(told) + 12
    with pytest.raises(RequestError, match="another question"):
        Cursors.of("Where is she?", ["fact"], 0.5).read(cursor)


@pytest.mark.parametrize("page", [Told(0, "abcd-_"), Behind(NOW, UUID(int=7))])
def test_a_cursor_that_was_changed_is_refused(page: Page) -> None:
    cursor = QUESTION.write(page)
    for place in range(len(cursor)):
        for other in "1A.-é\n":
            changed = cursor[:place] + other + cursor[place + 1 :]
            if changed != cursor:
                with pytest.raises(RequestError, match="leave cursor out"):
                    QUESTION.read(changed)


IMPOSSIBLE = ["", "0.", "0.abcd", ".abc", "-1.abc", "1234567.abc", "٣.abc", f"0.{'abc' * (KEPT + 1)}", "é" * 32, "A" * 33, "f" * 32]


@pytest.mark.parametrize("place", IMPOSSIBLE)
def test_a_cursor_that_cannot_have_been_given_is_refused_though_its_check_is_right(place: str) -> None:
    """As somebody may make it who knows how."""
    with pytest.raises(RequestError, match="leave cursor out"):
        QUESTION.read(f"{place}.{QUESTION._check(place)}")
