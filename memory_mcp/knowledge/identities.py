"""What makes two memories the same in place of their text: of errors, relations, entities and what is observed of them. Pure.

Who stores such a memory names it so, and whoever reads one from a file, or rewrites it, finds the same name again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from memory_mcp.knowledge.nodes import ENTITY_TAG, OBSERVATION_TAG, sentences
from memory_mcp.knowledge.solutions import mark_among
from memory_mcp.text.entities import ENTITY, RELATIONS, Statement, relations_of


def of_relation(statement: Statement) -> str:
    """Of a memory that says it and nothing else; the same relation, spelled the same, whenever it held."""
    return "\0".join((RELATIONS, statement.subject, statement.predicate, statement.object))


def of_entity(name: str) -> str:
    """Of a memory that says there is an entity."""
    return f"{ENTITY_TAG}\0{name}"


def of_observation(name: str, text: str) -> str:
    """Of a memory that tells something of an entity; the same text of another entity is another memory."""
    return f"{OBSERVATION_TAG}\0{name}\0{text}"


def identity(kind: str, content: str, tags: Sequence[str], metadata: Mapping[str, Any]) -> str:
    """Of a memory with these attributes; empty for one that is what its text says. An error is named by its mark."""
    name = metadata.get(ENTITY)
    if kind == "error":
        return mark_among(tags)
    if isinstance(name, str) and ENTITY_TAG in tags:
        return of_entity(name)
    if isinstance(name, str) and OBSERVATION_TAG in tags:
        return of_observation(name, content)
    said = relations_of(metadata)
    return of_relation(said[0]) if len(said) == 1 and content in sentences(said) else ""
