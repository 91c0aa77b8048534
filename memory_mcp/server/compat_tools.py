"""The set `compat`: the tools of the official memory server, by its names and in its shapes, over the same memories.

Names, parameters and replies are that server's (modelcontextprotocol/servers, src/memory), so that whoever used it
goes on with the same prompts.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any

from mcp.types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from memory_mcp.access import Role
from memory_mcp.hygiene.hidden import hides
from memory_mcp.knowledge.nodes import Node
from memory_mcp.remember.door import MAX_NAME_CHARACTERS
from memory_mcp.server.desk import desk_of
from memory_mcp.server.faults import StrictTool
from memory_mcp.server.render import result
from memory_mcp.server.tools import Call, annotated
from memory_mcp.text.entities import Statement


class Given(BaseModel):
    """Names on the wire are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


class Entity(Given):
    """An entity, as that server writes it."""

    name: str = Field(description="The name of the entity")
    entity_type: str = Field(description="The type of the entity")
    observations: list[str] = Field(description="An array of observation contents associated with the entity")


class Relation(Given):
    """A relation, as that server writes it."""

    start: str = Field(alias="from", description="The name of the entity where the relation starts")
    to: str = Field(description="The name of the entity where the relation ends")
    relation_type: str = Field(description="The type of the relation")


class Observed(Given):
    """New observations of an entity."""

    entity_name: str = Field(description="The name of the entity to add the observations to")
    contents: list[str] = Field(description="An array of observation contents to add")


class Deletion(Given):
    """Observations to delete."""

    entity_name: str = Field(description="The name of the entity containing the observations")
    observations: list[str] = Field(description="An array of observations to delete")


async def create_entities(ctx: Call, entities: list[Entity]) -> CallToolResult:
    """Create multiple new entities in the knowledge graph"""
    service, caller = await desk_of(ctx).ask(ctx)
    made = await service.create_nodes([Node(one.name, one.entity_type, one.observations) for one in entities], caller)
    return _told(_entities(made), "entities")


async def create_relations(ctx: Call, relations: list[Relation]) -> CallToolResult:
    """Create multiple new relations between entities in the knowledge graph. Relations should be in active voice"""
    service, caller = await desk_of(ctx).ask(ctx)
    return _told(_relations(await service.create_edges(_statements(relations), caller)), "relations")


async def add_observations(ctx: Call, observations: list[Observed]) -> CallToolResult:
    """Add new observations to existing entities in the knowledge graph"""
    service, caller = await desk_of(ctx).ask(ctx)
    added = await service.add_observations([(one.entity_name, one.contents) for one in observations], caller)
    return _told([{"entityName": name, "addedObservations": texts} for name, texts in added], "results")


async def delete_entities(
    ctx: Call,
    entityNames: Annotated[list[str], Field(description="An array of entity names to delete")],  # noqa: N803 - the name on the wire
) -> CallToolResult:
    """Delete multiple entities and their associated relations from the knowledge graph"""
    service, caller = await desk_of(ctx).ask(ctx)
    missing = await service.delete_nodes(entityNames, caller)
    if not missing:
        return _done("Entities deleted successfully")
    deleted = len(entityNames) - len(missing)
    return _done(f"Deleted {deleted} of {len(entityNames)} entities. Not found: {_cut(missing)}")


async def delete_observations(ctx: Call, deletions: list[Deletion]) -> CallToolResult:
    """Delete specific observations from entities in the knowledge graph"""
    service, caller = await desk_of(ctx).ask(ctx)
    count, missing = await service.delete_observations([(one.entity_name, one.observations) for one in deletions], caller)
    requested = sum(len(one.observations) for one in deletions)
    if count == requested:
        return _done("Observations deleted successfully")
    unknown = f" Entities not found: {_cut(missing)}" if missing else ""
    return _done(f"Deleted {count} of {requested} observations.{unknown}")


async def delete_relations(
    ctx: Call, relations: Annotated[list[Relation], Field(description="An array of relations to delete")]
) -> CallToolResult:
    """Delete multiple relations from the knowledge graph"""
    service, caller = await desk_of(ctx).ask(ctx)
    count = await service.delete_edges(_statements(relations), caller)
    if count == len(relations):
        return _done("Relations deleted successfully")
    return _done(f"Deleted {count} of {len(relations)} relations. The rest matched nothing.")


async def read_graph(ctx: Call) -> CallToolResult:
    """Read the entire knowledge graph"""
    service, caller = await desk_of(ctx).ask(ctx)
    return _graph(*await service.read_nodes(caller))


async def search_nodes(
    ctx: Call,
    query: Annotated[str, Field(description="The search query to match against entity names, types, and observation content")],
) -> CallToolResult:
    """Search for nodes in the knowledge graph based on a query"""
    service, caller = await desk_of(ctx).ask(ctx)
    return _graph(*await service.read_nodes(caller, query=query))


async def open_nodes(ctx: Call, names: Annotated[list[str], Field(description="An array of entity names to retrieve")]) -> CallToolResult:
    """Open specific nodes in the knowledge graph by their names"""
    service, caller = await desk_of(ctx).ask(ctx)
    return _graph(*await service.read_nodes(caller, names=names))


def _entities(nodes: Sequence[Node]) -> list[dict[str, Any]]:
    return [{"name": one.name, "entityType": one.type, "observations": list(one.observations)} for one in nodes]


def _relations(edges: Sequence[Statement]) -> list[dict[str, Any]]:
    return [{"from": one.subject, "to": one.object, "relationType": one.predicate} for one in edges]


def _statements(relations: Sequence[Relation]) -> list[Statement]:
    return [Statement(one.start, one.relation_type, one.to) for one in relations]


def _told(made: list[dict[str, Any]], name: str) -> CallToolResult:
    return result({name: made}, [_json(made)])


def _graph(nodes: Sequence[Node], edges: Sequence[Statement]) -> CallToolResult:
    graph = {"entities": _entities(nodes), "relations": _relations(edges)}
    return result(graph, [_json(graph)])


def _json(facts: Any) -> str:
    """As that server writes it; where a text hides something, with every such character written out."""
    text = json.dumps(facts, indent=2, ensure_ascii=False)
    return json.dumps(facts, indent=2) if hides(text) else text


def _cut(names: Sequence[str]) -> str:
    """No name that there is is longer."""
    return ", ".join(name[:MAX_NAME_CHARACTERS] for name in names)


def _done(message: str) -> CallToolResult:
    return result({"success": True, "message": message}, [message])


def compat_tools() -> list[StrictTool]:
    """In that server's order."""
    reading, adding, deleting = annotated(reads=True), annotated(repeatable=False), annotated(destroys=True)
    return [
        StrictTool.of(create_entities, title="Create Entities", needs=Role.WRITER, annotations=adding),
        StrictTool.of(create_relations, title="Create Relations", needs=Role.WRITER, annotations=adding),
        StrictTool.of(add_observations, title="Add Observations", needs=Role.WRITER, annotations=adding),
        StrictTool.of(delete_entities, title="Delete Entities", needs=Role.WRITER, annotations=deleting),
        StrictTool.of(delete_observations, title="Delete Observations", needs=Role.WRITER, annotations=deleting),
        StrictTool.of(delete_relations, title="Delete Relations", needs=Role.WRITER, annotations=deleting),
        StrictTool.of(read_graph, title="Read Graph", needs=Role.READER, annotations=reading),
        StrictTool.of(search_nodes, title="Search Nodes", needs=Role.READER, annotations=reading),
        StrictTool.of(open_nodes, title="Open Nodes", needs=Role.READER, annotations=reading),
    ]
