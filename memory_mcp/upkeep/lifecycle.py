"""What becomes of memories with time: which are kept for good, which have lost their value, which say the same. Pure.

A memory fades as it is not recalled, more slowly each time it was. Nothing is lost by it: what has faded leaves the
answers as if it had expired, stays where it is, and comes back by undoing the operation.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log2
from uuid import UUID

from memory_mcp.config import MaintenanceSettings
from memory_mcp.knowledge.success import success
from memory_mcp.models import EPISODIC_KINDS, Memory, Provenance, Tally
from memory_mcp.recall.diversity import collapse
from memory_mcp.text.terms import keys_of
from memory_mcp.text.words import content_terms

LASTING_KINDS = frozenset({"rule", "decision", "procedure", "error", "insight"})
"""They do not fade: what was decided or learned is not less true for being seldom asked."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do in a scope.

    Attributes:
        promote: Short-term memories that are kept for good.
        archive: Memories that leave the answers.
        merge: Each a memory that stays and those that end in its favour.
    """

    promote: Sequence[Memory] = ()
    archive: Sequence[Memory] = ()
    merge: Sequence[tuple[Memory, Sequence[Memory]]] = ()

    def __bool__(self) -> bool:
        return bool(self.promote or self.archive or self.merge)


def strength(memory: Memory, now: datetime, half_life_days: float) -> float:
    """In (0, 1]: how much of a memory is left since it was last written or recalled. Each recall slows its fading.

    Source:
        Ebbinghaus, "Über das Gedächtnis", 1885, on forgetting; that a memory fades the more slowly the more often it was
        brought back is the spacing effect: Cepeda et al., Psychological Bulletin 132, 2006.
    """
    last = max(memory.updated_at, memory.last_recalled_at or memory.updated_at)
    days = max(0.0, (now - last) / _DAY)
    return float(0.5 ** (days / (half_life_days * (1 + memory.recalled_count))))


def worth(memory: Memory, tally: Tally | None) -> float:
    """In [0, 1]: the importance it was given, more for having been of use, and for having worked or less for having failed."""
    used = 0.1 * log2(1 + memory.recalled_count)
    worked = 0.4 * (success(tally).expected - 0.5) if tally is not None else 0.0
    return min(1.0, max(0.0, memory.importance + used + worked))


def value(memory: Memory, tally: Tally | None, now: datetime, half_life_days: float) -> float:
    """In [0, 1]: what a memory is worth now."""
    return worth(memory, tally) * (1.0 if memory.kind in LASTING_KINDS else strength(memory, now, half_life_days))


def plan(memories: Sequence[Memory], tallies: Mapping[UUID, Tally], now: datetime, policy: MaintenanceSettings) -> Plan:
    """What to do with the live memories of one scope."""
    live = [memory for memory in memories if memory.expires_at is None or memory.expires_at > now]
    promote = [one for one in live if one.retention == "short_term" and one.recalled_count >= policy.promote_recalls]
    faded = [
        one
        for one in live
        if one.expires_at is None and one.key == "" and value(one, tallies.get(one.id), now, policy.half_life_days) < policy.archive_below
    ]
    gone = {one.id for one in faded}
    return Plan(promote, faded, same(one for one in live if one.id not in gone) if policy.merge else ())


def same(memories: Iterable[Memory]) -> list[tuple[Memory, list[Memory]]]:
    """Memories that say the same in nearly the same words, by who stays; in what else they carry they have to agree."""
    alike: dict[tuple[object, ...], list[Memory]] = defaultdict(list)
    for memory in memories:
        if memory.kind not in EPISODIC_KINDS and not memory.key:
            terms = tuple(sorted(keys_of(content_terms(memory.content)).tolist()))
            beside = memory.kind, frozenset(memory.tags), frozenset(map(str, memory.metadata.items())), memory.session_id, memory.expires_at
            alike[terms, *beside].append(memory)
    merged = []
    for candidates in alike.values():
        if len(candidates) > 1:
            ranked = sorted(candidates, key=_standing)
            for first, *others in collapse([memory.content for memory in ranked]):
                if others:
                    merged.append((ranked[first], [ranked[other] for other in others]))
    return merged


def _standing(memory: Memory) -> tuple[float, int, datetime, UUID]:
    """Who stays: the most important, then the most recalled, then the oldest."""
    return -memory.importance, -memory.recalled_count, memory.created_at, memory.id


KEEPER = Provenance(client="maintenance", source="maintenance")
"""On whose behalf this is done: no client's, so that no client's `last` operation is one of these."""
