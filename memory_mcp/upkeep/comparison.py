"""What a derived tier holds beside what the record store has: counted and compared id by id."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from memory_mcp.contracts import CarriedIndex
from memory_mcp.models import Scope
from memory_mcp.upkeep.carrier import Source

_PAGE = 500


class Countable(CarriedIndex, Protocol):
    """A `CarriedIndex` that can tell what it holds."""

    async def held(self, scope: Scope, epoch: str) -> dict[UUID, int]:
        """Every memory of the scope with how many of its passages there are."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A scope in a tier and in the record store.

    Attributes:
        memories: That the record store has vectors of.
        lagging: Changed since the tier was last brought level; nothing is said of them. None: it was never brought level.
        lost: That the tier should hold, and does not, or not with all their passages.
        left: That it holds, and should not.
    """

    scope: Scope
    memories: int
    lagging: int | None
    lost: int
    left: int


async def compare_scope(index: Countable, source: Source, scope: Scope, epoch: str) -> Compared:
    """Look at every memory of a scope on both sides, while others may write.

    Raises:
        TierError: The tier or the store is away.
    """
    mark = await index.covers(scope, epoch)
    expected = await _in_store(source, scope, epoch)
    if mark is None:
        return Compared(scope, len(expected), None, 0, 0)
    held = await index.held(scope, epoch)
    since = await source.vector_changes(scope, mark, epoch)
    touched = {*since.points.ids, *since.removed}
    lost = sum(held.get(memory_id) != passages for memory_id, passages in expected.items() if memory_id not in touched)
    left = sum(memory_id not in expected for memory_id in held if memory_id not in touched)
    return Compared(scope, len(expected), len(touched), lost, left)


async def _in_store(source: Source, scope: Scope, epoch: str) -> Mapping[UUID, int]:
    (target,) = await source.revisions((scope,))
    passages: Counter[UUID] = Counter()
    upto = 0
    while upto < target:
        delta = await source.vector_changes(scope, upto, epoch, limit=_PAGE)
        for memory_id in {*delta.points.ids, *delta.removed}:
            passages.pop(memory_id, None)
        passages.update(delta.points.ids)
        upto = delta.revision
    return passages
