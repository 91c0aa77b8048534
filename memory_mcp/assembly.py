"""The composition root: the one room that knows every backend."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
import apsw
import structlog
from threadpoolctl import threadpool_limits

from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.contracts import Clock, EmbedderState, RecordStore, VectorIndex
from memory_mcp.embedding.opening import open_embedder
from memory_mcp.errors import EmbedderNotReadyError, StoreReadOnlyError, TierError
from memory_mcp.models import Scope
from memory_mcp.recall.asked import Questions
from memory_mcp.recall.gather import Sources
from memory_mcp.recall.reinforce import Reinforcer
from memory_mcp.recall.scale import Scale
from memory_mcp.remember.indexer import Indexer
from memory_mcp.service import MemoryService
from memory_mcp.service.known import KnownAnswers
from memory_mcp.telemetry.instruments import Instruments, Lookups
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.redis.settings import RedisSettings
from memory_mcp.tiers.resident.device import Device
from memory_mcp.tiers.resident.index import ResidentIndex
from memory_mcp.tiers.resident.reading import ResidentTexts
from memory_mcp.tiers.sqlite.backup import backup
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.erasing import erase_in_kept
from memory_mcp.tiers.sqlite.keys import find_key
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.tiers.stack import VectorStack
from memory_mcp.tiers.timed import Timed
from memory_mcp.upkeep.denials import Denials
from memory_mcp.upkeep.erasing import Eraser, Surroundings, Trash
from memory_mcp.upkeep.exporting import Files, erase_in_exports
from memory_mcp.upkeep.maintenance import Maintenance
from memory_mcp.upkeep.mentions import mention_older
from memory_mcp.upkeep.register import Register
from memory_mcp.vector_tiers import Figures, carried_tiers, open_vector_tiers

if TYPE_CHECKING:
    from memory_mcp.tiers.postgres.store import PostgresStore
    from memory_mcp.tiers.redis.tier import RedisTier

log = structlog.get_logger(__name__)

_MODEL_SECONDS = 3.0
"""A compiled model loads in less, even on a busy machine, so that the first question is answered by meaning, too."""
_FLUSH_SECONDS = 5.0
_SEARCH_THREADS = 4


def open_records(settings: Settings) -> "AbstractAsyncContextManager[SqliteStore | PostgresStore]":
    """The record store that is configured; the driver of another is not even loaded."""
    if isinstance(settings.records, PostgresSettings):
        from memory_mcp.tiers.postgres.store import PostgresStore  # noqa: PLC0415

        return PostgresStore.open(settings.records, derived_tiers=carried_tiers(settings))
    return SqliteStore.open(settings.data_dir, settings.encryption, derived_tiers=carried_tiers(settings))


@asynccontextmanager
async def open_memory(settings: Settings, *, model_seconds: float = _MODEL_SECONDS, clock: Clock = utc_now) -> AsyncIterator[MemoryService]:
    """Open every tier, run the background work, and on leaving undo it all in reverse.

    Waits for the record store.

    Args:
        model_seconds: Longest wait for the model, which goes on loading behind it if it takes longer; 0: none is loaded.
        clock: What all that depends on time goes by, background work included.

    Raises:
        TierError: The record store cannot be opened; nothing was changed.
    """
    async with AsyncExitStack() as stack:
        # the model wants the cores: several threads for one small matrix product take twice the time of all together
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        records = await stack.enter_async_context(open_records(settings))
        timed = Timed(settings.records.backend, records)
        store = timed.of(records)
        embedder = open_embedder(settings.embedding, settings.data_dir)
        stack.callback(embedder.close)
        if model_seconds:  # whoever ends before it is loaded would be held up by it
            embedder.start()
        device = Device(settings.resident.device, settings.resident.gpu_megabytes << 20, say=_warn_of_gpu)
        limiter = anyio.CapacityLimiter(_SEARCH_THREADS)
        resident = ResidentIndex(store, limiter, budget_bytes=settings.resident.max_megabytes << 20, device=device)
        texts = ResidentTexts(store, budget_bytes=settings.resident.max_text_megabytes << 20)
        known = KnownAnswers(settings.cache.max_entries)
        redis = await _open_redis(settings.redis, stack)
        vectors = await open_vector_tiers(settings, store, lambda: embedder.state.epoch, {"resident": resident}, stack)
        nearest = VectorStack(vectors.tiers, store)

        indexer = Indexer(store, embedder)
        scale = Scale(embedder)
        reinforcer = Reinforcer(store, clock)
        questions = Questions(store, clock) if settings.recall.keep_questions else None

        def drop(scopes: Collection[Scope]) -> None:
            resident.drop(scopes)
            texts.drop(scopes)
            known.clear()
            embedder.clear()
            if questions is not None:
                questions.clear()

        around = _surroundings(settings, vectors.tiers, drop, redis)
        eraser = Eraser(store, Register(settings.data_dir), around)
        await _erase_again(eraser, clock())
        trash, keep_log = Trash(eraser, settings.trash.keep_days), settings.audit.keep_days
        maintenance = Maintenance(store, clock, settings.maintenance, trash, around.tell, keep_log_days=keep_log)
        denials = Denials(store, clock)
        counting: list[Reinforcer | Questions] = [reinforcer] if questions is None else [reinforcer, questions]

        faults: list[str] = []
        tiers = {**_figures(settings, records, faults, nearest, resident, texts, known), **vectors.figures}
        instruments = Instruments([timed, *vectors.guards], notes=store.notes)
        instruments.lookups |= {"answers": lambda: (known.hits, known.misses), "embeddings": lambda: _lookups(embedder.state)}
        if "resident" in vectors.tiers:
            instruments.watched.append(nearest.guard("resident"))
        asked = None
        if redis is not None:
            tiers["redis"] = redis.figures
            instruments.watched += redis.guards
            asked = redis.questions(embedder)
            instruments.lookups |= redis.lookups()

        tasks = await stack.enter_async_context(anyio.create_task_group())
        for work in (*([] if redis is None else [redis.run]), indexer.run, scale.run, *(one.run for one in vectors.carriers), denials.run):
            tasks.start_soon(work)
        tasks.start_soon(mention_older, store)
        tasks.start_soon(_flush_now_and_then, counting)
        tasks.start_soon(_let_go_now_and_then, known, store, clock)
        if settings.maintenance.every_hours:
            tasks.start_soon(maintenance.run, 3600 * settings.maintenance.every_hours)
        if isinstance(records, SqliteStore) and records.unclean:
            tasks.start_soon(_look_for_damage, records, faults)
        stack.push_async_callback(_flush_last, [*counting, denials])
        stack.callback(tasks.cancel_scope.cancel)
        for wake in (indexer.wake, scale.wake, *(carrier.wake for carrier in vectors.carriers)):
            embedder.on_ready(partial(_from_thread, asyncio.get_running_loop(), wake))
        with suppress(EmbedderNotReadyError):
            await embedder.wait_ready(model_seconds)
        yield MemoryService(
            records=store if redis is None else redis.announced(store),
            log=store,
            shelves=store,
            experience=store,
            graph=store,
            gate=store,
            sources=Sources(
                embedder,
                nearest,
                texts,
                store,
                scale.probe,
                questions=asked,
                away=nearest.away,
                overtaken=lambda: indexer.overtaken,
                graph=store if settings.recall.weights.entity else None,
            ),
            known=known,
            shared=None if redis is None else redis.candidates,
            scale=scale,
            indexer=indexer,
            reinforcer=reinforcer,
            eraser=eraser,
            denials=denials,
            maintenance=maintenance,
            files=_files(settings),
            questions=questions,
            clock=clock,
            remember_settings=settings.remember,
            recall_settings=settings.recall,
            figures=tiers,
            instruments=instruments,
            in_place=records.in_place,
        )


def _figures(
    settings: Settings,
    records: "SqliteStore | PostgresStore",
    faults: Sequence[str],
    nearest: VectorStack,
    resident: ResidentIndex,
    texts: ResidentTexts,
    known: KnownAnswers,
) -> dict[str, Figures]:
    """What `stats` is told of the tiers that are always there.

    Args:
        faults: What is found to be wrong with the store; it may be found later.
    """

    def of_records() -> Mapping[str, Any]:
        if not isinstance(records, SqliteStore):
            return records.figures()
        health = f"damaged: {faults[0]} Run `memory-mcp doctor`." if faults else records.trouble or "ok"
        calls = {"reads": records.reads, "writes": records.writes}
        about = {"sqlite": apsw.sqlite_lib_version(), "encrypted": records.encrypted, "path": str(records.folder)}
        return {"role": "records", "health": health, **calls, **about}

    def of_resident() -> Mapping[str, Any]:
        asked = nearest.guard("resident").figures() if "resident" in settings.stack.vectors else {"health": "off"}
        return {"role": "vectors", **asked, "answered_by": dict(nearest.answered), **resident.figures()}

    def of_texts() -> Mapping[str, Any]:
        return {"role": "words", "health": "ok", **texts.figures()}

    def of_cache() -> Mapping[str, Any]:
        calls = known.hits + known.misses
        return {"role": "answers", "health": "ok", "calls": calls, "hit_rate": round(known.hits / calls, 3) if calls else 0.0}

    return {settings.records.backend: of_records, "resident": of_resident, "texts": of_texts, "cache": of_cache}


def _lookups(state: EmbedderState) -> Lookups:
    figures = state.figures or {}
    return int(figures.get("hits", 0)), int(figures.get("misses", 0))


async def _open_redis(settings: RedisSettings, stack: AsyncExitStack) -> "RedisTier | None":
    """The tier, if one is configured; waits for no server."""
    if not settings.configured:
        return None
    from memory_mcp.tiers.redis.tier import RedisTier  # noqa: PLC0415 - the driver takes 0.2 s, which all others are spared

    return await stack.enter_async_context(RedisTier.open(settings))


def _surroundings(
    settings: Settings, tiers: Mapping[str, VectorIndex], drop: Callable[[Collection[Scope]], None], redis: "RedisTier | None"
) -> Surroundings:
    """What else holds something of a memory: the files of the data directory are looked through where the store lies in it."""
    told = Surroundings() if redis is None else Surroundings(tell=redis.tell)
    around = replace(told, tiers=tiers, drop=drop)
    if settings.records.backend != "sqlite":
        return replace(around, clean_copies=lambda tenant, ids, now: (erase_in_exports(settings.data_dir, ids), []))
    return replace(around, clean_copies=partial(_clean_copies, settings), folder=settings.data_dir, store_files=FILE_NAME)


def _clean_copies(settings: Settings, tenant: str, ids: Sequence[UUID], now: datetime) -> tuple[list[Path], list[Path]]:
    cleaned, closed = erase_in_kept(settings.data_dir, settings.encryption, tenant, ids, now)
    return [*cleaned, *erase_in_exports(settings.data_dir, ids)], closed


def _files(settings: Settings) -> Files:
    """Where exports and backups go; a database server has tools of its own for the latter."""

    def back_up(target: Path) -> tuple[int, int]:
        made = backup(settings.data_dir, target, find_key(settings.encryption, settings.data_dir))
        return made.memories, made.size_bytes

    return Files(settings.data_dir, back_up if settings.records.backend == "sqlite" else None)


async def _erase_again(eraser: Eraser, now: datetime) -> None:
    """Before anything is served: what an older copy of the store may have brought back."""
    try:
        await eraser.replay(now)
    except StoreReadOnlyError:
        log.error("not_erased_again", reason="the store is read-only")


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


async def _flush_now_and_then(counting: Sequence[Reinforcer | Questions]) -> None:
    while True:
        await anyio.sleep(_FLUSH_SECONDS)
        for one in counting:
            await one.flush()


async def _let_go_now_and_then(known: KnownAnswers, records: RecordStore, clock: Clock) -> None:
    """Answers that nobody will get are not kept: other processes erase as well."""
    while True:
        await anyio.sleep(_FLUSH_SECONDS)
        known.drop_old(clock())
        if scopes := list(known.scopes):
            with suppress(TierError):
                known.drop_changed(dict(zip(scopes, await records.revisions(scopes), strict=True)))


async def _flush_last(counting: Sequence[Reinforcer | Questions | Denials]) -> None:
    with anyio.move_on_after(1.0, shield=True):
        for one in counting:
            await one.flush()


def _from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody is left to hear of it
        loop.call_soon_threadsafe(call)
