"""What each signal is worth: every question asked again with the signal switched off, of the same stores."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from memory_mcp.answers import RecallRequest
from memory_mcp.config import WeightSettings
from memory_mcp.service import MemoryService
from tests.benchmarks.bench_quality import DEPTH, Names, Score, ids_of, score
from tests.benchmarks.figures import Tables, progress, say
from tests.benchmarks.filling import empty_store, fill
from tests.benchmarks.sets import EvalSet, Store, whole_sessions
from tests.memories import CALLER

EVERYTHING = "everything"
TOGETHER = {
    "neighbours, both": ("neighbour", "second_neighbour"),
    "session, neighbours, reply": ("session", "neighbour", "second_neighbour", "reply"),
}


async def run(sets: Sequence[EvalSet]) -> Tables:
    """R@10 in % and MRR of answerable questions, a row for what is left out."""
    scores: dict[str, dict[str, list[Score]]] = {}
    for one in [*sets, *filter(None, map(whole_sessions, sets))]:
        scores[one.name] = defaultdict(list)
        for store in one.stores:
            say(f"  {one.name}, {store.id}: {len(store.items)} items, {len(store.questions)} questions")
            async with empty_store() as service:
                names = await fill(service, store.items)
                await _ask(service, store, names, scores[one.name])
    recall: dict[str, dict[str, float]] = defaultdict(dict)
    for name, by_row in scores.items():
        for row, found in by_row.items():
            recall[row][f"{name} R@10"] = 100 * fmean(part for part, _ in found)
            recall[row][f"{name} MRR"] = fmean(rank for _, rank in found)
    return {"recall, a signal left out": recall}


def weightings(weights: WeightSettings) -> Mapping[str, WeightSettings]:
    """All of them, then without each that is on, then without some together."""
    on = [name for name, weight in weights if weight]
    each = {f"without {name}": weights.model_copy(update={name: 0.0}) for name in on}
    some = {f"without {name}": weights.model_copy(update=dict.fromkeys(together, 0.0)) for name, together in TOGETHER.items()}
    return {EVERYTHING: weights, **each, **some}


async def _ask(service: MemoryService, store: Store, names: Names, scores: Mapping[str, list[Score]]) -> None:
    settings = service.recall_settings
    for question in progress([one for one in store.questions if one.answerable], "asked"):
        for row, weights in weightings(settings.weights).items():
            service.recall_settings = settings.model_copy(update={"weights": weights})  # the question's vector comes from the cache
            answer = await service.recall(RecallRequest(query=question.query, limit=DEPTH), CALLER)
            scores[row].append(score(ids_of(answer), names, question))
    service.recall_settings = settings
