"""Stores to measure on: the real service over a real store and the real model, in a folder that goes away."""

import random
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from memory_mcp.models import Caller
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.benchmarks.figures import progress
from tests.benchmarks.sets import EvalSet
from tests.memories import CALLER, open_service, settings_for

_EMBEDDED_AT_ONCE = 64
_CLAUSE = re.compile(r"[^.!?\n]{12,160}[.!?]?")


@asynccontextmanager
async def empty_store() -> AsyncIterator[MemoryService]:
    """Open and ready to embed."""
    with TemporaryDirectory(prefix="memory-mcp-bench-") as folder:
        async with open_service(settings_for(Path(folder))) as service:
            yield service


async def fill(service: MemoryService, items: Mapping[str, RememberRequest], caller: Caller = CALLER) -> dict[UUID, list[str]]:
    """Remember them in order; which items each memory stands for, since the same text twice is one memory."""
    names: dict[UUID, list[str]] = {}
    everything = list(items.items())
    starts = range(0, len(everything), _EMBEDDED_AT_ONCE)
    for start in progress(starts, f"remembered, {_EMBEDDED_AT_ONCE} at a time"):
        some = everything[start : start + _EMBEDDED_AT_ONCE]
        await embed(service, [request.content for _, request in some])  # a batch is faster; each comes from the cache then
        for name, request in some:
            receipt = await service.remember(request, caller)
            names.setdefault(receipt.added.id, []).append(name)
    return names


async def embed(service: MemoryService, texts: Sequence[str]) -> None:
    """Put the vectors of the texts into the embedder's cache."""
    await service.sources.embedder.embed(texts)


def texts_like(sets: Iterable[EvalSet], count: int, seed: int = 1) -> list[str]:
    """Distinct short texts, each two or three clauses of the sets' own, so that words are as frequent as there."""
    rng = random.Random(seed)
    contents = (request.content for one in sets for store in one.stores for request in store.items.values())
    clauses = sorted({clause.strip() for content in contents for clause in _CLAUSE.findall(content)})
    texts: dict[str, None] = {}
    while len(texts) < count:
        texts[" ".join(rng.sample(clauses, rng.choice((2, 2, 3))))] = None
    return list(texts)


def questions_like(sets: Iterable[EvalSet], count: int, seed: int = 2) -> list[str]:
    """Distinct questions: the sets' own, then those with a clause after them."""
    own = list(dict.fromkeys(question.query for one in sets for store in one.stores for question in store.questions))
    rng = random.Random(seed)
    rng.shuffle(own)
    questions = dict.fromkeys(own[:count])
    while len(questions) < count:
        first, second = rng.sample(own, 2)
        questions[f"{first} {second}"] = None
    return list(questions)
