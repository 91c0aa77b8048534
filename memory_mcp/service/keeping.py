"""What is known of single memories, and how it changes."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from memory_mcp import __version__
from memory_mcp.access import Role
from memory_mcp.answers import Forgotten, Revised, Selection, Statistics
from memory_mcp.errors import ConflictError, MemoryNotFoundError, RequestError, require
from memory_mcp.hygiene.trust import may_rewrite
from memory_mcp.knowledge.identities import identity
from memory_mcp.models import (
    Caller,
    Changes,
    Filter,
    Memory,
    Operation,
    Version,
)
from memory_mcp.recall.gather import BY_ANOTHER_MODEL
from memory_mcp.remember import door
from memory_mcp.remember.confirmation import confirmation
from memory_mcp.remember.drafts import fingerprint
from memory_mcp.remember.hygiene import Inspection, weight_of
from memory_mcp.remember.otherwise import SAME_END
from memory_mcp.service.parts import Parts
from memory_mcp.telemetry.timing import memory_used

REPLACED_SHOWN = 100

MOST_FORGOTTEN = 100_000
"""Memories at once: they are all read, since the confirmation holds for them alone."""


class Keeping(Parts):
    """The use cases `get`, `update`, `forget`, `undo` and `stats`."""

    __slots__ = ()

    async def get(self, ids: Sequence[str], caller: Caller, *, history: bool = False) -> list[tuple[Memory, list[Version]]]:
        """Whole memories, superseded ones too; if asked for, with what was said before: what they took the place of, their past forms.

        Raises:
            MemoryNotFoundError: One of them is not visible to the caller.
        """
        wanted = door.memory_ids(ids)
        scopes = await self._open_to(caller)
        memories = await self.records.get_many(scopes, wanted)
        if missing := set(wanted) - {memory.id for memory in memories}:
            raise MemoryNotFoundError(sorted(missing))
        if not history:
            return [(memory, []) for memory in memories]
        earlier = [await self.records.replaced(scopes, memory.id, limit=REPLACED_SHOWN) for memory in memories]
        own = [await self.records.history(scopes, memory.id) for memory in memories]
        return [(memory, [*replaced, *past]) for memory, replaced, past in zip(memories, earlier, own, strict=True)]

    async def entries(self, found: Sequence[tuple[Memory, Sequence[Version]]], caller: Caller) -> Mapping[int, Operation]:
        """The entries of the log that tell who made these forms what they are, of those that were ever changed."""
        changed = {memory.operation for memory, _ in found if memory.updated_at != memory.created_at or memory.superseded_by is not None}
        numbers = changed | {past.operation for _, history in found for past in history}
        return await self.log.entries(caller.tenant, numbers) if numbers else {}

    async def update(
        self,
        memory_id: str,
        caller: Caller,
        *,
        content: str = "",
        tags: Sequence[str] | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires_in: str = "",
    ) -> Revised:
        """Change a memory in place; what is not given stays. Repeated it changes nothing, and is no further operation.

        Args:
            expires_in: `never`: it is kept for the long term from now on.

        Raises:
            RequestError: Nothing to change is given, or a value is not allowed.
            MemoryNotFoundError, ConflictError: See `RecordStore.revise`.
        """
        require(caller.access, Role.WRITER)
        target, scopes, now = door.memory_id(memory_id), await self._changeable_by(caller), self.clock()
        memories = await self.records.get_many(scopes, [target])
        if not memories:
            raise MemoryNotFoundError([target])
        (memory,) = memories
        if content and not may_rewrite(memory.provenance, caller.provenance):
            raise RequestError("This memory comes from a more trusted source: remember the new statement with supersedes instead.")
        given = door.content(content) if content else "", door.tags(tags or ()), door.metadata(metadata or {})
        look = Inspection(self.remember_settings.secrets)
        content, clean_tags, clean_metadata = await self._looked_through(lambda: look.parts(*given), weight_of(*given))
        asked = Changes(
            content=content or None,
            tags=None if tags is None else clean_tags,
            metadata=None if metadata is None else clean_metadata,
            importance=None if importance is None else door.fraction(importance, "importance"),
            expires_at=door.lifetime(expires_in, "expires_in", now),
            lasting=door.endless(expires_in),
        )
        if asked == Changes():
            raise RequestError("Nothing to change: give content, tags, importance, metadata or expires_in.")
        changes = _otherwise(asked, memory)
        if changes == Changes() and memory.superseded_by is None:
            return Revised(memory, None, look.redactions)
        if changes.content is not None:
            labels = memory.tags if changes.tags is None else changes.tags
            name = identity(memory.kind, content, labels, memory.metadata if changes.metadata is None else changes.metadata)
            again = partial(fingerprint, name or content, memory.kind, memory.session_id, memory.occurred_at)
            new_print = await self._looked_through(again, len(content))
            changes = replace(changes, fingerprint=new_print, embedding=await self._embed(content))
        operation = await self.records.revise(scopes, target, changes, caller.provenance, now)
        if changes.content is not None and changes.embedding is None:
            self.indexer.wake()
        return Revised(memory, operation, look.redactions)

    async def forget(self, ids: Sequence[str], caller: Caller) -> Forgotten:
        """Take single memories out of every answer, all of them or none; `undo` brings them back.

        Repeated it changes nothing, and says that they are not there.

        Raises:
            MemoryNotFoundError: One of them is not there, or not any more.
        """
        require(caller.access, Role.WRITER)
        wanted, scopes = door.memory_ids(ids), await self._changeable_by(caller)
        memories = await self.records.get_many(scopes, wanted)
        try:
            operation = await self.records.forget(scopes, wanted, caller.provenance, self.clock())
        except MemoryNotFoundError as error:
            if len(wanted) == 1:
                raise
            gone = f"No memory with id {', '.join(error.ids)} here: forgotten already, or replaced."
            raise MemoryNotFoundError(error.ids, f"{gone} Nothing was forgotten by this call; leave out what is gone.") from None
        return Forgotten(operation.scope.namespace, memories, operation)

    async def forget_selected(self, selection: Selection, caller: Caller, namespace: str, token: str) -> Forgotten:
        """Forget what the selection means of a namespace, the newest `MOST_FORGOTTEN`; without the token of a dry run, only tell which.

        Raises:
            ConflictError: The memories are no longer those of the dry run.
        """
        scope = self._changeable(caller, namespace, Role.MANAGER)
        where = Filter(
            kinds=door.kinds(selection.kinds), tags=frozenset(door.tags(selection.tags)), until=door.moment(selection.before, "before")
        )
        found = await self.records.newest([scope], where, limit=MOST_FORGOTTEN + 1)
        memories, more = found[:MOST_FORGOTTEN], len(found) > MOST_FORGOTTEN
        expected = confirmation(scope, [memory.id for memory in memories])
        if not token or not memories:
            return Forgotten(scope.namespace, memories, token=expected if memories else "", more=more)
        if token.strip() != expected:
            raise ConflictError("The memories meant are not those of the dry run any more. Call forget without confirm to see them again.")
        operation = await self.records.forget([scope], [memory.id for memory in memories], caller.provenance, self.clock())
        return Forgotten(scope.namespace, memories, operation, more=more)

    async def undo(self, which: str, caller: Caller, namespace: str = "") -> list[Operation]:
        """Reverse an operation by its number, or the `last` one of this client in the namespace, or its `last 3`: all of them or none.

        One that is named by its number may lie in any namespace that the caller may change, unless one is named.
        """
        require(caller.access, Role.WRITER)
        number, count = door.operations(which)
        scope = self._place(caller, namespace, "")
        if number is not None and not namespace:
            entry = (await self.log.entries(caller.tenant, [number])).get(number)
            scope = entry.scope if entry is not None and entry.scope in await self._changeable_by(caller) else scope
        return await self.records.undo(scope, number, caller.provenance, self.clock(), count=count)

    async def stats(self, caller: Caller) -> Statistics:
        """How much there is of what the caller may read, and for administrators how each part is doing."""
        state = self.sources.embedder.state
        whole, admin = caller.access.is_whole, caller.access.role >= Role.ADMIN
        scopes = await self._open_to(caller)
        counts = await self.records.counts(caller.tenant, None if whole else [scope.namespace for scope in scopes])
        held = await self.shelves.holdings(scopes, now=self.clock())
        return Statistics(
            namespace=caller.namespace,
            counts=counts if admin else replace(counts, bytes_on_disk=0),
            archived=sum(states.get("archived", 0) for states in held.values()),
            tiers={name: tell() for name, tell in self.figures.items()} if admin else {},
            latency=self.stages.summary() if admin else {},
            model={
                "name": state.model,
                "phase": state.phase,
                "epoch": state.epoch or "",
                **({"detail": detail} if (detail := BY_ANOTHER_MODEL if self.indexer.overtaken else state.detail) else {}),
                # of everybody's texts: a count of what was known already tells whether anybody has ever asked the same
                **((state.figures or {}) if admin else {}),
            },
            engine={"version": __version__, **(self._process() if admin else {})},
        )

    def _process(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "uptime_seconds": round(time.monotonic() - self.started), **memory_used()}


def _otherwise(asked: Changes, memory: Memory) -> Changes:
    """Of the changes those that would make another memory of it."""
    expires = asked.expires_at
    if expires is not None and memory.expires_at is not None and abs(expires - memory.expires_at) <= SAME_END:
        expires = None
    return Changes(
        content=None if asked.content == memory.content else asked.content,
        tags=None if asked.tags == memory.tags else asked.tags,
        metadata=None if asked.metadata == memory.metadata else asked.metadata,
        importance=None if asked.importance == memory.importance else asked.importance,
        expires_at=expires,
        lasting=asked.lasting and (memory.expires_at is not None or memory.retention == "short_term"),
    )
