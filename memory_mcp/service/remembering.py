"""Storing texts."""

from collections.abc import Sequence
from uuid import UUID

import anyio
import anyio.to_thread

from memory_mcp.answers import Receipt
from memory_mcp.errors import TierError
from memory_mcp.models import (
    Caller,
    Draft,
    Embedding,
    Filter,
    Recalled,
    Scope,
)
from memory_mcp.recall.similar import nearest
from memory_mcp.remember.drafts import RememberRequest, draft
from memory_mcp.service.parts import Parts


class Remembering(Parts):
    """The use case `remember`."""

    __slots__ = ()

    async def remember(self, request: RememberRequest, caller: Caller, namespace: str = "") -> Receipt:
        """Store a text; the receipt is sent after the commit.

        Raises:
            RequestError, ConflictError, MemoryNotFoundError: The request is at fault; nothing was stored.
        """
        with self.stages.measure("remember"):
            scopes = self._scopes(caller, namespace)
            new = draft(request, scopes[0], caller, self.clock())
            embedding = await self._embed(new.content)
            with self.stages.measure("commit"):
                added = await self.records.add(new, embedding, within=await self._reach(new, caller))
            if added.status == "already_known":
                self.reinforcer.note(caller.tenant, [added.id])
                return Receipt(added, scopes[0].namespace)
            if embedding is None:
                self.indexer.wake()
                pending = "its meaning is indexed as soon as the embedding model gets to it; until then it is found by its words"
                return Receipt(added, scopes[0].namespace, pending=pending)
            similar = await self._similar(embedding, scopes[:1], leave_out={added.id, *added.replaced})
            return Receipt(added, scopes[0].namespace, similar)

    async def _reach(self, new: Draft, caller: Caller) -> Sequence[Scope]:
        """Where the memories may lie that a draft supersedes by their ids."""
        return await self.records.scopes(caller.tenant) if new.supersedes else [new.scope]

    async def _similar(self, embedding: Embedding, scopes: Sequence[Scope], leave_out: set[UUID]) -> list[Recalled]:
        where = Filter(now=self._this_second())
        shown, least = self.tuning.similar_shown, self.tuning.similar_from
        try:
            with anyio.fail_after(self.tuning.budgets.vector_seconds), self.stages.measure("vector_search"):
                hits = await nearest(self.sources, embedding, scopes, where, limit=shown, least=least, leave_out=leave_out)
                memories = await self._read(hits, scopes, where)
        except (TierError, TimeoutError):
            return []  # the receipt's truth does not hang on it
        score = {hit.id: hit.score for hit in hits}
        return [Recalled(memory, score[memory.id]) for memory in memories]
