"""What a server over HTTP writes down: who was refused, from where and why, and nothing that was said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from memory_mcp.access import Role
from memory_mcp.assembly import open_records
from memory_mcp.clock import utc_now
from memory_mcp.config import load_settings
from memory_mcp.tokens import mint
from tests.cli.test_commands import command
from tests.http_servers import Serving, client_of, post, refused, rpc, serving, tell

LIMITED = "[http.limits]\ncalls_per_minute = 0\naddress_calls_per_minute = 0\nrefusals_per_minute = 7\n"
SECRET = "The vault under the lighthouse opens on Thursdays."

Place = tuple[Serving, dict[str, str], dict[str, str]]


async def people(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Tokens, and their ids, by who bears them."""
    given = {
        "ann": (Role.WRITER, (), 0),
        "rita": (Role.READER, (), 0),
        "weber": (Role.WRITER, ("web",), 0),
        "gone": (Role.WRITER, (), 0),
        "late": (Role.READER, (), -1),
    }
    texts, ids = {}, {}
    folder.mkdir(mode=0o700)
    async with open_records(load_settings(data_dir=folder, environment={})) as store:
        for who, (role, namespaces, state) in given.items():
            now = utc_now()
            texts[who], token = mint("acme", role, now, subject=who, namespaces=namespaces, expires=now if state else None)
            ids[who] = token.id
            await store.add_token(token)
    return texts, ids


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("audited") / "data"
    tokens, ids = anyio.run(people, folder)
    with serving(folder, LIMITED) as server:
        yield server, tokens, ids


def exported(server: Serving, *arguments: str) -> list[dict[str, Any]]:
    done = command("audit", "export", "--data-dir", str(server.folder), *arguments, home=server.folder.parent)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_who_is_refused_stands_in_the_log_beside_who_was_not(place: Place) -> None:
    server, tokens, ids = place
    async with (
        client_of(server, tokens["ann"]) as ann,
        client_of(server, tokens["rita"]) as rita,
        client_of(server, tokens["weber"]) as weber,
    ):
        await tell(ann, "remember", content=SECRET, namespace="office")
        for _ in range(3):
            assert "takes the role writer" in await refused(rita, "remember", content=SECRET, namespace="office")
        await refused(rita, "forget", ids=["00000000-0000-7000-8000-000000000000"])
        assert "not open to you" in await refused(weber, "recall", query=SECRET, namespace="office")
    revoked = command("token", "revoke", ids["gone"], "--data-dir", str(server.folder), home=server.folder.parent)
    answers = [post(server, tokens[who], rpc("tools/list")).status_code for who in ("gone", "late")]
    answers += [post(server, "mmcp_nobody-has-ever-had-this", rpc("tools/list")).status_code, server.ask("/mcp", "POST").status_code]

    acme, nobody = exported(server, "--denied", "--tenant", "acme"), exported(server, "--denied", "--tenant", "@server")
    said = [(entry["user"], entry["token"], entry["role"], entry["details"]) for entry in acme]
    assert revoked.returncode == 0
    assert answers == [401, 401, 401, 401]
    assert said == [
        ("rita", ids["rita"], "reader", {"tool": "remember", "why": "takes the role writer"}),
        ("rita", ids["rita"], "reader", {"tool": "forget", "why": "takes the role writer"}),
        ("weber", ids["weber"], "writer", {"tool": "recall", "why": "namespace", "namespace": "office"}),
        ("gone", ids["gone"], "", {"tool": "connect", "why": "token revoked"}),
        ("late", ids["late"], "", {"tool": "connect", "why": "token expired"}),
    ]
    assert [entry["details"] for entry in nobody] == [
        {"tool": "connect", "why": "token not known"},
        {"tool": "connect", "why": "no token"},
    ]
    assert {entry["address"] for entry in (*acme, *nobody)} == {"127.0.0.1"}
    (made,) = exported(server, "--what", "remember", "--who", "ann")
    assert (made["action"], made["namespace"], made["address"], made["role"], made["token"]) == (
        "remember",
        "office",
        "127.0.0.1",
        "writer",
        ids["ann"],
    )
    assert [entry["user"] for entry in exported(server, "--namespace", "office")] == ["ann", "weber"]
    (revoking,) = exported(server, "--what", "token revoke")
    assert (revoking["address"], revoking["source"], revoking["details"]["subject"]) == ("command line", "command", "gone")


async def test_nothing_that_was_said_and_no_token_is_in_it(place: Place) -> None:
    server, tokens, _ = place
    async with client_of(server, tokens["rita"]) as rita:
        await refused(rita, "remember", content=SECRET, tags=["vault"], metadata={"speaker": "Ann of the lighthouse"})
    everything = json.dumps(exported(server))

    assert len(everything) > 1_000
    for said in (SECRET, "vault", "lighthouse", *tokens.values(), "mmcp_"):
        assert said not in everything


async def test_a_flood_of_refused_calls_is_counted(tmp_path: Path) -> None:
    tokens, ids = await people(tmp_path / "data")
    with serving(tmp_path / "data", LIMITED) as server:
        async with client_of(server, tokens["rita"]) as rita:
            for _ in range(30):
                await refused(rita, "remember", content=SECRET)
        for _ in range(20):
            post(server, "mmcp_wrong", rpc("tools/list"))
        before = exported(server, "--denied")
        assert server.end() == 0

    counted = [(entry["token"], entry["details"].get("why"), entry["details"].get("times", 1)) for entry in exported(server, "--denied")]
    assert len(before) == 3
    assert sorted(counted) == sorted(
        [
            (ids["rita"], "takes the role writer", 1),
            (ids["rita"], "takes the role writer", 29),
            ("", "token not known", 1),
            ("", "token not known", 6),
            ("", "limit", 1),
            ("", "limit", 12),
        ]
    )
    done = command("audit", "verify", "--json", "--data-dir", str(server.folder), home=tmp_path)
    assert json.loads(done.stdout)[0]["ok"], done.stdout


async def test_who_has_used_up_their_calls_is_in_the_log(tmp_path: Path) -> None:
    tokens, ids = await people(tmp_path / "data")
    with serving(tmp_path / "data", "[http.limits]\ncalls_per_minute = 2\n") as server:
        async with client_of(server, tokens["ann"]) as ann:
            await tell(ann, "stats")
            await tell(ann, "stats")
            assert "used up" in await refused(ann, "remember", content=SECRET)
        (entry,) = exported(server, "--denied")

    assert (entry["token"], entry["user"], entry["details"]) == (ids["ann"], "ann", {"tool": "tools/call", "why": "limit"})
