"""The prompt that starts a session, and a server that says what was wrong with a request for one and lists what a host can offer."""

import logging
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult, Resource

from memory_mcp.errors import MemoryMcpError, RequestError
from memory_mcp.server.desk import Desk
from memory_mcp.server.faults import refusal
from memory_mcp.server.requests import ended, unexpected
from memory_mcp.server.resources import plain
from memory_mcp.server.starting import started

log = logging.getLogger(__name__)


class PromptingServer(MCPServer[Desk]):
    """The SDK's, which says little of a client's mistake over a tool or a prompt, and lists no resource that takes a parameter."""

    async def list_resources(self) -> list[Resource]:
        """Also those whose parameters may be left out: hosts offer a person what is listed, and templates hardly ever."""
        return [*await super().list_resources(), *plain(await self.list_resource_templates())]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Desk, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """What a tool answers; a refusal that names those there are where there is none of that name."""
        if self._tool_manager.get_tool(name) is None:
            names = [tool.name for tool in self._tool_manager.list_tools()]
            return refusal(RequestError(f"There is no tool {name[:60]!r}. There are: {', '.join(names)}."))
        return await super().call_tool(name, arguments, context)

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Desk, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        """A prompt; MCPError with what is wrong where there is none of that name, or where it has no such argument."""
        known = {each.name: [taken.name for taken in each.arguments or []] for each in await self.list_prompts()}
        if name not in known:
            raise MCPError(INVALID_PARAMS, f"There is no prompt {name[:60]!r}. There is: {', '.join(known)}.")
        if unknown := sorted(set(arguments or {}).difference(known[name])):
            raise MCPError(INVALID_PARAMS, f"{name} has no argument {unknown[0][:60]!r}. It takes: {', '.join(known[name])}.")
        try:
            return await super().get_prompt(name, arguments, context)
        except MCPError:
            raise
        except Exception as error:
            ended("failed")
            log.exception("prompt_failed: %s", name)
            raise MCPError(INTERNAL_ERROR, str(unexpected())) from error


def add_prompt(server: MCPServer[Desk]) -> None:
    """Give the server its one prompt."""

    @server.prompt(title="Start from memory", description="Begin a session with the rules, decisions and facts that are remembered for it")
    async def start(ctx: Context[Any, Any], task: str = "") -> str:
        try:
            text = await started(ctx, task)
        except MemoryMcpError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from error
        return f"{text}\n\n" + (f"The task: {task}" if task else "Use what is remembered above where it bears on the conversation.")
