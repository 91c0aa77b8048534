"""How likely something works: the Beta posterior against known values, and which solution comes first."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.knowledge.solutions import ranked_solutions
from memory_mcp.knowledge.success import SURE, success
from memory_mcp.models import Memory, Scope, Tally

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def memory(number: int) -> Memory:
    return Memory(UUID(int=number), Scope("local", "p"), f"solution {number}", NOW, NOW, NOW, kind="procedure")


@pytest.mark.parametrize(
    ("good", "bad", "expected", "least"),
    [
        (0, 0, 1 / 2, 1 - SURE),  # uniform
        (1, 0, 2 / 3, (1 - SURE) ** (1 / 2)),  # the density is 2x, the share below x is x²
        (4, 0, 5 / 6, (1 - SURE) ** (1 / 5)),
        (0, 1, 1 / 3, 1 - SURE ** (1 / 2)),
        (0, 3, 1 / 5, 1 - SURE ** (1 / 4)),
        (1, 1, 1 / 2, 0.326352),  # 3x² - 2x³ = 1/4
    ],
)
def test_the_posterior_against_closed_forms(good: int, bad: int, expected: float, least: float) -> None:
    found = success(Tally(good, bad))

    assert found.expected == pytest.approx(expected)
    assert found.least == pytest.approx(least, abs=1e-6)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_it_is_a_chance_and_grows_with_what_worked(good: int, bad: int) -> None:
    found = success(Tally(good, bad))

    assert 0 < found.least < 1
    assert 0 < found.expected < 1
    assert success(Tally(good + 1, bad)).least >= found.least - 1e-3


def test_the_proven_comes_before_the_untried_before_what_failed() -> None:
    found = [(memory(number), 1.0, True) for number in (1, 2, 3, 4)]
    tallies = {UUID(int=1): Tally(0, 2), UUID(int=3): Tally(1, 0), UUID(int=4): Tally(30, 6)}

    assert [one.memory.id.int for one in ranked_solutions(found, tallies)] == [4, 3, 2, 1]


def test_of_equal_ones_the_quicker_comes_first_and_each_once_at_its_best() -> None:
    found = [(memory(1), 0.5, False), (memory(2), 1.0, True), (memory(1), 1.0, True), (memory(1), 0.7, False)]
    tallies = {UUID(int=1): Tally(2, 0, 60.0, 2), UUID(int=2): Tally(2, 0, 300.0, 2)}

    ranked = ranked_solutions(found, tallies)

    assert [(one.memory.id.int, one.likeness, one.same, one.seconds) for one in ranked] == [(1, 1.0, True, 30.0), (2, 1.0, True, 150.0)]
