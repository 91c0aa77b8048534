"""The MCP Inspector's command line against the real server: a client that nobody here wrote."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.memories import stdio_server

INSPECTOR = os.environ.get("MEMORY_MCP_TEST_INSPECTOR", "")

pytestmark = pytest.mark.skipif(
    not INSPECTOR, reason="MEMORY_MCP_TEST_INSPECTOR names no inspector, such as `npx @modelcontextprotocol/inspector`"
)


def inspect(data_dir: Path, *arguments: str) -> Any:
    server = stdio_server(data_dir)
    command = [*shlex.split(INSPECTOR), "--cli", server.command, *server.args, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **(server.env or {})}, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_inspector_lists_and_calls(tmp_path: Path) -> None:
    tools = inspect(tmp_path, "--method", "tools/list")["tools"]
    call = ("--method", "tools/call", "--tool-name")
    stored = inspect(tmp_path, *call, "remember", "--tool-arg", "content=The release branch is called stable")
    found = inspect(tmp_path, *call, "recall", "--tool-arg", "query=Which branch do we release from?")
    prompts = inspect(tmp_path, "--method", "prompts/list")["prompts"]

    assert len(tools) == 8
    assert [hit["id"] for hit in found["structuredContent"]["hits"]] == [stored["structuredContent"]["id"]]
    assert [prompt["name"] for prompt in prompts] == ["start"]
