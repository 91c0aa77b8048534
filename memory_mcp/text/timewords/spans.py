"""A time that a question names, as an interval to prefer, and how well other times fit it. Pure.

A memory's time is when it happened or was told, which is seldom the very moment meant: of `on May 3` one tells on the
fourth. So an interval is a preference that fades around it, and excludes nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from memory_mcp.clock import to_micros

YEAR_WEIGHT = 0.5
"""Of a year, beside a day's 1: the fewer memories a time lets in, the more it says that one lies in it. Between, by the logarithm."""
OPEN_WEIGHT = 0.25
"""Of `before` and `since`: half of all time says less than a year does."""
SHORTEST_FADE = timedelta(days=4)
"""How slowly preference fades beyond a short interval; beyond a long one as slowly as it is long."""
MOST_TIMES = 16
"""In one question: nobody names more of them, and each is compared with every memory."""
BEFORE_SHARE = 0.4
"""Share of the fading time on the side before the interval: what happened is told later, not earlier."""

_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """A time that a question names: `start` <= t < `end`, aware, and how much it counts, in (0, 1].

    Attributes:
        words: The characters of the question that name it, from and to.
    """

    start: datetime
    end: datetime
    weight: float
    words: tuple[int, int]


def exactness(length: timedelta) -> float:
    """How much it counts that a time of this length is named, in [`YEAR_WEIGHT`, 1]: 1 for days, 0.78 for a month."""
    share = math.log(min(max(length, SHORTEST_FADE), _YEAR) / SHORTEST_FADE) / math.log(_YEAR / SHORTEST_FADE)
    return 1 - (1 - YEAR_WEIGHT) * share


def time_preference(when: NDArray[np.int64], spans: Sequence[TimeSpan]) -> NDArray[np.float64]:
    """(n,) how well each time fits what was named, in [0, 1]: the best of the spans; inside one it is its weight.

    Args:
        when: (n,) microseconds since 1970 UTC.
    """
    best = np.zeros(len(when))
    for span in spans:
        start, end = to_micros(span.start), to_micros(span.end)
        fade = max(end - start, SHORTEST_FADE // timedelta(microseconds=1))
        early = np.maximum(np.float64(start) - when, 0.0) / (BEFORE_SHARE * fade)
        late = np.maximum(when - np.float64(end), 0.0) / fade
        best = np.maximum(best, span.weight * np.exp(-(early + late)))
    return best


def of_that_time(when: NDArray[np.int64], spans: Sequence[TimeSpan]) -> NDArray[np.bool_]:
    """(n,) whether each time is, about, one that was named: it fits at least half as well as could be."""
    return time_preference(when, spans) >= 0.5 * max((span.weight for span in spans), default=math.inf)
