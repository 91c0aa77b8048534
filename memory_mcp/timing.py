"""How long each stage takes: the last thousand or so of each, summed up when somebody asks."""

import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


_KEPT = 1024


class Stages:
    """Durations by the name of a stage; cheap to note, safe to drop."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {}
        self._calls: dict[str, int] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Note how long the block takes, whether it ends well or not."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds.setdefault(stage, deque(maxlen=_KEPT)).append(time.perf_counter() - start)
            self._calls[stage] = self._calls.get(stage, 0) + 1

    def summary(self) -> Mapping[str, Mapping[str, float]]:
        """Per stage: calls, and the 50th, 95th and 99th percentile in milliseconds of the last 1,024."""
        return {stage: {"calls": self._calls[stage], **_percentiles(list(kept))} for stage, kept in self._seconds.items()}


def _percentiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    # nearest rank
    return {f"p{p}_ms": round(1000 * ordered[max(0, -(-p * len(ordered) // 100) - 1)], 3) for p in (50, 95, 99)}


def memory_used() -> dict[str, int]:
    """The most memory this process has had, in bytes, where the platform tells."""
    if resource is None:
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024}
