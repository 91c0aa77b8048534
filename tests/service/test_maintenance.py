"""Maintenance of a real store: what it does, that it can be undone, and that it is done by one process at a time."""

import json
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from memory_mcp.answers import RecallRequest
from memory_mcp.assembly import open_memory
from memory_mcp.cli.acting import operator
from memory_mcp.config import MaintenanceSettings
from memory_mcp.errors import ConflictError
from memory_mcp.models import Denied, Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.upkeep.erasing import Trash
from memory_mcp.upkeep.maintenance import Maintenance
from tests.memories import CALLER, open_service, settings_for

HERE = Scope("local", "project")


async def remember(service: MemoryService, content: str, **fields: object) -> str:
    return str((await service.remember(RememberRequest(content, **fields), CALLER)).added.id)  # type: ignore[arg-type]


def later(service: MemoryService, days: float) -> Maintenance:
    """The same store's maintenance, after so many days."""
    now = service.clock() + timedelta(days=days)
    return Maintenance(service.maintenance._store, lambda: now, MaintenanceSettings(), Trash(service.eraser, 30.0))


async def found(service: MemoryService, query: str) -> list[str]:
    answer = await service.recall(RecallRequest(query), CALLER)
    return [str(hit.memory.id) for hit in answer.hits]


async def test_what_faded_leaves_the_answers_and_comes_back_by_undoing(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        faded = await remember(service, "The canteen serves barley soup", importance=0.1)
        rule = await remember(service, "Always knock at the canteen's door", kind="rule", importance=0.1)
        assert not (await later(service, 30).once(dry_run=False)).plans
        done = await later(service, 600).once(dry_run=False)

        assert [str(memory.id) for memory in done.plans[HERE].archive] == [faded]
        now = service.clock() + timedelta(days=601)
        service.clock = lambda: now
        assert faded not in await found(service, "What soup does the canteen serve?")
        assert rule in await found(service, "What to do at the door of the canteen?")
        ((kept, _),) = await service.get([faded], CALLER)
        counted = await service.stats(CALLER)
        await service.undo(str(done.operations[0].number), CALLER)
        assert faded in await found(service, "What soup does the canteen serve?")
        counted_again = await service.stats(CALLER)

    assert (sum(counted.counts.by_namespace.values()), counted.archived, counted_again.archived) == (2, 1, 0)
    assert kept.content == "The canteen serves barley soup"


async def test_the_last_operation_of_the_command_line_is_none_of_maintenance(tmp_path: Path) -> None:
    command_line = replace(CALLER, provenance=operator())
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, "The build server runs on port 8080")
        await remember(service, "the build server runs on port 8080.")
        mine = await service.remember(RememberRequest("The canteen serves barley soup"), command_line)
        done = await service.maintenance.once(dry_run=False)
        (undone,) = await service.undo("last", command_line)

    assert [operation.action for operation in done.operations] == ["merge"]
    assert undone.subjects == (mine.added.id,)


async def test_short_term_memories_in_use_stay_and_those_that_say_the_same_become_one(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        wifi = await remember(service, "The guest wifi is down", expires_in="7d", retention="short_term")
        first = await remember(service, "The build server runs on port 8080")
        second = await remember(service, "the build server runs on port 8080.")
        for _ in range(3):
            await service.recall(RecallRequest("Is the guest wifi down?"), CALLER)
        await service.reinforcer.flush()
        shown = await service.maintenance.once(dry_run=True)
        ((before, _),) = await service.get([wifi], CALLER)
        done = await service.maintenance.once(dry_run=False)
        again = await service.maintenance.once(dry_run=False)
        ((after, _),) = await service.get([wifi], CALLER)
        live = {str(memory.id) for memory in (await service.records.newest([HERE], service._where(RecallRequest()), limit=10))}

    assert (shown.plans, shown.operations) == (done.plans, [])
    assert [operation.action for operation in done.operations] == ["update", "merge"]
    assert {operation.actor.source for operation in done.operations} == {"maintenance"}
    assert not again.plans
    assert (before.retention, after.retention, after.expires_at) == ("short_term", "long_term", None)
    assert len(live & {first, second}) == 1


async def test_the_trash_is_emptied_when_its_time_is_over(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        gone = await remember(service, "Quirinius plays the zimbeln")
        await service.forget([gone], CALLER)

        assert (await later(service, 29).once(dry_run=False)).purged == 0
        assert (await later(service, 31).once(dry_run=False)).purged == 1


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service, open_service(settings_for(tmp_path)) as other:
        await remember(service, "The lamp is green")
        async with service.maintenance._store.tending() as chosen:
            assert chosen
            with pytest.raises(ConflictError, match="Another process"):
                await other.maintenance.once(dry_run=False)
            assert not (await other.maintenance.once(dry_run=True)).plans


async def test_the_command_shows_and_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from typer.testing import CliRunner  # noqa: PLC0415

    from memory_mcp.cli.app import make_app  # noqa: PLC0415

    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, "The build server runs on port 8080")
        await remember(service, "the build server runs on port 8080.")
    import anyio.to_thread  # noqa: PLC0415

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(make_app(), ["maintain", "--data-dir", str(tmp_path), *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    shown = json.loads(await anyio.to_thread.run_sync(lambda: run("--dry-run", "--json")))
    told = await anyio.to_thread.run_sync(run)
    nothing = await anyio.to_thread.run_sync(run)

    assert (shown["operations"], len(shown["namespaces"]["project"]["merged"])) == ([], 1)
    assert "merged with 1 that say the same: " in told
    assert "There is nothing to do." in nothing


async def test_old_entries_of_the_log_are_pruned_where_undo_does_not_need_them(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, "The canteen serves barley soup")
        await service.denials.note(Denied("local", CALLER.provenance, "forget", "takes the role manager"))
        store, now = service.maintenance._store, service.clock() + timedelta(days=400)
        trash = Trash(service.eraser, 0)
        for keep_days in (0.0, 500.0):
            kept = await Maintenance(store, lambda: now, MaintenanceSettings(), trash, keep_log_days=keep_days).once(dry_run=False)
            assert kept.pruned == 0
        shown = await Maintenance(store, lambda: now, MaintenanceSettings(), trash, keep_log_days=365).once(dry_run=True)
        done = await Maintenance(store, lambda: now, MaintenanceSettings(), trash, keep_log_days=365).once(dry_run=False)
        left = [entry.action for entry in await store.operations("local", limit=9)]  # type: ignore[attr-defined]

        assert (shown.pruned, done.pruned, left) == (0, 1, ["prune", "remember"])
        assert await store.verify_chain() is None  # type: ignore[attr-defined]
        await service.undo("last", CALLER)


async def test_a_command_that_needs_no_model_loads_none(tmp_path: Path) -> None:
    """It would be ended in the middle of loading, which native code does not bear."""
    settings = settings_for(tmp_path)
    async with open_service(settings) as service:
        one = await remember(service, "The canteen serves barley soup")
    before = {thread.ident for thread in threading.enumerate()}
    async with open_memory(settings, model_seconds=0) as service:
        loading = [thread for thread in threading.enumerate() if thread.ident not in before and thread.name == "embedding-load"]
        tidied = await service.maintenance.once(dry_run=True)
        answer = await found(service, "barley soup")

    assert loading == []
    assert tidied.plans == {}
    assert answer == [one]
