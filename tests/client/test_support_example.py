"""The help desk of the examples, run for real: a client, the example, and memory-mcp behind it, by either way."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.engines import data_directory
from tests.http_servers import ROOT, Serving, new_token, refused, tell
from tests.memories import code_path


@pytest.fixture(params=["stdio", "http"])
def open_desk(request: pytest.FixtureRequest, server: Serving, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Client]]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Client]:
        if request.param == "http":
            environment = {"MEMORY_URL": f"{server.url}/mcp", "MEMORY_TOKEN": await new_token(server.folder, "support", role="admin")}
            async with Client(example(environment)) as client:
                yield client
            return
        with data_directory(tmp_path / ".memory-mcp"):
            command = tmp_path / "memory-mcp"  # as it would be installed
            command.write_text(f"#!/bin/sh\nexport PYTHONPATH='{ROOT}'\nexec '{sys.executable}' -m memory_mcp \"$@\"\n")
            command.chmod(0o755)
            async with Client(example({"HOME": str(tmp_path), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})) as client:
                yield client

    return opened


def example(environment: dict[str, str]) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable, args=[str(ROOT / "examples" / "support_server.py")], env={**code_path(), **environment}, cwd="/"
    )


async def test_what_solved_a_problem_once_is_at_hand_when_it_comes_back(open_desk: Any) -> None:
    async with open_desk() as client:
        first = await tell(client, "open_ticket", customer="Acme", problem="The printer on floor 3 prints only blank pages.")
        other = await tell(client, "open_ticket", customer="Globex", problem="Logging in to the wiki takes a minute.")
        solved = await tell(client, "solve_ticket", ticket=first["id"], solution="The toner cartridge was still sealed: remove the strip.")
        again = await tell(client, "open_ticket", customer="Initech", problem="Our printer prints nothing but blank pages.")
        asked = await tell(client, "ask_desk", question="Printed pages come out blank")
        wrong = await refused(client, "solve_ticket", ticket="nonsense", solution="x")

    assert (first["seen_before"], other["seen_before"]) == ([], [])
    assert solved["result"] == "Closed. 1 more to do."
    (case,) = again["seen_before"]
    assert "remove the strip" in case["text"]
    assert case["customer"] == "Acme"
    assert asked["result"] == [case]
    assert "not a memory id" in wrong
