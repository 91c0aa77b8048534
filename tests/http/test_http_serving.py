"""Serving over HTTP, with real processes: transports, start, end, sockets, workers."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import apsw
import httpx2
import pytest
from mcp import Client, MCPError

from tests.certificates import certificate
from tests.engines import PATIENCE, configuration, surroundings, wait_until
from tests.http_servers import ERAS, ROOT, Era, Serving, bearer, client_of, command, first_token, new_token, post, serving, tell


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One that was started for the first time, on an address of this machine."""
    with serving(tmp_path_factory.mktemp("http") / "data") as made:
        made.first_token = first_token(made)
        yield made


@pytest.mark.parametrize("era", ERAS)
async def test_a_real_client_of_every_era_remembers_and_recalls(server: Serving, era: Era) -> None:
    async with client_of(server, server.first_token, era) as client:
        receipt = await tell(client, "remember", content=f"The {era} client writes its logs to a file called {era}.log.")
        answer = await tell(client, "recall", query=f"Where does the {era} client write its logs?")
        whole = await tell(client, "get", ids=[receipt["id"]], history=True)
        stats = await tell(client, "stats")
        context = await client.get_prompt("start", {"task": "look at logs"})
        item = await client.read_resource(f"memory://item/{receipt['id']}")

    assert receipt["status"] == "stored"
    assert receipt["id"] in [hit["id"] for hit in answer["hits"]]
    assert whole["memories"][0]["id"] == receipt["id"]
    assert stats["engine"]["version"]
    assert context.messages
    assert receipt["id"] in str(item.contents[0])


async def test_what_this_machines_own_clients_know_the_first_token_knows(server: Serving) -> None:
    """The same tenant, and outside of any project the same namespace."""
    async with client_of(server, server.first_token) as client:
        answer = await tell(client, "recall", query="anything at all")

    assert answer["namespace"] == "personal"


def test_the_first_token_is_shown_once_and_kept_as_a_hash(server: Serving, tmp_path: Path) -> None:
    with serving(tmp_path / "data") as fresh:
        token = first_token(fresh)
        assert post(fresh, token).status_code == 200
        assert fresh.end() == 0
    with serving(tmp_path / "data") as again:
        assert post(again, token).status_code == 200
        assert again.end() == 0
        assert again.process.stdout
        said = again.process.stdout.read()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file())

    assert said == ""
    assert token.encode() not in kept
    assert "stderr" in {path.name for path in (tmp_path / "data").iterdir()}


def test_health_and_readiness_are_two_things(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        before = [server.ask(path).status_code for path in ("/health", "/ready")]
        connection = apsw.Connection(str(tmp_path / "data" / "memories.db"))
        connection.set_busy_timeout(10_000)
        connection.pragma("user_version", 99)  # as a newer program leaves it
        connection.close()
        after = [server.ask(path) for path in ("/health", "/ready")]

    assert before == [200, 200]
    assert [answer.status_code for answer in after] == [200, 503]
    assert after[1].json() == {"error": "not_ready", "error_description": "The record store is not ready."}
    assert int(after[1].headers["retry-after"]) >= 1


def refused_start(folder: Path, more: str, *arguments: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(configuration() + more, "utf-8")
    done = subprocess.run(
        command(folder, *arguments), env=surroundings({}), capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_where_others_could_connect_it_does_not_start_without_anybody_to_let_in(tmp_path: Path, host: str) -> None:
    said = refused_start(tmp_path, "", "--host", host, "--port", "0")

    assert "token create" in said


async def test_it_does_not_listen_everywhere_without_knowing_its_name(tmp_path: Path) -> None:
    await new_token(tmp_path)
    said = refused_start(tmp_path, "", "--host", "0.0.0.0", "--port", "0")

    assert "public_url" in said


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("[http]\ntls_key = 'key.pem'\n", "tls_certificate"),
        ("[http]\ntls_key = 'none.pem'\ntls_certificate = 'none.pem'\n", "tls_certificate"),
        ("[http]\nworkers = 2\nsessions = true\n", "http.sessions"),
        ("[http]\nprot = 1\n", "http.prot"),
        ("[http.jwt]\nissuer = 'https://id.example.com'\naudience = 'x'\n", "jwks_url"),
        ("[http.jwt]\nissuer = 'a'\naudience = 'x'\nkey = 'short'\nalgorithms = ['HS256']\n", "32 bytes"),
        ("[http.jwt]\nissuer = 'a'\naudience = 'x'\njwks_url = 'https://x'\nalgorithms = ['none']\n", "none"),
        ("[http.jwt]\nissuer = 'a'\naudience = 'x'\njwks_url = 'https://x'\nalgorithms = ['RS256', 'HS256']\n", "not both"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(tmp_path: Path, more: str, told: str) -> None:
    assert told in refused_start(tmp_path, more, "--port", "0")


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused_start(tmp_path, "", "--port", str(taken.getsockname()[1]))

    assert "not possible to listen" in said


async def test_a_named_host_serves_others_who_have_a_token(tmp_path: Path) -> None:
    token = await new_token(tmp_path / "data")
    more = "[http]\nhost = '0.0.0.0'\nallowed_hosts = ['memory.example.com']\n"
    with serving(tmp_path / "data", more, known_as="memory.example.com") as server:
        named = post(server, token, Host="memory.example.com")
        others = [
            post(server, token, Host=name).status_code for name in (f"127.0.0.1:{server.port}", "0.0.0.0", "localhost", "example.com")
        ]

    assert named.status_code == 200
    assert others == [421] * 4


async def test_a_unix_socket_is_for_this_user_and_is_taken_over_from_a_server_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "memory.sock"
    token = await new_token(tmp_path / "data", role="admin")
    for number in (signal.SIGKILL, signal.SIGTERM):
        with serving(tmp_path / "data", f"[http]\nunix_socket = '{path}'\n", port="") as server:
            wait_until(lambda: asked(path, "/ready") == 200)
            assert path.stat().st_mode & 0o777 == 0o600
            assert asked(path, "/mcp", method="POST") == 401
            assert asked(path, "/mcp", token) == 405
            server.end(number)


def asked(path: Path, route: str, token: str = "", method: str = "GET") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(path)), timeout=PATIENCE) as client:
        try:
            return client.request(method, f"http://localhost{route}", headers=headers).status_code
        except httpx2.TransportError:
            return 0


async def test_it_speaks_tls_with_the_certificate_it_is_given(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    token = await new_token(tmp_path / "data")
    with serving(tmp_path / "data", f"[http]\ntls_certificate = '{cert}'\ntls_key = '{key}'\n") as server:
        assert server.url.startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx2.Client(verify=trust, timeout=PATIENCE) as client:
            answer = client.get(f"https://localhost:{server.port}/health")
        async with client_of(server, token) as real:
            await tell(real, "recall", query="x")

    assert answer.status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_within_its_bound_whoever_still_listens(tmp_path: Path, number: int) -> None:
    token = await new_token(tmp_path / "data")
    with serving(tmp_path / "data", "[http]\nshutdown_seconds = 1\n") as server:
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n")
        with half, httpx2.Client(timeout=PATIENCE) as client, client.stream("GET", f"{server.url}/sse", headers=bearer(token)) as stream:
            assert stream.status_code == 200
            began = time.monotonic()
            status = server.end(number)
            took = time.monotonic() - began

    assert status == 0
    assert took < 1 + 4 + 10


async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    token = await new_token(tmp_path / "data")
    with serving(tmp_path / "data") as server:
        async with client_of(server, token) as client:
            receipt = await tell(client, "remember", content="The cellar holds forty barrels.")
            server.process.kill()
            server.process.wait()
    with serving(tmp_path / "data") as server:
        async with client_of(server, token) as client:
            found = await tell(client, "get", ids=[receipt["id"]])

    assert found["memories"][0]["text"] == "The cellar holds forty barrels."


async def test_several_workers_serve_one_memory_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    token = await new_token(tmp_path / "data", role="admin")
    with serving(tmp_path / "data", "[http]\nworkers = 2\n") as server:
        both = await workers_of(server, token, 2)
        async with client_of(server, token) as client:
            receipt = await tell(client, "remember", content="The workers share one memory.")
        for _ in range(6):
            async with client_of(server, token, "legacy") as client:
                assert (await tell(client, "get", ids=[receipt["id"]]))["memories"]
        os.kill(both.pop(), signal.SIGKILL)
        other = both.pop()
        now = await workers_of(server, token, 2, without=other)
        sse = server.ask("/sse", token=token)
        assert server.end() == 0

    assert other not in now
    assert sse.status_code == 404
    assert not any(Path(f"/proc/{pid}").exists() for pid in (other, *now))


async def test_workers_count_together(tmp_path: Path) -> None:
    """Calls on connections of their own, which go to either worker."""
    token = await new_token(tmp_path / "data", role="admin")
    more = "[http]\nworkers = 2\n[http.limits]\ncalls_per_minute = 0\naddress_calls_per_minute = 0\nrequests_per_minute = 60\n"
    with serving(tmp_path / "data", more) as server:
        answers = [post(server, token) for _ in range(80)]
        seen = [answer.status_code for answer in answers]

    assert 60 <= seen.count(200) < 75
    assert seen.count(200) + seen.count(429) == 80
    assert int(answers[-1].headers["retry-after"]) >= 1 or seen[-1] == 200


async def workers_of(server: Serving, token: str, count: int, without: int = 0) -> set[int]:
    """The processes that answer, once there are so many."""
    seen: set[int] = set()
    with anyio.fail_after(60):
        while len(seen | {without} - {0}) < count:
            try:
                async with client_of(server, token) as client:
                    seen.add((await tell(client, "stats", section="engine"))["engine"]["pid"])
            except (httpx2.TransportError, ExceptionGroup):  # of a connection to the one that was killed
                await anyio.sleep(0.05)
    return seen - {without}


async def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    token = await new_token(tmp_path / "data", role="admin")
    with serving(tmp_path / "data", "[http]\nworkers = 2\nshutdown_seconds = 0\n") as server:
        both = await workers_of(server, token, 2)
        server.process.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in both))


async def test_sessions_are_given_where_they_are_wanted(tmp_path: Path) -> None:
    ann, bob = await new_token(tmp_path / "data"), await new_token(tmp_path / "data", subject="bob")
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}}
    with serving(tmp_path / "data", "[http]\nsessions = true\n") as server:
        opened = post(server, ann, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
        session = opened.headers["mcp-session-id"]
        named = {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-06-18"}
        post(server, ann, json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode(), **named)
        own, others = post(server, ann, **named), post(server, bob, **named)
        listening = {**bearer(ann), **named, "Accept": "text/event-stream", "Last-Event-ID": "7"}
        with httpx2.Client() as client, client.stream("GET", f"{server.url}/mcp", headers=listening) as again:
            pass

    assert again.status_code == 200
    assert own.status_code == 200
    assert others.status_code == 404


async def test_a_client_without_a_token_is_told_what_is_missing(server: Serving) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with Client(f"{server.url}/mcp") as client:
            await client.list_tools()
    asked = server.ask("/mcp", "POST", content=b"{}")

    assert caught.group_contains(MCPError)
    assert asked.status_code == 401
    assert asked.headers["www-authenticate"].startswith("Bearer")
