"""The set `admin`: looking through all that is kept, and looking after it."""

from functools import partial
from typing import Annotated, Literal

from mcp.types import CallToolResult
from pydantic import Field

from memory_mcp.access import Role
from memory_mcp.answers import BrowseRequest, EraseRequest
from memory_mcp.errors import RequestError
from memory_mcp.pages import Behind
from memory_mcp.server import render, render_admin
from memory_mcp.server.cursors import Cursors
from memory_mcp.server.desk import desk_of
from memory_mcp.server.faults import StrictTool
from memory_mcp.server.schemas import Kinds, Limit, MaxTokens, Moment, Namespace, Reach, Tags, Texts
from memory_mcp.server.tools import Call, annotated, shaped, told

State = Literal["live", "archived", "superseded", "forgotten", "all"]
Action = Literal["namespaces", "operations", "export", "backup", "maintenance", "undo", "erase"]
_OPERATIONS = 200


async def browse(
    ctx: Call,
    state: Annotated[State, Field(description="archived: expired or faded; forgotten: the trash")] = "live",
    kind: Kinds = [],  # noqa: B006 - read only, and pydantic copies it
    tags: Tags = [],  # noqa: B006
    since: Moment = "",
    until: Moment = "",
    namespace: Reach = "",
    limit: Limit = 20,
    cursor: Annotated[str, Field(description="From the last reply, for more")] = "",
    max_tokens: MaxTokens = 1500,
) -> CallToolResult:
    """List what is stored, newest first, page by page, also what recall no longer answers with. To find something use recall."""
    service, caller = await desk_of(ctx).ask(ctx)
    cursors = Cursors.of(state, sorted(kind), sorted(tags), since, until, namespace or caller.namespace)
    page = cursors.read(cursor)
    after = page if isinstance(page, Behind) else None
    found = await service.browse(BrowseRequest(state, kind, tags, since, until, namespace, limit, after), caller)
    shape = partial(render_admin.browsed, found, service.clock(), max_tokens=max_tokens, cursors=cursors)
    return told(service, caller, await shaped(found.memories, shape))


async def manage(
    ctx: Call,
    action: Annotated[Action, Field(description="operations: the log of changes. export, backup: into the data directory")],
    namespace: Namespace = "",
    undo: Annotated[str, Field(description="Number of an operation, or last, or last 3")] = "",
    ids: Annotated[Texts, Field(description="To erase")] = [],  # noqa: B006
    person: Annotated[str, Field(description="Erase all that this user wrote or that names them in metadata")] = "",
    confirm: Annotated[str, Field(description="Token of the dry run")] = "",
    max_tokens: MaxTokens = 1500,
) -> CallToolResult:
    """Look after the memory when the user asks for it: counts per namespace, undo of merges and imports, maintenance, files, erasing.

    maintenance and erase (of ids, a person or a namespace; final) take two calls: a dry run, then its token.
    """
    service, caller = await desk_of(ctx).ask(ctx)
    _only_for(action, {"undo": undo, "ids": ids, "person": person, "confirm": confirm, "namespace": namespace})
    match action:
        case "namespaces":
            return render_admin.namespaces(await service.namespaces(caller), max_tokens)
        case "operations":
            return render_admin.operations(await service.operations(caller, namespace, limit=_OPERATIONS), max_tokens)
        case "export":
            return render_admin.saved(await service.export(caller, namespace), "exported")
        case "backup":
            return render_admin.saved(await service.backup(caller), "saved")
        case "maintenance":
            return render_admin.tidied(*await service.maintain(caller, confirm))
        case "undo":
            return render.undone(await service.undo(undo, caller, namespace))
        case "erase":
            request = EraseRequest(ids, person, namespace)
            if confirm:
                return render_admin.erased(await service.erase(request, caller, confirm))
            return told(service, caller, render_admin.to_erase(await service.to_erase(request, caller)))


_TAKES = {
    "operations": {"namespace"},
    "export": {"namespace"},
    "maintenance": {"confirm"},
    "undo": {"undo", "namespace"},
    "erase": {"ids", "person", "namespace", "confirm"},
}


def _only_for(action: Action, given: dict[str, str | list[str]]) -> None:
    """Raise RequestError for what the action would pass over: whoever gave it means something else."""
    takes = _TAKES.get(action, set())
    for name, value in given.items():
        if value and name not in takes:
            raise RequestError(f"The action {action} takes no {name}. It takes: {', '.join(sorted(takes)) or 'nothing'}.")


def admin_tools() -> list[StrictTool]:
    """In their lasting order."""
    return [
        # of the trash it takes a writer, which the service sees to
        StrictTool.of(browse, title="Browse", needs=Role.READER, annotations=annotated(reads=True)),
        StrictTool.of(manage, title="Manage", needs=Role.ADMIN, annotations=annotated(destroys=True, repeatable=False)),
    ]
