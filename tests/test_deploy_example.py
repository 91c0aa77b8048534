"""The compose file and the configuration beside it say the same, its roles serve, and what watches the server asks for what there is."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from postgres_server import Server
from prometheus_client.parser import text_string_to_metric_families as parse

from memory_mcp.answers import RecallRequest
from memory_mcp.config import HttpSettings, load_settings
from memory_mcp.server.http.exposition import render, write
from memory_mcp.server.http.metrics import PATH
from memory_mcp.server.http.passage import HttpTraffic
from memory_mcp.server.http.turns import Turns
from memory_mcp.server.requests import OUTCOMES
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.postgres.store import PostgresStore
from tests.memories import CALLER, open_service, settings_for

DEPLOY = Path(__file__).parents[1] / "examples" / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]


def configured(tmp_path: Path):
    shutil.copy(DEPLOY / "config.toml", tmp_path / "config.toml")
    return load_settings(data_dir=tmp_path, environment={})


def test_the_configuration_names_what_the_compose_file_starts(tmp_path: Path) -> None:
    settings = configured(tmp_path)
    assert isinstance(settings.records, PostgresSettings)
    addresses = {
        "postgres": settings.records.dsn.get_secret_value(),
        "redis": settings.redis.url.get_secret_value(),
        "qdrant": settings.qdrant.url,
    }

    for name, address in addresses.items():
        parts = urlsplit(address)
        port = parts.port or 5432
        assert f"127.0.0.1:{port}:{port}" in SERVICES[name]["ports"]
    assert urlsplit(addresses["redis"]).password in SERVICES["redis"]["command"]
    assert settings.qdrant.api_key.get_secret_value() == SERVICES["qdrant"]["environment"]["QDRANT__SERVICE__API_KEY"]
    passwords = dict(re.findall(r"ROLE (\w+) LOGIN PASSWORD '([^']+)'", (DEPLOY / "roles.sql").read_text("utf-8")))
    for dsn in (settings.records.dsn, settings.records.owner_dsn):
        parts = urlsplit(dsn.get_secret_value())
        assert passwords[str(parts.username)] == parts.password


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_open_to_other_machines(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


async def test_a_database_with_these_roles_serves() -> None:
    server = Server(bare=True)
    try:
        server.psql((DEPLOY / "roles.sql").read_text("utf-8"))
        async with PostgresStore.open(server.settings("memory")) as store:
            assert await store.check() == []
    finally:
        server.end()


GIVEN_BY_PROMETHEUS = {"instance", "job", "le"}
Labels = dict[str, set[str]]
"""The values that there are, by label."""


def expressions() -> Iterator[str]:
    """Of every panel, and of every alert."""
    for panel in json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


async def metrics_of_a_server_at_work(folder: Path) -> dict[str, Labels]:
    traffic = HttpTraffic(turns=Turns(1, 1, 1.0))
    traffic.responses["/mcp", 200] += 1
    for outcome in OUTCOMES:
        traffic.calls.add(("recall", outcome), 0.01)
    async with open_service(settings_for(folder)) as service:
        await service.recall(RecallRequest(query="x"), CALLER)
        page, _ = render({0: write(traffic, service)}, {}, 1, "")
    found: dict[str, Labels] = {}
    for family in parse(page.decode()):
        found.setdefault(family.name, {})  # one that has nothing to tell yet
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


async def test_every_panel_and_every_alert_asks_for_metrics_and_labels_that_there_are(tmp_path: Path) -> None:
    known = await metrics_of_a_server_at_work(tmp_path)
    wrong, asked = [], set()
    for expression in expressions():
        names = set(re.findall(r"\b(?:memory_mcp|process)_\w+", expression))
        asked |= names
        wrong += [f"{name} in {expression}" for name in names - known.keys()]
        own = {label for name in names & known.keys() for label in known[name]} | {"tier"}  # of some, nothing is known here
        for inside in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
            wrong += [f"{label} in {expression}" for label in set(inside.split(", ")) - own - GIVEN_BY_PROMETHEUS]
        for name, inside in re.findall(r"\b(memory_mcp_\w+)\{([^}]*)\}", expression):
            for label, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', inside):
                if label not in GIVEN_BY_PROMETHEUS and (label not in known[name] or not set(value.split("|")) <= known[name][label]):
                    wrong.append(f"{label}{operator}{value} in {expression}")

    assert wrong == []
    assert len(asked) > 20


def test_the_scraper_asks_where_the_server_answers() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    settings = HttpSettings()

    assert job["metrics_path"] == PATH
    assert job["static_configs"] == [{"targets": [f"{settings.host}:{settings.port}"]}]
    assert job["authorization"]["type"] == "Bearer"
    assert f'job="{job["job_name"]}"' in (DEPLOY / "alerts.yml").read_text("utf-8")
