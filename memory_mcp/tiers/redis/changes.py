"""The stream of changes: whoever else wants to know of them reads it; nothing here depends on it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from memory_mcp.contracts import RecordStore
from memory_mcp.models import (
    Added,
    Changes,
    Draft,
    Embedding,
    Filter,
    Matrix,
    Memory,
    Operation,
    Provenance,
    Scope,
    StoreCounts,
    Version,
)
from memory_mcp.tiers.redis.behind import WriteBehind
from memory_mcp.tiers.redis.client import RedisClient
from memory_mcp.tiers.redis.keys import changes_key

_IDS = 1_000
"""An entry names no more, and says how many there were."""


class AnnouncedStore:
    """A `RecordStore` whose every write is told in the tenant's stream, behind its answer, if Redis is there.

    An entry holds `tenant`, `namespace`, `revision` (the scope's, this write's or a later one), `operation` and `action` (as
    in the log of operations), `ids` (divided by spaces; no texts) and `count`. It may be missing, and may come twice.
    """

    def __init__(self, inner: RecordStore, client: RedisClient, behind: WriteBehind, *, length: int) -> None:
        self._inner, self._client, self._behind, self._length = inner, client, behind, length

    async def add(self, draft: Draft, embedding: Embedding | None, *, within: Sequence[Scope]) -> Added:
        """See `RecordStore`."""
        added = await self._inner.add(draft, embedding, within=within)
        if added.operation is not None and added.status != "already_known":
            action = "remember" if added.status == "stored" else "supersede"
            self._announce(draft.scope, added.operation, action, [added.id, *added.replaced])
        return added

    async def add_many(self, drafts: Sequence[Draft]) -> list[Added]:
        """See `RecordStore`."""
        stored = await self._inner.add_many(drafts)
        new = [added for added in stored if added.operation is not None]
        if new and (number := new[0].operation) is not None:
            self._announce(drafts[0].scope, number, "import", [memory_id for one in new for memory_id in (one.id, *one.replaced)])
        return stored

    async def revise(self, scopes: Sequence[Scope], memory_id: UUID, changes: Changes, actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        return self.told(await self._inner.revise(scopes, memory_id, changes, actor, now))

    async def forget(self, scopes: Sequence[Scope], ids: Sequence[UUID], actor: Provenance, now: datetime) -> Operation:
        """See `RecordStore`."""
        return self.told(await self._inner.forget(scopes, ids, actor, now))

    async def undo(self, scope: Scope, operation: int | None, actor: Provenance, now: datetime, *, count: int = 1) -> list[Operation]:
        """See `RecordStore`."""
        return [self.told(undone) for undone in await self._inner.undo(scope, operation, actor, now, count=count)]

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """See `RecordStore`."""
        return await self._inner.revisions(scopes)

    async def scopes(self, tenant: str) -> list[Scope]:
        """See `RecordStore`."""
        return await self._inner.scopes(tenant)

    async def get_many(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> list[Memory]:
        """See `RecordStore`."""
        return await self._inner.get_many(scopes, ids)

    async def newest(
        self, scopes: Sequence[Scope], where: Filter, *, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[Memory]:
        """See `RecordStore`."""
        return await self._inner.newest(scopes, where, limit=limit, after=after)

    async def history(self, scopes: Sequence[Scope], memory_id: UUID) -> list[Version]:
        """See `RecordStore`."""
        return await self._inner.history(scopes, memory_id)

    async def replaced(self, scopes: Sequence[Scope], memory_id: UUID, *, limit: int) -> list[Version]:
        """See `RecordStore`."""
        return await self._inner.replaced(scopes, memory_id, limit=limit)

    async def as_of(
        self, scopes: Sequence[Scope], where: Filter, moment: datetime, vector: Matrix | None, words: str, *, limit: int
    ) -> list[tuple[Memory, float]]:
        """See `RecordStore`."""
        return await self._inner.as_of(scopes, where, moment, vector, words, limit=limit)

    async def count_uses(self, tenant: str, times: Mapping[UUID, int], now: datetime) -> None:
        """See `RecordStore`; moves no revision, so there is nothing to tell."""
        await self._inner.count_uses(tenant, times, now)

    async def counts(self, tenant: str, namespaces: Collection[str] | None = None) -> StoreCounts:
        """See `RecordStore`."""
        return await self._inner.counts(tenant, namespaces)

    async def check(self) -> list[str]:
        """See `RecordStore`."""
        return await self._inner.check()

    def told(self, operation: Operation) -> Operation:
        """Tell of an entry of the log that was not made through here; the entry itself."""
        self._announce(operation.scope, operation.number, operation.action, operation.subjects)
        return operation

    def _announce(self, scope: Scope, operation: int, action: str, ids: Sequence[UUID]) -> None:
        async def write() -> None:
            (revision,) = await self._inner.revisions([scope])
            entry = {
                "tenant": scope.tenant,
                "namespace": scope.namespace,
                "revision": str(revision),
                "operation": str(operation),
                "action": action,
                "ids": " ".join(map(str, ids[:_IDS])),
                "count": str(len(ids)),
            }
            await self._client.append(changes_key(scope.tenant), entry, self._length)

        self._behind.put(write)
