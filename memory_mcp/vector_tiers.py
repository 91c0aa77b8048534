"""The vector tiers that the configuration names, opened: the part of the composition root that knows them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread
import structlog

from memory_mcp.config import TIER_ENTRY_POINTS, Settings
from memory_mcp.contracts import VectorIndex
from memory_mcp.errors import ConfigError, TierError
from memory_mcp.tiers.beside import Beside
from memory_mcp.tiers.guard import Guard
from memory_mcp.tiers.guarded import GuardedCarriedIndex, GuardedIndex
from memory_mcp.tiers.resident.block import Block
from memory_mcp.upkeep.carrier import Carrier, Source

if TYPE_CHECKING:
    from memory_mcp.tiers.qdrant.connection import Connection
    from memory_mcp.tiers.qdrant.index import QdrantIndex

log = structlog.get_logger(__name__)

QDRANT = "qdrant"
CARRY_SECONDS = 600.0
"""The longest that one step of carrying takes; each of its calls has its own limit."""
_LONGEST_REST_SECONDS = 5.0
"""A try costs one search half a second; so it is soon noticed that Qdrant is back."""
FOREIGN_SECONDS = 1.0
"""Likewise a search in a tier that others wrote."""

Figures = Callable[[], Mapping[str, Any]]


class OpenTier(Protocol):
    """What an entry point of the group `memory_mcp.tiers` is: given its table of the configuration and the record store."""

    def __call__(self, settings: dict[str, Any], source: Source) -> AbstractAsyncContextManager[VectorIndex]:
        """The tier, for as long as the memory is open."""


@dataclass(slots=True)
class VectorTiers:
    """Tiers, hottest first, and what belongs to them.

    Attributes:
        carriers: To be run in the background, and woken when the model is ready.
        figures: For `stats`, by tier.
        guards: What stands before those that can be away.
    """

    tiers: dict[str, VectorIndex] = field(default_factory=dict)
    carriers: list[Carrier] = field(default_factory=list)
    figures: dict[str, Figures] = field(default_factory=dict)
    guards: list[Guard] = field(default_factory=list)


def carried_tiers(settings: Settings) -> list[str]:
    """The tiers that the record store is to keep notes for."""
    return [QDRANT] if settings.qdrant.on and QDRANT in settings.stack.vectors else []


async def open_vector_tiers(
    settings: Settings, store: Source, epoch: Callable[[], str | None], within: Mapping[str, VectorIndex], stack: AsyncExitStack
) -> VectorTiers:
    """Open every tier of `stack.vectors`, in that order, for as long as `stack` is; waits for no server.

    One that cannot be opened is left out, and its figures say why.

    Args:
        within: Tiers that are there already, by name.

    Raises:
        ConfigError: The table of a tier makes no sense to it.
    """
    opened = VectorTiers()
    try:
        await store.keep_tiers(carried_tiers(settings))
    except TierError as error:  # a store that cannot be written gathers no notes either
        log.info("notes_not_cleared", error=type(error).__name__)
    for name in settings.stack.vectors:
        if name in within:
            opened.tiers[name] = within[name]
        elif name == QDRANT:
            if settings.qdrant.on:
                await _open_qdrant(settings, store, epoch, opened, stack)
        else:
            await _open_foreign(name, settings, store, opened, stack)
    return opened


async def _open_qdrant(
    settings: Settings, store: Source, epoch: Callable[[], str | None], opened: VectorTiers, stack: AsyncExitStack
) -> None:
    try:
        index, connection = await open_qdrant_index(settings, store, stack)
    except TierError as error:
        opened.figures[QDRANT] = partial(_off, str(error))
        log.warning("tier_not_opened", tier=QDRANT, error=type(error).__name__)
        return
    reads = Guard(QDRANT, call_seconds=settings.qdrant.timeout_seconds, longest_rest_seconds=_LONGEST_REST_SECONDS)
    writes = Guard(QDRANT, call_seconds=CARRY_SECONDS, failures=None)  # the carrier knows by itself when to rest
    guarded = GuardedCarriedIndex(index, reads, writes)
    # the carrier waits long in everything: it is who connects, and a search would give that up too soon
    carrier = Carrier(QDRANT, GuardedCarriedIndex(index, writes, writes), store, epoch)
    beside = Beside(QDRANT, guarded, store, Block, carrier.want)

    def figures() -> Mapping[str, Any]:
        about = {"transport": connection.transport} if connection.transport else {}
        detail = {"detail": connection.trouble} if connection.trouble else {}
        return {"role": "vectors", **reads.figures(), **about, **beside.figures(), **carrier.figures(), **detail}

    opened.guards += [reads, writes]
    opened.tiers[QDRANT] = beside
    opened.carriers.append(carrier)
    opened.figures[QDRANT] = figures


async def open_qdrant_index(settings: Settings, store: Source, stack: AsyncExitStack) -> tuple["QdrantIndex", "Connection"]:
    """The bare index, as the settings describe it.

    Raises:
        TierError: The store cannot say which it is.
    """
    identity = await store.identity()
    # in a thread: the driver takes a second, in which others are served
    opening = await anyio.to_thread.run_sync(import_module, "memory_mcp.tiers.qdrant.opening")
    found: tuple[QdrantIndex, Connection] = await stack.enter_async_context(
        opening.open_qdrant(settings.qdrant, settings.data_dir, identity)
    )
    return found


async def _open_foreign(name: str, settings: Settings, store: Source, opened: VectorTiers, stack: AsyncExitStack) -> None:
    guard = Guard(name, call_seconds=FOREIGN_SECONDS)
    try:
        (entry,) = entry_points(group=TIER_ENTRY_POINTS, name=name)
        open_tier: OpenTier = await anyio.to_thread.run_sync(entry.load)
        index = await stack.enter_async_context(open_tier(dict((settings.tiers or {}).get(name, {})), store))
    except ConfigError:
        raise
    except Exception as error:  # others wrote it; memories are found without it
        opened.figures[name] = partial(_off, f"It could not be opened ({type(error).__name__}); the log says more.")
        log.exception("tier_not_opened", tier=name)
        return
    writes = Guard(name, call_seconds=CARRY_SECONDS)
    opened.guards += [guard, writes]
    opened.tiers[name] = GuardedIndex(index, guard, writes)
    opened.figures[name] = lambda: {"role": "vectors", **guard.figures()}


def _off(why: str) -> Mapping[str, Any]:
    return {"role": "vectors", "health": "off", "detail": why}
