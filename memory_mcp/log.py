"""The log: events with fields, on stderr, since stdout is the wire; never a memory's text."""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from memory_mcp.errors import MemoryMcpError
from memory_mcp.telemetry import tracing

Form = Literal["json", "logfmt"]

FIELDS = ("method", "tool", "outcome", "elapsed_ms", "worker")
"""What is taken over of the `extra` of a line of the standard library's logging."""


def configure_log(level: str, form: Form = "logfmt") -> None:
    """Send structlog and the libraries' logging to stderr, a line for each event; call it once, first of all."""
    threshold = getattr(logging, level.upper())
    shared: list[Any] = [
        _of_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _traced,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=FIELDS), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING))
    logging.getLogger("memory_mcp").setLevel(threshold)
    logging.raiseExceptions = False  # a full disk under the log is no reason to fail
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _renderer(form: Form) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer(default=lambda value: type(value).__name__)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"], bool_as_flag=False)


def _of_request(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the id of the request that is being answered, where one is."""
    if found := tracing.request_id.get():
        event["request_id"] = found
    return event


def _traced(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the exception, where there is one, as `exception`."""
    found = event.pop("exc_info", None)
    error = sys.exception() if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = described(error)
    return event


def described(error: BaseException) -> str:
    """Where it was raised, what it is, and what led to it, the first cause first.

    Only our own errors and the system's are quoted: what others say may hold what they were given, such as a text that is
    no JSON, or the row that a database has refused.
    """
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    first = f"{described(before)}\n" if before is not None else ""
    said = f": {_words(error)}" if _words(error) else ""
    inner = "".join(f"\n{described(one)}" for one in error.exceptions) if isinstance(error, BaseExceptionGroup) else ""
    trace = "".join(["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)]) if error.__traceback__ else ""
    return f"{first}{trace}{type(error).__qualname__}{said}{inner}"


def _words(error: BaseException) -> str:
    if isinstance(error, MemoryMcpError):
        return str(error)
    return error.strerror or "" if isinstance(error, OSError) else ""
