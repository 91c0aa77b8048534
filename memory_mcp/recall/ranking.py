"""From candidates and fresh records to a ranked answer: pure, with the time passed in."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import NamedTuple
from uuid import UUID

import numpy as np

from memory_mcp.clock import to_micros
from memory_mcp.config import WeightSettings
from memory_mcp.contracts import Candidates
from memory_mcp.models import Filter, Memory, Recalled
from memory_mcp.recall.calibration import Scales, matched, relevance_between, store_null
from memory_mcp.recall.diversity import collapse
from memory_mcp.recall.naming import strange
from memory_mcp.recall.signals import Columns, Moments, covered, neighbours, rarity, score_parts, total
from memory_mcp.recall.wanted import asks_of_an_occasion, asks_of_the_present, asks_when
from memory_mcp.text import words
from memory_mcp.text.languages import ENGLISH, language_of
from memory_mcp.text.passages import Passage, passages
from memory_mcp.text.terms import asked, key_set
from memory_mcp.text.timewords import TimeSpan, of_that_time, time_preference

SPARE = 10
"""Candidates read beyond those wanted: some may be gone since they were indexed."""
JUDGED = 10
"""At least so many of the best are looked at for the verdict, however few are wanted."""
OF_A_NUMBER = 3.0
"""Times as much as other words tells one with a digit of where an answer stands: it names one thing, they name a kind of things."""
CLOSEST = 0.75
"""What it counts that a passage is the closest by meaning, beside an average word of the question that stands in it."""
_LEAST = 1e-9
_MICROS_A_DAY = 86_400_000_000


def shortlist(
    candidates: Candidates, weights: WeightSettings, query: str, times: Sequence[TimeSpan], now: datetime, limit: int
) -> dict[UUID, dict[str, float]]:
    """The `limit` best candidates, best first, equal ones by id, each with the parts of its score.

    Args:
        times: That the query names (`timewords.time_spans`).
    """
    if not candidates.ids:
        return {}
    around = candidates.around
    near = neighbours(around.session, around.order)
    related = candidates.related
    columns = Columns(
        similarity=candidates.similarity,
        lexical=around.lexical,
        covered=covered(around.standing, candidates.rarity, near),
        kinds=np.minimum(1.0, around.kinds / max(sum(candidates.rarity), _LEAST)),
        of_an_occasion=asks_of_an_occasion(query),
        of_the_present=asks_of_the_present(query),
        session=around.session,
        near=near,
        session_lexical=around.session_lexical,
        time=time_preference(around.when, times),
        dated=around.dated & asks_when(query),
        asking=around.asking,
        specific=around.specific,
        named=around.named,
        importance=around.importance,
        age_days=np.maximum(0.0, (to_micros(now) - around.when) / _MICROS_A_DAY),
        related=np.array([related.get(i, 0.0) for i in candidates.ids]) if related else np.zeros(len(candidates.ids)),
    )
    parts = score_parts(columns, weights, Moments(candidates.mean, candidates.deviation), terms=len(candidates.rarity))
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
    memories: Sequence[Memory],
    parts: Mapping[UUID, Mapping[str, float]],
    candidates: Candidates,
    query: str,
    times: Sequence[TimeSpan],
    scales: Scales,
) -> list[Recalled]:
    """The memories, in their order, with how likely each is the answer by itself.

    Words that name a time are said by a memory of that time, since few texts say when they were written.
    """
    if not memories:
        return []
    row = {memory_id: number for number, memory_id in enumerate(candidates.ids)}
    similarity = candidates.similarity[[row[memory.id] for memory in memories]]
    sought = looked_for(query, candidates.rarity, times)
    terms = set(sought.telling)
    spans = [best_passage(memory.content, sought, candidates.passage.get(memory.id, 0)) for memory in memories]
    beside = [words.labels_of(memory.tags, memory.key, memory.metadata) for memory in memories]
    said = [key_set(f"{one.content[span.start : span.end]} {more}") for one, span, more in zip(memories, spans, beside, strict=True)]
    by_time = key_set(" ".join(query[slice(*time.words)] for time in times))
    then = of_that_time(np.array([to_micros(memory.when) for memory in memories]), times)
    found = [matched(terms, keys | by_time if fits else keys) for keys, fits in zip(said, then, strict=True)]
    null = store_null(scales[ENGLISH], candidates.unrelated, candidates.sampled, candidates.rows)
    of = np.array([span.of for span in spans], np.float64)
    spoken_of = chain([memories[0].scope.namespace], (memory.content for memory in memories[:JUDGED]), beside[:JUDGED])
    texts = [memory.content for memory in memories]
    scores = relevance_between(query, texts, similarity, np.array(found), null, scales, of, strange(query, spoken_of)).tolist()
    return [Recalled(memory, score, parts[memory.id], passage=span) for memory, score, span in zip(memories, scores, spans, strict=True)]


def ranked_anew(
    memories: Sequence[Memory],
    parts: Mapping[UUID, Mapping[str, float]],
    candidates: Candidates,
    query: str,
    times: Sequence[TimeSpan],
    scales: Scales,
) -> list[Recalled]:
    """The memories, in their order, each thing said once, with how likely it is the answer where others may be (`as_ranked`)."""
    return as_ranked(distinct(judged(memories, parts, candidates, query, times, scales)))


class Sought(NamedTuple):
    """The words of a question, by their keys (`terms.keys_of`).

    Attributes:
        telling: What each tells in the store of where its answer stands, in nats, by its share.
        shares: Times as much as others each tells.
    """

    telling: Mapping[int, float]
    shares: Mapping[int, float]


def looked_for(query: str, rarities: Sequence[float] | None = None, times: Sequence[TimeSpan] = ()) -> Sought:
    """The words of a question, where they are looked for in texts.

    Args:
        rarities: What each tells in the store (`signals.rarity`); None where nobody has counted.
        times: That the query names; their numbers are said by other dates, too.
    """
    found, keys = asked(query)
    dated = {word for time in times for word in words.query_terms(query[slice(*time.words)])}
    shares = [OF_A_NUMBER if word not in dated and any(map(str.isdigit, word)) else 1.0 for word in found]
    told = (share * rarity for share, rarity in zip(shares, rarities or [1.0] * len(found), strict=True))
    return Sought(dict(zip(keys, told, strict=True)), dict(zip(keys, shares, strict=True)))


def best_passage(text: str, sought: Sought, closest: int | None = None) -> Passage:
    """The passage whose words tell most; that it is the closest by meaning counts, too.

    A word that stands in few passages of a text tells more there, as one does that stands in few memories of a store.

    Args:
        closest: Number of the passage; None where nobody has compared them.
    """
    spans = passages(text)
    if len(spans) == 1:
        return Passage(*spans[0], 1, sought.telling)
    language = language_of(text)
    held = [sought.telling.keys() & key_set(text[start:end], language) for start, end in spans]
    keys = list(sought.telling)
    here = rarity(Counter(chain.from_iterable(held)), keys, len(spans))
    telling = {key: sought.telling[key] + sought.shares[key] * told for key, told in zip(keys, here, strict=True)}
    worth = [sum(telling[key] for key in found) for found in held]
    if closest is not None:
        number = min(closest, len(spans) - 1)  # it may be of a longer text, since rewritten
        worth[number] += CLOSEST * sum(telling.values()) / max(len(telling), 1)
    best = worth.index(max(worth))
    return Passage(*spans[best], len(spans), telling)


def distinct(hits: Sequence[Recalled]) -> list[Recalled]:
    """One hit for each thing said, the best of those that say it, with the others' ids."""
    groups = collapse([hit.memory.content for hit in hits])
    return [replace(hits[first], alike=tuple(hits[other].memory.id for other in others)) for first, *others in groups]


def as_ranked(hits: Sequence[Recalled]) -> list[Recalled]:
    """The hits, best first, with how likely each is the answer; the first is as likely as any of the judged ones is relevant.

    What is relevant by itself is seldom the answer where something ranks well before it: in the conditional logit, by which
    the weights of the signals were fitted, the odds fall by e for each unit of the ranking's score. So scores never rise.

    Args:
        hits: Each with how relevant it is by itself.

    Source:
        Conditional logit: McFadden, "Conditional Logit Analysis of Qualitative Choice Behavior", 1974.
    """
    if not hits:
        return []
    first, likely = sum(hits[0].parts.values()), max(hit.score for hit in hits[:JUDGED])
    ranked = [replace(hits[0], score=likely)]
    for hit in hits[1:]:
        behind = max(first - sum(hit.parts.values()), 0.0)
        likely = min(likely, hit.score * math.exp(-behind))
        ranked.append(replace(hit, score=likely))
    return ranked
