"""A tier whose calls are timed, one by one, and are spans of the call that is traced."""

import functools
import inspect
import time
from typing import Any, TypeVar, cast

from memory_mcp.errors import MemoryMcpError, ScopeNotCoveredError, TierError, TierUnavailableError
from memory_mcp.telemetry import tracing
from memory_mcp.telemetry.instruments import BreakerState
from memory_mcp.telemetry.timing import Times

T = TypeVar("T")


class Timed:
    """Stands in a tier's place and passes everything on; what is awaited is timed.

    It names no method, since it has to do the same for each of a store's fifty.
    """

    refused = 0
    state: BreakerState = "closed"

    def __init__(self, name: str, tier: object) -> None:
        self.name, self._tier = name, tier
        self.times = Times()

    def of(self, tier: T) -> T:
        """Itself, as what it stands for."""
        assert tier is self._tier
        return cast(T, self)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._tier, name)
        if not inspect.iscoroutinefunction(member):
            return member

        @functools.wraps(member)
        async def call(*args: Any, **options: Any) -> Any:
            began, ended = time.perf_counter(), "ok"
            try:
                with tracing.part(f"{self.name} {name}"):
                    return await member(*args, **options)
            except BaseException as error:
                ended = _ended(error)
                raise
            finally:
                self.times.add((name, ended), time.perf_counter() - began)

        setattr(self, name, call)  # from now on it is found without a detour
        return call


def _ended(error: BaseException) -> str:
    """In a word; that something is not there, or cannot be done, is an answer."""
    if not isinstance(error, Exception):
        return "cancelled"
    if isinstance(error, TierUnavailableError) and not isinstance(error, ScopeNotCoveredError):
        return "unavailable"
    answered = isinstance(error, ScopeNotCoveredError) or (isinstance(error, MemoryMcpError) and not isinstance(error, TierError))
    return "ok" if answered else "error"
