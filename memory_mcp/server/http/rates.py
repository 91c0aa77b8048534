"""So much a minute, for each of many: token buckets, which are full at first and fill at a steady pace."""

from collections.abc import Callable

from memory_mcp.server.http.balances import Balances, OwnBalances


class Rates:
    """Counts what each of many has used of its share.

    Args:
        per_minute: The share, and how much may be used at once; 0: there is no limit.
        monotonic: In seconds.
        balances: Where they are kept, shared with other processes or other rates; by default here.
        kind: Tells them from those of other rates there.
    """

    def __init__(self, per_minute: float, monotonic: Callable[[], float], balances: Balances | None = None, kind: str = "") -> None:
        self._full, self._monotonic, self._kind = float(per_minute), monotonic, kind
        self._balances = balances or OwnBalances()

    def wait(self, who: str) -> float:
        """In how many seconds there is something left; 0: now."""
        left, _ = self._now(who)
        return 0.0 if not self._full or left >= min(1.0, self._full) else (min(1.0, self._full) - left) * 60 / self._full

    def take(self, who: str, amount: float) -> None:
        """Use some; the balance may fall below nothing."""
        if self._full and amount:
            left, now = self._now(who)
            self._balances.put(f"{self._kind} {who}", left - amount, now)

    def _now(self, who: str) -> tuple[float, float]:
        now = self._monotonic()
        left, since = self._balances.get(f"{self._kind} {who}") or (self._full, now)
        return min(self._full, left + (now - since) * self._full / 60), now
