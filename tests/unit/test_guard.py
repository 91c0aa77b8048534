"""The breaker by tables, and the guard around work that answers, fails, hangs and is given up."""

import asyncio
import time
from collections.abc import Sequence

import anyio
import pytest

from memory_mcp.errors import RequestError, ScopeNotCoveredError, StoreFullError, TierError, TierUnavailableError
from memory_mcp.telemetry.timing import Histogram
from memory_mcp.tiers.guard import Breaker, Guard


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def guarded(clock: Clock, **settings: float) -> Guard:
    return Guard("tier", clock=clock, **settings)  # type: ignore[arg-type]


async def fine() -> str:
    return "fine"


async def away() -> str:
    raise TierUnavailableError("tier", "away")


async def never() -> str:
    await anyio.sleep_forever()
    return ""


async def let_fail(guard: Guard, times: int) -> None:
    for _ in range(times):
        with pytest.raises(TierUnavailableError):
            await guard.run(away)


# the breaker: what happens at which second, and how it then stands

STORIES: dict[str, Sequence[tuple[float, str, str]]] = {
    "failures in a row open it": [(0, "fail", "closed"), (0, "fail", "closed"), (0, "fail", "open")],
    "an answer between them starts the count anew": [
        (0, "fail", "closed"),
        (0, "fail", "closed"),
        (0, "answer", "closed"),
        (0, "fail", "closed"),
        (0, "fail", "closed"),
        (0, "fail", "open"),
    ],
    "after a second one may try, and its answer closes it": [
        (0, "fail", "closed"),
        (0, "fail", "closed"),
        (0, "fail", "open"),
        (0.9, "refused", "open"),
        (1, "answer", "closed"),
        (1, "fail", "closed"),
    ],
    "each failed try doubles the rest": [
        *[(0.0, "fail", "")] * 3,
        (1, "fail", "open"),
        (2.9, "refused", "open"),
        (3, "fail", "open"),
        (6.9, "refused", "open"),
        (7, "answer", "closed"),
    ],
    "the rest ends at thirty seconds": [
        *[(0.0, "fail", "")] * 3,
        *[(at, "fail", "open") for at in (1.0, 3.0, 7.0, 15.0, 31.0, 61.0)],
        (90.9, "refused", "open"),
        (91, "answer", "closed"),
    ],
    "after a recovery the rest is short again": [
        *[(0.0, "fail", "")] * 3,
        (1, "fail", "open"),
        (3, "answer", "closed"),
        *[(4.0, "fail", "")] * 3,
        (4.9, "refused", "open"),
        (5, "answer", "closed"),
    ],
    "who gives up leaves the try to the next": [
        *[(0.0, "fail", "")] * 3,
        (1, "withdraw", "half-open"),
        (1, "answer", "closed"),
    ],
}


@pytest.mark.parametrize("story", [pytest.param(story, id=name) for name, story in STORIES.items()])
def test_the_breaker(story: Sequence[tuple[float, str, str]]) -> None:
    breaker = Breaker(3)
    for number, (now, event, expected) in enumerate(story):
        ticket = breaker.admit(now)
        assert (ticket is None) == (event == "refused"), number
        if ticket is not None:
            {"fail": lambda t, now=now: breaker.failed(t, now), "answer": breaker.answered, "withdraw": breaker.withdrawn}[event](ticket)
        assert not expected or breaker.state(now) == expected, number


def test_one_call_at_a_time_tries_a_tier_that_was_away() -> None:
    breaker = Breaker(1)
    first = breaker.admit(0)
    assert first is not None
    breaker.failed(first, 0)

    assert [breaker.admit(5) is not None for _ in range(4)] == [True, False, False, False]


def test_what_an_old_call_reports_changes_nothing_any_more() -> None:
    breaker = Breaker(1)
    slow, quick = breaker.admit(0), breaker.admit(0)
    assert slow is not None
    assert quick is not None
    breaker.failed(quick, 0)
    breaker.answered(slow)
    assert breaker.state(0.5) == "open"

    probe = breaker.admit(1)
    assert probe is not None
    breaker.answered(probe)
    breaker.failed(slow, 1)
    assert breaker.state(1) == "closed"


# the guard


async def test_an_open_breaker_makes_no_calls() -> None:
    clock, made = Clock(), []
    guard = guarded(clock)
    await let_fail(guard, 3)

    async def work() -> None:
        made.append(clock.now)

    with pytest.raises(TierUnavailableError):
        await guard.run(work)
    clock.now += 1
    await guard.run(work)
    await guard.run(work)

    assert made == [101.0, 101.0]
    assert guard.figures()["refused"] == 1


async def test_of_many_waiting_calls_one_tries() -> None:
    clock = Clock()
    guard = guarded(clock)
    await let_fail(guard, 3)
    clock.now += 1
    go, tried, refused = anyio.Event(), [], []

    async def work() -> None:
        tried.append(1)
        await go.wait()

    async def call() -> None:
        try:
            await guard.run(work)
        except TierUnavailableError:
            refused.append(1)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        assert (len(tried), len(refused), guard.state) == (1, 19, "half-open")
        go.set()

    assert guard.state == "closed"


async def test_what_is_too_slow_is_unavailable() -> None:
    guard = Guard("tier", call_seconds=0.01)
    with anyio.fail_after(5), pytest.raises(TierUnavailableError) as caught:
        await guard.run(never)

    assert isinstance(caught.value.__cause__, TimeoutError)
    assert caught.value.tier == "tier"
    assert (guard.figures()["timeouts"], guard.figures()["errors"]) == (1, 1)


async def test_what_the_loop_spends_elsewhere_is_not_the_tiers_fault() -> None:
    guard = Guard("tier", call_seconds=0.05)

    async def work() -> str:
        for _ in range(10):
            await asyncio.sleep(0.001)
        return "fine"

    async def stall() -> None:
        for _ in range(15):
            time.sleep(0.02)  # noqa: ASYNC251 - this is what must not happen, and does
            await asyncio.sleep(0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stall)
        assert await guard.run(work) == "fine"

    assert guard.figures()["timeouts"] == 0


async def test_a_loop_that_never_has_time_waits_no_longer_than_ten_times_the_limit() -> None:
    guard = Guard("tier", call_seconds=0.02)
    stalling = True

    async def stall() -> None:
        while stalling:
            time.sleep(0.03)  # noqa: ASYNC251
            await asyncio.sleep(0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stall)
        started = time.perf_counter()
        with pytest.raises(TierUnavailableError):
            await guard.run(never)
        stalling = False

    assert time.perf_counter() - started < 2


async def test_a_single_call_may_have_a_limit_of_its_own() -> None:
    guard = Guard("tier", call_seconds=1000)
    with anyio.fail_after(5), pytest.raises(TierUnavailableError):
        await guard.run(never, seconds=0.01)


@pytest.mark.parametrize("error", [TierError("tier", "broken"), StoreFullError("tier"), ScopeNotCoveredError("tier"), RequestError("no")])
async def test_an_error_that_is_an_answer_does_not_open_it(error: Exception) -> None:
    guard = Guard("tier", failures=1)

    async def work() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(type(error)) as caught:
            await guard.run(work)
        assert caught.value is error

    assert guard.state == "closed"
    assert guard.figures()["errors"] == (0 if isinstance(error, ScopeNotCoveredError) else 3)


async def test_a_caller_that_gives_up_counts_as_nothing_and_leaves_the_try_to_the_next() -> None:
    clock = Clock()
    guard = guarded(clock, failures=1)
    for _ in range(3):
        with anyio.move_on_after(0.01):
            await guard.run(never)
    assert (guard.state, guard.figures()["calls"], guard.figures()["errors"]) == ("closed", 0, 0)

    await let_fail(guard, 1)
    clock.now += 1
    with anyio.move_on_after(0.01):
        await guard.run(never)

    assert await guard.run(fine) == "fine"
    assert guard.state == "closed"


async def test_the_callers_own_time_limit_stays_his() -> None:
    guard = Guard("tier", call_seconds=1000, failures=1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await guard.run(never)

    assert guard.state == "closed"


async def test_a_guard_that_only_times_never_opens() -> None:
    guard = guarded(Clock(), failures=None)  # type: ignore[arg-type]
    await let_fail(guard, 50)

    assert (guard.state, guard.figures()["errors"]) == ("closed", 50)
    assert "breaker" not in guard.figures()


async def test_figures_are_flat_and_tell_how_the_tier_is_doing() -> None:
    clock = Clock()
    guard = guarded(clock)

    async def work() -> None:
        clock.now += 0.01

    for _ in range(99):
        await guard.run(work)
    clock.now += 1

    async def slow() -> None:
        clock.now += 1

    await guard.run(slow)
    assert "hit_rate" not in guard.figures()
    guard.hit()
    guard.miss()
    figures = guard.figures()

    assert set(figures) == {"health", "calls", "errors", "timeouts", "refused", "p50_ms", "p95_ms", "p99_ms", "breaker", "hit_rate"}
    assert (figures["health"], figures["breaker"], figures["calls"], figures["hit_rate"]) == ("ok", "closed", 100, 0.5)
    assert figures["p50_ms"] == pytest.approx(10, rel=0.1)
    assert figures["p99_ms"] == pytest.approx(10, rel=0.1)
    await let_fail(guard, 3)
    assert (guard.figures()["health"], guard.figures()["breaker"]) == ("away", "open")


# the histogram


def test_percentiles_are_right_to_a_tenth() -> None:
    histogram = Histogram()
    for milliseconds in range(1, 1001):
        histogram.add(milliseconds / 1000)

    for p in (50, 95, 99):
        assert histogram.percentile(p) == pytest.approx(p / 100, rel=0.1)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e9])
def test_what_lies_outside_is_counted_at_the_edge(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)

    assert 0 < histogram.percentile(50) < 200


def test_nothing_counted_is_nothing_told() -> None:
    assert Histogram().percentiles() == {"p50_ms": 0.0, "p95_ms": 0.0, "p99_ms": 0.0}


def test_old_calls_are_forgotten_by_and_by() -> None:
    histogram = Histogram()
    for _ in range(10_000):
        histogram.add(1.0)
    for _ in range(30_000):
        histogram.add(0.001)

    assert histogram.percentile(95) == pytest.approx(0.001, rel=0.1)
