"""The memory as a whole, its records in PostgreSQL: what is said there holds here."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import anyio
import pytest
from postgres_server import APP, Databases, server
from proxies import proxy_to

from memory_mcp.answers import RecallRequest
from memory_mcp.config import RecallSettings, Settings
from memory_mcp.errors import TierUnavailableError
from memory_mcp.models import Caller, Provenance
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, settings_for, settings_without_model


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    made = Databases(tmp_path)
    yield made
    made.drop()


@pytest.fixture
def settings(tmp_path: Path, databases: Databases) -> Settings:
    return settings_for(tmp_path).model_copy(update={"records": server().settings(databases.make())})


async def remember(service: MemoryService, content: str, **fields: object) -> str:
    receipt = await service.remember(RememberRequest(content, **fields), CALLER)  # type: ignore[arg-type]
    return str(receipt.added.id)


async def recall(service: MemoryService, query: str, caller: Caller = CALLER, **fields: object) -> list[str]:
    answer = await service.recall(RecallRequest(query, **fields), caller)  # type: ignore[arg-type]
    return [str(hit.memory.id) for hit in answer.hits]


async def test_what_is_acknowledged_is_found_by_the_very_next_recall(settings: Settings) -> None:
    async with open_service(settings) as service:
        for number in range(10):
            stored = await remember(service, f"The meeting room number {number} is painted in colour {number * 7}")
            assert stored in await recall(service, f"What colour is meeting room {number}?", limit=3)


async def test_what_one_program_remembers_another_recalls_at_once(settings: Settings) -> None:
    async with open_service(settings) as one, open_service(settings) as other:
        stored = await remember(one, "The printer is on the second floor")
        assert await recall(other, "Where is the printer?") == [stored]
        await other.forget([stored], CALLER)
        assert await recall(one, "Where is the printer?") == []


async def test_forgetting_is_taken_back(settings: Settings) -> None:
    async with open_service(settings) as service:
        stored = await remember(service, "The alarm code is on the note in the drawer")
        await service.forget([stored], CALLER)
        assert await recall(service, "Where is the alarm code?") == []
        await service.undo("last", CALLER)

        assert await recall(service, "Where is the alarm code?") == [stored]


async def test_a_key_has_one_current_value_and_the_others_are_its_past(settings: Settings) -> None:
    async with open_service(settings) as service:
        first = await remember(service, "The user's editor is Vim", key="user.editor")
        for editor in ("Emacs", "Vim"):
            current = await remember(service, f"The user's editor is {editor}", key="user.editor")
        ((_, versions),) = await service.get([first], CALLER, history=True)

        assert await recall(service, "Which editor does the user use?") == [current]
        assert len(versions) == 1


async def test_updating_changes_what_finds_it(settings: Settings) -> None:
    async with open_service(settings) as service:
        stored = await remember(service, "The cat is called Mia", tags=["pets"])
        await service.update(stored, CALLER, content="The tortoise is called Otto", tags=["animals"])

        assert await recall(service, "What is the tortoise called?", tags=["animals"]) == [stored]
        assert await recall(service, "What is the tortoise called?", tags=["pets"]) == []


async def test_concurrent_calls_are_all_kept(settings: Settings) -> None:
    async with open_service(settings) as service:
        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(remember, service, f"Concurrent fact number {number}")
        counts = await service.records.counts("local")

    assert (counts.by_namespace, counts.unembedded) == ({"project": 60}, 0)


async def test_being_recalled_is_counted(settings: Settings) -> None:
    async with open_service(settings) as service:
        stored = await remember(service, "The spare key hangs behind the door")
        await recall(service, "Where is the spare key?")
        await service.reinforcer.flush()
        ((memory, _),) = await service.get([stored], CALLER)

    assert memory.recalled_count == 1


async def test_a_database_that_falls_silent_holds_up_neither_a_receipt_nor_a_recall_for_long(tmp_path: Path, databases: Databases) -> None:
    async with proxy_to(server().socket) as door:
        dsn = server().dsn(databases.make(), APP, "127.0.0.1", door.port)
        recall_settings = RecallSettings(embed_seconds=30, records_seconds=1)
        given = {"records": server().settings(databases.make(), dsn=dsn, owner_dsn=""), "recall": recall_settings}
        async with open_service(settings_for(tmp_path).model_copy(update=given)) as service:
            await remember(service, "The ladder leans on the shed")
            hung = anyio.Event()

            def hang_before_similar_ones_are_read(data: bytes) -> bool:
                if b"WHERE m.id = ANY" in data and b"m.forgotten IS NULL" in data:
                    door.hang()
                    hung.set()
                return False

            door.swallow = hang_before_similar_ones_are_read
            began = time.monotonic()
            receipt = await service.remember(RememberRequest("The ladder leans on the old shed"), CALLER)
            stored = time.monotonic()
            with pytest.raises(TierUnavailableError, match="took too long"):
                await recall(service, "Where is the ladder?")
            refused = time.monotonic()
            door.swallow = lambda data: False
            door.resume()
            door.cut()

            assert hung.is_set()
            assert (receipt.added.status, receipt.similar) == ("stored", [])
            assert stored - began < 5
            assert refused - stored < 4
            with anyio.fail_after(20):
                while not await found(service, receipt.added.id):  # noqa: ASYNC110 - it is the database that is back
                    await anyio.sleep(0.1)


async def found(service: MemoryService, memory_id: UUID) -> bool:
    try:
        return str(memory_id) in await recall(service, "Where is the ladder?")
    except TierUnavailableError:
        return False


async def test_tenants_of_one_program_see_nothing_of_each_other(settings: Settings) -> None:
    stranger = Caller("stranger", CALLER.namespace, Provenance(client="pytest"))
    async with open_service(settings) as service:
        await remember(service, "The vault opens at nine")

        assert await recall(service, "When does the vault open?", stranger) == []
        assert (await service.stats(stranger)).counts.by_namespace == {}


async def test_what_was_stored_without_a_model_is_embedded_when_there_is_one(settings: Settings, tmp_path: Path) -> None:
    bare = settings_without_model(tmp_path).model_copy(update={"records": settings.records})
    async with open_service(bare, ready=False) as service:
        stored = await remember(service, "The archive is kept in getArchivePath")
        assert await recall(service, "archive path") == [stored]
    async with open_service(settings) as service:
        with anyio.fail_after(20):
            while (await service.records.counts("local")).unembedded:  # noqa: ASYNC110 - the worker is another's
                await anyio.sleep(0.05)
        figures = (await service.stats(CALLER)).tiers["postgres"]

    assert (figures["role"], figures["health"]) == ("records", "ok")
