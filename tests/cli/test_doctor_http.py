"""What doctor says of serving over HTTP."""

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_mcp.access import Role
from memory_mcp.cli.checks_http import examine
from memory_mcp.clock import utc_now
from memory_mcp.config import load_settings
from memory_mcp.tokens import Token, mint
from tests.certificates import certificate
from tests.engines import command, configuration
from tests.http_servers import new_token, serving
from tests.issuers import issuing


def by_name(rows: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    """Those that are of HTTP."""
    return {row["name"].removeprefix("http "): row for row in rows if row["name"].startswith("http ")}


def doctor(folder: Path, more: str) -> dict[str, dict[str, str]]:
    (folder / "config.toml").write_text(configuration() + more, "utf-8")
    return by_name(json.loads(command("doctor", "--json", folder=folder).stdout)["checks"])


async def checks(folder: Path, more: str, *tokens: Token) -> dict[str, dict[str, str]]:
    """Without the command around it, and the model that it loads."""
    (folder / "config.toml").write_text(more, "utf-8")
    http = load_settings(data_dir=folder, environment={}).http
    return by_name([check.facts() for check in await examine(http, tokens, utc_now())])


async def test_it_is_silent_where_nobody_serves_and_tells_all_is_well_of_a_server_that_runs(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    silent = doctor(folder, "")
    await new_token(folder)
    with serving(folder) as server:
        well = doctor(folder, f"[http]\nport = {server.port}\n")

    assert silent == {}
    assert {name: row["state"] for name, row in well.items()} == {"address": "ok", "tokens": "ok", "server": "ok"}
    assert "serves there" in well["server"]["found"]
    assert "good ones: 1" in well["tokens"]["found"]


async def test_it_says_who_could_connect_and_what_that_takes(tmp_path: Path) -> None:
    open_door = "[http]\nhost = '0.0.0.0'\nport = 0\n"
    _, token = mint("acme", Role.WRITER, utc_now(), subject="ann", expires=utc_now() + timedelta(hours=1))
    nobody = (await checks(tmp_path, open_door))["address"]
    nameless = await checks(tmp_path, open_door, token)
    plain = (await checks(tmp_path, f"{open_door}allowed_hosts = ['memory.example.com']\n", token))["address"]
    proxied = (await checks(tmp_path, f"{open_door}public_url = 'https://memory.example.com'\n", token))["address"]

    assert (nobody["state"], nameless["address"]["state"], plain["state"], proxied["state"]) == ("wrong", "wrong", "note", "ok")
    assert "token create" in nobody["remedy"]
    assert "public_url" in nameless["address"]["remedy"]
    assert "unencrypted" in plain["found"]
    assert nameless["tokens"]["state"] == "note"
    assert "expire within 14 days" in nameless["tokens"]["found"]
    assert "(ann)" in nameless["tokens"]["found"]


@pytest.mark.parametrize(("days", "state", "told"), [(-1, "wrong", "expired"), (3, "note", "good until"), (300, "ok", "good until")])
async def test_it_reads_the_certificate(tmp_path: Path, days: int, state: str, told: str) -> None:
    cert, key = certificate(tmp_path, datetime.now(UTC) + timedelta(days=days))
    found = (await checks(tmp_path, f"[http]\nport = 0\ntls_certificate = '{cert}'\ntls_key = '{key}'\n"))["certificate"]
    key.unlink()
    without = (await checks(tmp_path, f"[http]\nport = 0\ntls_certificate = '{cert}'\ntls_key = '{key}'\n"))["certificate"]

    assert (found["state"], without["state"]) == (state, "wrong")
    assert told in found["found"]
    assert "cannot be used" in without["found"]


async def test_it_asks_for_the_keys(tmp_path: Path) -> None:
    with issuing() as (issuer, url):
        more = f"[http]\nport = 0\n[http.jwt]\nissuer = 'https://id.example.com'\naudience = 'x'\njwks_url = '{url}'\n"
        there = await checks(tmp_path, more)
        issuer.away = True
        away = (await checks(tmp_path, more))["keys"]

    assert (there["keys"]["state"], away["state"], there["tokens"]["state"]) == ("ok", "wrong", "ok")
    assert "jwks_url" in away["remedy"]


async def test_it_tells_a_stranger_on_the_port_from_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        taken = (await checks(tmp_path, f"[http]\nport = {port}\n"))["server"]
    free = (await checks(tmp_path, f"[http]\nport = {port}\n"))["server"]
    elsewhere = await checks(
        tmp_path, "[http]\nhost = '192.0.2.1'\n[http.jwt]\nissuer = 'a'\naudience = 'x'\njwks_url = 'https://127.0.0.1:9/'\n"
    )

    assert (taken["state"], free["state"], elsewhere["server"]["state"]) == ("wrong", "ok", "wrong")
    assert "something else" in taken["found"]
    assert "free" in free["found"]
