"""What a program is told of an error, beside the sentence for people: a name, and whether and when to repeat the call.

It stands in a failed result's `_meta`, where no model's attention is spent on it, and in a JSON-RPC error's `data`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from memory_mcp.errors import (
    AccessDeniedError,
    ConfigError,
    ConflictError,
    LimitError,
    MemoryMcpError,
    MemoryNotFoundError,
    RequestError,
    TierError,
    TierUnavailableError,
)
from memory_mcp.front.messages import BUSY, FAULT, INVALID, UNAVAILABLE

IDEMPOTENCY_META = "memory-mcp/idempotencyKey"
"""In a request's `_meta`: repeating a `remember` with the same value returns the first receipt."""
NOTHING_DONE = frozenset({LimitError.code, BUSY})
"""After these a call certainly had no effect; after `unavailable` a write may have had its."""
_LONGEST_RETRY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as a program knows it.

    Attributes:
        code, retryable, retry_seconds: See `MemoryMcpError`.
        sentence: For people, and for models.
    """

    code: str
    sentence: str
    retryable: bool = False
    retry_seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        """What stands beside the sentence."""
        wait = {"retry_seconds": self.retry_seconds} if self.retry_seconds else {}
        return {FAULT: {"code": self.code, "retryable": self.retryable, **wait}}

    def error(self) -> MemoryMcpError:
        """The error that it was, or of the kind that it was, with the same sentence."""
        return _ERRORS.get(self.code, _failed)(self)


def fault_of(error: MemoryMcpError) -> Fault:
    """What is told of an error."""
    return Fault(error.code, str(error), error.retryable, error.retry_seconds)


def told_beside(error: MemoryMcpError) -> dict[str, Any]:
    """What stands beside an error's sentence."""
    return fault_of(error).told()


def fault_in(beside: object, sentence: str) -> Fault | None:
    """The fault that somebody else's `_meta` or `data` tells of, whatever else it holds; None where it tells of none."""
    told = beside.get(FAULT) if isinstance(beside, Mapping) else None
    if not isinstance(told, Mapping) or not isinstance(told.get("code"), str):
        return None
    seconds = told.get("retry_seconds", 0.0)
    known = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and math.isfinite(seconds)
    return Fault(
        told["code"], sentence, told.get("retryable") is True, min(max(0.0, float(seconds)), _LONGEST_RETRY_SECONDS) if known else 0.0
    )


def _failed(fault: Fault) -> MemoryMcpError:
    return TierUnavailableError("server", fault.sentence) if fault.retryable else TierError("server", fault.sentence)


_ERRORS: Mapping[str, Callable[[Fault], MemoryMcpError]] = {
    ConfigError.code: lambda fault: ConfigError(fault.sentence),
    INVALID: lambda fault: RequestError(fault.sentence),
    ConflictError.code: lambda fault: ConflictError(fault.sentence),
    MemoryNotFoundError.code: lambda fault: MemoryNotFoundError((), fault.sentence),
    AccessDeniedError.code: lambda fault: AccessDeniedError(fault.sentence),
    LimitError.code: lambda fault: LimitError(fault.sentence, fault.retry_seconds),
    UNAVAILABLE: lambda fault: TierUnavailableError("server", fault.sentence),
}
