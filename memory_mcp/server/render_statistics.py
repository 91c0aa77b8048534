"""What `stats` answers, for models and for dashboards."""

import json
from typing import Any

from mcp.types import CallToolResult

from memory_mcp.answers import Statistics
from memory_mcp.server.render import result


def statistics(found: Statistics, section: str = "") -> CallToolResult:
    """The answer to `stats`: all sections or one."""
    facts = statistics_facts(found)
    if section:
        facts = {section: facts[section]}
    return result(facts, [f"{name}: {json.dumps(part, ensure_ascii=False)}" for name, part in facts.items()])


def statistics_facts(found: Statistics) -> dict[str, Any]:
    """The sections of `stats` as plain JSON."""
    counts = found.counts
    return {
        "namespace": found.namespace,
        "counts": {
            "memories": sum(counts.by_namespace.values()),
            "archived": found.archived,
            "by_namespace": dict(counts.by_namespace),
            "by_kind": dict(counts.by_kind),
            "forgotten": counts.forgotten,
            "superseded": counts.superseded,
            "unembedded": counts.unembedded,
            "operations": counts.operations,
            **({"bytes_on_disk": counts.bytes_on_disk} if counts.bytes_on_disk else {}),
        },
        "tiers": {name: dict(tier) for name, tier in found.tiers.items()},
        "latency": {stage: dict(figures) for stage, figures in found.latency.items()},
        "model": dict(found.model),
        "engine": dict(found.engine),
    }
