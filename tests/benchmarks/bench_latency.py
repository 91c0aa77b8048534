"""Where the time of a recall and of a remember goes, inside the engine, at several sizes; and what a memory costs on disk."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from uuid import UUID

import anyio
import numpy as np

from memory_mcp.answers import RecallRequest
from memory_mcp.models import Filter, Matrix, Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.telemetry.timing import Stages
from tests.benchmarks.figures import TARGET, Table, Tables, progress, say, transposed
from tests.benchmarks.filling import empty_store, fill, questions_like, texts_like
from tests.benchmarks.sets import EvalSet
from tests.memories import CALLER

SIZES = (1_000, 10_000)
ASKED = STORED = 200
AT_ONCE, TURNS = 256, 3
RECALL_STAGES = ("embed", "vector_search", "text_search", "gather", "hydrate", "rank", "recall")
REMEMBER_STAGES = ("embed", "commit", "vector_search", "remember")
PERCENTILES = ("p50", "p95", "p99")
TARGETS = {
    "recall / embedding of the question": 1.3,
    "recall repeated, p50 ms": 3.0,
    "remember, ms over 1.2 x floor": 1.0,
    "remembered at once / embedded at once": 0.9,
    "bytes a memory beyond its text": 1.6 * 768,
}


async def run(sets: Sequence[EvalSet], sizes: Sequence[int] = SIZES) -> Tables:
    """Stages at each size in milliseconds, and what they come to."""
    recall: dict[str, dict[str, float]] = {}
    remember: dict[str, dict[str, float]] = {}
    sums: dict[str, dict[str, float]] = {}
    for size in sizes:
        say(f"  {size:,} memories")
        texts = texts_like(sets, size + STORED + 2 * TURNS * AT_ONCE)
        questions = questions_like(sets, 3 * ASKED)
        async with empty_store() as service:
            await fill(service, {str(i): RememberRequest(text) for i, text in enumerate(texts[:size])})
            one = _Run(service, f"{size:,}")
            await one.disk(texts[:size])
            await one.recalls(questions[:ASKED], questions[ASKED:])
            await one.remembers(texts[size : size + STORED])
            await one.many(texts[size + STORED :])
        recall |= one.recall
        remember |= one.remember
        sums[one.name] = one.sums
    totals = transposed(sums)
    for row, target in TARGETS.items():
        totals[row][TARGET] = target
    return {"recall by stage, ms": transposed(recall), "remember by stage, ms": transposed(remember), "latency": totals}


class _Run:
    """The measurements at one size."""

    def __init__(self, service: MemoryService, name: str) -> None:
        self.name, self._service = name, service
        self.recall: Table = {}
        self.remember: Table = {}
        self.sums: dict[str, float] = {}

    async def disk(self, texts: Sequence[str]) -> None:
        counts = await self._service.records.counts(CALLER.tenant)
        text_bytes = sum(len(text.encode()) for text in texts)
        self.sums["bytes of text a memory"] = text_bytes / len(texts)
        self.sums["bytes a memory beyond its text"] = (counts.bytes_on_disk - text_bytes) / len(texts)

    async def recalls(self, questions: Sequence[str], others: Sequence[str]) -> None:
        """Questions never asked before, each in turn with others that are embedded alone, and searched in the barest way; then again."""
        bare = await _BareSearch.of(self._service)
        self._service.stages = Stages()
        embedder, alone, barest = self._service.sources.embedder, [], []
        for question, other, third in zip(progress(questions, "asked"), others[::2], others[1::2], strict=True):
            started = perf_counter()
            await embedder.embed([other], urgent=True)
            alone.append(1000 * (perf_counter() - started))
            started = perf_counter()
            await bare.ask(third)
            barest.append(1000 * (perf_counter() - started))
            await self._service.recall(RecallRequest(query=question), CALLER)
        stages = self._service.stages.summary()
        self.recall |= self._columns(stages, RECALL_STAGES)
        self._service.stages = Stages()
        for question in questions:
            await self._service.recall(RecallRequest(query=question), CALLER)
        again = self._service.stages.summary()["recall"]
        self.sums |= {
            "embedding of a question alone, p50 ms": median(alone),
            "embedding, one product, ten read, p50 ms": median(barest),
            "recall, p50 ms": stages["recall"]["p50_ms"],
            "recall / embedding of the question": stages["recall"]["p50_ms"] / median(alone),
            "embedding, one product, ten read / embedding of the question": median(barest) / median(alone),
            "recall repeated, p50 ms": again["p50_ms"],
            "recall repeated, p99 ms": again["p99_ms"],
        }

    async def remembers(self, texts: Sequence[str]) -> None:
        """One after the other, each in turn with a write to the disk that waits for it."""
        self._service.stages = Stages()
        synced = []
        with TemporaryDirectory(prefix="memory-mcp-bench-") as folder, (Path(folder) / "page").open("wb") as file:
            for text in progress(texts, "remembered"):
                synced.append(_sync_a_page(file.fileno()))
                await self._service.remember(RememberRequest(text), CALLER)
        stages = self._service.stages.summary()
        self.remember |= self._columns(stages, REMEMBER_STAGES)
        floor = stages["embed"]["p50_ms"] + stages["vector_search"]["p50_ms"] + 2 * median(synced)
        self.sums |= {
            "fdatasync of a page, p50 ms": median(synced),
            "remember, p50 ms": stages["remember"]["p50_ms"],
            "remember, floor: embedding + scan + 2 fdatasync, ms": floor,
            "remember, ms over 1.2 x floor": stages["remember"]["p50_ms"] - 1.2 * floor,
        }

    async def many(self, texts: Sequence[str]) -> None:
        """All calls at once until every vector is there, in turns with the embedder alone on as many texts of the kind."""
        embedded, remembered = [], []
        for start in range(0, len(texts), 2 * AT_ONCE):
            alone, stored = texts[start : start + AT_ONCE], texts[start + AT_ONCE : start + 2 * AT_ONCE]
            started = perf_counter()
            await self._service.sources.embedder.embed(alone)
            embedded.append(len(alone) / (perf_counter() - started))
            started = perf_counter()
            async with anyio.create_task_group() as tasks:
                for text in stored:
                    tasks.start_soon(self._service.remember, RememberRequest(text), CALLER)
            # those that waited too long are stored by now, and embedded behind the calls
            while (await self._service.records.counts(CALLER.tenant)).unembedded:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.02)
            remembered.append(len(stored) / (perf_counter() - started))
        self.sums |= {
            "embedded at once, a second": median(embedded),
            "remembered at once, a second": median(remembered),
            "remembered at once / embedded at once": median(remembered) / median(embedded),
        }

    def _columns(self, stages: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> Table:
        return {f"{self.name}: {p}": {name: stages[name][f"{p}_ms"] for name in names} for p in PERCENTILES}


@dataclass(frozen=True, slots=True)
class _BareSearch:
    """The floor of any recall by meaning: embedding, one product with as many rows as there are memories, the ten best read.

    Without words, ranking or verdict. The rows are evenly spread ones, since what they say costs nothing here.
    """

    service: MemoryService
    scope: Scope
    ids: Sequence[UUID]
    rows: Matrix

    @classmethod
    async def of(cls, service: MemoryService) -> "_BareSearch":
        scope = Scope(CALLER.tenant, CALLER.namespace)
        memories = await service.records.newest([scope], Filter(), limit=sys.maxsize)
        rows = np.random.default_rng(1).standard_normal((len(memories), service.sources.embedder.state.dimension), np.float32)
        return cls(service, scope, [memory.id for memory in memories], rows)

    async def ask(self, question: str) -> None:
        vectors, _ = await self.service.sources.embedder.embed([question], urgent=True)
        best = np.argpartition(-(self.rows @ vectors[0]), 10)[:10]
        await self.service.records.get_many([self.scope], [self.ids[row] for row in best])


def _sync_a_page(descriptor: int) -> float:
    started = perf_counter()
    os.write(descriptor, bytes(4096))
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)
    return 1000 * (perf_counter() - started)
