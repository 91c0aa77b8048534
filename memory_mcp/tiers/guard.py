"""What stands before a tier: a time limit, a breaker that leaves a failing tier alone, and a clock that times its calls."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from memory_mcp.errors import ScopeNotCoveredError, TierUnavailableError
from memory_mcp.telemetry import tracing
from memory_mcp.telemetry.instruments import BreakerState
from memory_mcp.telemetry.timing import Histogram, Times

log = structlog.get_logger(__name__)

T = TypeVar("T")

_CANCELLED = "cancelled"
"""Given up by whoever made the call: it says nothing of the tier, but that somebody had waited for long enough."""
FAILURES = 3
_SLICES, _LENIENCE = 4, 10
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 30.0


class Breaker:
    """Whether to ask a tier, judged by how it answered so far; knows no clock, does nothing.

    Opens after some failures in a row, rests for a time that doubles while the tier stays away, then lets one call through.
    Every call that is let through has a ticket. What a call reports after the state has changed without it (it hung while
    the breaker opened, say) is too old to change anything.

    Args:
        failures: In a row, that open it; None: it never opens.
    """

    def __init__(
        self,
        failures: int | None = FAILURES,
        *,
        first_rest_seconds: float = FIRST_REST_SECONDS,
        longest_rest_seconds: float = LONGEST_REST_SECONDS,
    ) -> None:
        self._limit, self._first, self._longest = failures, first_rest_seconds, longest_rest_seconds
        self._failures = 0
        self._rest = 0.0
        self._until: float | None = None
        self._probing = False
        self._turn = 0

    @property
    def can_open(self) -> bool:
        """Whether failures count."""
        return self._limit is not None

    def state(self, now: float) -> BreakerState:
        """As of a moment of a monotonic clock, in seconds."""
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half-open"

    def admit(self, now: float) -> int | None:
        """The ticket of a call that may be made; None: it may not."""
        if self._until is not None:
            if self._probing or now < self._until:
                return None
            self._probing = True
            self._turn += 1
        return self._turn

    def answered(self, ticket: int) -> None:
        """The tier is there, whatever it said."""
        if ticket != self._turn:
            return
        self._failures, self._rest = 0, 0.0
        if self._until is not None:
            self._until, self._probing = None, False
            self._turn += 1

    def failed(self, ticket: int, now: float) -> float | None:
        """The tier is away; how long it is now left alone, if it is."""
        if ticket != self._turn:
            return None
        self._failures += 1
        if not self._probing and (self._limit is None or self._failures < self._limit):
            return None
        self._rest = min(max(2 * self._rest, self._first), self._longest)
        self._until, self._probing, self._failures = now + self._rest, False, 0
        self._turn += 1
        return self._rest

    def withdrawn(self, ticket: int) -> None:
        """The call was given up by whoever made it: nothing was learnt, and another may try."""
        if ticket == self._turn and self._probing:
            self._probing = False
            self._turn += 1


class _Watch:
    """Lets a wait expire when the event loop has had so much time for it.

    What the loop spent on other work, unable to look for the answer, is no slowness of the tier; without this a busy
    moment would be taken for a dead tier. The time is counted in slices; one whose end the loop came to late counts for less.

    Args:
        limit: In seconds; on the clock it may be ten times as much.
    """

    def __init__(self, scope: asyncio.Timeout, limit: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope, self._slice, self._left = scope, limit / _SLICES, limit
        self._last = self._loop.time() + _LENIENCE * limit
        self._wait()

    def end(self) -> None:
        """It came in time, or failed in time."""
        self._timer.cancel()

    def _wait(self) -> None:
        self._began = self._loop.time()
        self._timer = self._loop.call_at(self._began + self._slice, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        self._left -= self._slice * min(1.0, self._slice / (now - self._began))
        if self._left > _SLICES * 1e-9 and now < self._last:
            self._wait()
        else:
            self._scope.reschedule(now)


class Guard:
    """Makes the calls to one tier, and knows how it is doing. Wraps any seam: `await guard.run(lambda: tier.search(...))`.

    Args:
        call_seconds: Longest wait for one call; None: for ever, as for what answers from memory.
        failures: In a row, after which the tier is left alone for 1 to 30 s; None: never, the guard only times.
        clock: Monotonic, in seconds.

    Attributes:
        times: The calls made, by their name and how they ended: ok, error, timeout, unavailable, cancelled.
        refused: Calls not made, since the breaker was open.
    """

    def __init__(
        self,
        name: str,
        *,
        call_seconds: float | None = None,
        failures: int | None = FAILURES,
        first_rest_seconds: float = FIRST_REST_SECONDS,
        longest_rest_seconds: float = LONGEST_REST_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._seconds, self._clock = call_seconds, clock
        self._breaker = Breaker(failures, first_rest_seconds=first_rest_seconds, longest_rest_seconds=longest_rest_seconds)
        self._latency = Histogram()
        self.times = Times()
        self.refused = 0
        self.hits = self.misses = 0

    @property
    def state(self) -> BreakerState:
        """The breaker's."""
        return self._breaker.state(self._clock())

    async def run(self, work: Callable[[], Awaitable[T]], call: str = "call", *, seconds: float | None = None) -> T:
        """What the work gives, within the time limit.

        Only `TierUnavailableError` and a time limit count against the tier. Any other error of the work passes
        unchanged and shows that the tier is there; that a scope is not covered is an answer like another.
        Cancellation by the caller counts as nothing.

        Args:
            call: What it is counted as: a method's name.
            seconds: In place of the guard's own limit.

        Raises:
            TierUnavailableError: At once while the breaker is open; or the tier is away, or was too slow.
        """
        ticket = self._breaker.admit(self._clock())
        if ticket is None:
            self.refused += 1
            raise TierUnavailableError(self.name, f"{self.name} does not answer, and is left alone for a moment.")
        limit = self._seconds if seconds is None else seconds
        started = self._clock()
        try:
            # not a scope of anyio: that would go on cancelling while the driver puts its connection in order
            with tracing.part(f"{self.name} {call}"):
                async with asyncio.timeout(None) as scope:
                    watch = _Watch(scope, limit) if limit is not None else None
                    try:
                        result = await work()
                    finally:
                        if watch is not None:
                            watch.end()
        except ScopeNotCoveredError:
            self._answered(ticket, started, call, "ok")
            raise
        except TierUnavailableError:
            self._failed(ticket, started, call, "unavailable")
            raise
        except TimeoutError as error:
            self._failed(ticket, started, call, "timeout")
            raise TierUnavailableError(self.name, f"{self.name} was too slow to answer.") from error
        except Exception:
            self._answered(ticket, started, call, "error")
            raise
        except BaseException:
            self._breaker.withdrawn(ticket)
            self.times.add((call, _CANCELLED), self._clock() - started)
            raise
        self._answered(ticket, started, call, "ok")
        return result

    def hit(self) -> None:
        """The tier had what was asked for."""
        self.hits += 1

    def miss(self) -> None:
        """It did not."""
        self.misses += 1

    def figures(self) -> dict[str, Any]:
        """For `stats`, flat.

        Keys: health, calls (those made), errors (timeouts included), p50_ms, p95_ms, p99_ms (of recent thousands, failed
        ones included); where the breaker can open breaker, timeouts, and refused (calls not made, since it was open);
        hit_rate where it was told.
        """
        state = self.state
        asked = self.hits + self.misses
        ended: Counter[str] = Counter()
        for (_, outcome), buckets in self.times.items():
            ended[outcome] += buckets.calls
        del ended[_CANCELLED]
        timeouts = ended["timeout"]
        return {
            "health": "ok" if state == "closed" else "away",
            "calls": ended.total(),
            "errors": ended.total() - ended["ok"],
            **self._latency.percentiles(),
            **({"breaker": state, "timeouts": timeouts, "refused": self.refused} if self._breaker.can_open else {}),
            **({"hit_rate": round(self.hits / asked, 3)} if asked else {}),
        }

    def _answered(self, ticket: int, started: float, call: str, outcome: str) -> None:
        self._count(started, call, outcome)
        was = self._breaker.state(self._clock())
        self._breaker.answered(ticket)
        if was != "closed" and self.state == "closed":
            log.info("tier_back", tier=self.name)

    def _failed(self, ticket: int, started: float, call: str, outcome: str) -> None:
        self._count(started, call, outcome)
        rest = self._breaker.failed(ticket, self._clock())
        if rest is not None:
            log.warning("tier_left_alone", tier=self.name, rest_seconds=rest)

    def _count(self, started: float, call: str, outcome: str) -> None:
        took = self._clock() - started
        self.times.add((call, outcome), took)
        self._latency.add(took)
