"""The promises of durability, held by real servers that are really killed."""

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError

from tests.memories import stdio_server


@asynccontextmanager
async def serving(data_dir: Path) -> AsyncIterator[Client]:
    async with Client(stdio_server(data_dir)) as client:
        yield client


def pids_on(data_dir: Path) -> list[int]:
    """The servers of a data directory."""
    listed = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if f"--data-dir {data_dir} " in f"{line} " and "serve" in line]


async def remember(client: Client, content: str) -> str:
    result = await client.call_tool("remember", {"content": content})
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return str(result.structured_content["id"])


async def stored_ids(data_dir: Path) -> dict[str, str]:
    """Every live memory's text by its id, read through a new server."""
    found: dict[str, str] = {}
    async with serving(data_dir) as client:
        cursor = ""
        while True:
            result = await client.call_tool("recall", {"limit": 100, "max_tokens": 20_000, "cursor": cursor})
            assert result.structured_content is not None
            found.update((hit["id"], hit["text"]) for hit in result.structured_content["hits"])
            cursor = result.structured_content.get("cursor", "")
            if not cursor:
                return found


async def test_no_acknowledged_memory_is_lost_when_the_server_is_killed_again_and_again(tmp_path: Path) -> None:
    acknowledged: dict[str, str] = {}
    sent = 0
    chance = random.Random(7)
    while len(acknowledged) < 1_000:
        kill_after = chance.randint(20, 250)
        try:
            async with serving(tmp_path) as client, anyio.create_task_group() as tasks:
                done = 0

                async def work(client: Client = client, kill_after: int = kill_after) -> None:
                    nonlocal sent, done
                    while True:
                        sent += 1
                        text = f"Fact number {sent} of the endurance test"
                        acknowledged[await remember(client, text)] = text
                        done += 1
                        if done == kill_after:
                            (pid,) = pids_on(tmp_path)
                            os.kill(pid, signal.SIGKILL)

                for _ in range(8):
                    tasks.start_soon(work)
        except* (MCPError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # killed as planned

    found = await stored_ids(tmp_path)
    lost = {memory_id: text for memory_id, text in acknowledged.items() if found.get(memory_id) != text}
    assert not lost
    assert len(found) <= sent
    assert len(set(found.values())) == len(found)


async def test_four_servers_on_one_data_directory_lose_nothing_and_see_each_other(tmp_path: Path) -> None:
    writers, each = 4, 250
    ids: list[str] = []

    async def write(client: Client, name: int) -> None:
        async def some(part: int) -> None:
            for number in range(part, each, 10):
                ids.append(await remember(client, f"Writer {name} has written line {number}"))

        async with anyio.create_task_group() as tasks:
            for part in range(10):
                tasks.start_soon(some, part)

    async with serving(tmp_path) as one, serving(tmp_path) as two, serving(tmp_path) as three, serving(tmp_path) as four:
        clients = [one, two, three, four]
        async with anyio.create_task_group() as tasks:
            for name, client in enumerate(clients):
                tasks.start_soon(write, client, name)
        for name in range(writers):
            fresh = await remember(clients[name], f"Writer {name} is called {'Ada Bob Cleo Dan'.split()[name]}")
            for client in clients:
                result = await client.call_tool("recall", {"query": f"What is writer {name} called?", "limit": 3})
                assert fresh in [hit["id"] for hit in (result.structured_content or {})["hits"]]

    assert len(set(ids)) == writers * each
    assert set(ids) <= (await stored_ids(tmp_path)).keys()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
def test_the_server_leaves_within_a_second_or_two_and_keeps_what_it_acknowledged(tmp_path: Path, end: signal.Signals | None) -> None:
    arguments = stdio_server(tmp_path)
    with subprocess.Popen(
        [sys.executable, *arguments.args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(arguments.env or {})},
    ) as process:
        assert process.stdin
        assert process.stdout
        version = b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}'
        call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"remember","arguments":{"content":"Kept"},%s}}\n'
        process.stdin.write(call % version)
        process.stdin.flush()
        answer = process.stdout.readline()
        if end is None:
            process.stdin.close()
        else:
            process.send_signal(end)
        status = process.wait(3)

    (memory_id,) = re.findall(rb'"id":"([0-9a-f-]{36})"', answer)
    assert status == 0
    assert memory_id.decode() in anyio.run(stored_ids, tmp_path)


async def refusal_of(data_dir: Path, tool: str, arguments: dict[str, Any]) -> str:
    async with serving(data_dir) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(getattr(result.content[0], "text", ""))


async def test_a_damaged_store_is_reported_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "memories.db"
    file.write_bytes(b"this was once a database " * 400)

    said = await refusal_of(tmp_path, "remember", {"content": "x"})

    assert "damaged" in said
    assert "restore" in said
    assert file.read_bytes() == b"this was once a database " * 400


async def test_after_an_unclean_end_the_file_is_looked_at_in_full_and_damage_is_shown(tmp_path: Path) -> None:
    async with serving(tmp_path) as client:
        for number in range(200):
            await remember(client, f"Fact number {number} fills a page or two of the file")
    file = tmp_path / "memories.db"
    healthy = file.read_bytes()
    page = 4096 * next(n for n in range(3, len(healthy) // 4096) if healthy[4096 * n] == 13)  # a leaf of a table
    file.write_bytes(healthy[: page + 8] + b"\xff" * 64 + healthy[page + 72 :])
    (tmp_path / "memories.db-wal").write_bytes(b"left behind")

    async with serving(tmp_path) as client:
        with anyio.fail_after(20):
            while True:
                result = await client.call_tool("stats", {"section": "tiers"})
                health = (result.structured_content or {}).get("tiers", {}).get("sqlite", {}).get("health", "ok")
                if health != "ok":
                    break

    assert "damaged" in health
    assert "memory-mcp doctor" in health
