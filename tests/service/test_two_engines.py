"""Two engines on one PostgreSQL, Redis and Qdrant, each with a data directory of its own: as one, to whoever asks either."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from bad_days import Crowd, Servers, equal_again, servers
from mcp import Client
from redis_servers import needs_redis

from memory_mcp.answers import RecallRequest
from memory_mcp.config import Settings
from memory_mcp.models import Added
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, stdio_server

pytestmark = needs_redis


@asynccontextmanager
async def two(town: Servers, folder: Path) -> AsyncIterator[tuple[MemoryService, MemoryService]]:
    """Patient ones: what is late is not what these tests are about."""

    def patient(data_dir: Path) -> Settings:
        settings = town.settings(data_dir, embed_seconds=30, vector_seconds=30, text_seconds=30, records_seconds=30)
        return settings.model_copy(update={"records": settings.records.model_copy(update={"pool_seconds": 30})})

    async with open_service(patient(folder / "here")) as one, open_service(patient(folder / "there")) as other:
        yield one, other


async def test_what_the_one_writes_the_next_recall_of_the_other_tells(tmp_path: Path) -> None:
    """Stored, changed, forgotten, brought back: nothing stale is ever told, nor anything missed, from no tier and no cache."""
    chance = random.Random(11)
    present: dict[int, tuple[str, str]] = {}
    stale: list[str] = []
    async with servers(tmp_path) as town, two(town, tmp_path) as services:
        for turn in range(120):
            writer, reader = chance.sample(services, 2)
            locker = chance.randrange(6)
            if locker not in present:
                text = f"Locker {locker} holds the tripod since turn {turn}"
                receipt = await writer.remember(RememberRequest(text), CALLER)
                present[locker] = str(receipt.added.id), text
            elif turn % 3:
                text = f"Locker {locker} holds the kettle since turn {turn}"
                await writer.update(present[locker][0], CALLER, content=text)
                present[locker] = present[locker][0], text
            else:
                await writer.forget([present.pop(locker)[0]], CALLER)
            answer = await reader.recall(RecallRequest(f"What does locker {locker} hold?"), CALLER)  # asked often, so cached
            told = {(str(hit.memory.id), hit.memory.content) for hit in answer.hits}
            if answer.degraded or not told <= set(present.values()) or (locker in present and present[locker] not in told):
                stale.append(f"turn {turn}: {told}")

    assert stale == []


async def test_the_same_told_to_both_at_once_is_one_memory_in_every_tier(tmp_path: Path) -> None:
    async with servers(tmp_path) as town, two(town, tmp_path) as services:
        done: dict[str, list[Added]] = {f"The crate {number} stands in hall {number % 3}": [] for number in range(20)}

        async def remember(service: MemoryService, text: str) -> None:
            done[text].append((await service.remember(RememberRequest(text), CALLER)).added)

        async with anyio.create_task_group() as tasks:
            for text in done:
                for service in (*services, *services):
                    tasks.start_soon(remember, service, text)
        crowd = Crowd(services)
        crowd.present[CALLER.tenant] = {added[0].id: text for text, added in done.items()}
        for service in services:
            await equal_again(service, town, crowd)

    assert all(len({each.id for each in added}) == 1 for added in done.values())
    assert {tuple(sorted(each.status for each in added)) for added in done.values()} == {("already_known",) * 3 + ("stored",)}


async def test_a_crowd_at_both_finds_what_was_acknowledged_by_either(tmp_path: Path) -> None:
    async with servers(tmp_path) as town, two(town, tmp_path) as services:
        crowd = Crowd(services)
        async with crowd.at_work():
            await crowd.written(60)
        for service in services:
            await equal_again(service, town, crowd)

    assert crowd.strange == []
    assert len(crowd.recalls) > 20
    assert not any(recall.degraded or recall.error for recall in crowd.recalls)


async def test_two_processes_are_as_one(tmp_path: Path) -> None:
    async with servers(tmp_path) as town, Client(process(town, tmp_path / "a")) as one, Client(process(town, tmp_path / "b")) as other:
        for turn in range(6):
            writer, reader = (one, other) if turn % 2 else (other, one)
            stored = (await call(writer, "remember", content=f"Ferry {turn} leaves from pier {turn * 3}"))["id"]
            assert stored in await asked(reader, f"Where does ferry {turn} leave from?")
            await call(reader, "update", id=stored, content=f"Ferry {turn} leaves from the old mole")
            assert "old mole" in str(await call(writer, "recall", query=f"Where does ferry {turn} leave from?"))
            await call(writer, "forget", ids=[stored])
            assert stored not in await asked(reader, f"Where does ferry {turn} leave from?")
        receipts: list[dict[str, Any]] = []

        async def remember(client: Client) -> None:
            receipts.append(await call(client, "remember", content="The lighthouse was built in 1871"))

        async with anyio.create_task_group() as tasks:
            for client in (one, other) * 4:
                tasks.start_soon(remember, client)

        assert sorted(receipt["status"] for receipt in receipts) == ["already_known"] * 7 + ["stored"]
        assert len({receipt["id"] for receipt in receipts}) == 1


def process(town: Servers, data_dir: Path) -> Any:
    """A server in a process of its own, with nothing but the three servers in common."""
    settings = town.settings(data_dir)
    assert settings.records.backend == "postgres"
    return stdio_server(
        data_dir,
        MEMORY_MCP_RECORDS__BACKEND="postgres",
        MEMORY_MCP_RECORDS__DSN=settings.records.dsn.get_secret_value(),
        MEMORY_MCP_REDIS__URL=settings.redis.url.get_secret_value(),
        MEMORY_MCP_QDRANT__URL=settings.qdrant.url,
        MEMORY_MCP_QDRANT__GRPC_PORT=str(settings.qdrant.grpc_port),
        MEMORY_MCP_QDRANT__PREFIX=settings.qdrant.prefix,
        MEMORY_MCP_STACK__VECTORS='["qdrant", "resident"]',
    )


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


async def asked(client: Client, query: str) -> list[str]:
    return [hit["id"] for hit in (await call(client, "recall", query=query))["hits"]]
