"""Neighbours in meaning of a whole text: for receipts, and for `find_similar`."""

from collections.abc import Collection, Sequence
from itertools import chain
from uuid import UUID

import numpy as np

from memory_mcp.errors import TierError
from memory_mcp.models import Embedding, Filter, Hit, Memory, Recalled, Scope
from memory_mcp.recall.calibration import Null, Scales, matched, relevance_between, store_null
from memory_mcp.recall.gather import Sources
from memory_mcp.recall.ranking import best_passage, looked_for
from memory_mcp.text.languages import ENGLISH
from memory_mcp.text.terms import key_set
from memory_mcp.text.words import labels_of

UNCOUNTED_ROWS = 100_000
"""Of a scope too large to be held in memory, about how many memories it has; chance hardly grows from there."""


async def nearest(
    sources: Sources, embedding: Embedding, scopes: Sequence[Scope], where: Filter, *, limit: int, least: float, leave_out: Collection[UUID]
) -> list[Hit]:
    """The `limit` memories closest to any passage of a text, of at least this cosine, closest first, equal ones by id."""
    best: dict[UUID, Hit] = {}
    for scope in scopes:
        found = await sources.nearest.search(scope, embedding.vectors, where, limit=limit + len(leave_out), epoch=embedding.epoch)
        for hit in chain.from_iterable(found):
            if hit.score >= least and hit.id not in leave_out and (hit.id not in best or hit.score > best[hit.id].score):
                best[hit.id] = hit
    return sorted(best.values(), key=lambda hit: (-hit.score, hit.id.bytes))[:limit]


async def null_of(sources: Sources, scopes: Sequence[Scope], epoch: str, scales: Scales) -> Null:
    """What unrelated texts score in these scopes."""
    probe = sources.probe()
    samples, rows = [np.empty(0, np.float32)], 0
    for scope in scopes:
        if probe is not None:
            samples.append((await sources.nearest.compare(scope, probe[None], [], epoch)).sample[:, 0])
        try:
            rows += (await sources.reader.look(scope, "")).rows
        except TierError:
            rows += UNCOUNTED_ROWS
    sample = np.concatenate(samples)
    return store_null(scales[ENGLISH], float(sample.mean()) if len(sample) else 0.0, len(sample), rows)


def likely(hits: Sequence[Hit], memories: Sequence[Memory], text: str, null: Null, scales: Scales) -> list[Recalled]:
    """The memories of these hits with how likely each is about what the text says, most likely first. Pure."""
    if not memories:
        return []
    hit_of = {hit.id: hit for hit in hits}
    sought = looked_for(text)
    terms = set(sought.telling)
    spans = [best_passage(memory.content, sought, hit_of[memory.id].passage) for memory in memories]
    found = [
        matched(terms, key_set(f"{memory.content[span.start : span.end]} {labels_of(memory.tags, memory.key, memory.metadata)}"))
        for memory, span in zip(memories, spans, strict=True)
    ]
    similarity = np.array([hit_of[memory.id].score for memory in memories])
    of = np.array([span.of for span in spans], np.float64)
    scores = relevance_between(text, [memory.content for memory in memories], similarity, np.array(found), null, scales, of).tolist()
    likely = [Recalled(memory, score, passage=span) for memory, score, span in zip(memories, scores, spans, strict=True)]
    return sorted(likely, key=lambda hit: (-hit.score, -hit_of[hit.memory.id].score, hit.memory.id.bytes))
