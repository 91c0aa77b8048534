"""What the caches save, layer by layer, when some questions are asked more often than others; and what a hit costs.

Two engines work on one store, as two of a team's machines do: each question goes to one of them by chance. Questions
follow Zipf's law (the r-th most frequent is asked 1/r as often as the first). A write makes every cached candidate of its
namespace stale; an embedding is never stale.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from memory_mcp.answers import RecallRequest
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.tiers.redis.settings import RedisSettings
from tests.benchmarks.figures import TARGET, Tables, progress, say, transposed
from tests.benchmarks.filling import fill, questions_like, texts_like
from tests.benchmarks.sets import EvalSet
from tests.memories import CALLER, open_service, settings_for
from tests.redis_servers import redis_binary, redis_server

MEMORIES = 1_000
QUESTIONS, READS = 500, 4_000
WRITE_EVERY = 100
TARGETS = {"a question's embedding was known, share": 0.85}


async def run(sets: Sequence[EvalSet]) -> Tables:
    """Shares of reads by the layer that answered, and milliseconds of each."""
    texts = texts_like(sets, MEMORIES + READS // WRITE_EVERY)
    questions = questions_like(sets, QUESTIONS)
    shares: dict[str, Mapping[str, float]] = {}
    times: dict[str, Mapping[str, float]] = {}
    if redis_binary() is None:
        say("  there is no redis-server here: measured without")
    for shared in (False, True) if redis_binary() else (False,):
        for writes in (False, True):
            name = f"{'with' if shared else 'without'} Redis, {f'a write every {WRITE_EVERY}' if writes else 'no writes'}"
            say(f"  {name}")
            async with _two_engines(shared=shared) as engines:
                await fill(engines[0], {str(i): RememberRequest(text) for i, text in enumerate(texts[:MEMORIES])})
                work = await _work(engines, questions, texts[MEMORIES:] if writes else [])
            shares[name], times[name] = work.shares(), work.times()
    table = transposed(shares)
    for row, target in TARGETS.items():
        table[row][TARGET] = target
    return {f"{READS:,} reads of {QUESTIONS} questions, two engines": table, "a recall, p50 ms, by what answered": transposed(times)}


@asynccontextmanager
async def _two_engines(*, shared: bool) -> AsyncIterator[Sequence[MemoryService]]:
    with TemporaryDirectory(prefix="memory-mcp-bench-") as folder:
        settings = settings_for(Path(folder))
        if not shared:
            async with open_service(settings) as one, open_service(settings) as other:
                yield one, other
            return
        with redis_server() as server:
            settings = settings.model_copy(update={"redis": RedisSettings(url=server.url)})
            async with open_service(settings) as one, open_service(settings) as other:
                yield one, other


@dataclass
class _Work:
    """What was seen.

    Attributes:
        seconds: By layer.
        modelled: Reads for which the model had to embed.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    modelled: int = 0

    def shares(self) -> dict[str, float]:
        counts = Counter({layer: len(taken) for layer, taken in self.seconds.items()})
        reads = counts.total()
        return {
            "candidates in the process, share of reads": counts["process"] / reads,
            "candidates in Redis, share of reads": counts["Redis"] / reads,
            "candidates known, share of reads": (counts["process"] + counts["Redis"]) / reads,
            "a question's embedding was known, share": 1 - self.modelled / reads,
        }

    def times(self) -> dict[str, float]:
        return {layer: 1000 * median(self.seconds[layer]) for layer in LAYERS if layer in self.seconds}


LAYERS = ("process", "Redis", "search, embedding known", "search and model")


async def _work(engines: Sequence[MemoryService], questions: Sequence[str], texts: Sequence[str]) -> _Work:
    chance = random.Random(5)
    asked = chance.choices(questions, [1 / rank for rank in range(1, len(questions) + 1)], k=READS)
    work, new = _Work(), iter(texts)
    for number, question in enumerate(progress(asked, "asked")):
        if texts and number % WRITE_EVERY == WRITE_EVERY - 1:
            await chance.choice(engines).remember(RememberRequest(next(new)), CALLER)
        engine = chance.choice(engines)
        gathered, redis, modelled = _counts(engine)
        started = perf_counter()
        await engine.recall(RecallRequest(question), CALLER)
        taken = perf_counter() - started
        now_gathered, now_redis, now_modelled = _counts(engine)
        if now_gathered == gathered:
            layer = "process" if now_redis == redis else "Redis"
        else:
            layer = "search, embedding known" if now_modelled == modelled else "search and model"
            work.modelled += now_modelled > modelled
        work.seconds.setdefault(layer, []).append(taken)
    return work


def _counts(engine: MemoryService) -> tuple[int, int, int]:
    """How often it has searched, asked Redis, and had the model embed."""
    figures = engine.sources.embedder.state.figures or {}
    redis = engine.figures["redis"]()["calls"] if "redis" in engine.figures else 0
    return int(engine.stages.summary().get("gather", {}).get("calls", 0)), int(redis), int(figures["misses"])
