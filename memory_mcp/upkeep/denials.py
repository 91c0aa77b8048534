"""Refused calls on their way into the log: each is there before its caller hears of it, and a flood of them is counted.

The first of a kind is written at once; those like it, of the same person from the same place, are counted and written as one
entry when a period is over. Of many kinds only so many are written in a period, the rest is counted together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio
import structlog

from memory_mcp.audit.entries import DENIED, Origin
from memory_mcp.contracts import Clock, OperationLog
from memory_mcp.errors import TierError
from memory_mcp.models import Denied, Provenance

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 300.0
MOST_KINDS = 50
"""Of one tenant in one period. A flood that never ends writes, in one process, some 5 MB a day and tenant, and no more."""

OTHERS = "too many different ones"
"""Why those were refused that are counted together."""


@dataclass(slots=True)
class _Count:
    """How many of a kind are not written yet, and since when there are such."""

    times: int
    since: datetime


Kind = tuple[Denied, Origin]
"""People who come from elsewhere are others here."""


class Denials:
    """Writes refused calls down, each process for itself."""

    def __init__(self, store: OperationLog, clock: Clock, *, most: int = MOST_KINDS) -> None:
        self._store, self._clock, self._most = store, clock, most
        self._counts: dict[Kind, _Count] = {}

    async def note(self, denied: Denied) -> None:
        """Take note of a refused call; returns when it is in the log, or counted to what will be.

        It raises nothing that would keep the caller from being refused: what cannot be written is said in the server's own
        log, and tried again.
        """
        kind = (denied, denied.actor.origin)
        if kind not in self._counts and sum(other.tenant == denied.tenant for other, _ in self._counts) >= self._most:
            denied = Denied(denied.tenant, Provenance(source=""), "", OTHERS)
            kind = (denied, denied.actor.origin)
        count = self._counts.get(kind)
        if count is not None:
            count.times += 1
            return
        self._counts[kind] = count = _Count(0, self._clock())
        with anyio.CancelScope(shield=True):  # who hangs up early was refused all the same
            if not await self._write(denied, {}):
                count.times += 1

    async def flush(self) -> None:
        """Write what was counted, and let go of what has not come again."""
        for kind, count in list(self._counts.items()):
            times, since = count.times, count.since
            if not times:
                del self._counts[kind]
                continue
            count.times, count.since = 0, self._clock()
            if not await self._write(kind[0], {"times": times, "since": since.isoformat()}):
                count.times, count.since = count.times + times, since

    async def run(self) -> None:
        """Again and again."""
        while True:
            await anyio.sleep(PERIOD_SECONDS)
            await self.flush()

    async def _write(self, denied: Denied, counted: Mapping[str, Any]) -> bool:
        said = {"tool": denied.what, "why": denied.why, "namespace": denied.namespace}
        details = {**{name: value for name, value in said.items() if value}, **counted}
        try:
            await self._store.record(denied.tenant, DENIED, denied.actor, self._clock(), details)
        except TierError as error:
            log.error("refusal_not_in_log", tenant=denied.tenant, why=denied.why, error=type(error).__name__)
        except Exception:  # whatever it is, the call stays refused
            log.exception("refusal_not_in_log", tenant=denied.tenant, why=denied.why)
        else:
            return True
        return False
