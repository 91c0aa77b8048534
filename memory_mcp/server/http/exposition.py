"""The families of several processes as one page: written down by each, and put together by the one that was asked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from memory_mcp.server.http.families import PREFIX, of_process, of_store
from memory_mcp.server.http.passage import HttpTraffic

if TYPE_CHECKING:
    from memory_mcp.service import MemoryService

LABEL = "worker"
"""Which of the processes; 0 where there is one."""


def write(traffic: HttpTraffic, service: "MemoryService | None") -> bytes:
    """What this process has counted."""
    families = of_process(traffic, service)
    return json.dumps(
        [[one.name, one.documentation, one.type, [[s.name, s.labels, s.value] for s in one.samples]] for one in families]
    ).encode()


def render(told: Mapping[int, bytes], notes: Mapping[str, int] | None, workers: int, accept: str) -> tuple[bytes, str]:
    """One page, and its content type.

    Args:
        told: By worker, what `write` gave.
        notes: Of the record store; None where it cannot be asked.
        workers: How many there should be.
        accept: The header of that name: whoever asks for OpenMetrics gets it.
    """
    families: dict[str, Metric] = {}
    for worker, text in sorted(told.items()):
        for name, what, kind, samples in json.loads(text):
            family = families.setdefault(name, Metric(name, what, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, LABEL: str(worker)}, value)
    up = GaugeMetricFamily(f"{PREFIX}worker_up", "Whether a worker has told what it counted.", labels=[LABEL])
    for worker in range(workers):
        up.add_metric([str(worker)], int(worker in told))
    encode, kind = choose_encoder(accept)
    return encode(_Page([*families.values(), up, *(of_store(notes) if notes is not None else ())])), kind


class _Page:
    """As much of a registry as an encoder needs."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        return iter(self._families)
