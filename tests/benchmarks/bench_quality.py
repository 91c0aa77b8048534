"""How well recall finds: every store of every set filled through the service, every question asked of it.

- R@10: share of the evidence among the first ten. MRR: 1 / rank of the first evidence within ten, 0 beyond.
- Beside the memory: each of its two searches alone, and their reciprocal rank fusion, over the same vectors and texts.
- Replies: what the tool's answer to a question for twenty memories costs a model, and how much of the evidence it shows.
- The verdict: questions of other sets, and of the other stores of a set, are about what was never stored there; so are a
  set's own without evidence, which are near what is. Likewise in stores of a few memories, drawn from the sets.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from statistics import fmean, median
from uuid import UUID

import numpy as np

from memory_mcp.answers import Answer, RecallRequest
from memory_mcp.models import Filter, Recalled, Scope
from memory_mcp.server import render
from memory_mcp.service import MemoryService
from tests.benchmarks.figures import TARGET, Table, Tables, progress, say
from tests.benchmarks.filling import empty_store, fill
from tests.benchmarks.sets import EvalSet, Question, Store, whole_sessions
from tests.benchmarks.small_stores import SIZES, small_stores
from tests.memories import CALLER, text_of

DEPTH = 10
STRANGERS = 60
"""Questions asked of a store that are another store's, from each at most."""
RRF_K = 60
LONG_REPLY = 20
MAX_TOKENS = 1_500
SCORES = (0.0, 0.05, 0.15, 0.3, 0.6, 0.85)
"""Where the rows of the table of scores begin."""

Names = Mapping[UUID, Sequence[str]]
Score = tuple[float, float]


@dataclass(slots=True)
class Findings:
    """What was seen of one set: (R@10, MRR) by method and by category, verdicts by who asked, long replies.

    Attributes:
        replies: Of each its characters, its tokens, and the share of the evidence that stands in it.
        hits: Score of each, and whether it is evidence.
    """

    methods: dict[str, list[Score]] = field(default_factory=lambda: defaultdict(list))
    categories: dict[str, list[Score]] = field(default_factory=lambda: defaultdict(list))
    verdicts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    replies: list[tuple[int, int, float]] = field(default_factory=list)
    hits: list[tuple[float, bool]] = field(default_factory=list)


async def run(sets: Sequence[EvalSet]) -> Tables:
    """Recall, recall by category and verdicts, a column for each set, and for each whose sessions make long memories."""
    sets = [*sets, *filter(None, map(whole_sessions, sets))]
    found = {one.name: Findings() for one in sets}
    for one in sets:
        for store in one.stores:
            say(f"  {one.name}, {store.id}: {len(store.items)} items, {len(store.questions)} questions")
            await _measure(store, _strangers(one, store, sets), found[one.name])
    return {
        "recall, answerable": _by_set(found, lambda one: one.methods),
        "recall by category": _by_set(found, lambda one: one.categories),
        f"replies of at most {LONG_REPLY} memories and {MAX_TOKENS:,} tokens": _replies(found),
        "hits that are evidence, by score": _by_score(found),
        "verdict": {row: values for row, values in _verdicts(found).items() if values},
        "verdict in small stores": await verdicts_in_small_stores(sets),
    }


def _strangers(mine: EvalSet, store: Store, sets: Sequence[EvalSet]) -> Iterator[tuple[str, str]]:
    """Who asks, and what: evenly taken from each other store."""
    for one in sets:
        if _asks_the_same(one, mine):
            continue
        for other in one.stores:
            if other.id != store.id:
                questions = [question.query for question in other.questions if question.answerable]
                step = max(1, len(questions) // STRANGERS)
                yield from (("same set" if one is mine else "other set", query) for query in questions[::step][:STRANGERS])


def _asks_the_same(one: EvalSet, mine: EvalSet) -> bool:
    return one is not mine and one.stores[0].id == mine.stores[0].id


async def _measure(store: Store, strangers: Iterator[tuple[str, str]], found: Findings) -> None:
    async with empty_store() as service:
        names = await fill(service, store.items)
        baselines = await _Baselines.of(service, store, names)
        for question in progress(store.questions, "asked"):
            answer = await service.recall(RecallRequest(query=question.query, limit=DEPTH), CALLER)
            if not question.gold:
                found.verdicts["near"].append(answer.verdict)
                continue
            made = score(ids_of(answer), names, question)
            found.categories[question.category].append(made)
            if question.answerable:
                found.verdicts["own"].append(answer.verdict)
                found.methods["memory"].append(made)
                found.hits += [(hit.score, _holds(question, names, hit)) for hit in answer.hits]
                found.replies.append(await _long_reply(service, question, names))
                for name, ids in (await baselines.ask(question.query)).items():
                    found.methods[name].append(score(ids, names, question))
        for who, query in progress(strangers, "asked by strangers"):
            answer = await service.recall(RecallRequest(query=query, limit=DEPTH), CALLER)
            found.verdicts[who].append(answer.verdict)


def ids_of(answer: Answer) -> list[UUID]:
    """What an answer names: an id in a collapsed line counts as returned."""
    return [memory_id for hit in answer.hits for memory_id in (hit.memory.id, *hit.alike)]


def _holds(question: Question, names: Names, hit: Recalled) -> bool:
    return not question.gold.isdisjoint(name for memory_id in (hit.memory.id, *hit.alike) for name in names[memory_id])


async def _long_reply(service: MemoryService, question: Question, names: Names) -> tuple[int, int, float]:
    answer = await service.recall(RecallRequest(query=question.query, limit=LONG_REPLY), CALLER)
    reply = render.recalled(answer, service.clock(), max_tokens=MAX_TOKENS, explain=False)
    text = text_of(reply)
    shown = {name for memory_id in ids_of(answer) if str(memory_id) in text for name in names[memory_id]}
    return len(text), render.tokens(text), len(shown & set(question.gold)) / len(question.gold)


def _replies(found: Mapping[str, Findings]) -> Table:
    columns = {name: list(zip(*one.replies, strict=True)) for name, one in found.items() if one.replies}
    return {
        "characters, median": {**{name: median(characters) for name, (characters, _, _) in columns.items()}, TARGET: 6_000},
        "characters, most": {name: max(characters) for name, (characters, _, _) in columns.items()},
        "tokens, median": {name: median(tokens) for name, (_, tokens, _) in columns.items()},
        "evidence shown %": {name: 100 * fmean(shares) for name, (_, _, shares) in columns.items()},
    }


def _by_score(found: Mapping[str, Findings]) -> Table:
    """How often a hit of such a score is evidence, which is what a score is for."""
    table: Table = {}
    for least, beyond in pairwise((*SCORES, inf)):
        for name, one in found.items():
            if those := [evidence for score, evidence in one.hits if least <= score < beyond]:
                table.setdefault(f"from {least} on, %", {})[name] = 100 * fmean(those)
                table.setdefault(f"from {least} on, hits", {})[name] = len(those)
    return table


def score(ids: Sequence[UUID], names: Names, question: Question) -> Score:
    """Share of the evidence among the first ten, and 1 / rank of the first."""
    ranks = {name: rank for rank, memory_id in enumerate(ids[:DEPTH], 1) for name in names[memory_id]}
    hit = [ranks[name] for name in question.gold if name in ranks]
    return len(hit) / len(question.gold), 1 / min(hit) if hit else 0.0


@dataclass(frozen=True, slots=True)
class _Baselines:
    """Each search alone and their usual fusion, best first."""

    service: MemoryService
    ids: Sequence[UUID]
    vectors: np.ndarray

    @classmethod
    async def of(cls, service: MemoryService, store: Store, names: Names) -> "_Baselines":
        contents = [store.items[items[0]].content for items in names.values()]
        vectors, _ = await service.sources.embedder.embed(contents)
        return cls(service, list(names), vectors)

    async def ask(self, query: str) -> dict[str, list[UUID]]:
        vector, _ = await self.service.sources.embedder.embed([query])
        dense = [self.ids[i] for i in np.argsort(-(self.vectors @ vector[0]), kind="stable")]
        scope = Scope(CALLER.tenant, CALLER.namespace)
        lexical = [hit.id for hit in await self.service.sources.text.search_text([scope], query, Filter(), limit=len(self.ids))]
        fused: dict[UUID, float] = defaultdict(float)
        for ranking in (dense, lexical):
            for rank, memory_id in enumerate(ranking, 1):
                fused[memory_id] += 1 / (RRF_K + rank)
        return {"dense alone": dense, "BM25 alone": lexical, f"RRF, k = {RRF_K}": sorted(fused, key=lambda one: -fused[one])}


def _by_set(found: Mapping[str, Findings], part: Callable[[Findings], Mapping[str, Sequence[Score]]]) -> Table:
    rows = dict.fromkeys(row for one in found.values() for row in part(one))
    return {row: dict(column for name, one in found.items() for column in _columns(name, part(one).get(row, ()))) for row in rows}


def _columns(name: str, scores: Sequence[Score]) -> Iterator[tuple[str, float]]:
    if scores:
        recalls, ranks = zip(*scores, strict=True)
        yield f"{name} R@{DEPTH}", 100 * fmean(recalls)
        yield f"{name} MRR", fmean(ranks)
        yield f"{name} n", len(scores)


def _verdicts(found: Mapping[str, Findings]) -> Table:
    def share(who: str, word: str) -> dict[str, float]:
        return {name: 100 * one.verdicts[who].count(word) / len(one.verdicts[who]) for name, one in found.items() if one.verdicts[who]}

    return {
        "never stored, asked by another set: none %": {**share("other set", "none"), TARGET: 95},
        "never stored, asked by another set: strong %": share("other set", "strong"),
        "never stored, asked by another store of the set: none %": share("same set", "none"),
        "never stored, asked by another store of the set: strong %": share("same set", "strong"),
        "never stored, near what is: none %": share("near", "none"),
        "never stored, near what is: strong %": share("near", "strong"),
        "stored: none %": {**share("own", "none"), TARGET: 2},
        "stored: strong %": share("own", "strong"),
    }


async def verdicts_in_small_stores(sets: Sequence[EvalSet]) -> Table:
    """`small_verdicts` of each set, asked by all others."""
    table: Table = {}
    async with empty_store() as service:
        for one in sets:
            others = [other for other in sets if other is not one and not _asks_the_same(other, one)]
            if others:
                say(f"  {one.name}, small stores")
                for row, share in (await small_verdicts(service, one, others)).items():
                    table.setdefault(row, {})[one.name] = share
    for size in SIZES:
        for row, target in (("never stored, asked by another set: none %", 95), ("stored: none %", 2)):
            if (shares := table.get(f"{size} memories, {row}")) is not None:  # the shipped sets make no stores of a hundred
                shares[TARGET] = target
    return table


async def small_verdicts(service: MemoryService, one: EvalSet, others: Sequence[EvalSet]) -> dict[str, float]:
    """Share of each verdict in % by who asked a store of which size, each store in a namespace of its own."""
    said: dict[tuple[int, str], list[str]] = defaultdict(list)
    for number, small in enumerate(small_stores(one, others)):
        caller = replace(CALLER, namespace=f"{one.name.replace(',', '').replace(' ', '-')}-{number}")
        await fill(service, small.items, caller)
        asked = {"stored": small.own, "never stored, asked by another set": small.other_sets, "never stored, of the set": small.same_set}
        for who, questions in asked.items():
            for question in questions:
                answer = await service.recall(RecallRequest(query=question.query, limit=DEPTH), caller)
                said[small.size, who].append(answer.verdict)
    return {
        f"{size} memories, {who}: {word} %": 100 * words.count(word) / len(words)
        for (size, who), words in said.items()
        for word in ("none", "strong")
    }
