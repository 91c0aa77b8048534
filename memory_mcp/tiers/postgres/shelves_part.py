"""The part of the store that looks through all that is kept, and takes in much at once."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from memory_mcp.models import Added, Draft, Filter, Memory, Scope
from memory_mcp.states import State
from memory_mcp.tiers.postgres import reads, shelves, writes
from memory_mcp.tiers.postgres.journal import Derived
from memory_mcp.tiers.postgres.session import Transaction, scopes_by_tenant

T = TypeVar("T")


class ShelvesPart(ABC):
    """`Shelves` and `RecordStore.add_many`, over the transactions of a store."""

    _derived: Derived

    @abstractmethod
    async def _read(self, tenant: str, work: Callable[[Transaction], Awaitable[T]]) -> T: ...

    @abstractmethod
    async def _write(self, tenant: str, work: Callable[[Transaction], Awaitable[T]]) -> T: ...

    async def add_many(self, drafts: Sequence[Draft]) -> list[Added]:
        """See `RecordStore`."""
        words = [await writes.words_of(draft) for draft in drafts]
        return await self._write(drafts[0].scope.tenant, partial(writes.add_many, derived=self._derived, drafts=drafts, words=words))

    async def browse(
        self,
        scopes: Sequence[Scope],
        where: Filter,
        states: Collection[State],
        *,
        now: datetime,
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> list[Memory]:
        """See `Shelves`."""
        found: list[Memory] = []
        for tenant, namespaces in scopes_by_tenant(scopes).items():
            page = partial(shelves.browse, namespaces=namespaces, where=where, states=states, now=now, limit=limit, after=after)
            found += await self._read(tenant, page)
        return reads.newest_first(found)[:limit]

    async def holdings(self, scopes: Sequence[Scope], *, now: datetime) -> dict[Scope, dict[State, int]]:
        """See `Shelves`."""
        found: dict[Scope, dict[State, int]] = {}
        for tenant, namespaces in scopes_by_tenant(scopes).items():
            for namespace, state, count in await self._read(tenant, partial(shelves.holdings, namespaces=namespaces, now=now)):
                found.setdefault(Scope(tenant, namespace), {})[state] = count
        return found
