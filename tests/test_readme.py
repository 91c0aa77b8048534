"""The README, believed word for word: its blocks run, its tools are the tools, its links lead somewhere."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from postgres_server import Server
from pydantic import SecretStr

from memory_mcp.config import load_settings
from memory_mcp.server.app import TOOL_SETS
from memory_mcp.tiers.postgres.store import PostgresStore
from tests.engines import data_directory
from tests.models import compiled_model_dir

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
TOOLS = ["remember", "recall", "find_similar", "context", "get", "update", "forget", "stats"]


@dataclass(frozen=True)
class Block:
    language: str
    line: int
    text: str


BLOCKS = [
    Block(match[1], README.count("\n", 0, match.start()) + 1, match[2])
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
]
SHIMS = {
    # stand for what a test does not do: install the package, and have Claude Code
    "pip": '[ "$*" = "install memory-mcp[local]" ]',
    "claude": '[ "$1 $2" = "mcp add" ] || exit 1; while [ "$1" != "--" ]; do shift; done; shift; exec "$@" </dev/null',
}


def blocks(language: str) -> Any:
    return pytest.mark.parametrize("block", [pytest.param(b, id=f"line {b.line}") for b in BLOCKS if b.language == language])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A new user's: an empty home and this project's commands; the model is there already, and setup has nothing to do."""
    home = tmp_path_factory.mktemp("home")
    with data_directory(home / ".memory-mcp"):
        yield environment_in(home)


def environment_in(home: Path) -> Mapping[str, str]:
    (home / "bin").mkdir()
    (home / ".cursor").mkdir()  # a client
    for name, script in SHIMS.items():
        (home / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (home / "bin" / name).chmod(0o755)
    theirs = ("MEMORY_MCP_", "MAKE", "MFLAGS", "XDG_", "CLAUDE", "CODEX_")  # the last ones could lead to a real client's files
    kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    return {
        **kept,
        "HOME": str(home),
        "PATH": os.pathsep.join([str(home / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "VENV": sys.prefix,
        "ARGS": f"--data-dir {home / 'demo'}",
        "MEMORY_MCP_EMBEDDING__MODEL": str(compiled_model_dir()),
    }


def run(command: list[str], environment: Mapping[str, str], cwd: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def remembering(environment: Mapping[str, str]) -> StdioServerParameters:
    return StdioServerParameters(command="memory-mcp", env=dict(environment), cwd=environment["HOME"])


def test_every_block_is_of_a_kind_that_is_tested_here() -> None:
    assert [block for block in BLOCKS if block.language not in ("bash", "json", "sql", "toml", "python", "text")] == []
    assert BLOCKS[0].text == "make run\n"


@blocks("bash")
async def test_commands_run_as_they_stand(block: Block, environment: Mapping[str, str]) -> None:
    async with Client(remembering(environment)) as client:  # so that there is a store to look into
        assert not (await client.call_tool("remember", {"content": "The README is tested."})).is_error

    run(["bash", "-euo", "pipefail", "-c", block.text], environment, ROOT if "make" in block.text else Path(environment["HOME"]))


@blocks("json")
async def test_a_client_configuration_starts_a_server(block: Block, environment: Mapping[str, str]) -> None:
    configuration = json.loads(block.text)
    await assert_starts((configuration.get("mcpServers") or configuration["servers"])["memory"], environment)


@blocks("toml")
async def test_what_is_written_in_toml_is_valid(block: Block, environment: Mapping[str, str], tmp_path: Path) -> None:
    given = tomllib.loads(block.text)
    if "mcp_servers" in given:
        await assert_starts(given["mcp_servers"]["memory"], environment)
        return
    (tmp_path / "config.toml").write_text(block.text, "utf-8")
    settings = load_settings(data_dir=tmp_path).model_dump()
    assert among(settings, given) == given


def among(settings: Any, given: Any) -> Any:
    """Of settings what is given."""
    if isinstance(given, dict):
        return {key: among(settings[key], value) for key, value in given.items()}
    return settings.get_secret_value() if isinstance(settings, SecretStr) else settings


@blocks("sql")
async def test_a_database_made_so_serves(block: Block) -> None:
    server = Server(bare=True)
    try:
        server.psql(block.text)
        records = server.settings("memory")
        async with PostgresStore.open(records) as store:
            assert await store.check() == []
    finally:
        server.end()


@blocks("python")
def test_programs_run(block: Block, environment: Mapping[str, str], tmp_path: Path) -> None:
    assert "Invoices are due after 30 days." in run([sys.executable, "-c", block.text], environment, tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "clients").glob("*.[jt]*")), ids=lambda path: path.name)
async def test_an_example_configuration_starts_a_server(path: Path, environment: Mapping[str, str]) -> None:
    text = path.read_text("utf-8")
    given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    (servers,) = given.values()
    await assert_starts(servers["memory"], environment)


async def assert_starts(entry: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    assert entry.get("type", "stdio") == "stdio"
    assert set(entry) <= {"type", "command", "args", "env"}
    server = StdioServerParameters(
        command=entry["command"],
        args=entry.get("args", []),
        env={**environment, **entry.get("env", {})},
        cwd=environment["HOME"],
    )
    async with Client(server) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == TOOLS


async def test_the_table_names_the_tools(environment: Mapping[str, str]) -> None:
    async with Client(remembering(environment)) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]

    tables = re.findall(r"^\| tool(?: of `(\w+)`)? \|.*\n\|.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    named = {of: re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE) for of, rows in tables}
    assert named.pop("") == tools
    assert named == {name: [tool.name for tool in tools()] for name, tools in TOOL_SETS.items()}
    assert prompts == ["start"]


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_first_screen_is_short() -> None:
    assert "There now" in "\n".join(README.splitlines()[:50])
    assert max(map(len, README.splitlines())) <= 145
