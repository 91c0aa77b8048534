"""Texts of whole scopes, kept level with the record store and within a budget of memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio

from memory_mcp.errors import ScopeNotCoveredError
from memory_mcp.models import Changed, Scope
from memory_mcp.tiers.resident.texts import MEMORY_BYTES, Look, Texts

INLINE_MEMORIES = 50
"""Changes up to so many are taken in on the event loop: 15 microseconds each, a hop to a thread and back 50."""
INLINE_CHARACTERS = 50_000
"""And that are so long together: a millisecond for 5,000."""
PAGE = 4096
"""Memories read at a time where a whole scope is: they take several times what is kept of them."""


class TextSource(Protocol):
    """What the texts are read from: two methods of the record store."""

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """See `contracts.RecordStore`."""

    async def changed(self, scope: Scope, since: int, *, limit: int | None = None) -> Changed:
        """See `contracts.VectorSource`."""


@dataclass(frozen=True, slots=True)
class Read:
    """A scope as of a revision; None in place of texts where they are too many."""

    revision: int
    texts: Texts | None


class ResidentTexts:
    """A `contracts.TextReader` over scopes held whole; the least recently used make room for others.

    As with `ResidentIndex`, every look first catches up with the scope's revision, so nobody has to tell of a write.
    A scope goes on being read when whoever asked first has given up waiting: the next look finds it.
    """

    def __init__(self, source: TextSource, *, budget_bytes: int) -> None:
        self._source, self._budget_bytes = source, budget_bytes
        self._read: OrderedDict[Scope, Read] = OrderedDict()  # least recently used first
        self._reading: dict[Scope, asyncio.Task[Read]] = {}
        self._limiter = anyio.CapacityLimiter(1)
        self.looks = 0

    async def look(self, scope: Scope, query: str, at: int | None = None) -> Look:
        """The scope in view of a question, as of now; see `contracts.TextReader`.

        Raises:
            ScopeNotCoveredError: It is too large for the budget.
        """
        read = self._read.get(scope)
        revision = at
        if revision is None:
            revision = await self._revision(scope)
            read = self._read.get(scope)
        # one found too large is left alone: reading it all again at each change would cost more than it brings
        while read is None or (read.texts is not None and read.revision < revision):
            read = await self._catching_up(scope)
        if read.revision > revision and await self._revision(scope) < read.revision:  # an older store was put in place
            read = await self._catching_up(scope)
        if read.texts is None:
            raise ScopeNotCoveredError("texts")
        if scope in self._read:
            self._read.move_to_end(scope)
        self.looks += 1
        return read.texts.look(query)

    def drop(self, scopes: Collection[Scope]) -> None:
        """Let go of scopes; they are read anew when they are next asked for."""
        for scope in scopes:
            self._read.pop(scope, None)

    def figures(self) -> dict[str, int]:
        """For people: what is held."""
        held = [read.texts for read in self._read.values() if read.texts is not None]
        return {"bytes": sum(texts.nbytes for texts in held), "scopes": len(held), "rows": sum(map(len, held)), "searches": self.looks}

    async def _revision(self, scope: Scope) -> int:
        (revision,) = await self._source.revisions((scope,))
        return revision

    async def _catching_up(self, scope: Scope) -> Read:
        """Wait for the reading that is under way, or begin one."""
        return await asyncio.shield(self._reading.get(scope) or self._begin(scope))

    def _begin(self, scope: Scope) -> "asyncio.Task[Read]":
        task = asyncio.create_task(self._catch_up(scope))
        self._reading[scope] = task

        def ended(done: "asyncio.Task[Read]") -> None:
            del self._reading[scope]
            if not done.cancelled():
                done.exception()  # whoever waits hears of it; if nobody does, nobody needs to

        task.add_done_callback(ended)
        return task

    async def _catch_up(self, scope: Scope) -> Read:
        before = self._read.get(scope)
        known = before.texts if before is not None else None
        read = await (self._load(scope) if before is None or known is None else self._follow(scope, before.revision, known))
        self._read[scope] = read
        self._make_room(scope)
        return read

    async def _load(self, scope: Scope) -> Read:
        latest = await self._revision(scope)
        texts, upto = Texts(), 0
        while True:
            change = await self._source.changed(scope, upto, limit=PAGE)
            if change.whole:  # the first page, or an older store was put in place meanwhile
                texts = Texts()
            if MEMORY_BYTES * (len(texts) + len(change.memories)) > self._budget_bytes:
                return Read(change.revision, None)
            await self._take_in(texts, change)
            if change.revision >= latest or change.revision == upto:
                return Read(change.revision, texts)
            upto = change.revision

    async def _follow(self, scope: Scope, since: int, texts: Texts) -> Read:
        change = await self._source.changed(scope, since)
        if change.whole:
            return await self._load(scope)
        await self._take_in(texts, change)
        return Read(change.revision, texts)

    async def _take_in(self, texts: Texts, change: Changed) -> None:
        if len(change.memories) <= INLINE_MEMORIES and sum(len(one.content) for one in change.memories) <= INLINE_CHARACTERS:
            texts.apply(change.memories, change.removed)
        else:
            await anyio.to_thread.run_sync(texts.apply, change.memories, change.removed, limiter=self._limiter)

    def _make_room(self, keep: Scope) -> None:
        """Let go of the least recently used scopes until the rest fits."""
        while sum(read.texts.nbytes for read in self._read.values() if read.texts is not None) > self._budget_bytes:
            other = next((scope for scope, read in self._read.items() if read.texts is not None and scope != keep), None)
            if other is None:
                return
            del self._read[other]
