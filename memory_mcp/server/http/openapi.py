"""The description of the JSON API, made of what it is carried out with: the tools' arguments and the types of their replies."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from memory_mcp import __version__
from memory_mcp.server.faults import StrictTool
from memory_mcp.server.http.answers import API
from memory_mcp.server.http.api import IDEMPOTENCY_HEADER, OPERATIONS, Operation

_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457)",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do"},
        "code": {"type": "string", "description": "The kind of error, for programs"},
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later"},
    },
    "required": ["type", "title", "status", "detail", "code", "retryable"],
}
_ERRORS = {
    "401": "There is no token, or none that is known",
    "403": "The token's role or namespaces do not allow it",
    "422": "An argument is not allowed",
    "429": "A limit is reached: see Retry-After",
    "503": "The store is away: see Retry-After",
}
_BODY_ERRORS = {"400": "No JSON object", "413": "Too large", "415": "Not said to be JSON"}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
_KEY = {
    "name": IDEMPOTENCY_HEADER,
    "in": "header",
    "schema": {"type": "string", "maxLength": 200},
    "description": "A value of your choice: repeating the request with it within a day returns the first receipt and stores nothing twice",
}


def document(tools: Iterable[StrictTool]) -> dict[str, Any]:
    """The API as OpenAPI 3.1, whose schemas are JSON Schema as it is."""
    by_name = {tool.name: tool for tool in tools}
    replies = list(dict.fromkeys(operation.reply for operation in OPERATIONS))
    _, made = models_json_schema([(reply, "validation") for reply in replies], ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(API + operation.path, {})[operation.method.lower()] = _described(operation, by_name[operation.tool])
    return {
        "openapi": "3.1.0",
        "info": {"title": "memory-mcp", "version": __version__, "description": "Long-term memory, for programs that do not speak MCP"},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {**made["$defs"], "Problem": _PROBLEM},
        },
    }


def _described(operation: Operation, tool: StrictTool) -> dict[str, Any]:
    schema = operation.schema(tool.parameters)
    parameters: list[Mapping[str, Any]] = [_ID] if operation.fixed else []
    parameters += [_KEY] if operation.made else []
    told: dict[str, Any] = {"operationId": _name(operation), "summary": operation.summary, "description": tool.description}
    errors = dict(_ERRORS)
    if operation.has_body:
        errors |= _BODY_ERRORS
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    else:
        parameters += [_in_query(name, part, name in schema.get("required", ())) for name, part in schema["properties"].items()]
    if operation.fixed:
        errors["404"] = "There is no such memory"
    if operation.tool in ("remember", "update"):
        errors["409"] = "It contradicts what is stored"
    if parameters:
        told["parameters"] = parameters
    reply = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{operation.reply.__name__}"}}}}
    problem = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    answers = {"200": {"description": "What is there already" if operation.made else "Done", **reply}}
    if operation.made:
        answers["201"] = {"description": "Stored", **reply}
    told["responses"] = answers | {status: {"description": said, **problem} for status, said in sorted(errors.items())}
    return told


def _name(operation: Operation) -> str:
    """A name for generated code: `get_memories_id`, and of two methods of one tool the POST alone bears the tool's."""
    if operation.method == "POST":
        return operation.tool
    return "_".join([operation.method.lower(), *operation.path.replace("{", "").replace("}", "").strip("/").split("/")])


def _in_query(name: str, schema: Mapping[str, Any], required: bool) -> dict[str, Any]:
    described = {"description": schema["description"]} if "description" in schema else {}
    plain = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": "query", "required": required, **described, "schema": plain}
