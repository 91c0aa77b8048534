"""The metrics that there are: what the parts of one process have counted, as Prometheus wants it.

Every label has a value of a short list that this program makes up: never what a client sends, nobody's name, no namespace.
"""

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.utils import floatToGoString

from memory_mcp import __version__
from memory_mcp.server.http.passage import HttpTraffic
from memory_mcp.telemetry.instruments import Watched
from memory_mcp.telemetry.timing import BOUNDS, Buckets, Times

if TYPE_CHECKING:
    from memory_mcp.service import MemoryService

PREFIX = "memory_mcp_"
_LIMITS = [*map(floatToGoString, BOUNDS), "+Inf"]
_STATES = ("closed", "half-open", "open")
_PHASES = ("loading", "ready", "broken")
_HELD = {
    "bytes": "Memory that a tier holds.",
    "budget_bytes": "Memory that it may hold.",
    "rows": "Vectors that a tier holds.",
    "scopes_lagging": "Namespaces that a tier is still to be brought level in.",
}
_OWED = ("embed", "mentions")
"""Notes of every store, also where there are none."""


def of_process(traffic: HttpTraffic, service: "MemoryService | None") -> list[Metric]:
    """What one process has done.

    Args:
        service: None: the memory is not open.
    """
    found = [*_about(traffic, is_open=service is not None)]
    if service is not None:
        found += [*_of_memory(service)]
    return [*found, *ProcessCollector(registry=None).collect()]


def of_store(notes: Mapping[str, int]) -> list[Metric]:
    """What all processes on one record store see alike."""
    waiting = {**dict.fromkeys(_OWED, 0), **notes}
    return [_gauge("outbox_notes", "Notes of what is still to be done, by the tier that it is for.", ["tier"], waiting.items())]


def _about(traffic: HttpTraffic, *, is_open: bool) -> Iterator[Metric]:
    about = (__version__, platform.python_version())
    yield _gauge("build_info", "What runs here.", ["version", "python"], [(about, 1)])
    yield _gauge("open", "Whether the memory is open.", [], [((), int(is_open))])
    yield _histogram("tool_call_duration_seconds", "Calls of tools, with the wait for their turn.", ["tool", "outcome"], traffic.calls)
    yield _gauge("requests_at_work", "Requests of the protocol that have no answer yet.", [], [((), traffic.at_work)])
    responses = [((route, str(status)), count) for (route, status), count in traffic.responses.items()]
    yield _counter("http_responses", "Answers over HTTP.", ["route", "code"], responses)
    yield _gauge("http_connections", "Connections that are open.", [], [((), traffic.connections)])
    if traffic.turns is not None:
        yield _gauge("http_calls_at_work", "Calls that have their turn.", [], [((), traffic.turns.at_work)])
        yield _gauge("http_calls_waiting", "Calls that wait for it.", [], [((), traffic.turns.waiting)])


def _of_memory(service: "MemoryService") -> Iterator[Metric]:
    yield _histogram("stage_duration_seconds", "Stages of calls.", ["stage"], service.stages.times)
    yield from _of_tiers(service.instruments.watched)
    yield from _figures({name: tell() for name, tell in service.figures.items()})
    lookups = {name: tell() for name, tell in service.instruments.lookups.items()}
    results = [((name, result), n) for name, both in lookups.items() for result, n in zip(("hit", "miss"), both, strict=True)]
    yield _counter("cache_lookups", "Lookups in a cache.", ["cache", "result"], results)
    state = service.sources.embedder.state
    yield _gauge("model_info", "What texts are embedded with.", ["model", "epoch"], [((state.model, state.epoch or ""), 1)])
    phases = [(phase, int(phase == state.phase)) for phase in _PHASES]
    yield _gauge("model_phase", "How the embedding model is doing: 1 for the phase that it is in.", ["phase"], phases)
    figures = state.figures or {}
    yield _gauge("embedding_queue_texts", "Texts that wait for the model.", [], [((), figures.get("queued", 0))])
    yield _gauge("embedding_cached_texts", "Texts whose embedding is at hand.", [], [((), figures.get("cached", 0))])


def _of_tiers(watched: Sequence[Watched]) -> Iterator[Metric]:
    times: dict[tuple[str, ...], Buckets] = {}
    refused: dict[str, int] = {}
    states: dict[str, int] = {}
    for one in watched:  # several may stand before one tier
        for key, buckets in one.times.items():
            times.setdefault((one.name, *key), Buckets()).merge(buckets)
        refused[one.name] = refused.get(one.name, 0) + one.refused
        states[one.name] = max(states.get(one.name, 0), _STATES.index(one.state))
    yield _histogram("tier_call_duration_seconds", "Calls to tiers.", ["tier", "method", "outcome"], times)
    yield _counter("tier_refused_calls", "Calls not made, since the tier was left alone for a moment.", ["tier"], refused.items())
    breakers = [((name, state), int(at == worst)) for name, worst in states.items() for at, state in enumerate(_STATES)]
    yield _gauge("tier_breaker", "Whether a tier is left alone: 1 for the state that its breaker is in.", ["tier", "state"], breakers)


def _figures(tiers: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    healthy = [(name, int(figures["health"] == "ok")) for name, figures in tiers.items() if figures.get("health", "off") != "off"]
    yield _gauge("tier_healthy", "Whether a tier says that it is well.", ["tier"], healthy)
    for key, what in _HELD.items():
        yield _gauge(f"tier_{key}", what, ["tier"], [(name, figures[key]) for name, figures in tiers.items() if key in figures])


Values = Iterable[tuple[str | tuple[str, ...], float]]


def _gauge(name: str, what: str, labels: Sequence[str], values: Values) -> Metric:
    return _filled(GaugeMetricFamily(PREFIX + name, what, labels=labels), values)


def _counter(name: str, what: str, labels: Sequence[str], values: Values) -> Metric:
    return _filled(CounterMetricFamily(PREFIX + name, what, labels=labels), values)


def _filled(family: Any, values: Values) -> Metric:
    for labels, value in values:
        family.add_metric([labels] if isinstance(labels, str) else labels, value)
    return family  # type: ignore[no-any-return]


def _histogram(name: str, what: str, labels: Sequence[str], times: "Times | Mapping[tuple[str, ...], Buckets]") -> Metric:
    family = HistogramMetricFamily(PREFIX + name, what, labels=labels)
    for key, buckets in times.items():
        family.add_metric(key, [*zip(_LIMITS, accumulate(buckets.counts), strict=True)], buckets.seconds)
    return family
