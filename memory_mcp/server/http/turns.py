"""Whose call is next: the tenants take turns, so that one with many calls waiting holds up nobody but itself."""

from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.lowlevel import checkpoint

from memory_mcp.errors import LimitError

_QUEUED_PER_TENANT = 256


class Turns:
    """Hands out slots for calls at work.

    Args:
        slots: For all together. One tenant holds three quarters of them at most, so that another's call finds one free.
        each: For one token.
        wait_seconds: The longest that a call waits for its turn.
    """

    def __init__(self, slots: int, each: int, wait_seconds: float) -> None:
        self._slots, self._share, self._each, self._wait_seconds = slots, max(1, slots * 3 // 4), each, wait_seconds
        self._at_work: Counter[str] = Counter()
        self._of_token: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[tuple[str, anyio.Event]]] = OrderedDict()

    @property
    def at_work(self) -> int:
        """Calls that have a slot."""
        return self._at_work.total()

    @property
    def waiting(self) -> int:
        """Calls that wait for one."""
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, tenant: str, token: str) -> AsyncIterator[None]:
        """Hold a slot, as soon as there is one.

        Raises:
            LimitError: Too many calls are waiting, or this one has waited for too long.
        """
        await self._wait(tenant, token)
        try:
            await checkpoint()  # a call may wait for nothing else: those that come meanwhile would find all slots free
            yield
        finally:
            self._leave(tenant, token)

    async def _wait(self, tenant: str, token: str) -> None:
        queue = self._waiting.setdefault(tenant, deque())
        if not queue and self._has_room(tenant, token):
            del self._waiting[tenant]
            self._enter(tenant, token)
            return
        if len(queue) >= _QUEUED_PER_TENANT:
            raise LimitError(f"Too many calls are waiting. Nothing was done; try again in {self._wait_seconds:.0f} s.", self._wait_seconds)
        mine = (token, anyio.Event())
        queue.append(mine)
        try:
            with anyio.fail_after(self._wait_seconds):
                await mine[1].wait()
        except BaseException as error:
            if mine[1].is_set():  # it was let in at this very moment
                self._leave(tenant, token)
            else:
                queue.remove(mine)
                self._let_in()
            if isinstance(error, TimeoutError):
                sentence = f"this call has waited {self._wait_seconds:.0f} s for its turn. Nothing was done; try again in 5 s."
                raise LimitError(f"The server is busy: {sentence}", 5.0) from None
            raise

    def _has_room(self, tenant: str, token: str) -> bool:
        return self._at_work.total() < self._slots and self._at_work[tenant] < self._share and self._of_token[token] < self._each

    def _enter(self, tenant: str, token: str) -> None:
        self._at_work[tenant] += 1
        self._of_token[token] += 1

    def _leave(self, tenant: str, token: str) -> None:
        for count, who in ((self._at_work, tenant), (self._of_token, token)):
            count[who] -= 1
            if not count[who]:
                del count[who]
        self._let_in()

    def _let_in(self) -> None:
        """Give free slots to those who wait, one tenant after the other, and within a tenant to the longest waiting that may."""
        entered = True
        while entered:
            entered = False
            for tenant in list(self._waiting):
                queue = self._waiting[tenant]
                mine = next((each for each in queue if self._has_room(tenant, each[0])), None)
                if mine:
                    queue.remove(mine)
                    self._enter(tenant, mine[0])
                    mine[1].set()
                    entered = True
                if queue:
                    if mine:  # it has had its turn: the others come first now
                        self._waiting.move_to_end(tenant)
                else:
                    del self._waiting[tenant]
