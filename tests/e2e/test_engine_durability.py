"""Eight clients on one engine that is killed while they write: nothing that was acknowledged is lost, and no client loses its server."""

import os
import signal
from pathlib import Path

import anyio
from mcp import Client

from tests.engines import data_directory, front, pid_of, status

CLIENTS, EACH, AT_ONCE = 8, 250, 10
KILLS = (500, 1_200)
"""Numbers of acknowledged memories after which the engine is killed."""


async def test_eight_clients_lose_nothing_when_their_engine_is_killed_twice(tmp_path: Path) -> None:
    acknowledged: dict[str, str] = {}
    repeated = 0

    async def remember(client: Client, content: str) -> None:
        """As a model does it: what failed is repeated as the error says."""
        nonlocal repeated
        while True:
            result = await client.call_tool("remember", {"content": content})
            assert result.structured_content or result.is_error
            if not result.is_error:
                assert result.structured_content is not None
                acknowledged[str(result.structured_content["id"])] = content
                return
            assert "safe to repeat" in getattr(result.content[0], "text", "")
            repeated += 1

    async def work(folder: Path, name: int) -> None:
        async with Client(front(folder), mode="legacy" if name % 2 else "auto") as client, anyio.create_task_group() as tasks:
            for part in range(AT_ONCE):

                async def some(part: int = part) -> None:
                    for number in range(part, EACH, AT_ONCE):
                        await remember(client, f"Client {name} has written line {number}")

                tasks.start_soon(some)

    async def kill(folder: Path) -> None:
        for count in KILLS:
            while len(acknowledged) < count:  # noqa: ASYNC110 - a number to look at, no event
                await anyio.sleep(0.01)
            os.kill(pid_of(folder), signal.SIGKILL)

    with data_directory(tmp_path / "data") as folder:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill, folder)
            for name in range(CLIENTS):
                tasks.start_soon(work, folder, name)
        found: dict[str, str] = {}
        async with Client(front(folder)) as client:
            cursor = ""
            while True:
                result = await client.call_tool("recall", {"limit": 100, "max_tokens": 20_000, "cursor": cursor})
                assert result.structured_content is not None
                found.update((hit["id"], hit["text"]) for hit in result.structured_content["hits"])
                cursor = result.structured_content.get("cursor", "")
                if not cursor:
                    break
            assert status(folder)["connections"] == 1

    print(f"{repeated} calls were repeated")
    assert {memory_id: text for memory_id, text in acknowledged.items() if found.get(memory_id) != text} == {}
    assert sorted(found.values()) == sorted(f"Client {name} has written line {n}" for name in range(CLIENTS) for n in range(EACH))
