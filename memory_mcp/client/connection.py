"""The conversation with a server: made when it is needed, shared by all calls, and made anew when it has ended."""

import random
from collections.abc import Mapping
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from mcp import Client
from mcp.types import CallToolResult, TextContent

from memory_mcp.client.patience import Patience, pause
from memory_mcp.client.transports import Connect, fault_met, is_over
from memory_mcp.errors import MemoryMcpError
from memory_mcp.faults import Fault, fault_in
from memory_mcp.front.messages import INVALID, UNAVAILABLE


class _Conversation:
    """One, from before it is made until after its end."""

    def __init__(self) -> None:
        self.settled, self.over = anyio.Event(), anyio.Event()
        self.client: Client | None = None
        self.failure: Exception | None = None


class Connection:
    """Sends calls, and sends them again where that may help.

    A conversation lives in a task of its own, since the SDK wants it left by the task that entered it, while any task may
    be the one that finds it at its end.
    """

    def __init__(self, connect: Connect, patience: Patience) -> None:
        self._connect, self._patience = connect, patience
        self._tasks: TaskGroup | None = None
        self._now: _Conversation | None = None

    async def __aenter__(self) -> Self:
        """Make the first conversation.

        Raises:
            MemoryMcpError: It cannot be made.
        """
        self._tasks = await anyio.create_task_group().__aenter__()
        try:
            await self._carry_out(None, {}, None, repeatable=True)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *raised: object) -> None:
        """End the conversation. What the caller's own block raised passes by, and not through a task group that would wrap it."""
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def call(self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None, *, repeatable: bool) -> dict[str, Any]:
        """What a tool answers, as facts.

        Args:
            meta: Goes with the request, the same at each try.
            repeatable: Whether carrying it out twice does no more than once.

        Raises:
            MemoryMcpError: It was refused, or has failed as often as patience allows.
        """
        result = await self._carry_out(tool, arguments, meta, repeatable=repeatable)
        return dict(result.structured_content or {}) if result else {}

    async def _carry_out(
        self, tool: str | None, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None, *, repeatable: bool
    ) -> CallToolResult | None:
        """A tool's result; without a tool None, once there is a conversation."""
        ends, tried = anyio.current_time() + self._patience.total_seconds, 0
        while True:
            tried += 1
            seconds = max(0.0, min(self._patience.attempt_seconds, ends - anyio.current_time()))
            cause: Exception | None = None
            try:
                with anyio.fail_after(seconds):
                    return await self._try(tool, arguments, meta)
            except _FaultyError as failed:
                fault, cause = failed.fault, failed.cause
            except TimeoutError as error:
                fault, cause = Fault(UNAVAILABLE, f"The memory server has not answered within {seconds:.0f} s.", retryable=True), error
            wait = pause(self._patience, fault, tried, ends - anyio.current_time(), random.random(), repeatable=repeatable)
            if wait is None:
                raise fault.error() from cause
            await anyio.sleep(wait)

    async def _try(self, tool: str | None, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None) -> CallToolResult | None:
        conversation = await self._conversation()
        if conversation.client is None:
            assert conversation.failure is not None
            raise _FaultyError(fault_met(conversation.failure), conversation.failure)
        if tool is None:
            return None
        try:
            result = await conversation.client.call_tool(tool, dict(arguments), meta=dict(meta) if meta else None)  # type: ignore[arg-type]
        except Exception as error:
            if is_over(error):
                conversation.over.set()
            raise _FaultyError(fault_met(error), error) from error
        if result.is_error:
            text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
            raise _FaultyError(fault_in(result.meta, text) or Fault(INVALID, text))
        return result

    async def _conversation(self) -> _Conversation:
        if self._tasks is None:
            raise MemoryMcpError("The memory client is not open: use it within `async with`.")
        if self._now is None or self._now.over.is_set():
            self._now = _Conversation()
            self._tasks.start_soon(self._hold, self._now)
        conversation = self._now
        await conversation.settled.wait()
        return conversation

    async def _hold(self, conversation: _Conversation) -> None:
        try:
            async with self._connect() as conversation.client:
                conversation.settled.set()
                await conversation.over.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, those who call are told, and nobody else is disturbed
            conversation.failure = error
        finally:
            conversation.over.set()
            conversation.settled.set()


class _FaultyError(Exception):
    """A try that failed."""

    def __init__(self, fault: Fault, cause: Exception | None = None) -> None:
        self.fault, self.cause = fault, cause
        super().__init__(fault.sentence)
