"""Nothing is said in the clear to another machine, unless somebody says that it may be."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from memory_mcp.config import load_settings
from memory_mcp.errors import ConfigError
from memory_mcp.loopback import elsewhere
from memory_mcp.tiers.postgres.settings import PostgresSettings
from memory_mcp.tiers.postgres.store import PostgresStore
from memory_mcp.tiers.postgres.transport import in_the_clear

HERE = ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1"]
ELSEWHERE = [
    "db",
    "localhost.example.com",
    "10.0.0.1",
    "0.0.0.0",
    "::",
    "::ffff:10.0.0.1",
    "fe80::1",
    "127.0.0.1.example.com",
    "2130706433",
]


def test_this_machine_is_told_from_others() -> None:
    assert elsewhere(HERE) == []
    assert elsewhere(ELSEWHERE) == ELSEWHERE


REMOTE = '[embedding]\nprovider = "remote"\nmodel = "m"\nbase_url = '
REFUSED = {
    "redis": '[redis]\nurl = "redis://:hunter2@cache:6379"',
    "one of several sentinels": '[redis]\nurl = "redis+sentinel://127.0.0.1,b/service"',
    "a cluster": '[redis]\nurl = "redis+cluster://a,b"',
    "qdrant": '[qdrant]\nurl = "http://vectors:6333"',
    "an endpoint": REMOTE + '"http://models/v1"',
}
TAKEN = {
    "redis here": '[redis]\nurl = "redis://127.0.0.1"',
    "redis over a socket": '[redis]\nurl = "unix:///run/redis.sock"',
    "redis with TLS": '[redis]\nurl = "rediss://cache"',
    "a cluster with TLS": '[redis]\nurl = "rediss+cluster://a,b"',
    "qdrant here": '[qdrant]\nurl = "http://localhost:6333"',
    "qdrant with TLS": '[qdrant]\nurl = "https://vectors:6333"',
    "an endpoint with TLS": REMOTE + '"https://models/v1"',
    "an endpoint here": REMOTE + '"http://[::1]:8080/v1"',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=list(REFUSED))
def test_another_machine_without_tls_is_refused_until_it_is_allowed(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"another machine without TLS.*allow_plaintext = true") as caught:
        load_settings(data_dir=tmp_path, environment={})
    assert "hunter2" not in str(caught.value)
    (tmp_path / "config.toml").write_text(f"{text}\nallow_plaintext = true\n", "utf-8")

    assert load_settings(data_dir=tmp_path, environment={})


@pytest.mark.parametrize("text", TAKEN.values(), ids=list(TAKEN))
def test_this_machine_and_tls_are_taken_as_they_are(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text, "utf-8")

    assert load_settings(data_dir=tmp_path, environment={})


DATABASES: list[tuple[str, dict[str, str], bool]] = [
    ("postgresql://role@db/memory", {}, True),
    ("postgresql://role@db/memory?sslmode=prefer", {}, True),
    ("postgresql://role@db/memory?sslmode=require", {}, False),
    ("postgresql://role@db/memory?sslmode=verify-full", {}, False),
    ("host=db sslmode=verify-ca dbname=memory", {}, False),
    ("host=db dbname=memory", {}, True),
    ("postgresql://role@127.0.0.1,db/memory", {}, True),
    ("postgresql://role@localhost/memory", {}, False),
    ("postgresql://role@localhost/memory?hostaddr=10.0.0.1", {}, True),
    ("host=db hostaddr=127.0.0.1", {}, False),
    ("postgresql://role@/memory?host=/run/postgresql", {}, False),
    ("postgresql:///memory", {}, False),
    ("postgresql:///memory", {"PGHOST": "db"}, True),
    ("postgresql:///memory", {"PGHOST": "db", "PGSSLMODE": "require"}, False),
    ("postgresql://role@db/memory?sslmode=disable", {"PGSSLMODE": "require"}, True),
    ("service=memory", {}, True),
    ("service=memory sslmode=require", {}, False),
    ("no address at all", {}, False),
]


@pytest.mark.parametrize(("dsn", "environment", "clear"), DATABASES)
def test_what_libpq_would_do_is_known_beforehand(
    monkeypatch: pytest.MonkeyPatch, dsn: str, environment: dict[str, str], clear: bool
) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert in_the_clear(dsn) is clear


@pytest.mark.parametrize("key", ["dsn", "owner_dsn"])
async def test_a_database_elsewhere_is_not_even_dialled_without_tls(key: str) -> None:
    given: dict[str, Any] = {"dsn": SecretStr("postgresql:///memory"), key: SecretStr("postgresql://role:hunter2@192.0.2.1/memory")}
    with pytest.raises(ConfigError, match=f"^{key} of .* sslmode=verify-full") as caught:
        async with PostgresStore.open(PostgresSettings(**given)):
            pytest.fail("it was opened")

    assert "hunter2" not in str(caught.value)
