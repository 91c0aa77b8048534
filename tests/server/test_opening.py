"""What a client is told while the memory behind its server cannot be opened."""

import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import apsw
import pytest
from mcp import Client, MCPError

from memory_mcp.engine.opening import open_behind
from memory_mcp.server import desk
from memory_mcp.server.app import make_server
from memory_mcp.server.desk import Desk, Opening
from memory_mcp.service import MemoryService
from memory_mcp.tiers.sqlite.lock import StoreLock
from memory_mcp.tiers.sqlite.settings import EncryptionSettings
from tests.memories import open_client, open_service, settings_for, text_of


async def test_a_newer_schema_is_refused_in_words_and_left_untouched(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path)) as client:
        await client.call_tool("remember", {"content": "Written by this version"})
    connection = apsw.Connection(str(tmp_path / "memories.db"))
    connection.pragma("user_version", 99)
    connection.close()
    before = (tmp_path / "memories.db").read_bytes()

    async with open_client(settings_for(tmp_path)) as client:
        assert len((await client.list_tools()).tools) == 8
        result = await client.call_tool("recall", {"query": "x"})
        with pytest.raises(MCPError, match="newer memory_mcp"):
            await client.get_prompt("start", {})
        with pytest.raises(MCPError, match="newer memory_mcp"):
            await client.read_resource("memory://stats")

    assert result.is_error
    assert "newer memory_mcp" in text_of(result)
    assert (tmp_path / "memories.db").read_bytes() == before


async def test_the_handshake_waits_for_no_lock_and_the_first_call_goes_on_once_it_is_free(tmp_path: Path) -> None:
    lock = StoreLock(tmp_path / "memories.lock")
    assert lock.acquire(0)
    start = time.monotonic()
    async with open_client(settings_for(tmp_path), ready=False) as client:
        await client.list_tools()
        answered = time.monotonic() - start
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                result = await client.call_tool("remember", {"content": "It had to wait"})
                assert not result.is_error

            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            lock.release()
    lock.close()

    assert answered < 2


async def test_an_unforeseen_failure_reaches_the_client_as_a_bland_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("memory_mcp.server.desk._RETRY_SECONDS", 0.01)
    attempts = 0
    opened = anyio.Event()

    @asynccontextmanager
    async def failing_first() -> AsyncIterator[MemoryService]:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise RuntimeError("the secret is in the details")
        async with open_service(settings_for(tmp_path)) as service:
            opened.set()
            yield service

    async with Client(make_server(Desk(Opening(failing_first), "local", "project"))) as client:
        first = await client.call_tool("recall", {})
        with anyio.fail_after(60):
            await opened.wait()
        second = await client.call_tool("recall", {})

    assert first.is_error
    assert not second.is_error
    assert "secret" not in text_of(first)
    assert "the secret is in the details" in caplog.text


async def test_a_store_that_is_deleted_under_a_server_is_not_written_to_and_a_new_one_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "_LOOK_SECONDS", 0.05)
    async with open_client(settings_for(tmp_path)) as client:
        await client.call_tool("remember", {"content": "The old store stands in the cellar"})
        for path in tmp_path.glob("memories.db*"):
            path.unlink()
        with anyio.fail_after(60):
            while True:
                stored = await client.call_tool("remember", {"content": "The new store stands in the attic"})
                if not stored.is_error:
                    break
                assert "moved, replaced or deleted" in text_of(stored) or "store is closed" in text_of(stored)
        found = await client.call_tool("recall", {})
    async with open_client(settings_for(tmp_path)) as client:
        kept = await client.call_tool("recall", {})

    for result in (found, kept):
        assert "The new store" in text_of(result)
        assert "The old store" not in text_of(result)


async def test_a_key_that_a_program_does_not_give_is_not_asked_for_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may ask a person each time."""
    monkeypatch.setattr(desk, "_RETRY_SECONDS", 0.05)
    asked = tmp_path / "asked"
    command = ["sh", "-c", f"echo asked >> '{asked}'; exit 1"]
    settings = settings_for(tmp_path / "data").model_copy(update={"encryption": EncryptionSettings(key_command=command)})
    async with open_client(settings, ready=False) as client:
        result = await client.call_tool("recall", {"query": "x"})
        await anyio.sleep(0.5)

    assert "key_command ended with status 1" in text_of(result)
    assert asked.read_text().count("asked") == 1
    assert not (tmp_path / "data").exists()


async def test_what_is_there_once_the_memory_is_open_is_not_gone_through_for_garbage_again(tmp_path: Path) -> None:
    async with open_behind(settings_for(tmp_path)):
        frozen, looked_at = gc.get_freeze_count(), len(gc.get_objects())

    assert frozen > 10_000
    assert looked_at < frozen / 10
    assert gc.get_freeze_count() == 0  # once it is closed, what belonged to it may go
