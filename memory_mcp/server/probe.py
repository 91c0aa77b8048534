"""Answering the modern era's probe without binding the connection to that era.

A client sends `server/discover` to learn which protocol a server speaks. The SDK takes it for the first request of
a modern conversation and then refuses `initialize`; but clients that lose patience with the probe fall back to
exactly that. So a probe ahead of the first other request is answered here and decides nothing.
"""

from typing import Any

from mcp.server.caching import apply_cache_hint
from mcp.server.lowlevel import Server
from mcp.shared.inbound import InboundLadderRejection, classify_inbound_request
from mcp.types import (
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
    DiscoverResult,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS


def answer_probe(server: Server[Any], request: JSONRPCRequest) -> JSONRPCResponse | JSONRPCError | None:
    """What the SDK would answer to a `server/discover` of the modern era; None for any other request."""
    meta = (request.params or {}).get("_meta")
    if request.method != "server/discover" or not isinstance(meta, dict) or PROTOCOL_VERSION_META_KEY not in meta:
        return None
    route = classify_inbound_request({"method": request.method, "params": request.params})
    if isinstance(route, InboundLadderRejection):
        error = ErrorData(code=route.code, message=route.message, data=route.data)
        return JSONRPCError(jsonrpc="2.0", id=request.id, error=error)
    result = DiscoverResult(
        supported_versions=list(MODERN_PROTOCOL_VERSIONS),
        capabilities=server.get_capabilities(protocol_version=route.protocol_version),
        instructions=server.instructions,
    )
    if hint := server.cache_hints.get(request.method):
        result = apply_cache_hint(result, hint)
    body = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    body["_meta"] = {SERVER_INFO_META_KEY: server.server_info_stamp}
    return JSONRPCResponse(jsonrpc="2.0", id=request.id, result=body)
