"""How many memories each tenant has, near enough to hold a limit without counting at every call."""

import time
from collections.abc import Awaitable, Callable

from memory_mcp.errors import LimitError
from memory_mcp.models import StoreCounts

_FRESH_SECONDS = 30.0


class Census:
    """Counts a tenant's live memories now and then, and adds what was stored here since.

    Several processes may each let a little more in than the limit, until they count again.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, int]] = {}

    async def make_room(self, tenant: str, most: int, count: Callable[[str], Awaitable[StoreCounts]]) -> None:
        """Return if the tenant may have another memory; it is taken to be stored.

        Args:
            most: 0: there is no limit, and nothing is counted.

        Raises:
            LimitError: It has as many as it may.
        """
        if not most:
            return
        counted, known = self._known.get(tenant, (float("-inf"), 0))
        if known >= most or self._monotonic() - counted > _FRESH_SECONDS:  # some may be forgotten by now
            counted, known = self._monotonic(), sum((await count(tenant)).by_namespace.values())
        if known >= most:
            self._known[tenant] = (counted, known)
            raise LimitError(f"There are {known:,} memories, and no more than {most:,} are allowed. Forget some, or ask an administrator.")
        self._known[tenant] = (counted, known + 1)
