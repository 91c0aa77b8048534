"""So much a minute, for each of many: token buckets, which are full at first and fill at a steady pace."""

from collections import OrderedDict
from collections.abc import Callable

_MOST = 10_000


class Rates:
    """Counts what each of many has used of its share.

    Args:
        per_minute: The share, and how much may be used at once; 0: there is no limit.
        monotonic: In seconds.
    """

    def __init__(self, per_minute: float, monotonic: Callable[[], float]) -> None:
        self._full, self._monotonic = float(per_minute), monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """In how many seconds there is something left; 0: now."""
        left, _ = self._now(who)
        return 0.0 if not self._full or left >= min(1.0, self._full) else (min(1.0, self._full) - left) * 60 / self._full

    def take(self, who: str, amount: float) -> None:
        """Use some; the balance may fall below nothing."""
        if self._full and amount:
            left, now = self._now(who)
            self._left[who] = (left - amount, now)
            self._left.move_to_end(who)
            if len(self._left) > _MOST:  # the one that has been quiet for longest; its share is full by then, or nearly
                self._left.popitem(last=False)

    def _now(self, who: str) -> tuple[float, float]:
        now = self._monotonic()
        left, since = self._left.get(who, (self._full, now))
        return min(self._full, left + (now - since) * self._full / 60), now
