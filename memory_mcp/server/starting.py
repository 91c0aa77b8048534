"""What a session should start from, as a text: the same as a prompt and as a resource."""

from typing import Any

from mcp.server.mcpserver import Context
from mcp.types import TextContent

from memory_mcp.server import render
from memory_mcp.server.desk import desk_of

_MAX_TOKENS = 1_500


async def started(ctx: Context[Any, Any], task: str) -> str:
    """What `context` answers, for a task if one is named."""
    service, caller = await desk_of(ctx).ask(ctx)
    known, near = await service.context(task, caller), await service.likely_meant(caller)
    found = render.sections(known, service.clock(), caller.namespace, _MAX_TOKENS, near)
    service.told(caller, render.told(found.structured_content))
    (text,) = (block.text for block in found.content if isinstance(block, TextContent))
    return text
