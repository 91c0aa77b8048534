"""Everything memory_mcp raises.

MemoryMcpError                   (not MemoryError: Python has one)
├── ConfigError                  the settings make no sense; raised before anything opens
├── RequestError                 the caller can mend it (also a ValueError)
│   └── ConflictError            what was asked contradicts what is stored
├── MemoryNotFoundError          (also a LookupError)
├── AccessDeniedError            the caller's role or namespaces do not allow it
├── LimitError                   too much in too short a time, or too much in all
├── UnexpectedError              what nobody foresaw
└── TierError                    a backend failed; the driver's own error is __cause__
    ├── TierUnavailableError     passing: repeat it, or go on without a derived tier
    │   ├── StoreBusyError       another process holds the store; nothing was written
    │   ├── ScopeNotCoveredError   a derived tier does not hold all of what was asked for
    │   └── EmbedderNotReadyError  the model is still loading, or broken
    ├── StoreFullError           no room left; nothing was written
    ├── StoreDamagedError        the file is not a healthy store; it was left as it is
    ├── StoreMovedError          the file in use is no longer the one under its name; nothing was written
    ├── StoreKeyError            the store's key is missing, another one's, or not to be had; nothing was changed
    ├── StoreReadOnlyError       the store can be read but not written
    └── SchemaTooNewError        a newer program wrote this store; it was left as it is

A message is written for whoever reads it last, a model or a person: what is wrong, and what to do.
It never holds the text of a memory, a secret, or a driver's own words.
"""

from collections.abc import Sequence
from uuid import UUID

from memory_mcp.access import Access, Role

UNEXPECTED = "Something went wrong inside the memory server; the details are in its log. Nothing is known to be lost. Try again."
"""What a client is told of an error that nobody foresaw."""


class MemoryMcpError(Exception):
    """Root of the tree.

    Attributes:
        code: A name for programs, the same in every version.
        retryable: Whether the same call may succeed later, unchanged.
        retry_seconds: After how long that is worth trying; 0: whenever the caller likes.
    """

    code = "failed"
    retryable = False
    retry_seconds = 0.0


class ConfigError(MemoryMcpError):
    """The settings make no sense."""

    code = "misconfigured"


class RequestError(MemoryMcpError, ValueError):
    """The request is at fault; the message says what to change."""

    code = "invalid_request"


class ConflictError(RequestError):
    """What was asked contradicts what is stored."""

    code = "conflict"


class MemoryNotFoundError(MemoryMcpError, LookupError):
    """No memory of these ids is visible to the caller."""

    code = "not_found"

    def __init__(self, ids: Sequence[UUID | str], message: str = "") -> None:
        self.ids = tuple(str(memory_id) for memory_id in ids)
        gone = "It may have been forgotten or replaced since." if len(self.ids) == 1 else "They may have been forgotten or replaced since."
        super().__init__(message or f"No memory with id {', '.join(self.ids)} here. {gone} Recall finds what is current.")


class AccessDeniedError(MemoryMcpError):
    """The caller may not do that; the message says what it would take.

    Attributes:
        why: In a word, for the log.
        namespace: That was asked for, if it is the reason.
    """

    code = "access_denied"

    def __init__(self, message: str, why: str = "access", namespace: str = "") -> None:
        self.why, self.namespace = why, namespace
        super().__init__(message)


def require(access: Access, role: Role) -> None:
    """Raise AccessDeniedError where the caller's role is a lesser one."""
    if access.role < role:
        sentence = f"This takes the role {role.word}, and yours is {access.role.word}. An administrator can give you another."
        raise AccessDeniedError(sentence, f"takes the role {role.word}")


class LimitError(MemoryMcpError):
    """The caller has reached a limit; the message says which one, and when to try again.

    Args:
        retry_seconds: 0: not by waiting.
    """

    code = "limit_reached"
    why, namespace = "limit", ""

    def __init__(self, message: str, retry_seconds: float = 0.0) -> None:
        self.retry_seconds, self.retryable = retry_seconds, retry_seconds > 0
        super().__init__(message)


class UnexpectedError(MemoryMcpError):
    """Something that nobody foresaw; what it was is in the log alone."""

    code = "unexpected"

    def __init__(self, request: str = "") -> None:
        super().__init__(f"{UNEXPECTED} (request {request})" if request else UNEXPECTED)


class TierError(MemoryMcpError):
    """A backend failed in a way that repeating will not mend."""

    def __init__(self, tier: str, message: str) -> None:
        self.tier = tier
        super().__init__(message)


class TierUnavailableError(TierError):
    """A backend is away for the moment. What was to be written is so or not; repeating it writes nothing twice."""

    code = "unavailable"
    retryable = True


class StoreBusyError(TierUnavailableError):
    """The store's lock was not to be had in time: nothing was done."""

    code = "busy"

    def __init__(self, tier: str, waited_seconds: float) -> None:
        self.waited_seconds = waited_seconds
        super().__init__(
            tier,
            f"The memory store is busy: another process has held it for {waited_seconds:.0f} s. Nothing was written; try again.",
        )


class ScopeNotCoveredError(TierUnavailableError):
    """A derived tier does not hold a scope whole; the next one is to be asked."""

    def __init__(self, tier: str) -> None:
        super().__init__(tier, "This namespace is too large for the memory given to its index.")


class EmbedderNotReadyError(TierUnavailableError):
    """No vectors can be made at the moment."""

    def __init__(self, message: str) -> None:
        super().__init__("embedder", message)


class StoreFullError(TierError):
    """The disk, or the limit set for the store, is full."""

    retryable = True

    def __init__(self, tier: str) -> None:
        super().__init__(tier, "The disk that holds the memory store is full. Nothing was written; free some space and try again.")


class StoreDamagedError(TierError):
    """The store's file is damaged."""


class StoreMovedError(TierError):
    """The file that is open was moved, replaced or deleted."""

    retryable = True

    def __init__(self, tier: str) -> None:
        super().__init__(
            tier,
            "The memory store's file was moved, replaced or deleted while it was in use. Nothing was written. "
            "A server opens what lies there now within seconds: try again.",
        )


class StoreKeyError(TierError):
    """The store and its key do not go together."""


class StoreReadOnlyError(TierError):
    """The store cannot be written."""

    def __init__(
        self,
        tier: str,
        message: str = "The memory store is read-only: recall works, but nothing can be stored. Make its folder and files writable.",
    ) -> None:
        super().__init__(tier, message)


class SchemaTooNewError(TierError):
    """The store's schema is newer than this program."""

    def __init__(self, tier: str, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(
            tier,
            f"This store was written by a newer memory_mcp (schema {found}; this program knows {known}). "
            "It was left untouched: upgrade memory_mcp to open it.",
        )
