"""From candidates and fresh records to a ranked answer: pure, with the time passed in."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import numpy as np

from memory_mcp import words
from memory_mcp.clock import to_micros
from memory_mcp.contracts import Candidates
from memory_mcp.models import Filter, Memory, Recalled
from memory_mcp.recall.signals import Columns, Moments, SignalWeights, neighbours, score_parts, total
from memory_mcp.recall.timewords import TimeSpan, time_preference
from memory_mcp.recall.verdict import relevance

SPARE = 10
"""Candidates read beyond those wanted: some may be gone since they were indexed."""
JUDGED = 10
"""At least so many of the best are looked at for the verdict, however few are wanted."""
_MICROS_A_DAY = 86_400_000_000


def shortlist(
    candidates: Candidates, weights: SignalWeights, spans: Sequence[TimeSpan], now: datetime, limit: int
) -> dict[UUID, dict[str, float]]:
    """The `limit` best candidates, best first, equal ones by id, each with the parts of its score."""
    if not candidates.ids:
        return {}
    around = candidates.around
    columns = Columns(
        similarity=candidates.similarity,
        lexical=around.lexical,
        session=around.session,
        near=neighbours(around.session, around.order),
        session_lexical=around.session_lexical,
        time=time_preference(around.when, spans),
        dated=np.zeros(len(candidates.ids), np.bool_),
        asking=around.asking,
        named=around.named,
        importance=around.importance,
        age_days=np.maximum(0.0, (to_micros(now) - around.when) / _MICROS_A_DAY),
    )
    parts = score_parts(columns, weights, Moments(candidates.mean, candidates.deviation), terms=candidates.terms)
    best = np.argsort(-total(parts, len(candidates.ids)), kind="stable")[:limit]  # stable: candidates come in the order of their ids
    return {candidates.ids[row]: {name: float(values[row]) for name, values in parts.items()} for row in best.tolist()}


def still_valid(memory: Memory, where: Filter, now: datetime) -> bool:
    """Whether a candidate, read afresh, may be an answer: the search may have been older than the record."""
    return (
        memory.superseded_by is None
        and (memory.expires_at is None or memory.expires_at > now)
        and (not where.kinds or memory.kind in where.kinds)
        and (not where.domains or memory.domain in where.domains)
        and where.tags.issubset(memory.tags)
        and (where.since is None or memory.when >= where.since)
        and (where.until is None or memory.when < where.until)
    )


def judged(
    memories: Sequence[Memory], parts: Mapping[UUID, Mapping[str, float]], similarities: Mapping[UUID, float], query: str
) -> list[Recalled]:
    """The memories, in their order, with how likely each is the answer."""
    terms = set(words.query_terms(query))
    found = []
    for memory in memories:
        similarity = similarities[memory.id]
        score = relevance(None if math.isnan(similarity) else similarity, coverage(terms, memory))
        found.append(Recalled(memory, score, parts[memory.id]))
    return found


def coverage(terms: set[str], memory: Memory) -> float:
    """Share of the question's words that stand in a memory, in [0, 1]; its tags and metadata count."""
    if not terms:
        return 0.0
    labels = [*memory.tags, memory.key, *(value for value in memory.metadata.values() if isinstance(value, str))]
    return len(terms.intersection(words.split_words(" ".join([memory.content, *labels]), for_index=True))) / len(terms)
