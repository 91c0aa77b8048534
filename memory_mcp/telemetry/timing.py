"""How long things take: of late, for people, and counted since the start, for `/metrics`; summed up when somebody asks."""

import math
import sys
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from memory_mcp.telemetry import tracing

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


_KEPT = 1024

_BUCKETS_A_DOUBLING = 4
_SHORTEST_SECONDS = 1e-6
_BUCKETS = 27 * _BUCKETS_A_DOUBLING
"""Up to two minutes."""
_AGED_AT = 8192


BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""In seconds; what is promised of a call (10, 50, 100, 200 ms) lies on one of them."""


class Buckets:
    """Durations counted since the start.

    Attributes:
        counts: How many took no longer than each of `BOUNDS` but longer than the one before; the last, how many took longer.
        seconds: All together.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    @property
    def calls(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def merge(self, other: "Buckets") -> None:
        """Count the other's, too."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.seconds += other.seconds


class Times(dict[tuple[str, ...], Buckets]):
    """Durations by what was done, and how it ended."""

    def add(self, key: tuple[str, ...], seconds: float) -> None:
        """Count one."""
        found = self.get(key)
        if found is None:
            found = self[key] = Buckets()
        found.add(seconds)


class Stages:
    """Durations by the name of a stage, which are spans of the call that is traced; cheap to note, safe to drop.

    Attributes:
        times: By the stage alone.
    """

    def __init__(self) -> None:
        self.times = Times()
        self._seconds: dict[str, deque[float]] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Note how long the block takes, whether it ends well or not."""
        start = time.perf_counter()
        try:
            with tracing.part(stage):
                yield
        finally:
            took = time.perf_counter() - start
            self._seconds.setdefault(stage, deque(maxlen=_KEPT)).append(took)
            self.times.add((stage,), took)

    def summary(self) -> Mapping[str, Mapping[str, float]]:
        """Per stage: calls, and the 50th, 95th and 99th percentile in milliseconds of the last 1,024."""
        return {stage: {"calls": self.times[stage,].calls, **_percentiles(list(kept))} for stage, kept in self._seconds.items()}


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    # nearest rank
    return {f"p{p}_ms": round(1000 * ordered[max(0, -(-p * len(ordered) // 100) - 1)], 3) for p in (50, 95, 99)}


class Histogram:
    """Durations by their order of magnitude: cheap to note, of a fixed size, right to a tenth.

    Buckets grow by a fifth from one to the next. When 8,192 have been counted all counts are halved, so that what is
    told is of recent thousands.
    """

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._total = 0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        place = int(math.log2(max(seconds, _SHORTEST_SECONDS) / _SHORTEST_SECONDS) * _BUCKETS_A_DOUBLING)
        self._counts[min(place, _BUCKETS - 1)] += 1
        self._total += 1
        if self._total >= _AGED_AT:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)

    def percentile(self, p: float) -> float:
        """The duration that p % do not exceed, in seconds; 0 where nothing was counted."""
        left = math.ceil(self._total * p / 100)
        for place, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return _SHORTEST_SECONDS * math.exp2((place + 0.5) / _BUCKETS_A_DOUBLING)
        return 0.0

    def percentiles(self) -> dict[str, float]:
        """The 50th, 95th and 99th, in milliseconds."""
        return {f"p{p}_ms": round(1000 * self.percentile(p), 3) for p in (50, 95, 99)}


def memory_used() -> dict[str, int]:
    """The most memory this process has had, in bytes, where the platform tells."""
    if resource is None:
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024}
