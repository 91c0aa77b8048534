"""The core tools: thin doors that parse, make one call of the service, and shape the answer.

The docstrings are what a model reads before it calls: when to use a tool, and what comes back.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from memory_mcp.access import Role
from memory_mcp.answers import RecallRequest, Selection
from memory_mcp.errors import RequestError
from memory_mcp.faults import IDEMPOTENCY_META
from memory_mcp.models import Caller, Memory
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.server import again, render, render_sessions, render_statistics, render_whole
from memory_mcp.server.cursors import Cursors
from memory_mcp.server.desk import desk_of
from memory_mcp.server.faults import StrictTool
from memory_mcp.server.schemas import (
    NO_BOOLEAN,
    NOT_GIVEN,
    Kinds,
    Limit,
    MaxTokens,
    Metadata,
    MinScore,
    Moment,
    Namespace,
    Reach,
    Tags,
    Texts,
)

if TYPE_CHECKING:
    from memory_mcp.service import MemoryService

Kind = Literal["fact", "event", "chat", "decision", "insight", "context", "rule", "procedure", "error"]
Call = Context[Any, Any]
T = TypeVar("T")

INLINE_CHARACTERS = 200_000
"""Memories of up to so many together are made a reply of on the event loop, in 10 milliseconds at most; more in a worker thread."""


async def remember(
    ctx: Call,
    content: Annotated[str, Field(strict=True, description="One self-contained statement, names and reasons included; kept word for word")],
    kind: Annotated[Kind, Field(description="rule: always to be followed")] = "fact",
    tags: Texts = [],  # noqa: B006 - read only, and pydantic copies it
    key: Annotated[str, Field(description="subject.attribute with one current value, like user.editor; a new value replaces the old")] = "",
    supersedes: Annotated[Texts, Field(description="Ids this replaces")] = [],  # noqa: B006
    importance: Annotated[float, Field(ge=0, le=1), NO_BOOLEAN] = 0.5,
    session_id: Annotated[str, Field(description="Groups what belongs to one conversation")] = "",
    occurred_at: Annotated[str, Field(description="When it happened, if not now: ISO date or time")] = "",
    expires_in: Annotated[str, Field(description="Like 7d, or until a date; absent: kept")] = "",
    metadata: Annotated[Metadata, Field(description="Like {speaker: Ann}; what is nested is kept, but not searched")] = {},  # noqa: B006
    namespace: Namespace = "",
    visibility: Literal["", "private", "shared"] = "",
) -> CallToolResult:
    """Store something worth knowing in later conversations: a preference, decision and its reason, fact, fix, rule or event.

    Call it unasked, once per statement. Returns the id, and similar memories: if one is outdated now, pass its id as supersedes.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    meta: Any = ctx.request_context.meta or {}
    request = RememberRequest(
        content=content,
        kind=kind,
        tags=tags,
        key=key,
        supersedes=supersedes,
        importance=importance,
        session_id=session_id,
        occurred_at=occurred_at,
        expires_in=expires_in,
        metadata=metadata,
        idempotency_key="" if meta.get(IDEMPOTENCY_META) is None else str(meta[IDEMPOTENCY_META]),
    )
    return told(service, caller, render.receipt(await service.remember(request, caller, namespace, visibility)))


def told(service: "MemoryService", caller: Caller, result: CallToolResult) -> CallToolResult:
    """A result, noted as told to the caller: said back it is nothing new."""
    service.told(caller, render.told(result.structured_content))
    return result


async def shaped(memories: Iterable[Memory], shape: Callable[[], T]) -> T:
    """What is made of these memories."""
    short = sum(len(memory.content) for memory in memories) <= INLINE_CHARACTERS
    return shape() if short else await anyio.to_thread.run_sync(shape)


async def recall(
    ctx: Call,
    query: Annotated[str, Field(description="What to know, in plain words; empty: the newest")] = "",
    limit: Limit = 8,
    kind: Kinds = [],  # noqa: B006
    tags: Tags = [],  # noqa: B006
    since: Moment = "",
    until: Moment = "",
    as_of: Annotated[str, Field(description="What was true then: ISO date (its end) or time")] = "",
    namespace: Reach = "",
    max_tokens: MaxTokens = 1500,
    explain: Annotated[bool, Field(description="Show how each score came about")] = False,
    cursor: Annotated[str, Field(description="From the last reply, for more")] = "",
    min_score: MinScore = 0.0,
) -> CallToolResult:
    """Search memory for what answers a question.

    Call it at the start of a task and before answering about the user, the project or earlier decisions.
    Returns a verdict (strong, weak, none) and memories, best first, of this project and the global ones.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    cursors = Cursors.of(query, sorted(kind), sorted(tags), since, until, as_of, namespace or caller.namespace, min_score)
    request = RecallRequest(query, limit, kind, tags, since, until, as_of, namespace, min_score, cursors.read(cursor))
    answer = await service.recall(request, caller)
    shape = partial(again.recalled, answer, service.clock(), max_tokens=max_tokens, explain=explain, cursors=cursors)
    shown = await shaped((hit.memory for hit in answer.hits), shape)
    service.told_again(caller, shown.forms)
    return shown.result


async def find_similar(
    ctx: Call,
    text: str = "",
    id: Annotated[str, Field(description="A memory's id, instead of text")] = "",
    limit: Limit = 8,
    kind: Kinds = [],  # noqa: B006
    namespace: Reach = "",
    min_score: MinScore = 0.0,
) -> CallToolResult:
    """Find memories that mean nearly the same as a text or a memory: duplicates, contradictions, related cases.

    To answer a question use recall.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    answer = await service.find_similar(text, id, caller, limit=limit, kinds=kind, namespace=namespace, min_score=min_score)
    shape = partial(render.recalled, answer, service.clock(), max_tokens=2_000, hint=render.LIKEN_OTHERWISE)
    return told(service, caller, await shaped((hit.memory for hit in answer.hits), shape))


async def context(
    ctx: Call,
    task: Annotated[str, Field(description="What is about to be done")] = "",
    namespace: Namespace = "",
    max_tokens: MaxTokens = 1500,
) -> CallToolResult:
    """What to know before starting: the rules to follow, what bears on the task, recent decisions, open errors.

    Call it once at the start of a session.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    found, near = await service.context(task, caller, namespace), await service.likely_meant(caller, namespace)
    shape = partial(render.sections, found, service.clock(), namespace or caller.namespace, max_tokens, near)
    return told(service, caller, await shaped((hit.memory for hits in found.values() for hit in hits), shape))


async def get(
    ctx: Call,
    ids: Texts,
    history: Annotated[bool, Field(description="Past forms too")] = False,
    start: Annotated[int, Field(ge=0, description="Where to go on in a long text"), NO_BOOLEAN] = 0,
) -> CallToolResult:
    """Read memories in full by id: text that a list had cut, all attributes, what they said before."""
    service, caller = await desk_of(ctx).ask(ctx)
    found = await service.get(ids, caller, history=history)
    forms = [memory for memory, past in found for memory in (memory, *(each.memory for each in past))]
    shape = partial(render_whole.whole, found, service.clock(), await service.entries(found, caller), start)
    return told(service, caller, await shaped(forms, shape))


async def update(
    ctx: Call,
    id: str,
    content: Annotated[str, Field(strict=True)] = "",
    tags: Annotated[Texts, Field(description="[] alone: none")] = NOT_GIVEN,
    importance: Annotated[float, Field(ge=-1, le=1, description="-1: as it is"), NO_BOOLEAN] = -1,
    metadata: Annotated[Metadata, Field(description="In place of all there is; {} alone: none")] = NOT_GIVEN,
    expires_in: str = "",
) -> CallToolResult:
    """Correct a memory in place; what is not given stays. For a fact that has changed, remember the new one with supersedes instead."""
    service, caller = await desk_of(ctx).ask(ctx)
    if content or tags or importance >= 0 or metadata or expires_in:  # beside them hosts send empty what their model has not given
        tags, metadata = tags or NOT_GIVEN, metadata or NOT_GIVEN
    done = await service.update(
        id,
        caller,
        content=content,
        tags=tags,
        importance=None if importance < 0 else importance,
        metadata=metadata,
        expires_in=expires_in,
    )
    return render.updated(done)


async def forget(
    ctx: Call,
    ids: Texts = [],  # noqa: B006
    namespace: Namespace = "",
    kind: Kinds = [],  # noqa: B006
    tags: Tags = [],  # noqa: B006
    before: Moment = "",
    confirm: Annotated[str, Field(description="Token of the dry run")] = "",
    undo: Annotated[str, Field(description="Number of an operation to reverse, or last, or last 3")] = "",
) -> CallToolResult:
    """Take memories out of all answers: by ids, or by kind, tags and before, first as a dry run, then with its token.

    undo brings them back, and reverses any other change.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    selection = Selection(kind, tags, before)
    given = [name for name, value in (("ids", ids), ("kind, tags or before", selection), ("undo", undo)) if value]
    if len(given) != 1:
        raise RequestError("Give one of the three: ids, or some of kind, tags and before, or undo.")
    if undo:
        return render.undone(await service.undo(undo, caller, namespace))
    if ids:
        return render.forgotten(await service.forget(ids, caller))
    return render.forgotten(await service.forget_selected(selection, caller, namespace, confirm))


async def stats(
    ctx: Call,
    section: Annotated[Literal["", "counts", "tiers", "latency", "model", "engine", "sessions"], Field(description="Only this part")] = "",
) -> CallToolResult:
    """How much is remembered where, and how the memory is doing: counts, tiers, latency, model. For questions about the memory itself."""
    if section == "sessions":  # not among the others: it reads memories
        service, caller = await desk_of(ctx).ask(ctx)
        return render_sessions.sessions(await service.sessions(caller), service.clock(), caller.namespace)
    return render_statistics.statistics(await desk_of(ctx).statistics(ctx), section)


def annotated(*, reads: bool = False, destroys: bool = False, repeatable: bool = True) -> ToolAnnotations:
    """All four hints; nothing here reaches beyond the memory."""
    return ToolAnnotations(read_only_hint=reads, destructive_hint=destroys, idempotent_hint=repeatable, open_world_hint=False)


def _without(function: Callable[..., Any], parameter: str) -> Callable[..., Any]:
    """The same tool without one of its optional parameters."""

    @wraps(function)
    async def narrower(**arguments: Any) -> Any:
        return await function(**arguments)

    whole = inspect.signature(function)
    kept = [each for name, each in whole.parameters.items() if name != parameter]
    vars(narrower)["__signature__"] = whole.replace(parameters=kept)  # what inspect looks at, by PEP 362
    return narrower


def core_tools(*, several: bool = False) -> list[StrictTool]:
    """The default profile, in its lasting order.

    Args:
        several: Whether several people may share a namespace, so that memories can be private.
    """
    reading, writing = annotated(reads=True), annotated()
    return [
        StrictTool.of(remember if several else _without(remember, "visibility"), title="Remember", needs=Role.WRITER, annotations=writing),
        StrictTool.of(recall, title="Recall", needs=Role.READER, annotations=reading),
        StrictTool.of(find_similar, title="Find similar", needs=Role.READER, annotations=reading),
        StrictTool.of(context, title="Context", needs=Role.READER, annotations=reading),
        StrictTool.of(get, title="Get", needs=Role.READER, annotations=reading),
        StrictTool.of(update, title="Update", needs=Role.WRITER, annotations=writing),
        # by kind, tags or time it takes a manager, which the service sees to
        StrictTool.of(forget, title="Forget", needs=Role.WRITER, annotations=annotated(destroys=True, repeatable=False)),
        StrictTool.of(stats, title="Statistics", needs=Role.READER, annotations=reading),
    ]
