"""What is timed, under which name, and that timing changes nothing."""

import math
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.errors import MemoryNotFoundError, RequestError, ScopeNotCoveredError, StoreFullError, TierUnavailableError
from memory_mcp.server.http.siblings import Siblings
from memory_mcp.telemetry.timing import BOUNDS, Buckets, Stages, Times
from memory_mcp.tiers.guard import Guard
from memory_mcp.tiers.timed import Timed


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_each_duration_is_in_the_bucket_of_the_first_bound_that_it_does_not_exceed(durations: list[float]) -> None:
    buckets = Buckets()
    for seconds in durations:
        buckets.add(seconds)

    for place, bound in enumerate([*BOUNDS, math.inf]):
        assert sum(buckets.counts[: place + 1]) == sum(seconds <= bound for seconds in durations)
    assert buckets.calls == len(durations)
    assert buckets.seconds == pytest.approx(sum(durations))


def test_what_is_promised_of_a_call_lies_on_a_bound() -> None:
    assert {0.01, 0.05, 0.1, 0.2} <= set(BOUNDS)
    assert list(BOUNDS) == sorted(set(BOUNDS))


def test_buckets_are_counted_together() -> None:
    one, other = Buckets(), Buckets()
    one.add(0.001)
    other.add(0.001)
    other.add(99)
    one.merge(other)

    assert (one.calls, one.counts[1], one.counts[-1], other.calls) == (3, 2, 1, 2)


def test_stages_are_counted_for_ever_and_percentiles_of_late() -> None:
    stages = Stages()
    for _ in range(1_500):
        with stages.measure("rank"):
            pass

    assert stages.times["rank",].calls == stages.summary()["rank"]["calls"] == 1_500


class Store:
    """Calls that end in every way; what is not awaited is passed on as it is."""

    path = "/somewhere"

    def __init__(self) -> None:
        self.reads = 0

    async def get(self, number: int, *, more: int = 0) -> int:
        """One more."""
        self.reads += 1
        return number + more

    async def fail(self, error: BaseException) -> None:
        raise error

    async def hang(self) -> None:
        await anyio.sleep_forever()

    def name_of(self) -> str:
        return "store"


async def test_a_timed_tier_does_what_it_did_and_each_call_is_counted() -> None:
    store = Store()
    timed = Timed("sqlite", store)
    same = timed.of(store)
    answers = [await same.get(1, more=2), await same.get(5)]

    assert answers == [3, 5]
    assert (same.reads, same.path, same.name_of(), same.get.__doc__) == (2, "/somewhere", "store", "One more.")
    assert {key: buckets.calls for key, buckets in timed.times.items()} == {("get", "ok"): 2}
    assert (timed.name, timed.state, timed.refused) == ("sqlite", "closed", 0)
    with pytest.raises(AttributeError):
        _ = same.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (RequestError("it cannot be done"), "ok"),
        (MemoryNotFoundError(["x"]), "ok"),
        (ScopeNotCoveredError("resident"), "ok"),
        (TierUnavailableError("sqlite", "away"), "unavailable"),
        (StoreFullError("sqlite"), "error"),
        (ValueError("a fault"), "error"),
    ],
)
async def test_how_a_call_ended(error: Exception, ended: str) -> None:
    store = Store()
    timed = Timed("sqlite", store)
    with pytest.raises(type(error)) as caught:
        await timed.of(store).fail(error)

    assert caught.value is error
    assert list(timed.times) == [("fail", ended)]


async def test_a_call_that_is_given_up_is_counted_as_that() -> None:
    store = Store()
    timed, guard = Timed("sqlite", store), Guard("qdrant")
    for call in (timed.of(store).hang, lambda: guard.run(store.hang, "search")):
        with anyio.move_on_after(0.01):
            await call()

    assert list(timed.times) == [("hang", "cancelled")]
    assert list(guard.times) == [("search", "cancelled")]
    assert (guard.figures()["calls"], guard.figures()["errors"]) == (0, 0)


async def test_a_guard_tells_every_end_apart() -> None:
    store, guard = Store(), Guard("qdrant", failures=2)
    for error in (ScopeNotCoveredError("qdrant"), ValueError("a fault"), TierUnavailableError("qdrant", "away")):
        with pytest.raises(type(error)):
            await guard.run(lambda error=error: store.fail(error), "search")
    with pytest.raises(TierUnavailableError, match="too slow"):
        await guard.run(store.hang, "covers", seconds=0.01)
    with pytest.raises(TierUnavailableError, match="left alone"):
        await guard.run(store.hang, "covers")

    counted = {key: buckets.calls for key, buckets in guard.times.items()}
    assert counted == {("search", "ok"): 1, ("search", "error"): 1, ("search", "unavailable"): 1, ("covers", "timeout"): 1}
    assert (guard.refused, guard.state) == (1, "open")


def test_times_are_kept_by_key() -> None:
    times = Times()
    times.add(("recall", "ok"), 0.003)
    times.add(("recall", "ok"), 0.004)
    times.add(("recall", "failed"), 1)

    assert {key: buckets.calls for key, buckets in times.items()} == {("recall", "ok"): 2, ("recall", "failed"): 1}


async def told() -> bytes:
    return b"counted"


async def test_siblings_hear_each_other_and_miss_those_that_are_gone(tmp_path: Path) -> None:
    one, other, silent = (Siblings(tmp_path, place, 4, patience_seconds=2) for place in range(3))

    async def hang() -> bytes:
        await anyio.sleep_forever()
        return b""

    async with one.answering(told), other.answering(told), silent.answering(hang):
        both = await one.ask(), await other.ask()
    async with one.answering(told):  # in the place of one that was there before
        after = await other.ask()
    (tmp_path / "3").write_text("no socket")
    nobody = await one.ask()

    assert both == ({1: b"counted\n"}, {0: b"counted\n"})
    assert (after, nobody) == ({0: b"counted\n"}, {})
    assert await Siblings().ask() == {}


async def test_a_worker_that_cannot_be_asked_works_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder := tmp_path / ("x" * 120)).mkdir()
    one, other = Siblings(folder, 0, 2), Siblings(folder, 1, 2)
    async with one.answering(told):
        heard = await other.ask()

    assert heard == {}
    assert "worker_not_counted" in caplog.text
