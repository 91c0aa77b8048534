"""What is said around an entity, each thing once: pure, over relations as the graph has them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from memory_mcp.graph import Relation
from memory_mcp.text.entities import ALSO_CALLED, IS_A, Statement, entity_key


@dataclass(frozen=True, slots=True)
class Fact:
    """A relation as it was last stated.

    Attributes:
        memories: All that state it, newest first.
        depth: How far from the entity it begins.
    """

    statement: Statement
    memories: tuple[UUID, ...]
    depth: int


def said_of(keys: Collection[str], relations: Sequence[Relation], predicate: str) -> list[str]:
    """What is said by `is a` or `also called` of the entities of these keys, the newest first; of other names none of the keys' own.

    Args:
        relations: The newest first.
    """
    if predicate == ALSO_CALLED:
        ends = [end for one in relations for end in _ends(one.statement) if one.statement.triple[1] == predicate]
        return list(dict.fromkeys(end for end in ends if entity_key(end) in keys))
    said = [one.statement.object for one in relations if one.statement.triple[1] == predicate and one.statement.triple[0] in keys]
    return list({entity_key(name): name for name in reversed(said)}.values())[::-1]


def _ends(statement: Statement) -> tuple[str, str]:
    return statement.subject, statement.object


def facts_around(depths: Mapping[str, int], relations: Sequence[Relation], now: datetime) -> list[Fact]:
    """What is said of what was reached, nearest first, then what still holds, then the newest.

    Args:
        depths: How far each entity is from the one that was asked for; its own types and names are left out.
        relations: Those that state the same, the newest first; one may stand there twice.
    """
    stated: dict[tuple[str, str, str], Fact] = {}
    for one in relations:
        triple = one.statement.triple
        depth = min(depths.get(end, len(depths)) for end in (triple[0], triple[2]))
        if depth == 0 and (triple[1] == ALSO_CALLED or (triple[1] == IS_A and depths.get(triple[0]) == 0)):
            continue
        known = stated.get(triple)
        stated[triple] = Fact(one.statement, (one.memory,), depth) if known is None else _also(known, one.memory)
    return sorted(stated.values(), key=lambda fact: (fact.depth, ended(fact.statement, now)))


def _also(fact: Fact, memory: UUID) -> Fact:
    return fact if memory in fact.memories else Fact(fact.statement, (*fact.memories, memory), fact.depth)


def ended(statement: Statement, now: datetime) -> bool:
    """Whether it holds no more."""
    return statement.valid_to is not None and statement.valid_to <= now


def sentence(statement: Statement) -> str:
    """As a memory says it that says nothing else, so that one that has ended is not read as if it held."""
    end = "" if statement.valid_to is None else f" (until {statement.valid_to.date()})"
    return f"{statement.subject} {statement.predicate} {statement.object}{end}"


def other_names(name: str, said: Sequence[str]) -> Iterator[str]:
    """Without the name itself, each once."""
    known = {entity_key(name)}
    for other in said:
        if entity_key(other) not in known:
            known.add(entity_key(other))
            yield other
