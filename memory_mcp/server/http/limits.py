"""The limit on tool calls, and their turns: counted where a call is known to be one, before it does any work."""

import math
from collections.abc import Callable
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR

from memory_mcp.config import LimitSettings
from memory_mcp.errors import LimitError
from memory_mcp.faults import told_beside
from memory_mcp.server.faults import refusal
from memory_mcp.server.http.addresses import address_of
from memory_mcp.server.http.balances import Balances
from memory_mcp.server.http.identity import identity_in
from memory_mcp.server.http.rates import Rates
from memory_mcp.server.http.refusals import Refusals
from memory_mcp.server.http.turns import Turns
from memory_mcp.server.requests import ended, outcome_of

_WORK = frozenset({"tools/call", "resources/read", "prompts/get"})
"""What is counted: everything that asks the memory."""


class Limits:
    """A middleware of the protocol's server: over a limit the model reads how long to wait.

    Attributes:
        turns: Who hands out the slots.
    """

    def __init__(
        self, settings: LimitSettings, monotonic: Callable[[], float], refusals: Refusals, balances: Balances | None = None
    ) -> None:
        self._refusals = refusals
        self._of_token = Rates(settings.calls_per_minute, monotonic, balances, "calls")
        self._of_address = Rates(settings.address_calls_per_minute, monotonic, balances, "address")
        self.turns = Turns(settings.total_calls, settings.concurrent_calls, settings.wait_seconds)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Count a call and let it have its turn; everything else passes."""
        request = ctx.request
        identity = identity_in(request.scope) if request is not None else None
        if ctx.method not in _WORK or request is None or identity is None:
            return await call_next(ctx)
        try:
            self._count(identity.token, address_of(request.scope))
            async with self.turns.turn(identity.tenant, identity.token):
                return await call_next(ctx)
        except LimitError as error:
            ended(outcome_of(error))
            await self._refusals.of(request.scope, identity, ctx.method, error.why)
            if ctx.method == "tools/call":
                return refusal(error)
            raise MCPError(INTERNAL_ERROR, str(error), told_beside(error)) from error

    def _count(self, token: str, address: str) -> None:
        for rates, who, whose in ((self._of_token, token, "Your token"), (self._of_address, address, "Your address")):
            if wait := rates.wait(who):
                seconds = max(1, math.ceil(wait))
                raise LimitError(f"{whose} has used up its calls of this minute. Nothing was done; try again in {seconds} s.", seconds)
        self._of_token.take(token, 1)
        self._of_address.take(address, 1)
