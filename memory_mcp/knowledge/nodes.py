"""Memories as the nodes of the official memory server: entities with a type and observations, and relations between them. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from memory_mcp.graph import Relation
from memory_mcp.knowledge.neighbourhood import sentence
from memory_mcp.models import Memory
from memory_mcp.text.entities import ENTITY, IS_A, Statement, relations_of

ENTITY_TAG, OBSERVATION_TAG = "graph:entity", "graph:observation"
"""Of a memory that says there is an entity, and of one that is an observation of it."""
ENTITY_TYPE = "entity_type"
"""Metadata, beside `entity`."""


@dataclass(frozen=True, slots=True)
class Node:
    """An entity; observations in the order in which they were made."""

    name: str
    type: str
    observations: Sequence[str] = ()


@dataclass(slots=True)
class NodeGraph:
    """What is stored of a namespace, with the memories it lies in.

    Attributes:
        entities, observations: Memories by the name of their entity, oldest first.
        relations: Oldest first.
    """

    entities: dict[str, Memory] = field(default_factory=dict)
    observations: dict[str, list[Memory]] = field(default_factory=dict)
    relations: list[Relation] = field(default_factory=list)

    @classmethod
    def of(cls, entities: Iterable[Memory], observations: Iterable[Memory], relations: Iterable[Relation]) -> "NodeGraph":
        """From memories with the two tags, and all relations of the namespace."""
        made = cls()
        for memory in sorted(entities, key=lambda one: one.id):
            if name := entity_of(memory):
                made.entities.setdefault(name, memory)
        for memory in sorted(observations, key=lambda one: one.id):
            if name := entity_of(memory):
                made.observations.setdefault(name, []).append(memory)
        types = {memory.id for memory in made.entities.values()}
        stated = sorted(relations, key=lambda one: one.memory)
        made.relations = [one for one in stated if not (one.memory in types and one.statement.triple[1] == IS_A)]
        return made

    def nodes(self) -> list[Node]:
        """The entities that were made, then those that relations alone speak of."""
        nodes = [
            Node(name, str(memory.metadata.get(ENTITY_TYPE, "")), [one.content for one in self.observations.get(name, ())])
            for name, memory in self.entities.items()
        ]
        ends = dict.fromkeys(end for one in self.relations for end in (one.statement.subject, one.statement.object))
        return nodes + [Node(name, "") for name in ends if name not in self.entities]

    def touching(self, names: Collection[str]) -> list[Relation]:
        """Relations with at least one end among the names."""
        return [one for one in self.relations if one.statement.subject in names or one.statement.object in names]


def entity_of(memory: Memory) -> str:
    """The name of the entity that a memory is about, empty for none."""
    name = memory.metadata.get(ENTITY, "")
    return name if isinstance(name, str) else ""


def says_nothing_else(memory: Memory, stated: Sequence[Statement]) -> bool:
    """Whether a memory is there for these relations alone."""
    triples = {one.triple for one in stated}
    said = relations_of(memory.metadata)
    return all(one.triple in triples for one in said) and memory.content in sentences(said)


def sentences(said: Iterable[Statement]) -> set[str]:
    """What a memory says that is there for one of these relations alone."""
    return {sentence(form) for one in said for form in (one, replace(one, valid_to=None))}  # earlier versions left out the end


def holding(nodes: Sequence[Node], query: str) -> list[Node]:
    """Those whose name, type or observations hold the text, whatever the case."""
    wanted = query.lower()
    return [node for node in nodes if any(wanted in text.lower() for text in (node.name, node.type, *node.observations))]
