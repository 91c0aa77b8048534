"""The set `graph`: who and what memories speak of, and how it hangs together."""

from functools import partial
from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from memory_mcp.access import Role
from memory_mcp.server import render_graph
from memory_mcp.server.desk import desk_of
from memory_mcp.server.faults import StrictTool
from memory_mcp.server.schemas import NO_BOOLEAN, Lines, MaxTokens, Moment, Namespace
from memory_mcp.server.tools import Call, annotated, shaped, told


async def relate(
    ctx: Call,
    relations: Annotated[Lines, Field(description="Each 'subject | relation | object', like 'Ann | works at | Acme'")],
    source: Annotated[str, Field(description="Id of the memory this comes from")] = "",
    valid_from: Moment = "",
    valid_to: Annotated[str, Field(description="When it ended: ISO date or time")] = "",
    namespace: Namespace = "",
) -> CallToolResult:
    """Note how people, projects, systems or files hang together; the same relation with valid_to ends it.

    'X | is a | type' tells what something is, 'X | also called | Y' another name of it.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    done = await service.relate(relations, caller, namespace, source=source, valid_from=valid_from, valid_to=valid_to)
    return render_graph.related(done)


async def explore(
    ctx: Call,
    entity: Annotated[str, Field(description="A name, file, identifier or address")],
    depth: Annotated[int, Field(ge=1, le=3, description="Relations away"), NO_BOOLEAN] = 1,
    namespace: Namespace = "",
    max_tokens: MaxTokens = 1500,
) -> CallToolResult:
    """What is known around one person, project, system or file: its relations, and the memories that mention it, newest first."""
    service, caller = await desk_of(ctx).ask(ctx)
    found = await service.explore(entity, caller, namespace, depth=depth)
    return told(service, caller, await shaped(found.memories, partial(render_graph.explored, found, service.clock(), max_tokens)))


def graph_tools() -> list[StrictTool]:
    """In their lasting order."""
    return [
        StrictTool.of(relate, title="Relate", needs=Role.WRITER, annotations=annotated()),
        StrictTool.of(explore, title="Explore", needs=Role.READER, annotations=annotated(reads=True)),
    ]
