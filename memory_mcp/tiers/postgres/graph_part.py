"""The part of the store that is the knowledge graph."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from memory_mcp.graph import Mentions, Named, Relation
from memory_mcp.models import Filter, Scope
from memory_mcp.text.entities import Entity
from memory_mcp.tiers.postgres import graph
from memory_mcp.tiers.postgres.session import NOBODY, Transaction

T = TypeVar("T")


class GraphPart(ABC):
    """`Graph`, over the transactions of a store."""

    @abstractmethod
    async def _each(self, scopes: Sequence[Scope], work: Callable[[Transaction, list[str]], Awaitable[T]]) -> list[T]: ...

    @abstractmethod
    async def _write(self, tenant: str, work: Callable[[Transaction], Awaitable[T]]) -> T: ...

    async def reach(self, scopes: Sequence[Scope], key: str, *, depth: int, now: datetime) -> dict[str, int]:
        """See `Graph`."""
        answers = await self._each(scopes, partial(graph.reach, key=key, depth=depth, now=now))
        return {key: 0, **{reached: steps for answer in answers for reached, steps in answer.items()}}

    async def relations(self, scopes: Sequence[Scope], keys: Sequence[str] | None, *, now: datetime, limit: int) -> list[Relation]:
        """See `Graph`."""
        answers = await self._each(scopes, partial(graph.relations, keys=keys, now=now, limit=limit))
        return [relation for answer in answers for relation in answer][:limit]

    async def mentions(self, scopes: Sequence[Scope], keys: Sequence[str], *, now: datetime, limit: int) -> dict[str, Mentions]:
        """See `Graph`."""
        answers = await self._each(scopes, partial(graph.mentions, keys=keys, now=now, limit=limit))
        return {key: found for answer in answers for key, found in answer.items()}

    async def names(self, scopes: Sequence[Scope], part: str, *, now: datetime, limit: int) -> list[Entity]:
        """See `Graph`."""
        answers = await self._each(scopes, partial(graph.names, part=part, now=now, limit=limit))
        return [entity for answer in answers for entity in answer][:limit]

    async def named(self, scopes: Sequence[Scope], keys: Sequence[str], where: Filter, *, limit: int) -> list[Named]:
        """See `Graph`."""
        answers = await self._each(scopes, partial(graph.named, keys=keys, where=where, limit=limit))
        return [one for answer in answers for one in answer][:limit]

    async def mention_older(self, limit: int) -> int:
        """See `Graph`."""
        return await self._write(NOBODY, partial(graph.mention_older, limit=limit))
