"""Spans of OpenTelemetry: a call, its stages, and what it asks of the tiers; names and numbers, never a text.

Without its SDK (the extra `otel`) and without the standard variables OTEL_... nothing happens here, at no cost to speak of.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, StatusCode

__all__ = ["Span", "exporter", "failed", "part", "request", "request_id", "start"]

log = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("memory_mcp_request_id", default="")
"""Of the request that is being answered; it stands in every line of the log, in its span, and in the header X-Request-Id."""

_tracer = trace.get_tracer("memory_mcp")
_EXPORTERS = "opentelemetry_traces_exporter"
_FLUSH_SECONDS = 2.0


@contextmanager
def part(name: str, **attributes: str) -> Iterator[None]:
    """A span within the call that is traced; nothing where none is: what happens in the background is no call's."""
    if not trace.get_current_span().is_recording():
        yield
        return
    with (
        _tracer.start_as_current_span(name, attributes=attributes, record_exception=False, set_status_on_exception=False) as span,
        _failing(span),
    ):
        yield


@contextmanager
def request(name: str, attributes: Mapping[str, str], *carriers: Mapping[str, Any] | None) -> Iterator[Span]:
    """The span of a message from a client, which continues the trace that the first of these carriers names.

    The span is the caller's to fill. An exception's name is noted, and never what it says.

    Args:
        carriers: A request's `_meta`, or the headers it came with.
    """
    above = next((found for found in map(_continued, carriers) if found is not None), None)
    with (
        _tracer.start_as_current_span(
            name, above, SpanKind.SERVER, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span,
        _failing(span),
    ):
        yield span


def failed(span: Span, error_type: str) -> None:
    """The span ended badly, in the way of that name."""
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


@contextmanager
def _failing(span: Span) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        failed(span, type(error).__name__)
        raise


def _continued(carrier: Mapping[str, Any] | None) -> Context | None:
    """The trace that a carrier names, if it names one; what clients send may be anything."""
    if not carrier or not isinstance(carrier.get("traceparent"), str):
        return None
    found = extract({name: text for name, text in carrier.items() if isinstance(text, str)})
    return found if trace.get_current_span(found).get_span_context().is_valid else None


def start(environment: Mapping[str, str]) -> Callable[[], None]:
    """Send spans where the standard variables say (OTEL_EXPORTER_OTLP_ENDPOINT and its like), if they say anything.

    Waits for nobody; what cannot be set up is told in the log. A program that has set up tracing for itself is left alone.

    Returns:
        What sends the last spans, within 2 s; to be called in a thread.
    """
    name = exporter(environment)
    if not name:
        return _nothing
    if hasattr(there := trace.get_tracer_provider(), "force_flush"):  # set up before this
        return lambda: _finish(there)
    try:
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - of an extra, and loaded only where it is used
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        (entry,) = entry_points(group=_EXPORTERS, name=name)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(entry.load()()))
    except (ImportError, ValueError) as error:
        log.warning("tracing_not_started: OTEL_... asks for spans; install memory-mcp[otel], or what brings %s", name, exc_info=error)
        return _nothing
    trace.set_tracer_provider(provider)
    return lambda: _finish(provider)


def exporter(environment: Mapping[str, str]) -> str:
    """The entry point that the variables ask for; empty: none."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    named = environment.get("OTEL_TRACES_EXPORTER", "")
    asked = named or any(environment.get(f"OTEL_EXPORTER_OTLP_{which}ENDPOINT") for which in ("", "TRACES_"))
    if not asked or named == "none":
        return ""
    if named and named != "otlp":
        return named
    said = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return "otlp_proto_grpc" if said == "grpc" else "otlp_proto_http"


def _finish(provider: Any) -> None:
    sending = threading.Thread(target=provider.force_flush, name="last spans", daemon=True)  # an exporter may try for minutes
    sending.start()
    sending.join(_FLUSH_SECONDS)


def _nothing() -> None:
    pass
