"""A tool that refuses clearly: what is wrong with a call is said in words the model can act on, and nothing else leaks."""

import inspect
import logging
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, TextContent
from pydantic import ValidationError

from memory_mcp.access import Role
from memory_mcp.errors import AccessDeniedError, LimitError, MemoryMcpError, RequestError, require
from memory_mcp.faults import told_beside
from memory_mcp.server.desk import desk_of
from memory_mcp.server.misfits import in_words, misfits
from memory_mcp.server.requests import ended, outcome_of, unexpected

log = logging.getLogger(__name__)

_MOST_NAMED = 10
"""Of unknown arguments."""


class StrictTool(Tool):
    """A tool with unknown arguments refused by name, absent values taken for absent, and errors as sentences.

    Attributes:
        needs: The least role that may call it.
    """

    needs: Role = Role.ADMIN

    @classmethod
    def of(cls, function: Any, *, needs: Role, **options: Any) -> "StrictTool":
        """Make the tool of a function; its docstring and parameter descriptions are what a model reads."""
        description = " ".join((inspect.getdoc(function) or "").split())
        plain = Tool.from_function(function, description=description, structured_output=False, **options)
        arguments = plain.fn_metadata.arg_model
        arguments.model_config["extra"] = "forbid"
        arguments.model_config["coerce_numbers_to_str"] = True  # who read `operation 5` sends 5 back
        arguments.model_rebuild(force=True)
        described = plain.model_copy(update={"parameters": _spare(arguments.model_json_schema(by_alias=True))})
        return cls.model_construct(**dict(described), needs=needs)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Validate, call, and turn whatever goes wrong into a result that says what to change."""
        try:
            require(desk_of(context).caller(context).access, self.needs)
            given = {name: value for name, value in arguments.items() if value is not None}
            validated = self.fn_metadata.validate_arguments(given)
            if self.context_kwarg:
                validated[self.context_kwarg] = context
            return await self.fn(**validated)
        except ValidationError as error:
            return refusal(RequestError(_explained(error, self)))
        except (AccessDeniedError, LimitError) as error:
            ended(outcome_of(error))
            await desk_of(context).refused(context, self.name, error)
            return refusal(error)
        except MemoryMcpError as error:
            ended(outcome_of(error))
            if error.__cause__ is not None:
                log.warning("call_refused: %s %s", self.name, type(error).__name__, exc_info=error.__cause__)
            return refusal(error)
        except MCPError:
            raise
        except Exception:
            ended("failed")
            log.exception("call_failed: %s", self.name)
            return refusal(unexpected())


def refusal(error: MemoryMcpError) -> CallToolResult:
    """An error that the model reads; a host may show its model nothing but this text. Programs read what is beside it."""
    return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True, _meta=told_beside(error))


def _spare(node: Any) -> Any:
    """A schema without pydantic's titles and without defaults that are empty or none: a quarter of the surface, and they say nothing."""
    if isinstance(node, dict):
        return {key: _spare(value) for key, value in node.items() if not _idle(key, value)}
    return [_spare(value) for value in node] if isinstance(node, list) else node


def _idle(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value in (None, "", [], {}))


def _explained(error: ValidationError, tool: Tool) -> str:
    faults = misfits(error)
    said = in_words([fault for fault in faults if fault["type"] != "extra_forbidden"])
    unknown = [repr(str(fault["loc"][0])[:60]) for fault in faults if fault["type"] == "extra_forbidden"][:_MOST_NAMED]
    if not unknown:
        return said
    takes = f"{tool.name} has no argument {' or '.join(unknown)}. It takes: {', '.join(tool.parameters['properties'])}."
    return f"{said} {takes}".strip()
