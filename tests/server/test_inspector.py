"""The MCP Inspector's command line against the real server: a client that nobody here wrote."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import StdioServerParameters

from tests.engines import data_directory, front

INSPECTOR = os.environ.get("MEMORY_MCP_TEST_INSPECTOR", "")

pytestmark = pytest.mark.skipif(
    not INSPECTOR, reason="MEMORY_MCP_TEST_INSPECTOR names no inspector, such as `npx @modelcontextprotocol/inspector`"
)


@pytest.fixture(params=["isolated", "front"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StdioServerParameters]:
    """The server in a process of its own, or the front of an engine."""
    with data_directory(tmp_path / "data") as folder:
        yield front(folder, *(["--isolated"] if request.param == "isolated" else []))


def inspect(server: StdioServerParameters, *arguments: str) -> Any:
    command = [*shlex.split(INSPECTOR), "--cli", server.command, *server.args, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **(server.env or {})}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_inspector_lists_and_calls(server: StdioServerParameters) -> None:
    tools = inspect(server, "--method", "tools/list")["tools"]
    call = ("--method", "tools/call", "--tool-name")
    stored = inspect(server, *call, "remember", "--tool-arg", "content=The release branch is called stable")
    found = inspect(server, *call, "recall", "--tool-arg", "query=Which branch do we release from?")
    prompts = inspect(server, "--method", "prompts/list")["prompts"]

    assert len(tools) == 8
    assert [hit["id"] for hit in found["structuredContent"]["hits"]] == [stored["structuredContent"]["id"]]
    assert [prompt["name"] for prompt in prompts] == ["start"]
