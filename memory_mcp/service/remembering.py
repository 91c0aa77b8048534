"""Storing texts."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal
from uuid import UUID

import anyio
import anyio.to_thread

from memory_mcp.answers import Receipt
from memory_mcp.errors import TierError
from memory_mcp.models import (
    EPISODIC_KINDS,
    Added,
    Caller,
    Draft,
    Embedding,
    Filter,
    Recalled,
    Scope,
    Visibility,
)
from memory_mcp.recall.calibration import meaning_the_same
from memory_mcp.recall.similar import nearest
from memory_mcp.remember.drafts import RememberRequest, draft
from memory_mcp.remember.echo import deliberate, says_back
from memory_mcp.remember.hygiene import cleaned, weight_of
from memory_mcp.remember.otherwise import not_taken_over
from memory_mcp.service.parts import Parts
from memory_mcp.text.languages import language_of

_NOT_STATEMENTS = EPISODIC_KINDS | {"code"}
ALIKE_ANYWAY = 0.6
"""Cosine: turns of a chat, and functions, are close to many others without taking the place of any. A statement that takes another's
place is often no closer than .45 (of 17 pairs .6 named 29 %, .45 names 76 %), and others seldom are: 0 to .3 lines a receipt of notes."""


class Remembering(Parts):
    """The use case `remember`."""

    __slots__ = ()

    async def remember(
        self, request: RememberRequest, caller: Caller, namespace: str = "", visibility: Visibility | Literal[""] = ""
    ) -> Receipt:
        """Store a text; the receipt is sent after the commit.

        Args:
            visibility: Empty: as is usual for the caller.

        Raises:
            AccessDeniedError, LimitError: The caller may not; nothing was stored.
            RequestError, ConflictError, MemoryNotFoundError: The request is at fault; nothing was stored.
        """
        with self.stages.measure("remember"):
            scope = self._place(caller, namespace, visibility)
            weight = weight_of(request.content, request.tags, request.metadata)
            request, redacted = await self._looked_through(partial(cleaned, request, self.remember_settings.secrets), weight)
            new = await self._looked_through(partial(draft, request, scope, caller, self.clock()), weight)
            echo = await self._echo(request, new, caller, [scope] if namespace or visibility else self._scopes(caller, ""))
            if echo is not None:
                return echo
            own = self._own(caller, namespace) if namespace else []
            first = bool(own) and not any(await self.records.revisions(own))
            await self.census.make_room(caller.tenant, caller.most_memories, self.records.counts)
            embedding = await self._embed(new.content)
            with self.stages.measure("commit"):
                added = await self.records.add(new, embedding, within=await self._reach(new, caller))
            if added.status == "already_known":
                self.reinforcer.note(caller.tenant, [added.id])
                otherwise = [not_taken_over(new, known) for known in await self.records.get_many([scope], [added.id])]
                return Receipt(added, scope.namespace, redacted=redacted, otherwise=otherwise[0] if otherwise else ())
            near = await self._named_like(own, caller) if first else ()
            if embedding is None:
                self.indexer.wake()
                pending = "its meaning is indexed as soon as the embedding model gets to it; until then it is found by its words"
                return Receipt(added, scope.namespace, pending=pending, redacted=redacted, near=near)
            least = max(self.remember_settings.similar_from, ALIKE_ANYWAY if new.kind in _NOT_STATEMENTS else 0.0)
            settled = {added.id, *added.replaced, *filter(None, [added.superseded_by])}  # what became of these the receipt tells
            language = language_of(new.content)
            least = meaning_the_same(least, self.scale.scales(language), language)
            similar = await self._similar(embedding, [scope], least, leave_out=settled)
            return Receipt(added, scope.namespace, similar, redacted=redacted, near=near)

    def told(self, caller: Caller, told: Iterable[tuple[UUID, str]]) -> None:
        """These memories were shown to the caller, with these texts."""
        self.echoes.note(_listener(caller), told)

    def told_again(self, caller: Caller, forms: Iterable[tuple[UUID, str]]) -> None:
        """Likewise, where the forms of the texts (`echoes.echo_forms`) are known."""
        self.echoes.note_forms(_listener(caller), forms)

    async def _echo(self, request: RememberRequest, new: Draft, caller: Caller, reach: Sequence[Scope]) -> Receipt | None:
        """The receipt for a text that only says back what memory has just told the caller; being said back strengthens nothing."""
        heard = [] if deliberate(request) else self.echoes.heard(_listener(caller), request.content)
        if not heard:
            return None
        found = {memory.id: memory for memory in await self.records.get_many(reach, list({memory_id for memory_id, _ in heard}))}
        now = self.clock()
        if not all(memory_id in found and says_back(request, form, found[memory_id], now) for memory_id, form in heard):
            return None
        first, ids = found[heard[0][0]], tuple(dict.fromkeys(memory_id for memory_id, _ in heard))
        otherwise = not_taken_over(new, first) if len(ids) == 1 else ()
        return Receipt(Added(first.id, "already_known", None, embedded=True), first.scope.namespace, echoes=ids, otherwise=otherwise)

    async def _reach(self, new: Draft, caller: Caller) -> Sequence[Scope]:
        """Where the memories may lie that a draft supersedes by their ids."""
        return await self._changeable_by(caller) if new.supersedes else [new.scope]

    async def _similar(self, embedding: Embedding, scopes: Sequence[Scope], least: float, leave_out: set[UUID]) -> list[Recalled]:
        where = Filter(now=self._this_second())
        shown = self.remember_settings.similar_shown
        try:
            with anyio.fail_after(self.recall_settings.vector_seconds), self.stages.measure("vector_search"):
                hits = await nearest(self.sources, embedding, scopes, where, limit=shown, least=least, leave_out=leave_out)
                memories = await self._read(hits, scopes, where)
        except (TierError, TimeoutError):
            return []  # the receipt's truth does not hang on it
        score = {hit.id: hit.score for hit in hits}
        return [Recalled(memory, score[memory.id]) for memory in memories]


def _listener(caller: Caller) -> tuple[str, ...]:
    """Who is told and who says back."""
    return (caller.tenant, caller.provenance.client, caller.provenance.user, caller.provenance.agent)
