"""Writing to Redis behind the answers: nobody waits for it, and what does not get through is let go."""

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import structlog

from memory_mcp.errors import TierError
from memory_mcp.tiers.guard import Guard

log = structlog.get_logger(__name__)

_WAITING = 256
"""More is not kept: a Redis that slow is not worth the memory."""

_LATER_SECONDS = 0.02
"""By then the answer, after which this is to be written, is on its way."""

Write = Callable[[], Awaitable[None]]


class WriteBehind:
    """One worker that carries writes out, in their order.

    Attributes:
        dropped: Writes that were given up: too many were waiting, or the tier was away.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._waiting: deque[Write] = deque()
        self._arrived = anyio.Event()
        self._at_work = anyio.Lock()
        self.dropped = 0

    def put(self, write: Write) -> None:
        """Have it carried out some time; never waits. The longest waiting one is given up where there are too many."""
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(write)
        self._arrived.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._arrived = anyio.Event()
            await self.flush()
            await self._arrived.wait()
            await anyio.sleep(_LATER_SECONDS)

    async def flush(self) -> None:
        """Carry out all that is waiting, and return when it is done."""
        async with self._at_work:
            while self._waiting:
                await self._carry_out(self._waiting.popleft())

    async def _carry_out(self, write: Write) -> None:
        try:
            await self._guard.run(write, "write")
        except TierError as error:
            self.dropped += 1
            log.debug("redis_write_dropped", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - a fault of ours, which is no reason to end what everybody works with
            self.dropped += 1
            log.error("redis_write_failed", error=type(error).__name__)
