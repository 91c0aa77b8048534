"""The composition root: the one room that knows every backend."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
import apsw
import structlog
from threadpoolctl import threadpool_limits

from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.embedding.opening import open_embedder
from memory_mcp.errors import EmbedderNotReadyError, TierError
from memory_mcp.recall.gather import Budgets, Sources
from memory_mcp.recall.reinforce import Reinforcer
from memory_mcp.recall.scale import Scale
from memory_mcp.recall.signals import SignalWeights
from memory_mcp.remember.indexer import Indexer
from memory_mcp.service import MemoryService, Tuning
from memory_mcp.tiers.memory import ProcessCache
from memory_mcp.tiers.resident.device import Device
from memory_mcp.tiers.resident.index import ResidentIndex
from memory_mcp.tiers.resident.reading import ResidentTexts
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.tiers.stack import VectorStack

log = structlog.get_logger(__name__)

_MODEL_SECONDS = 3.0
"""A compiled model loads in less, even on a busy machine, so that the first question is answered by meaning, too."""
_FLUSH_SECONDS = 5.0
_SEARCH_THREADS = 4


@asynccontextmanager
async def open_memory(settings: Settings) -> AsyncIterator[MemoryService]:
    """Open every tier, run the background work, and on leaving undo it all in reverse.

    Waits for the record store, and a moment for the model: one that takes longer goes on loading behind it.

    Raises:
        TierError: The record store cannot be opened; nothing was changed.
    """
    async with AsyncExitStack() as stack:
        # the model wants the cores: several threads for one small matrix product take twice the time of all together
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        store = await stack.enter_async_context(SqliteStore.open(settings.data_dir))
        embedder = open_embedder(settings.embedding, settings.data_dir)
        stack.callback(embedder.close)
        embedder.start()
        device = Device(settings.resident.device, settings.resident.gpu_megabytes << 20, say=_warn_of_gpu)
        limiter = anyio.CapacityLimiter(_SEARCH_THREADS)
        resident = ResidentIndex(store, limiter, budget_bytes=settings.resident.max_megabytes << 20, device=device)
        texts = ResidentTexts(store, budget_bytes=settings.resident.max_text_megabytes << 20)
        cache = ProcessCache(settings.cache.max_entries)
        nearest = VectorStack({"resident": resident}, store)
        indexer = Indexer(store, embedder)
        scale = Scale(embedder)
        reinforcer = Reinforcer(store, utc_now)

        faults: list[str] = []

        def sqlite_figures() -> Mapping[str, Any]:
            health = f"damaged: {faults[0]} Run `memory-mcp doctor`." if faults else "ok"
            calls = {"reads": store.reads, "writes": store.writes}
            return {"role": "records", "health": health, **calls, "sqlite": apsw.sqlite_lib_version(), "path": str(store.folder)}

        def resident_figures() -> Mapping[str, Any]:
            return {"role": "vectors", "health": "ok", "answered_by": dict(nearest.answered), **resident.figures()}

        def text_figures() -> Mapping[str, Any]:
            return {"role": "words", "health": "ok", **texts.figures()}

        def cache_figures() -> Mapping[str, Any]:
            calls = cache.hits + cache.misses
            return {"role": "candidates", "health": "ok", "calls": calls, "hit_rate": round(cache.hits / calls, 3) if calls else 0.0}

        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(indexer.run)
        tasks.start_soon(scale.run)
        tasks.start_soon(_flush_now_and_then, reinforcer)
        if store.unclean:
            tasks.start_soon(_look_for_damage, store, faults)
        stack.push_async_callback(_flush_last, reinforcer)
        stack.callback(tasks.cancel_scope.cancel)
        for wake in (indexer.wake, scale.wake):
            embedder.on_ready(partial(_from_thread, asyncio.get_running_loop(), wake))
        with suppress(EmbedderNotReadyError):
            await embedder.wait_ready(_MODEL_SECONDS)
        yield MemoryService(
            records=store,
            sources=Sources(embedder, nearest, texts, store, scale.probe),
            cache=cache,
            scale=scale,
            indexer=indexer,
            reinforcer=reinforcer,
            clock=utc_now,
            tuning=_tuning(settings),
            figures={"sqlite": sqlite_figures, "resident": resident_figures, "texts": text_figures, "cache": cache_figures},
        )


def _tuning(settings: Settings) -> Tuning:
    recall = settings.recall
    return Tuning(
        weights=SignalWeights(**recall.weights.model_dump()),
        budgets=Budgets(recall.embed_seconds, recall.vector_seconds, recall.text_seconds),
        candidates=recall.candidates,
        similar_shown=settings.remember.similar_shown,
        similar_from=settings.remember.similar_from,
    )


def _warn_of_gpu(reason: str) -> None:
    log.warning("gpu_not_used", reason=reason)


async def _look_for_damage(store: SqliteStore, faults: list[str]) -> None:
    """After an unclean end the file is looked at in full, behind everything else."""
    try:
        found = await store.check()
    except TierError as error:
        found = [str(error)]
    faults += found
    log.log(logging.ERROR if found else logging.INFO, "store_checked_after_unclean_end", faults=found)


async def _flush_now_and_then(reinforcer: Reinforcer) -> None:
    while True:
        await anyio.sleep(_FLUSH_SECONDS)
        await reinforcer.flush()


async def _flush_last(reinforcer: Reinforcer) -> None:
    with anyio.move_on_after(1.0, shield=True):
        await reinforcer.flush()


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to hear of it
        loop.call_soon_threadsafe(call)
