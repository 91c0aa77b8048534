"""A small JSON API, for programs that do not speak MCP: every operation is one call of a tool.

    request ──> arguments ──> the protocol's server: limits, tool, role ──> reply, or a problem (RFC 9457)

The call takes the way of any other from there on, so that nothing is allowed here that is not allowed there.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from mcp.server.connection import Connection
from mcp.server.mcpserver import MCPServer
from mcp.server.runner import serve_one
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp.types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from mcp.types.version import LATEST_MODERN_VERSION
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from memory_mcp.faults import IDEMPOTENCY_META, Fault, fault_in, fault_of
from memory_mcp.front.messages import INVALID
from memory_mcp.hygiene.trust import client_named
from memory_mcp.replies import Answer, Changed, Forgotten, Memory, Receipt, Reply, Statistics
from memory_mcp.server import requests
from memory_mcp.server.desk import Desk
from memory_mcp.server.http.answers import API, problem
from memory_mcp.server.wire import find_flaw, load

log = logging.getLogger(__name__)

IDEMPOTENCY_HEADER = "Idempotency-Key"
_PAGE_TOKENS = 20_000


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        takes: Which of the tool's arguments come with the request, as a JSON body or in the query; None: all.
        fixed: The argument that the id in the path is.
        usual: Arguments that stand for those that are not given, in place of the tool's own.
        made: Whether it makes something that has an address.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    tool: str
    reply: type[Reply]
    summary: str
    takes: tuple[str, ...] | None = None
    fixed: str = ""
    usual: Mapping[str, Any] = field(default_factory=dict)
    made: bool = False

    @property
    def has_body(self) -> bool:
        """Whether arguments come as a JSON body; else they stand in the query."""
        return self.method in ("POST", "PATCH")

    def schema(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What may come with a request, given the tool's own parameters: a schema of an object."""
        kept = {
            name: part
            for name, part in parameters["properties"].items()
            if name != self.fixed and (self.takes is None or name in self.takes)
        }
        properties = {name: {**part, "default": self.usual[name]} if name in self.usual else part for name, part in kept.items()}
        required = [name for name in parameters.get("required", ()) if name in kept]
        return {"type": "object", "properties": properties, "additionalProperties": False, **({"required": required} if required else {})}


_SELECTION = ("limit", "kind", "tags", "since", "until", "namespace", "max_tokens", "cursor")
_LONG = {"max_tokens": _PAGE_TOKENS}
OPERATIONS = (
    Operation("POST", "/remember", "remember", Receipt, "Store a statement", made=True),
    Operation("POST", "/recall", "recall", Answer, "Search memory for what answers a question", usual=_LONG),
    Operation("GET", "/recall", "recall", Answer, "Search memory for what answers a question", usual=_LONG),
    Operation("GET", "/memories", "recall", Answer, "List memories, the newest first", _SELECTION, usual=_LONG),
    Operation("GET", "/memories/{id}", "get", Memory, "Read a memory in full", ("history", "start"), "ids"),
    Operation("PATCH", "/memories/{id}", "update", Changed, "Correct a memory in place; what is not given stays", None, "id"),
    Operation("DELETE", "/memories/{id}", "forget", Forgotten, "Take a memory out of all answers; it can be brought back", (), "ids"),
    Operation("GET", "/stats", "stats", Statistics, "How much is remembered where, and how the memory is doing"),
)


class ProblemError(Exception):
    """A request that no tool is called for."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        self.status, self.fault = status, Fault(code, sentence)
        super().__init__(sentence)


class Api:
    """The operations over one server of the protocol, and the desk that its calls are received at."""

    def __init__(self, server: MCPServer[Desk], desk: Desk, max_body_bytes: int) -> None:
        self._server, self._desk, self._max_body_bytes = server._lowlevel_server, desk, max_body_bytes

    def app(self, operation: Operation) -> ASGIApp:
        """What answers an operation, to whoever is let in."""

        async def answered(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                response = await self._answer(operation, Request(scope, receive))
            except ClientDisconnect:
                return  # in the middle of its request: there is nobody to answer
            except ProblemError as error:
                response = problem(error.fault, error.status)
            await response(scope, receive, send)

        return answered

    async def _answer(self, operation: Operation, request: Request) -> Response:
        given = await _body(request, self._max_body_bytes) if operation.has_body else _query(request)
        if refused := [name for name in given if name == operation.fixed or (operation.takes is not None and name not in operation.takes)]:
            takes = "it takes " + ", ".join(operation.takes) if operation.takes else "leave it out"
            raise ProblemError(422, INVALID, f"There is no argument {refused[0][:60]!r} here: {takes}.")
        arguments = {**operation.usual, **given}
        if operation.fixed:
            memory_id = request.path_params["id"]
            arguments[operation.fixed] = [memory_id] if operation.fixed == "ids" else memory_id
        result = await self._call(operation.tool, arguments, request)
        if result.get("isError"):
            text = "\n".join(block.get("text", "") for block in result["content"])
            return problem(fault_in(result.get("_meta"), text) or Fault(INVALID, text))
        facts = result["structuredContent"]
        return _told(operation, facts["memories"][0] if operation.reply is Memory else facts)

    async def _call(self, tool: str, arguments: Mapping[str, Any], request: Request) -> dict[str, Any]:
        """A tool's result, by the way that calls of the protocol take, too."""
        program = client_named(request.headers.get("user-agent", "").partition("/")[0].partition(" ")[0]) or "api"
        meta: dict[str, Any] = {
            PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
            CLIENT_INFO_META_KEY: {"name": program, "version": ""},
            CLIENT_CAPABILITIES_META_KEY: {},
        }
        if key := request.headers.get(IDEMPOTENCY_HEADER, "").strip().strip('"'):
            meta[IDEMPOTENCY_META] = key
        try:
            return await serve_one(
                self._server,
                _Exchange(request),
                "tools/call",
                {"name": tool, "arguments": dict(arguments), "_meta": meta},
                connection=Connection.from_envelope(LATEST_MODERN_VERSION, meta[CLIENT_INFO_META_KEY], {}),
                lifespan_state=self._desk,
            )
        except Exception:  # what a tool raises is a result by now: this is nothing that anybody foresaw
            log.exception("api_call_failed: %s", tool)
            unexpected = fault_of(requests.unexpected())
            raise ProblemError(500, unexpected.code, unexpected.sentence) from None


def _told(operation: Operation, facts: Mapping[str, Any]) -> Response:
    headers = {"cache-control": "no-store"}
    status = 200
    if operation.made and facts["status"] != "already_known":
        status, headers["location"] = 201, f"{API}/memories/{facts['id']}"
    return JSONResponse(facts, status, headers)


async def _body(request: Request, most: int) -> dict[str, Any]:
    """The JSON object that came; none is an empty one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ProblemError(413, "too_large", f"The request is larger than {most:,} bytes. Send less at once.")
    if body and kind != "application/json":
        raise ProblemError(415, "not_json", "Send JSON, and say so: Content-Type: application/json.")
    try:
        value = load(body.decode()) if body else {}
    except RecursionError:
        raise ProblemError(400, "not_json", "The request is nested too deep. Flatten it.") from None
    except ValueError:
        raise ProblemError(400, "not_json", "The request is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise ProblemError(400, "not_json", "The request is JSON, but no object: send {...}.")
    if flaw := find_flaw(value):
        raise ProblemError(422, INVALID, flaw)
    return value


def _query(request: Request) -> dict[str, Any]:
    """The parameters of a query: a text each, and a list of them where one is there several times."""
    given = request.query_params
    return {name: values[0] if len(values := given.getlist(name)) == 1 else values for name in given}


@dataclass(slots=True)
class _Exchange:
    """One call as the SDK wants to know it: it carries the HTTP request, and there is no way back but the answer."""

    request: Request
    request_id: int = 1
    can_send_request: bool = False
    cancel_requested: anyio.Event = field(default_factory=anyio.Event)

    @property
    def transport(self) -> TransportContext:
        return TransportContext(kind="api", can_send_request=False, headers=self.request.headers)

    @property
    def message_metadata(self) -> ServerMessageMetadata:
        return ServerMessageMetadata(request_context=self.request)

    async def send_raw_request(self, method: str, params: Mapping[str, Any] | None, opts: Any = None) -> dict[str, Any]:
        raise NoBackChannelError(method)

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: Any = None) -> None: ...

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None: ...


class Document:
    """`GET /api/v1/openapi.json`; made once."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._content = json.dumps(document, ensure_ascii=False).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The document, as it is."""
        await Response(self._content, media_type="application/json", headers={"cache-control": "private, max-age=300"})(
            scope, receive, send
        )
