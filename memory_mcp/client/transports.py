"""Ways to a server: over HTTP, or to a process of one's own. What either says in its own manner is said here as faults."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED, INTERNAL_ERROR, REQUEST_TIMEOUT, Implementation

from memory_mcp.clock import utc_now
from memory_mcp.errors import AccessDeniedError, ConfigError, LimitError, MemoryMcpError
from memory_mcp.faults import Fault, fault_in
from memory_mcp.front.messages import BUSY, INVALID, UNAVAILABLE

Connect = Callable[[], AbstractAsyncContextManager[Client]]
"""Makes a conversation; entered once, in a task of its own."""

AWAY = "The memory server cannot be reached, or closed the connection. Try again."
_SERVER_OCCUPIED = (-32010, -32011)
"""JSON-RPC codes of a server that is overloaded, or about to exit."""
_STATUS = {
    401: Fault(AccessDeniedError.code, "The memory server wants a token that it knows."),
    403: Fault(AccessDeniedError.code, "The memory server lets nobody in with this token, or from here."),
    404: Fault(ConfigError.code, "There is no memory server at this address: it ends in /mcp."),
    405: Fault(ConfigError.code, "There is no memory server at this address: it ends in /mcp."),
    413: Fault(INVALID, "The call is larger than the memory server takes. Send less at once."),
    421: Fault(ConfigError.code, "The memory server does not know itself by this name."),
    429: Fault(LimitError.code, "The memory server has had too many requests.", retryable=True, retry_seconds=1.0),
    **{status: Fault(UNAVAILABLE, AWAY, retryable=True) for status in (408, 502, 503, 504)},
}
_MOST_TOLD_CHARACTERS = 500
_LONGEST_WAIT_SECONDS = 86_400.0


def program_of(interpreter: Path) -> str:
    """The command `memory-mcp` of the installation that an interpreter belongs to, also where PATH does not lead to it."""
    script = interpreter.with_name("memory-mcp.exe" if sys.platform == "win32" else "memory-mcp")
    return str(script) if script.is_file() else "memory-mcp"


def to_process(command: str, arguments: Sequence[str], environment: Mapping[str, str], directory: Path | None, name: str) -> Connect:
    """Start a program and talk to it over its stdin and stdout; it ends with the conversation."""
    server = StdioServerParameters(command=command, args=list(arguments), env=dict(environment), cwd=directory)
    return lambda: Client(server, client_info=_introduction(name), cache=None)


def to_url(url: str, token: str, name: str, attempt_seconds: float, transport: Callable[[], httpx2.AsyncBaseTransport]) -> Connect:
    """Talk to a server at a URL, with a token if it wants one.

    Args:
        transport: Makes what carries requests.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    @asynccontextmanager
    async def connect() -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=attempt_seconds, transport=Translating(transport())) as http,
            Client(streamable_http_client(url, http_client=http), client_info=_introduction(name), cache=None) as client,
        ):
            yield client

    return connect


def _introduction(name: str) -> Implementation:
    return Implementation(name=name, version="")


class Translating(httpx2.AsyncBaseTransport):
    """Has a connection that fails, and a refusal of HTTP's own, answer the one call that they are about.

    The SDK would end the whole conversation over the one, and drop what the other says.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request, come what may."""
        try:
            response = await self._inner.handle_async_request(request)
            if response.status_code < 400 and _kind(response) == "text/event-stream":
                return response  # whose end the SDK notices by itself
            body = await response.aread()
        except httpx2.TransportError:
            return _said(request, 503, Fault(UNAVAILABLE, AWAY, retryable=True))
        if response.status_code < 400 or isinstance(_read(body).get("error"), dict):
            return response
        return _said(request, response.status_code, _refused(response.status_code, response.headers.get("retry-after", ""), _read(body)))

    async def aclose(self) -> None:
        """Close what carries requests."""
        await self._inner.aclose()


def _kind(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _read(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _refused(status: int, retry_after: str, body: Mapping[str, Any]) -> Fault:
    """What an HTTP status means; in the server's own words, if it has some."""
    known = _STATUS.get(status, Fault(MemoryMcpError.code, f"The memory server answered with HTTP status {status}."))
    told = body.get("error_description")
    sentence = told[:_MOST_TOLD_CHARACTERS] if isinstance(told, str) and told else known.sentence
    return Fault(known.code, sentence, known.retryable, (_seconds(retry_after) or known.retry_seconds) if known.retryable else 0.0)


def _seconds(retry_after: str) -> float:
    """A header `Retry-After`, which is a number of seconds or a date; 0 where it is neither, or past."""
    try:
        seconds = float(retry_after) if retry_after.isdecimal() else (parsedate_to_datetime(retry_after) - utc_now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)


def _said(request: httpx2.Request, status: int, fault: Fault) -> httpx2.Response:
    error = {"code": INTERNAL_ERROR, "message": fault.sentence, "data": fault.told()}
    return httpx2.Response(status, json={"jsonrpc": "2.0", "id": None, "error": error}, request=request)


def fault_met(error: BaseException) -> Fault:
    """What an exception of the SDK or of the system means to a caller."""
    if isinstance(error, BaseExceptionGroup):
        return fault_met(error.exceptions[0])
    if isinstance(error, MCPError):
        if told := fault_in(error.data, error.message):
            return told
        if error.code in _SERVER_OCCUPIED:
            return Fault(BUSY, error.message, retryable=True)
        if error.code in (CONNECTION_CLOSED, REQUEST_TIMEOUT):
            return Fault(UNAVAILABLE, AWAY, retryable=True)
        return Fault(MemoryMcpError.code, error.message)
    if isinstance(error, (FileNotFoundError, PermissionError, NotADirectoryError)):
        return Fault(ConfigError.code, f"The memory server cannot be started: {error.strerror}: {error.filename}.")
    if isinstance(error, (OSError, httpx2.TransportError, anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)):
        return Fault(UNAVAILABLE, AWAY, retryable=True)
    return Fault(MemoryMcpError.code, f"The memory server does not speak as it should ({type(error).__name__}).")


def is_over(error: BaseException) -> bool:
    """Whether after this the conversation is at its end."""
    if isinstance(error, MCPError):
        return error.code == CONNECTION_CLOSED
    return not isinstance(error, ValueError)
