"""`doctor` and `reindex` where memories are in PostgreSQL and searched in Qdrant, over a real connection to each."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from bad_days import word
from postgres_server import APP, Databases, server
from qdrant_client import models
from qdrant_wire import serving
from qdrants import SERVER, on_a_server
from test_reindex import command

from memory_mcp.answers import RecallRequest
from memory_mcp.cli.checks import Doctor
from memory_mcp.config import CacheSettings, Settings, load_settings
from memory_mcp.models import Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.tiers.postgres.store import PostgresStore
from memory_mcp.tiers.qdrant.connection import Connection
from memory_mcp.tiers.qdrant.index import QdrantIndex
from memory_mcp.tiers.qdrant.opening import open_qdrant
from tests.engines import configuration
from tests.memories import CALLER, open_service, settings_for

SCOPE = Scope("local", "project")
REINDEX = "Fill it anew: memory-mcp reindex"
everywhere = pytest.mark.parametrize("real", [pytest.param(False, id="wire"), pytest.param(True, id="server", marks=on_a_server)])

Work = Callable[[QdrantIndex, Connection, str], Awaitable[None]]


@dataclass
class Home:
    """A data directory whose configuration names both servers."""

    path: Path

    @property
    def settings(self) -> Settings:
        return load_settings(data_dir=self.path / "data", environment={})

    def patient(self) -> Settings:
        """The same for a service in this process, which asks Qdrant alone, and each time."""
        named = self.settings
        given = {"records": named.records, "qdrant": named.qdrant, "stack": named.stack, "cache": CacheSettings(max_entries=0)}
        return settings_for(self.path / "data").model_copy(update=given)

    async def check(self) -> tuple[str, str, str]:
        """What doctor says of Qdrant; without the rest, which takes its time."""
        check = await Doctor(self.settings, lambda sentence: None)._qdrant()
        return check.state, check.found, check.remedy

    async def reindex(self) -> int:
        """The command, in a process of its own."""
        done = await anyio.to_thread.run_sync(lambda: command("reindex", "--json", home=self.path))
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["memories"])

    async def behind_everybodys_back(self, work: Work) -> None:
        """Do something to the index that nobody is told of."""
        records: Any = self.settings.records
        async with PostgresStore.open(records) as store:
            epoch = await store.active_epoch()
            assert epoch
            async with open_qdrant(self.settings.qdrant, self.path, await store.identity()) as (index, connection):
                await work(index, connection, epoch)


@asynccontextmanager
async def home(folder: Path, *, real: bool) -> AsyncIterator[Home]:
    async with AsyncExitStack() as stack:
        databases = Databases(folder)
        stack.callback(databases.drop)
        where = f'url = "{SERVER}"' if real else f'url = "http://127.0.0.1:9"\ngrpc_port = {await stack.enter_async_context(serving())}'
        data = folder / "data"
        data.mkdir(mode=0o700)
        config = data / "config.toml"
        config.write_text(
            f'{configuration()}[records]\nbackend = "postgres"\ndsn = "{server().dsn(databases.make(), APP)}"\n'
            f'[qdrant]\n{where}\nprefix = "memory-mcp-test"\ntimeout_seconds = 10\n[stack]\nvectors = ["qdrant"]\n',
            "utf-8",
        )
        config.chmod(0o600)
        yield Home(folder)


async def fill(at: Home, texts: int) -> None:
    """With Qdrant passed over, as if it had been added later."""
    without = at.patient().model_copy(update={"qdrant": type(at.settings.qdrant)()})
    async with open_service(without) as service:
        for number in range(texts):
            await service.remember(RememberRequest(f"The boat {word(number)} is moored at pier {number * 3}"), CALLER)


async def lose_some(index: QdrantIndex, connection: Connection, epoch: str) -> None:
    held = sorted(await index.held(SCOPE, epoch))
    await index.delete(SCOPE, held[:5], epoch)


async def lose_all(index: QdrantIndex, connection: Connection, epoch: str) -> None:
    known = await index.find(epoch)
    assert known
    await (await connection.client()).delete_collection(known.name)


async def of_another_dimension(index: QdrantIndex, connection: Connection, epoch: str) -> None:
    client = await connection.client()
    known = await index.find(epoch)
    assert known
    foreign = f"{index.alias(epoch)}-foreign"
    await client.create_collection(foreign, vectors_config=models.VectorParams(size=8, distance=models.Distance.DOT))
    for field in ("scope", "memory", "passage", "revision", "kind", "domain", "tags", "when", "expires"):
        await client.create_payload_index(foreign, field, field_schema=models.PayloadSchemaType.KEYWORD, wait=True)
    leave = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=index.alias(epoch)))
    lead = models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=foreign, alias_name=index.alias(epoch)))
    await client.update_collection_aliases([leave, lead])
    await client.delete_collection(known.name)


@everywhere
async def test_doctor_finds_what_reindex_mends(tmp_path: Path, real: bool) -> None:
    async with home(tmp_path, real=real) as at:
        await fill(at, 12)
        before = await at.check()
        carried = [await at.reindex()]
        well = [await at.check()]
        ill = []
        for fault in (lose_some, lose_all, of_another_dimension):
            await at.behind_everybodys_back(fault)
            ill.append(await at.check())
            carried.append(await at.reindex())
            well.append(await at.check())
        await at.behind_everybodys_back(lose_all)

    assert before[:2] == ("note", "12 memories are still to be carried there")
    assert {state[0] for state in well} == {"ok"}
    assert all(state[1].startswith("every memory is there (12; namespaces: 1;") for state in well)
    assert ill[0] == ("wrong", "5 memories are missing there, 0 are there that should not be", REINDEX)
    assert ill[1][:2] == ("note", "12 memories are still to be carried there")
    assert ill[2] == ("wrong", "Its collection cannot be used: its vectors have 8 numbers instead of 384", REINDEX)
    assert carried == [12] * 4


async def told(service: MemoryService, number: int) -> tuple[list[UUID], tuple[str, ...]]:
    answer = await service.recall(RecallRequest(f"Where is the boat {word(number)} moored?"), CALLER)
    return [hit.memory.id for hit in answer.hits], tuple(answer.degraded)


@everywhere
async def test_questions_are_answered_while_everything_is_carried_anew(tmp_path: Path, real: bool) -> None:
    async with home(tmp_path, real=real) as at:
        await fill(at, 40)
        await at.reindex()
        async with open_service(at.patient()) as service:
            done = anyio.Event()
            expected = [await told(service, number) for number in range(40)]
            others: list[int] = []
            asked = 0

            async def ask() -> None:
                nonlocal asked
                while not done.is_set():
                    service.known.clear()  # an answer that is known asks no tier
                    if await told(service, asked % 40) != expected[asked % 40]:
                        others.append(asked)
                    asked += 1

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await at.reindex()
                done.set()
            await service.remember(RememberRequest("The boat of the harbour master is moored at no pier"), CALLER)
            answered = dict(service.figures["resident"]()["answered_by"])
            with anyio.fail_after(20):
                while not (await at.check())[1].startswith("every memory is there (41;"):
                    await service.recall(RecallRequest(f"Where is it at {anyio.current_time()}?"), CALLER)
                    await anyio.sleep(0.1)
        await at.behind_everybodys_back(lose_all)

    assert others == []
    assert asked > 20
    assert answered["qdrant"] > 0
