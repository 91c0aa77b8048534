"""The background work that reads memories from before there was a knowledge graph."""

import anyio
import structlog

from memory_mcp.errors import StoreReadOnlyError, TierError
from memory_mcp.graph import Graph

log = structlog.get_logger(__name__)

_BATCH = 200
"""Some 10 ms of the one writer's time."""
_REST_SECONDS = 0.05
_DELAY_SECONDS = 30.0


async def mention_older(graph: Graph) -> None:
    """Read them batch by batch, others first; returns when none is left, and goes on at the next start where it was ended."""
    done = 0
    while True:
        try:
            count = await graph.mention_older(_BATCH)
        except StoreReadOnlyError:
            return
        except TierError as error:
            log.warning("mentioning_interrupted", error=type(error).__name__)
            await anyio.sleep(_DELAY_SECONDS)
            continue
        if not count:
            break
        done += count
        await anyio.sleep(_REST_SECONDS)
    if done:
        log.info("older_memories_mentioned", count=done)
