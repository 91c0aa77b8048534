"""What is shown again is what would be shown anew."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.answers import Answer
from memory_mcp.hygiene.echoes import echo_forms
from memory_mcp.models import Memory, Recalled, Scope
from memory_mcp.server import again, render
from memory_mcp.server.cursors import Cursors

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LINES = ["The gate code is 4711", "Deploys happen on Fridays, after Ann has tagged the commit. " * 20, "Tea, not coffee"]


def answer(*ages: float) -> Answer:
    hits = []
    for number, seconds in enumerate(ages):
        then = NOW - timedelta(seconds=seconds)
        memory = Memory(UUID(int=number), Scope("local", "project"), LINES[number % len(LINES)], then, then, then)
        hits.append(Recalled(memory, 0.9 - number / 100, {"dense": 0.5}))
    return Answer(hits, "strong", "project", more=True)


moments = st.lists(st.integers(-10_000_000, 10_000_000) | st.integers(-120, 120), min_size=1, max_size=8)


@given(st.lists(st.integers(-100, 50_000_000), max_size=5), moments, st.lists(st.booleans(), min_size=8, max_size=8))
def test_whenever_and_however_it_is_asked_for_it_is_as_if_made_anew(ages: list[int], later: list[int], explained: list[bool]) -> None:
    known = answer(*ages)
    for seconds, explain in zip(later, explained, strict=False):
        how = {"max_tokens": 300 if seconds % 2 else 1_500, "explain": explain, "cursors": Cursors("ab" if seconds % 3 else "cd")}
        now = NOW + timedelta(seconds=seconds)
        shown = again.recalled(known, now, **how)  # type: ignore[arg-type]
        anew = render.recalled(answer(*ages), now, **how)  # type: ignore[arg-type]

        assert shown.result == anew
        assert shown.forms == echo_forms(render.told(anew.structured_content))
        assert len(known.shown) == 1


def test_it_is_not_made_anew_as_long_as_all_ages_read_the_same() -> None:
    known = answer(3_700, 90_000)
    first, second, third = [again.recalled(known, NOW + timedelta(minutes=m), max_tokens=900, explain=False) for m in (0, 50, 60)]

    assert second is first
    assert third.result != first.result
