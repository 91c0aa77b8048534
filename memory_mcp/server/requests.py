"""Each message from a client as one request: its id in the log, its span, how long it took and how it ended."""

import logging
import re
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult
from mcp_types.methods import SPEC_CLIENT_METHODS
from pydantic import ValidationError

from memory_mcp.errors import AccessDeniedError, LimitError, MemoryMcpError, TierError, UnexpectedError
from memory_mcp.server.misfits import in_words, misfits
from memory_mcp.telemetry import tracing
from memory_mcp.telemetry.timing import Times

log = logging.getLogger(__name__)

OUTCOMES = ("ok", "refused", "denied", "limited", "unavailable", "failed", "cancelled")
"""Of a call: the caller has to change it (refused), may not make it, has made too many; a backend is away; nobody foresaw it."""

REQUEST_ID = "memory_mcp.request_id"
"""Where the scope of an HTTP request has its id."""
_GIVEN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOLD = ("unavailable", "failed")
"""What an operator wants to hear of; clients' own mistakes do not fill the log."""
_NOT_BEGUN = "Invalid request parameters"
"""What the SDK says of a request before the handshake."""
_OTHER = "other"
"""The tool of every call that names none of ours: what clients make up is no label."""


@dataclass(slots=True)
class Request:
    """A message that is at work.

    Attributes:
        id: Names it in the log and towards the client.
        outcome: One of `OUTCOMES`.
    """

    id: str
    outcome: str = "ok"


_current: ContextVar[Request | None] = ContextVar("memory_mcp_request", default=None)


def new_request_id(given: str = "") -> str:
    """An id of 12 hexadecimal digits; or the one that is given, if it is 1 to 64 of A-Z a-z 0-9 . _ - and so fit for a log."""
    return given if _GIVEN_ID.fullmatch(given) else secrets.token_hex(6)


def ended(outcome: str) -> None:
    """Note how the present call ends."""
    if (request := _current.get()) is not None:
        request.outcome = outcome


def outcome_of(error: MemoryMcpError) -> str:
    """How a call ends that raises this."""
    if isinstance(error, AccessDeniedError):
        return "denied"
    if isinstance(error, LimitError):
        return "limited"
    return "unavailable" if isinstance(error, TierError) else "refused"


def unexpected() -> UnexpectedError:
    """What a client is told of an error that nobody foresaw, with the id by which it is found in the log."""
    request = _current.get()
    return UnexpectedError(request.id if request is not None else "")


@dataclass(slots=True)
class Traffic:
    """What went through one server.

    Attributes:
        calls: By the tool's name and one of `OUTCOMES`.
        at_work: Requests that have no answer yet.
    """

    calls: Times = field(default_factory=Times)
    at_work: int = 0


class Requests:
    """The outermost middleware of the protocol's server.

    It takes the place of the SDK's own tracing: that names spans by what a client calls a tool, and quotes errors.

    Args:
        tools: The names of those there are.
    """

    def __init__(self, tools: Collection[str], traffic: Traffic) -> None:
        self._tools, self._traffic = frozenset(tools), traffic

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """See `ServerMiddleware`."""
        if ctx.request_id is None:  # a notification
            return await call_next(ctx)
        scope = ctx.request.scope if ctx.request is not None else {}
        request = Request(scope.get(REQUEST_ID) or new_request_id())
        tool = self._tool_of(ctx)
        method = ctx.method if ctx.method in SPEC_CLIENT_METHODS else _OTHER
        began = time.perf_counter()
        self._traffic.at_work += 1
        with _present(request):
            try:
                with self._span(ctx, method, tool, request) as span:
                    return await self._answer(ctx, call_next, request, span)
            finally:
                self._traffic.at_work -= 1
                took = time.perf_counter() - began
                if tool:
                    self._traffic.calls.add((tool, request.outcome), took)
                self._tell(method, tool, request.outcome, took)

    async def _answer(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext, request: Request, span: tracing.Span
    ) -> HandlerResult:
        try:
            result = await call_next(ctx)
        except MCPError as error:
            request.outcome = "refused" if request.outcome == "ok" else request.outcome
            if error.error.message == _NOT_BEGUN:  # here: of other parameters that are wrong the SDK raises what pydantic found
                raise MCPError(INVALID_PARAMS, "This connection has not begun yet: send initialize first.") from error
            raise
        except ValidationError as error:
            request.outcome = "refused"
            raise MCPError(INVALID_PARAMS, in_words(misfits(error))) from error
        except Exception as error:
            request.outcome = "failed"
            log.exception("request_failed")
            raise MCPError(INTERNAL_ERROR, str(unexpected())) from error
        except BaseException:
            request.outcome = "cancelled"
            raise
        else:
            if request.outcome == "ok" and _is_error(result):
                request.outcome = "refused"
            return result
        finally:
            span.set_attribute("memory_mcp.outcome", request.outcome)
            if request.outcome != "ok":
                tracing.failed(span, request.outcome)

    def _span(self, ctx: ServerRequestContext[Any, Any], method: str, tool: str, request: Request) -> AbstractContextManager[tracing.Span]:
        """Named as the semantic conventions for MCP would have it."""
        about = {"mcp.method.name": method, "memory_mcp.request_id": request.id}
        if tool:
            about |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        headers = ctx.request.headers if ctx.request is not None else None
        return tracing.request(f"{method} {tool}".strip(), about, ctx.meta, headers)

    @staticmethod
    def _tell(method: str, tool: str, outcome: str, seconds: float) -> None:
        level = logging.INFO if outcome in _TOLD else logging.DEBUG
        if log.isEnabledFor(level):
            fields = {"method": method, **({"tool": tool} if tool else {}), "outcome": outcome, "elapsed_ms": round(1000 * seconds, 3)}
            log.log(level, "request_ended", extra=fields)

    def _tool_of(self, ctx: ServerRequestContext[Any, Any]) -> str:
        """Which of the tools is called; empty for other requests."""
        if ctx.method != "tools/call":
            return ""
        name = (ctx.params or {}).get("name")
        return name if isinstance(name, str) and name in self._tools else _OTHER


@contextmanager
def _present(request: Request) -> Iterator[None]:
    token, named = _current.set(request), tracing.request_id.set(request.id)
    try:
        yield
    finally:
        tracing.request_id.reset(named)
        _current.reset(token)


def _is_error(result: HandlerResult) -> bool:
    """Whether a tool says so; its result is on its way to the wire already, unless a middleware has answered."""
    return result.is_error is True if isinstance(result, CallToolResult) else isinstance(result, dict) and result.get("isError") is True
