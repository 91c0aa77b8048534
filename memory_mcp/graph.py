"""The seam of the knowledge graph: what memories speak of, and how that hangs together.

It is derived from the memories, like the text index: entities stand in a memory's text or metadata, relations in its
metadata (see `entities`). It is written in the transaction of every write, and holds live memories alone, so that
forgetting, superseding and undo need nothing more. An entity is a key (`entities.entity_key`) within a scope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from memory_mcp.models import Filter, Scope
from memory_mcp.text.entities import Entity, Statement

MOST_REACHED = 400
"""Steps of a walk."""
FAN_OUT = 60
"""Of one entity so many relations in either direction are followed, the newest."""


COMMON = 200
"""Memories that speak of one entity: of more, it does not tell which is meant."""
MOST_BESIDE = 50
"""Entities one relation away from those that were asked for."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What a memory says of two entities."""

    statement: Statement
    memory: UUID


@dataclass(frozen=True, slots=True)
class Mentions:
    """Which memories speak of an entity, newest first; `entity` is as the newest of them spells it."""

    entity: Entity
    memories: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A memory that speaks of an entity that was asked for, or of one that is one relation away from it.

    Attributes:
        hops: 0 or 1.
        frequency: How many memories speak of the entity.
    """

    memory: UUID
    hops: int
    frequency: int


class Graph(Protocol):
    """Entities and relations of live memories, those that have expired by `now` left out."""

    async def reach(self, scopes: Sequence[Scope], key: str, *, depth: int, now: datetime) -> dict[str, int]:
        """The keys within `depth` relations, whichever way these point, with how many; at most `MOST_REACHED`.

        What an entity is also called is as near as itself. What it is an instance of (`is a`) leads nowhere.
        """

    async def relations(self, scopes: Sequence[Scope], keys: Sequence[str] | None, *, now: datetime, limit: int) -> list[Relation]:
        """Those that begin or end at one of these entities, or all, newest memories first, then in the order of the memory."""

    async def mentions(self, scopes: Sequence[Scope], keys: Sequence[str], *, now: datetime, limit: int) -> Mapping[str, Mentions]:
        """Of each of these entities that is mentioned at all, up to `limit` memories."""

    async def names(self, scopes: Sequence[Scope], part: str, *, now: datetime, limit: int) -> list[Entity]:
        """Entities whose key contains that of `part`, those mentioned most first, equal ones by key."""

    async def named(self, scopes: Sequence[Scope], keys: Sequence[str], where: Filter, *, limit: int) -> list[Named]:
        """Memories that pass the filter and speak of one of these entities, or of one that is one relation away.

        An entity of more than `COMMON` memories tells nothing, and is left out. Each memory is named once, by what is nearest, then by
        the rarest; those come first, equal ones by id.
        """

    async def mention_older(self, limit: int) -> int:
        """Read up to `limit` memories that were written before there was a graph; how many that were, 0: none is left."""
