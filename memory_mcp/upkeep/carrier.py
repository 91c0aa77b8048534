"""The background worker that brings a derived tier level with the record store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import anyio
import structlog

from memory_mcp.contracts import CarriedIndex, Origin, Outbox, VectorSource
from memory_mcp.errors import TierError, TierUnavailableError
from memory_mcp.models import Note, Scope, StoreCounts

log = structlog.get_logger(__name__)

PASSAGES = 1000
"""Carried in one step, about: 1.5 MB of vectors."""
FIRST_PAGE, LARGEST_PAGE = 64, 1000
"""Memories in one step: at first, and at the most; a long text may have a thousand passages."""
_NOTES = 1000
_LEASE_SECONDS = 120.0
_IDLE_SECONDS = 5.0
"""The longest that a change waits where nothing searches for it: until then it is searched beside the tier."""
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 1.0, 5.0
"""Where the tier or the store is away: so soon it is noticed that it is back."""
_FAULTY_SECONDS = 30.0
"""How long the notes of a scope are put off that cannot be carried."""


class Source(Outbox, VectorSource, Origin, Protocol):
    """What carrying needs of a record store."""

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """See `contracts.RecordStore`."""

    async def scopes(self, tenant: str) -> list[Scope]:
        """See `contracts.RecordStore`."""

    async def counts(self, tenant: str) -> StoreCounts:
        """See `contracts.RecordStore`."""


async def level(index: CarriedIndex, source: Source, scope: Scope, epoch: str, *, told: Callable[[int], None] = lambda count: None) -> bool:
    """Bring a scope level, page by page; what was carried before an end of any kind is not carried again.

    Args:
        told: Is called with the number of memories of each page that was carried.

    Returns:
        Whether there was anything to carry.

    Raises:
        TierError: The index or the source failed; some pages may have been carried.
    """
    held = await index.covers(scope, epoch)
    (target,) = await source.revisions((scope,))
    if held is not None and held > target:  # an older copy of the store was put in place
        held = None
    page, moved, begun = FIRST_PAGE, False, held is not None
    while held is None or held < target:
        delta = await source.vector_changes(scope, held or 0, epoch, limit=page)
        await index.apply(scope, delta if begun else replace(delta, whole=True), epoch)  # pages without a vector begin nothing
        begun = begun or len(delta.points) > 0
        memories = len(set(delta.points.ids))
        told(memories + len(delta.removed))
        page = max(1, min(LARGEST_PAGE, PASSAGES * max(memories, 1) // max(len(delta.points), 1)))
        held, moved = delta.revision, True
    return moved


async def every_scope(source: Source) -> list[Scope]:
    """The scopes of all tenants."""
    return [scope for tenant in await source.tenants() for scope in await source.scopes(tenant)]


class Carrier:
    """Carries to one tier what changed: the scopes that notes of the outbox name, and those that somebody found lagging.

    A note says no more than that its scope has changed; what has, the revision tells up to which the tier holds the scope.
    So whatever is lost or done twice, a note, a call, the tier itself, the next look mends it. Where the tier is away,
    everything waits for it.

    Args:
        epoch: Tells the epoch that vectors are made in now; None while nobody knows.
    """

    def __init__(
        self,
        tier: str,
        index: CarriedIndex,
        source: Source,
        epoch: Callable[[], str | None],
        *,
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._tier, self._index, self._source, self._epoch = tier, index, source, epoch
        self._idle_seconds = idle_seconds
        self._lagging: dict[Scope, None] = {}
        self._kept: list[Note] = []
        self._wake = anyio.Event()
        self._looked: str | None = None
        self._rest, self._carried = 0.0, 0

    def want(self, scope: Scope) -> None:
        """The tier lags in this scope; call it from the event loop."""
        self._lagging[scope] = None
        self._wake.set()

    def wake(self) -> None:
        """There may be something to do; call it from the event loop."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._wake = anyio.Event()
            try:
                while await self.work_once():
                    pass
            except TierError as error:
                self._rest = min(max(2 * self._rest, _FIRST_REST_SECONDS), _LONGEST_REST_SECONDS)
                log.warning("carrying_interrupted", tier=self._tier, error=type(error).__name__, rest_seconds=self._rest)
                await anyio.sleep(self._rest)
                continue
            with anyio.move_on_after(self._idle_seconds):
                await self._wake.wait()

    async def work_once(self) -> bool:
        """Bring level what is known to lag; whether anything was.

        Raises:
            TierUnavailableError: The tier or the store is away; everything is still to be done.
        """
        epoch = self._epoch()
        if epoch is None:
            return False
        if epoch != self._looked:
            self._lagging.update(dict.fromkeys(await every_scope(self._source)))  # whatever happened while nobody was here
            self._looked = epoch
        notes = [*self._kept, *await self._source.claim(self._tier, limit=_NOTES, lease_seconds=_LEASE_SECONDS)]
        self._kept = []
        scopes = list(dict.fromkeys([*(note.scope for note in notes), *self._lagging]))
        for number, scope in enumerate(scopes):
            own = [note for note in notes if note.scope == scope]
            try:
                await self._carry(scope, epoch, own)
            except TierUnavailableError:
                left = set(scopes[number:])
                self._lagging.update(dict.fromkeys(left))
                await self._give_back([note for note in notes if note.scope in left])
                raise
        self._rest = 0.0
        return bool(scopes)

    def figures(self) -> dict[str, int]:
        """For people: how many memories were carried since the start, and how many scopes are known to lag."""
        return {"carried": self._carried, "scopes_lagging": len(self._lagging)}

    async def _carry(self, scope: Scope, epoch: str, notes: Sequence[Note]) -> None:
        self._lagging.pop(scope, None)
        try:
            await level(self._index, self._source, scope, epoch, told=self._count)
        except TierUnavailableError:
            raise
        except TierError as error:  # of this scope alone; it must not hold up the others
            log.error("scope_not_carried", tier=self._tier, error=type(error).__name__)
            await self._source.postpone(notes, _FAULTY_SECONDS)
        else:
            await self._source.settle(notes)

    async def _give_back(self, notes: Sequence[Note]) -> None:
        try:
            await self._source.postpone(notes, 0.0)
        except TierError as error:  # the store is away, too: they are settled with what is carried next, or their lease ends
            self._kept = list(notes)
            log.info("notes_not_given_back", tier=self._tier, error=type(error).__name__)

    def _count(self, memories: int) -> None:
        self._carried += memories
