"""As much of JSON-RPC as a front needs: which line asks what, which line answers it, and the answers it gives itself.

Lines pass through unchanged, whatever they are; what cannot be understood here is for the engine to judge.
"""

import json
import re

from memory_mcp.front.lines import find_request

INTERNAL_ERROR = -32603
INVALID_REQUEST = -32600
MAX_INTEGER = 2**64

FAULT = "memory-mcp/fault"
"""What a program is told of an error stands under this name: in a result's `_meta`, or in an error's `data`."""
INVALID, MISCONFIGURED, BUSY, UNAVAILABLE = "invalid_request", "misconfigured", "busy", "unavailable"
"""Codes of `errors` that a front uses, too: the request is at fault, or the settings; nothing was done; it is unknown what was done."""

LASTING = frozenset({"subscriptions/listen"})
"""Methods that run until the conversation ends, so that its end does not wait for them."""
READING_TOOLS = frozenset({"recall", "find_similar", "context", "get", "stats"})
"""Tools that change nothing: a call of one can be sent again without asking."""

TYPE_CHECKING = False  # typing itself would cost each start 5 ms
if TYPE_CHECKING:
    from typing import TypeGuard

_SMALL_BYTES = 65_536
"""Up to here a line is parsed whole; of a longer one the ends are looked at first."""
_ANSWER = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d{1,19})\s*,\s*"(result|error)"')

Id = int | str


class Message:
    """What a line from the client is.

    Attributes:
        method: Empty unless it is a request or a notification.
        request_id: Of a request; None if it is none, or none that the engine would answer under its id.
        tool: The tool that is called.
        cancelled: The id of the request that it withdraws.
        understood: Whether it could be read at all.
    """

    __slots__ = ("cancelled", "method", "request_id", "tool", "understood")

    def __init__(
        self, method: str = "", request_id: Id | None = None, tool: str = "", cancelled: Id | None = None, understood: bool = True
    ) -> None:
        self.method, self.request_id, self.tool, self.cancelled, self.understood = method, request_id, tool, cancelled, understood

    @property
    def only_reads(self) -> bool:
        """Whether asking once more changes nothing."""
        return self.method != "tools/call" or self.tool in READING_TOOLS


def look(line: bytes) -> Message:
    """Read as much of a line from the client as there is to be read; never raises."""
    if len(line) > _SMALL_BYTES and (request := find_request(line, line)):
        return Message(request[1], request[0])
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        request = find_request(line, line)
        return Message(request[1], request[0]) if request else Message(understood=False)
    if not isinstance(value, dict):
        return Message(understood=False)
    method, params = value.get("method"), value.get("params")
    params = params if isinstance(params, dict) else {}
    method = method if isinstance(method, str) else "" if "method" not in value else "?"
    request_id = value.get("id")
    if method and is_request_id(request_id):
        tool = params.get("name")
        return Message(method, request_id, tool if method == "tools/call" and isinstance(tool, str) else "")
    cancelled = params.get("requestId") if method == "notifications/cancelled" else None
    return Message(method, None, "", cancelled if is_request_id(cancelled) else None)


def answered(line: bytes) -> tuple[Id, bool] | None:
    """The id that a line from the engine answers, and whether with a result; None if it is no answer under an id."""
    found = _ANSWER.match(line)
    try:
        if found:
            return json.loads(found[1]), found[2] == b"result"
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or "method" in value or not is_request_id(value.get("id")):
        return None
    return value["id"], "result" in value


def is_request_id(value: object) -> "TypeGuard[Id]":
    """Whether a request with this id can be answered under it: a Unicode text, or an integer of 64 bits."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_INTEGER


def error(request_id: Id | None, sentence: str, code: int = INTERNAL_ERROR, fault: str = "") -> bytes:
    """The line that answers a request with an error."""
    beside: dict[str, object] = {"data": _beside(fault)} if fault else {}
    return _line({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": sentence, **beside}})


def failure(request_id: Id, method: str, sentence: str, fault: str, *, modern: bool) -> bytes:
    """The line that tells a client that a request failed: a model only gets to read what a tool call results in.

    Args:
        fault: One of the codes above.
        modern: Whether the conversation is one of the protocol without a handshake, whose results say that they are complete.
    """
    if method != "tools/call":
        return error(request_id, sentence, fault=fault)
    result: dict[str, object] = {"content": [{"type": "text", "text": sentence}], "isError": True, "_meta": _beside(fault)}
    return _line({"jsonrpc": "2.0", "id": request_id, "result": {"resultType": "complete", **result} if modern else result})


def _beside(fault: str) -> dict[str, object]:
    return {FAULT: {"code": fault, "retryable": fault in (BUSY, UNAVAILABLE)}}


def under_another_id(line: bytes, request_id: Id) -> bytes:
    """The same request under an id of ours."""
    return _line({**json.loads(line), "id": request_id})


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
