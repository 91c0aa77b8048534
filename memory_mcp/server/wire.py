"""JSON-RPC on the wire: what a line from a client is, and what an answer looks like; all of it pure.

The SDK's own parser drops what it cannot read and leaves the client waiting. Here every line becomes either a
message for the server or the answer to send back.
"""

import json
import logging
import math
from typing import Any

from mcp.shared.message import SessionMessage
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    CallToolResult,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    TextContent,
)
from pydantic import ValidationError

from memory_mcp.errors import MemoryMcpError
from memory_mcp.faults import Fault
from memory_mcp.front.lines import OverlongLine, find_request
from memory_mcp.front.messages import BUSY, INVALID, UNAVAILABLE

OVERLOADED = -32010
"""The server is at work on as much as it takes; JSON-RPC leaves -32000 to -32019 to the implementation."""
ENDING = -32011
"""The server is about to exit."""

MAX_DEPTH = 100
"""Nesting of a message; the SDK cannot write an answer nested deeper than 255."""
MAX_INTEGER = 2**64

Answer = JSONRPCResponse | JSONRPCError

_NOT_ENCODABLE = (ValueError, TypeError, RecursionError)
"""What the encoders raise: pydantic's error and UnicodeEncodeError are both ValueErrors."""

logger = logging.getLogger(__name__)


def parse_line(line: bytes | OverlongLine) -> SessionMessage | Answer | None:
    """What a line without its newline is: a message for the server, an answer to send at once, or nothing.

    Nothing is a blank line, or a notification that cannot be taken: JSON-RPC has no answer to one.
    """
    if isinstance(line, OverlongLine):
        return _refuse_unread(line.head, line.tail, INVALID_REQUEST, "The message is too long. Send less at once.")
    if not line.strip():
        return None
    try:
        value = load(line.decode())
    except UnicodeDecodeError:
        request = find_request(line, line)
        return error(request and request[0], PARSE_ERROR, "The line is not valid UTF-8.")
    except RecursionError:
        return _refuse_unread(line, line, INVALID_PARAMS, _too_deep)
    except ValueError:
        return error(None, PARSE_ERROR, "The line is not valid JSON.")
    if isinstance(value, list):
        return error(None, INVALID_REQUEST, "Batches are not supported: send one message a line.")
    if not isinstance(value, dict):
        return error(None, INVALID_REQUEST, "A message is a JSON object.")
    return _parse_message(value)


def _parse_message(value: dict[str, Any]) -> SessionMessage | Answer | None:
    flaw = find_flaw(value)
    if "method" not in value:
        return _parse_reply(value, flaw)
    if "id" not in value:
        return _validated(JSONRPCNotification, value) if flaw is None else None
    request_id, method = value["id"], value["method"]
    if not _is_request_id(request_id):
        return error(None, INVALID_REQUEST, "The id of a request is a string, or an integer of at most 64 bits.")
    if flaw is not None:
        return refuse(request_id, method, INVALID_PARAMS, flaw)
    request = _validated(JSONRPCRequest, value)
    return request or error(request_id, INVALID_REQUEST, 'A request has "jsonrpc": "2.0", a method name, and params by name.')


def _parse_reply(value: dict[str, Any], flaw: str | None) -> SessionMessage | Answer | None:
    """The client's answer to something that the server asked; a flawed one ends the question as an error does."""
    if flaw is not None and _is_request_id(value.get("id")):
        return SessionMessage(error(value["id"], INVALID_REQUEST, flaw))
    reply = _validated(JSONRPCResponse, value) or _validated(JSONRPCError, value)
    return reply or error(None, INVALID_REQUEST, "The message is neither a request, a notification nor a response.")


def _validated(
    kind: type[JSONRPCRequest | JSONRPCNotification | JSONRPCResponse | JSONRPCError], value: dict[str, Any]
) -> SessionMessage | None:
    try:
        return SessionMessage(kind.model_validate(value, by_name=False))
    except ValidationError:
        return None


def load(text: str) -> Any:
    """A JSON value; ValueError or RecursionError where the text is none. An integer of very many digits becomes one that is too large."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # more digits than Python converts; with a stand-in the rest, and so the id, can be read
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) <= 20 else MAX_INTEGER)


def _is_request_id(value: object) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_INTEGER


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_too_deep = f"The message is nested more than {MAX_DEPTH} levels deep. Flatten it."


def find_flaw(value: object) -> str | None:
    """A sentence about what could not be stored or sent back exactly, or None when all of it can."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for item in level:
            match item:
                case str() if not _is_text(item):
                    return "A text holds half of a surrogate pair (such as \\ud800), which is not Unicode text. Remove it."
                case float() if not math.isfinite(item):
                    return "A number is not finite. NaN, Infinity and numbers beyond 1.7e308 are not JSON; leave them out."
                case int() if abs(item) >= MAX_INTEGER:
                    return "An integer is larger than 64 bits. Send it as text."
                case dict():
                    inner += item.keys()
                    inner += item.values()
                case list():
                    inner += item
        if not inner:
            return None
        level = inner
    return _too_deep


def error(request_id: RequestId | None, code: int, sentence: str, fault: str = "") -> JSONRPCError:
    """A JSON-RPC error; without an id when the request's own cannot be told."""
    if not fault:
        return JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=sentence))
    return JSONRPCError(jsonrpc="2.0", id=request_id, error=ErrorData(code=code, message=sentence, data=_beside(fault, sentence)))


def refuse(request_id: RequestId, method: object, code: int, sentence: str, fault: str = INVALID) -> Answer:
    """Decline a request: to a tool call as a failed result, which is what a model gets to read; otherwise as an error.

    Args:
        fault: What a program is told of it; see `front.messages`.
    """
    if method != "tools/call":
        return error(request_id, code, sentence)
    result = CallToolResult(content=[TextContent(type="text", text=sentence)], is_error=True, _meta=_beside(fault, sentence))
    return JSONRPCResponse(jsonrpc="2.0", id=request_id, result=result.model_dump(by_alias=True, mode="json", exclude_none=True))


def _beside(fault: str, sentence: str) -> dict[str, Any]:
    return Fault(fault, sentence, retryable=fault in (BUSY, UNAVAILABLE)).told()


def _refuse_unread(head: bytes, tail: bytes, code: int, sentence: str) -> Answer:
    request = find_request(head, tail)
    return refuse(*request, code, sentence) if request else error(None, code, sentence)


def encode(message: JSONRPCMessage) -> bytes | None:
    """The line for a message, newline included, whatever the message holds.

    A text that is not Unicode is mended where it only explains (errors, notifications). A result is never changed
    silently: it gives way to a failure that says so. None: there is nothing that could be sent.
    """
    try:
        return _dump(message)
    except _NOT_ENCODABLE:
        logger.warning("message_not_encodable", extra={"kind": type(message).__name__})
    if isinstance(message, JSONRPCResponse) and not message.result.get("isError"):
        return _dump(_unsendable(message))
    try:
        return _dump_mended(message)
    except _NOT_ENCODABLE:
        return _dump(_unsendable(message)) if isinstance(message, JSONRPCResponse | JSONRPCError) else None


def _dump(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


def _dump_mended(message: JSONRPCMessage) -> bytes:
    """With U+FFFD in place of each lone surrogate."""
    text = json.dumps(message.model_dump(by_alias=True, exclude_unset=True), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode() + b"\n"


def _unsendable(answer: Answer) -> Answer:
    sentence = (
        "The call was carried out, but its answer cannot be sent: it holds something that JSON cannot, such as half of a surrogate pair."
    )
    is_tool_result = isinstance(answer, JSONRPCResponse) and "content" in answer.result
    if answer.id is None:
        return error(None, INTERNAL_ERROR, sentence)
    return refuse(answer.id, "tools/call" if is_tool_result else None, INTERNAL_ERROR, sentence, MemoryMcpError.code)
