"""A derived tier made anew from the record store, without embedding again and without keeping anybody waiting."""

from collections.abc import Callable
from typing import Protocol

from memory_mcp.contracts import CarriedIndex
from memory_mcp.upkeep.carrier import Source, every_scope, level

_ROUNDS = 20
"""Looks at what was written meanwhile; what comes after the last one is carried when the tier is in use."""


class Rebuildable(CarriedIndex, Protocol):
    """A `CarriedIndex` that can be built beside itself."""

    def beside(self) -> CarriedIndex:
        """The one in the making, as far as it has come; nobody searches it."""

    async def finish(self, epoch: str) -> None:
        """Put the one in the making into use, in one step, and let the former one go."""


async def rebuild(index: Rebuildable, source: Source, epoch: str, *, told: Callable[[int], None] = lambda count: None) -> int:
    """Fill a new index beside the one in use, and put it in its place; goes on where a former try was ended.

    Args:
        told: Is called with the number of memories of each page that was carried.

    Returns:
        How many memories were carried.

    Raises:
        TierError: The tier or the store failed; the one in use is as it was.
    """
    carried = 0

    def count(memories: int) -> None:
        nonlocal carried
        carried += memories
        told(memories)

    building = index.beside()
    for _ in range(_ROUNDS):
        if not any([await level(building, source, scope, epoch, told=count) for scope in await every_scope(source)]):
            break
    await index.finish(epoch)
    return carried
