"""From candidates and fresh records to a ranked answer: pure, with the time passed in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import numpy as np

from memory_mcp import words
from memory_mcp.contracts import Candidates
from memory_mcp.models import Filter, Memory, Recalled
from memory_mcp.recall.attributes import NamedIn
from memory_mcp.recall.fusion import Weights, fuse
from memory_mcp.recall.verdict import relevance

SPARE = 50
"""Candidates read beyond those wanted: some may be gone since they were indexed, and what a record's attributes and
importance add may lift one from there to the top."""

JUDGED = 10
"""At least so many of the best are looked at for the verdict, however few are wanted."""


def shortlist(candidates: Candidates, weights: Weights, limit: int) -> list[tuple[UUID, dict[str, float]]]:
    """The `limit` best candidates by the fused score, best first, equal ones by id, with the score's parts."""
    if not candidates.items:
        return []
    similarity = np.array([_or_nan(item.similarity) for item in candidates.items])
    text_score = np.array([_or_nan(item.text_score) for item in candidates.items])
    parts = fuse(similarity, text_score, weights)
    total = np.sum(list(parts.values()), axis=0)
    best = np.argsort(-total, kind="stable")[:limit]  # stable: the candidates come in the order of their ids
    return [(candidates.items[i].id, {name: float(values[i]) for name, values in parts.items()}) for i in best]


def _or_nan(score: float | None) -> float:
    return np.nan if score is None else score


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


def rank(
    memories: Sequence[Memory],
    parts: Mapping[UUID, Mapping[str, float]],
    similarities: Mapping[UUID, float | None],
    query: str,
    weights: Weights,
    *,
    limit: int,
) -> list[Recalled]:
    """The `limit` best memories in the order of their total score, best first, equal ones newest first, then by id.

    Args:
        parts: Of each memory, from its `shortlist`; what only the record tells is added here.
    """
    named = NamedIn(query)
    scored = [(memory, {**parts[memory.id], **_own_parts(memory, named, weights)}) for memory in memories]
    scored.sort(key=lambda pair: (-sum(pair[1].values()), -pair[0].when.timestamp(), pair[0].id.bytes))
    terms = set(words.query_terms(query))
    return [
        Recalled(memory, relevance(similarities[memory.id], coverage(terms, memory)), score_parts) for memory, score_parts in scored[:limit]
    ]


def _own_parts(memory: Memory, named: NamedIn, weights: Weights) -> dict[str, float]:
    parts = {"importance": weights.importance * (memory.importance - 0.5)}
    if named(memory):
        parts["attribute"] = weights.attribute
    return parts


def coverage(terms: set[str], memory: Memory) -> float:
    """Share of the question's words that stand in a memory, in [0, 1]; its tags and metadata count."""
    if not terms:
        return 0.0
    labels = [*memory.tags, memory.key, *(value for value in memory.metadata.values() if isinstance(value, str))]
    return len(terms.intersection(words.split_words(" ".join([memory.content, *labels]), for_index=True))) / len(terms)
