"""What the caches save, layer by layer, when some questions are asked more often than others; and what a hit costs.

Two engines work on one store, as two of a team's machines do: each question goes to one of them by chance. Questions
follow Zipf's law (the r-th most frequent is asked 1/r as often as the first). A write makes every answer and every cached
candidate of its namespace stale; an embedding is never stale.
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
from typing import NamedTuple

from memory_mcp.answers import RecallRequest
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.tiers.redis.questions import SharedQuestions
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


async def run(sets: Sequence[EvalSet], *, memories: int = MEMORIES, reads: int = READS) -> Tables:
    """Shares of reads by the layer that answered, hit rates of the layers, and milliseconds of each."""
    texts = texts_like(sets, memories + reads // WRITE_EVERY)
    questions = questions_like(sets, QUESTIONS)
    shares: dict[str, Mapping[str, float]] = {}
    rates: dict[str, Mapping[str, float]] = {}
    times: dict[str, Mapping[str, float]] = {}
    if redis_binary() is None:
        say("  there is no redis-server here: measured without")
    for shared in (False, True) if redis_binary() else (False,):
        for writes in (False, True):
            name = f"{'with' if shared else 'without'} Redis, {f'a write every {WRITE_EVERY}' if writes else 'no writes'}"
            say(f"  {name}")
            async with _two_engines(shared=shared) as engines:
                await fill(engines[0], {str(i): RememberRequest(text) for i, text in enumerate(texts[:memories])})
                work = await _work(engines, questions, texts[memories:] if writes else [], reads)
            shares[name], rates[name], times[name] = work.shares(), work.rates(), work.times()
    table = transposed(shares)
    for row, target in TARGETS.items():
        table[row][TARGET] = target
    return {
        f"{reads:,} reads of {QUESTIONS} questions, two engines": table,
        "of the reads that came to a layer, it knew": transposed(rates),
        "a recall, p50 ms, by what answered": transposed(times),
    }


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


PROCESS, REDIS = "answer in the process", "candidates in Redis"
OWN, SHARED, MODEL = "embedding in the process", "embedding in Redis", "model"
LAYERS = (PROCESS, REDIS, OWN, SHARED, MODEL)
"""In the order in which a question comes to them; one that no cache knows the answer or the candidates of is searched for."""


@dataclass
class _Work:
    """What was seen.

    Attributes:
        seconds: By the layer that knew.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def shares(self) -> dict[str, float]:
        counts = self._counts()
        reads = counts.total()
        return {f"{layer}, share of reads": counts[layer] / reads for layer in LAYERS} | {
            "answer or candidates known, share of reads": (counts[PROCESS] + counts[REDIS]) / reads,
            "a question's embedding was known, share": 1 - counts[MODEL] / reads,
        }

    def rates(self) -> dict[str, float]:
        counts = self._counts()
        came = {layer: sum(counts[each] for each in LAYERS[number:]) for number, layer in enumerate(LAYERS)}
        return {layer: counts[layer] / came[layer] for layer in LAYERS[:-1] if came[layer]}

    def times(self) -> dict[str, float]:
        return {layer: 1000 * median(self.seconds[layer]) for layer in LAYERS if layer in self.seconds}

    def _counts(self) -> Counter[str]:
        return Counter({layer: len(taken) for layer, taken in self.seconds.items()})


async def _work(engines: Sequence[MemoryService], questions: Sequence[str], texts: Sequence[str], reads: int) -> _Work:
    chance = random.Random(5)
    asked = chance.choices(questions, [1 / rank for rank in range(1, len(questions) + 1)], k=reads)
    work, new = _Work(), iter(texts)
    for number, question in enumerate(progress(asked, "asked")):
        if texts and number % WRITE_EVERY == WRITE_EVERY - 1:
            await chance.choice(engines).remember(RememberRequest(next(new)), CALLER)
        engine = chance.choice(engines)
        before = _counts(engine)
        started = perf_counter()
        await engine.recall(RecallRequest(question), CALLER)
        taken = perf_counter() - started
        work.seconds.setdefault(_layer(before, _counts(engine)), []).append(taken)
    return work


class _Counts(NamedTuple):
    """How often an engine has searched, asked Redis, found an embedding there, and had the model embed."""

    searched: int
    redis: int
    shared: int
    modelled: int


def _counts(engine: MemoryService) -> _Counts:
    questions = engine.sources.questions
    return _Counts(
        searched=int(engine.stages.summary().get("gather", {}).get("calls", 0)),
        redis=int(engine.figures["redis"]()["calls"]) if "redis" in engine.figures else 0,
        shared=questions.hits if isinstance(questions, SharedQuestions) else 0,
        modelled=int((engine.sources.embedder.state.figures or {})["misses"]),
    )


def _layer(before: _Counts, after: _Counts) -> str:
    """Who knew what a read between the two asked for."""
    if after.searched == before.searched:
        return PROCESS if after.redis == before.redis else REDIS
    if after.modelled > before.modelled:
        return MODEL
    return SHARED if after.shared > before.shared else OWN
