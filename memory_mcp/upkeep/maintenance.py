"""Keeping a store in order behind everybody's back: one process at a time, a scope at a time, every step undoable."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import anyio
import anyio.to_thread
import structlog

from memory_mcp.config import MaintenanceSettings
from memory_mcp.contracts import Clock, Experience, RecordStore, VectorSource
from memory_mcp.errors import ConflictError, MemoryNotFoundError, TierError
from memory_mcp.models import Changes, Operation, Provenance, Scope
from memory_mcp.upkeep.erasing import Trash
from memory_mcp.upkeep.lifecycle import KEEPER, Plan, plan

log = structlog.get_logger(__name__)

FIRST_SECONDS = 120.0
"""After a start, so that it is in nobody's way who wants an answer."""
MOST_A_RUN = 500
"""Memories of a scope that are changed at once; the rest is left for the next run."""


class Tended(RecordStore, VectorSource, Experience, Protocol):
    """What maintenance needs of a store."""

    def tending(self) -> AbstractAsyncContextManager[bool]:
        """Whether this process is the one that tends the store, as long as the context lasts."""

    async def tenants(self) -> list[str]:
        """See `contracts.Origin`."""

    async def prune(self, tenant: str, before: datetime, actor: Provenance, now: datetime) -> int:
        """See `contracts.OperationLog`."""

    async def merge(self, scope: Scope, keep: UUID, others: Sequence[UUID], actor: Provenance, now: datetime) -> Operation:
        """End live memories of a scope in favour of another one, which stays as it is; undone like any other change.

        Raises:
            MemoryNotFoundError: One of them is not a live memory of the scope, or there is no other.
        """


@dataclass(slots=True)
class Tidied:
    """What was done, or with a dry run what would be.

    Attributes:
        operations: By which it can be undone.
        purged: Memories whose time in the trash was over.
        pruned: Entries of the log whose time was over, and that undo does not need.
    """

    plans: dict[Scope, Plan] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)
    purged: int = 0
    pruned: int = 0


class Maintenance:
    """Promotes, archives and merges by `lifecycle.plan`, and empties the trash.

    Args:
        trash: Takes away for good what was forgotten too long ago.
        keep_log_days: How long entries of the log are kept; 0: for ever.
        tell: Told of every change.
    """

    def __init__(
        self,
        store: Tended,
        clock: Clock,
        policy: MaintenanceSettings,
        trash: Trash,
        tell: Callable[[Operation], object] = lambda operation: None,
        *,
        keep_log_days: float = 0.0,
    ) -> None:
        self._store, self._clock, self._policy = store, clock, policy
        self._trash, self._tell, self._keep_log_days = trash, tell, keep_log_days

    async def run(self, every_seconds: float) -> None:
        """Again and again; what fails is tried the next time."""
        await anyio.sleep(min(FIRST_SECONDS, every_seconds))
        while True:
            try:
                async with self._store.tending() as chosen:
                    if chosen:
                        await self._tidy(dry_run=False)
            except TierError as error:
                log.warning("store_not_tidied", error=type(error).__name__)
            except Exception:  # tidying is not worth a memory that ends
                log.exception("store_not_tidied")
            await anyio.sleep(every_seconds)

    async def once(self, *, dry_run: bool, tenant: str = "") -> Tidied:
        """Everything that there is to do now, in every scope; with a dry run it is only told.

        Args:
            tenant: Empty: in those of every tenant.

        Raises:
            ConflictError: Another process is at it.
            TierError: The store is away; what was done by then stays done.
        """
        if dry_run:
            return await self._tidy(dry_run=True, tenant=tenant)
        async with self._store.tending() as chosen:
            if chosen:
                return await self._tidy(dry_run=False, tenant=tenant)
        raise ConflictError("Another process tends the memories just now. Nothing was done; try again in a minute.")

    async def _tidy(self, *, dry_run: bool, tenant: str = "") -> Tidied:
        done = Tidied()
        for each in [tenant] if tenant else await self._store.tenants():
            for scope in await self._store.scopes(each):
                found = await self.planned(scope)
                if found:
                    done.plans[scope] = found
                    operations = [] if dry_run else await self._carry_out(scope, found)
                    for operation in operations:
                        self._tell(operation)
                    done.operations += operations
            now = self._clock()
            if dry_run:
                done.purged += await self._trash.due(each, now)
                continue
            done.purged += sum(len(one.subjects) for one in await self._trash.empty(each, KEEPER, now))
            if self._keep_log_days:
                done.pruned += await self._store.prune(each, now - timedelta(days=self._keep_log_days), KEEPER, now)
        if not dry_run and (done.operations or done.purged or done.pruned):
            log.info("store_tidied", operations=len(done.operations), purged=done.purged, pruned=done.pruned)
        return done

    async def planned(self, scope: Scope) -> Plan:
        """What there is to do in a scope."""
        memories = (await self._store.changed(scope, 0)).memories
        tallies = await self._store.tallies([scope], [memory.id for memory in memories])
        found = await anyio.to_thread.run_sync(plan, memories, tallies, self._clock(), self._policy)
        return Plan(found.promote[:MOST_A_RUN], found.archive[:MOST_A_RUN], found.merge[:MOST_A_RUN])

    async def _carry_out(self, scope: Scope, found: Plan) -> list[Operation]:
        operations: list[Operation] = []
        for memory in found.promote:
            await self._change(operations, scope, memory.id, Changes(lasting=True))
        for memory in found.archive:
            await self._change(operations, scope, memory.id, Changes(expires_at=self._clock()))
        for kept, others in found.merge:
            try:
                operations.append(await self._store.merge(scope, kept.id, [one.id for one in others], KEEPER, self._clock()))
            except (MemoryNotFoundError, ConflictError):
                continue  # somebody was quicker
        return operations

    async def _change(self, operations: list[Operation], scope: Scope, memory_id: UUID, changes: Changes) -> None:
        try:
            operations.append(await self._store.revise([scope], memory_id, changes, KEEPER, self._clock()))
        except (MemoryNotFoundError, ConflictError):
            return  # somebody was quicker
