"""The set `learning`: what went wrong, what helped, how things turned out, and what all that comes to."""

from functools import partial
from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from memory_mcp.access import Role
from memory_mcp.answers import ErrorReport
from memory_mcp.server import render_learning
from memory_mcp.server.desk import desk_of
from memory_mcp.server.faults import StrictTool
from memory_mcp.server.schemas import NO_BOOLEAN, Limit, MaxTokens, Namespace, Texts
from memory_mcp.server.tools import Call, annotated, shaped, told


async def record_error(
    ctx: Call,
    error: Annotated[str, Field(description="Message, trace or both, as it was shown")],
    solution: Annotated[str, Field(description="What fixed it, if known: one self-contained statement")] = "",
    tags: Texts = [],  # noqa: B006 - read only, and pydantic copies it
    session_id: str = "",
    occurred_at: Annotated[str, Field(description="When it was met, if not now: ISO date or time")] = "",
    namespace: Namespace = "",
) -> CallToolResult:
    """Note an error you met, and again with solution once you know what fixed it.

    The same error is recognised whatever its line numbers, paths and ids. Returns how often it was met and what helped before.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    seen = await service.record_error(ErrorReport(error, solution, tags, session_id, occurred_at), caller, namespace)
    return told(service, caller, render_learning.error_seen(seen, service.clock()))


async def find_solution(
    ctx: Call,
    problem: Annotated[str, Field(description="The error as it was shown, or a task")],
    limit: Limit = 5,
    namespace: Namespace = "",
    max_tokens: MaxTokens = 1500,
) -> CallToolResult:
    """What helped before with this error or one like it, or how a task was done: the most proven first.

    Call it before you debug. Afterwards tell by report_outcome whether it worked.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    found = await service.find_solution(problem, caller, namespace, limit=limit)
    shape = partial(render_learning.solutions, found, service.clock(), namespace or caller.namespace, max_tokens)
    return told(service, caller, await shaped((one.memory for one in found), shape))


async def report_outcome(
    ctx: Call,
    id: Annotated[str, Field(description="The solution, procedure or decision that was followed")],
    worked: bool,
    seconds: Annotated[float, Field(ge=0, description="How long it took; 0: unknown"), NO_BOOLEAN] = 0,
) -> CallToolResult:
    """Tell whether a remembered solution, procedure or decision worked, so that the proven ones come first."""
    service, caller = await desk_of(ctx).ask(ctx)
    return render_learning.outcome(await service.report_outcome(id, worked, caller, seconds=seconds))


async def insights(
    ctx: Call,
    days: Annotated[int, Field(ge=1, le=3650), NO_BOOLEAN] = 30,
    namespace: Namespace = "",
    max_tokens: MaxTokens = 1500,
) -> CallToolResult:
    """What a project's memory shows: recurring and unsolved errors, decisions without outcome, questions that found nothing.

    For reviews and retrospectives.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    found = await service.insights(caller, namespace, days=days)
    return told(service, caller, render_learning.insights(found, namespace or caller.namespace, days, max_tokens))


def learning_tools() -> list[StrictTool]:
    """In their lasting order."""
    reading = annotated(reads=True)
    return [
        StrictTool.of(record_error, title="Record an error", needs=Role.WRITER, annotations=annotated(repeatable=False)),
        StrictTool.of(find_solution, title="Find a solution", needs=Role.READER, annotations=reading),
        StrictTool.of(report_outcome, title="Report an outcome", needs=Role.WRITER, annotations=annotated(repeatable=False)),
        StrictTool.of(insights, title="Insights", needs=Role.READER, annotations=reading),
    ]
