"""The compose file and the configuration beside it say the same, and its roles serve."""

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from postgres_server import Server

from memory_mcp.config import load_settings
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.postgres.store import PostgresStore

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
