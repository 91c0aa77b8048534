"""Real servers over HTTP for tests, tokens for them, and clients of both eras and of the older transport."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from memory_mcp.access import ROLES
from memory_mcp.assembly import open_records
from memory_mcp.clock import utc_now
from memory_mcp.config import load_settings
from memory_mcp.tokens import mint
from tests.engines import PATIENCE, configuration, surroundings
from tests.memories import text_of

ROOT = Path(__file__).parents[1]
Era = Literal["legacy", "auto", "sse"]
ERAS: list[Era] = ["legacy", "auto", "sse"]


@dataclass
class Serving:
    """A server that listens.

    Attributes:
        url: Without a path.
        first_token: The one that it showed when it started; empty where it showed none.
    """

    process: "subprocess.Popen[str]"
    folder: Path
    url: str
    first_token: str

    def ask(self, path: str, method: str = "GET", token: str = "", **options: Any) -> httpx2.Response:
        """One request of its own."""
        headers = {**(bearer(token) if token else {}), **options.pop("headers", {})}
        with httpx2.Client(timeout=PATIENCE, verify=False) as client:
            return client.request(method, self.url + path, headers=headers, **options)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to end; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def is_alive(self) -> bool:
        return self.process.poll() is None and self.ask("/health").status_code == 200


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "memory_mcp", "serve", "--http", "--data-dir", str(folder), *arguments]


@contextmanager
def serving(folder: Path, more: str = "", *arguments: str, port: str = "0", known_as: str = "", **environment: str) -> Iterator[Serving]:
    """A server on the folder, with more of a configuration; ended at the end, if need be by force."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "config.toml").write_text(configuration() + more, "utf-8")
    named = ["--port", port] if port else []
    with (folder / "stderr").open("a") as errors:
        process = subprocess.Popen(
            command(folder, *named, *arguments), env=surroundings(environment), stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
        )
        try:
            assert process.stdout
            first = process.stdout.readline().strip()
            assert first.startswith("Serving on "), (first, (folder / "stderr").read_text())
            made = Serving(process, folder, first.removeprefix("Serving on ").removesuffix("/mcp").replace("0.0.0.0", "127.0.0.1"), "")
            if made.url.startswith("http"):
                wait_ready(made, known_as)
            yield made
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(15)
            if process.poll() is None:
                process.kill()
            process.communicate()


def wait_ready(server: Serving, known_as: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(httpx2.TransportError):
            if server.ask("/ready", headers={"Host": known_as} if known_as else {}).status_code == 200:
                return
        assert server.process.poll() is None, (server.folder / "stderr").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def first_token(server: Serving) -> str:
    """What the server says next, which is the token that it has made."""
    assert server.process.stdout
    line = server.process.stdout.readline().strip()
    assert line.startswith("A token for you, shown this once: "), line
    return line.rpartition(" ")[2]


async def new_token(
    folder: Path, tenant: str = "acme", subject: str = "ann", role: str = "writer", namespaces: tuple[str, ...] = (), expires_in: float = 0
) -> str:
    """A token, put into the store beside the server, as the command does it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = utc_now()
    ends = now + timedelta(seconds=expires_in) if expires_in else None
    text, token = mint(tenant, ROLES[role], now, subject=subject, namespaces=namespaces, expires=ends)
    async with open_records(load_settings(data_dir=folder, environment={})) as store:
        await store.add_token(token)
    return text


@asynccontextmanager
async def client_of(server: Serving, token: str, era: Era = "auto", **headers: str) -> AsyncIterator[Client]:
    """A real client with a token."""
    said = {**bearer(token), **headers}
    if era == "sse":
        async with Client(sse_client(f"{server.url}/sse", headers=said, timeout=PATIENCE), mode="legacy") as client:
            yield client
        return
    async with (
        httpx2.AsyncClient(headers=said, timeout=PATIENCE, verify=False) as http,
        Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=era) as client,
    ):
        yield client


async def tell(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A call that succeeds; its structured content."""
    with anyio.fail_after(PATIENCE):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """A call that is refused; its text."""
    with anyio.fail_after(PATIENCE):
        result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    return text_of(result)


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


CALL_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def post(server: Serving, token: str, body: Mapping[str, Any] | bytes | None = None, **headers: str) -> httpx2.Response:
    """One message by hand, of the older era, without a session."""
    content = body if isinstance(body, bytes) else json.dumps(body or rpc("tools/list")).encode()
    return server.ask("/mcp", "POST", token, content=content, headers={**CALL_HEADERS, **headers})
