"""What a person can attach to a conversation: a memory, what a session should start from, the statistics."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import Resource, ResourceTemplate

from memory_mcp.errors import MemoryMcpError, MemoryNotFoundError, RequestError
from memory_mcp.server import render_statistics, render_whole
from memory_mcp.server.desk import Desk, desk_of
from memory_mcp.server.starting import started


def add_resources(server: MCPServer[Desk]) -> None:
    """Give the server its resources."""

    @server.resource("memory://item/{id}", title="A memory", description="One memory in full, as JSON", mime_type="application/json")
    async def item(id: str, ctx: Context[Any, Any]) -> str:
        with _told():
            service, caller = await desk_of(ctx).ask(ctx)
            try:
                ((memory, _),) = await service.get([id], caller)
            except (MemoryNotFoundError, RequestError) as error:
                raise ResourceNotFoundError(str(error)) from error
            return json.dumps(render_whole.everything(memory, service.clock()), ensure_ascii=False)

    @server.resource(
        "memory://context{?task}", title="Context", description="What to know when a session starts, or for a task", mime_type="text/plain"
    )
    async def context(ctx: Context[Any, Any], task: str = "") -> str:
        with _told():
            return await started(ctx, task)

    @server.resource("memory://stats{?section}", title="Statistics", description="What stats tells, as JSON", mime_type="application/json")
    async def stats(ctx: Context[Any, Any], section: str = "") -> str:
        with _told():
            facts = render_statistics.statistics_facts(await desk_of(ctx).statistics(ctx))
            return json.dumps({section: facts[section]} if section in facts else facts, ensure_ascii=False)


def plain(templates: Iterable[ResourceTemplate]) -> list[Resource]:
    """What templates stand for with their query left out, if nothing else is left to fill in. Pure."""
    found = []
    for template in templates:
        uri = template.uri_template.partition("{?")[0]
        if "{" not in uri:
            found.append(
                Resource(uri=uri, name=template.name, title=template.title, description=template.description, mime_type=template.mime_type)
            )
    return found


@contextmanager
def _told() -> Iterator[None]:
    """Our errors reach the client with their sentence."""
    try:
        yield
    except MemoryMcpError as error:
        raise ResourceError(str(error)) from error
