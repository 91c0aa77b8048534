"""What is erased is gone from every tier and every file, stays gone, and what is proven of that is true."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from postgres_server import Databases, server

from memory_mcp.answers import EraseRequest, RecallRequest
from memory_mcp.config import Settings
from memory_mcp.errors import ConflictError, RequestError
from memory_mcp.models import Caller, Provenance
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.tiers.qdrant.settings import QdrantSettings
from memory_mcp.tiers.sqlite.backup import backup, restore
from memory_mcp.upkeep.erasing import Erased
from memory_mcp.upkeep.register import Register
from memory_mcp.upkeep.searching import search_files
from tests.memories import CALLER, open_service, settings_for

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
LONG = " ".join(f"Xylograph number {n} was carved by Quirinius in Zwickau." for n in range(400))
TRACES = ("ylograph", "YLOGRAPH", "uirinius", "wickau", "zimbeln", "ZIMBELN")
"""Without their first letters, which a text index may have saved by the word before."""


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Of a memory whose records lie in either store."""
    settings = settings_for(tmp_path)
    if request.param == "sqlite":
        yield settings
        return
    databases = Databases(tmp_path)
    yield settings.model_copy(update={"records": server().settings(databases.make())})
    databases.drop()


async def remember(service: MemoryService, content: str, caller: Caller = CALLER, **fields: object) -> str:
    return str((await service.remember(RememberRequest(content, **fields), caller)).added.id)  # type: ignore[arg-type]


async def recall(service: MemoryService, query: str, **fields: object) -> list[str]:
    answer = await service.recall(RecallRequest(query, **fields), CALLER)  # type: ignore[arg-type]
    return [str(hit.memory.id) for hit in answer.hits]


async def erase(service: MemoryService, **what: object) -> Erased:
    request = EraseRequest(**what)  # type: ignore[arg-type]
    return await service.erase(request, CALLER, (await service.to_erase(request, CALLER)).token)


async def traces(folder: Path) -> set[str]:
    """Those that stand in any file of a folder; looked for in another process, as the store may be open."""
    _, found = await asyncio.to_thread(search_files, folder, TRACES, ("models",))
    return set(found)


async def bystanders(service: MemoryService) -> None:
    for n in range(300):
        await remember(service, f"The warehouse in aisle {n} keeps {n * 13} boxes of candles, ribbons and gift paper")


async def test_no_file_holds_any_of_it(tmp_path: Path) -> None:
    """A long text over many pages, its past forms, its words, its tags; among many others, erased in the running server."""
    async with open_service(settings_for(tmp_path)) as service:
        await bystanders(service)
        gone = await remember(service, "Quirinius plays the ZIMBELN in Zwickau", tags=["Xylograph"], metadata={"speaker": "Zimbeln"})
        await bystanders(service)
        await service.update(gone, CALLER, content=LONG)
        await service.update(gone, CALLER, content="Quirinius sold every XYLOGRAPH")
        assert (await recall(service, "What did Quirinius sell?"))[0] == gone
        assert service.questions
        await service.questions.flush()  # what was asked is kept, too
        before = await traces(tmp_path)
        done = await erase(service, ids=[gone])
        after = await traces(tmp_path)
        size = (await service.records.counts("local")).bytes_on_disk
        assert gone not in await recall(service, "What was sold?")
        assert await service.records.check() == []

    assert before >= {"ylograph", "YLOGRAPH", "uirinius", "wickau"}
    assert after == set()
    assert await traces(tmp_path) == set()
    assert done.proof.holds
    assert done.scoured
    assert (done.proof.strings > 8, done.proof.files > 2, done.away, done.copies) == (True, True, [], [])
    assert size > 0
    assert gone in (tmp_path / "erased.ids").read_text()


async def test_either_store_forgets_for_good(settings: Settings) -> None:
    async with open_service(settings) as service:
        gone = await remember(service, "Quirinius plays the zimbeln in Zwickau", metadata={"speaker": "Quirinius"})
        stays = await remember(service, "Candles are in aisle nine")
        await service.update(gone, CALLER, content="Quirinius plays the xylograph")
        await recall(service, "What does Quirinius play?")
        done = await erase(service, ids=[gone])
        near = await service.find_similar("Quirinius plays the xylograph", "", CALLER)

        assert done.proof.holds
        assert done.proof.strings >= 4
        assert [entry.action for entry in done.operations] == ["erase"]
        assert gone not in await recall(service, "What does Quirinius play?")
        assert await recall(service, "") == [stays]
        assert [str(hit.memory.id) for hit in near.hits] in ([], [stays])
        assert await recall(service, "Quirinius", as_of="2030-01-01") in ([], [stays])
        with pytest.raises(LookupError):
            await service.get([gone], CALLER)
        with pytest.raises(RequestError, match="final"):
            await service.undo(str(done.operations[0].number), CALLER)
        assert await service.records.check() == []


async def test_nothing_of_it_is_kept_in_this_process(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        holds = service.sources.embedder.holds  # type: ignore[attr-defined]
        gone = await remember(service, "Quirinius plays the zimbeln")
        await recall(service, "Who plays the zimbeln?")
        held, known = await service.stats(CALLER), holds("Quirinius plays the zimbeln")
        await erase(service, ids=[gone])
        left = await service.stats(CALLER)
        assert (known, holds("Quirinius plays the zimbeln")) == (True, False)

    assert (held.tiers["resident"]["rows"], held.tiers["texts"]["rows"]) == (1, 1)
    assert (left.tiers["resident"]["rows"], left.tiers["texts"]["rows"]) == (0, 0)


async def test_vectors_go_from_qdrant_in_every_epoch(tmp_path: Path) -> None:
    qdrant = QdrantSettings(path="vectors", timeout_seconds=30)
    async with open_service(settings_for(tmp_path).model_copy(update={"qdrant": qdrant})) as service:
        gone = await remember(service, "Quirinius plays the zimbeln", tags=["Xylograph"])
        stays = await remember(service, "Candles are in aisle nine")
        tier = service.eraser._around.tiers["qdrant"]
        index = tier._index._index  # type: ignore[attr-defined]
        (scope,) = await service.records.scopes("local")
        delta = await service.sources.text.vector_changes(scope, 0, service.sources.embedder.state.epoch)  # type: ignore[attr-defined]
        for epoch in ("an-older-model@1/384", service.sources.embedder.state.epoch):
            await index.upsert(scope, delta.points, epoch)
        await service.eraser._store.adopt_epoch("an-older-model@1/384")  # type: ignore[attr-defined]
        await service.eraser._store.adopt_epoch(service.sources.embedder.state.epoch)  # type: ignore[attr-defined]
        await erase(service, ids=[gone])
        held = {epoch: set(await index.held(scope, epoch)) for epoch in ("an-older-model@1/384", service.sources.embedder.state.epoch)}

    assert [set(map(str, ids)) for ids in held.values()] == [{stays}, {stays}]


async def test_a_person_is_all_that_was_written_or_said_by_them(settings: Settings) -> None:
    ada = Caller("local", "project", Provenance(client="pytest", user="Ada"))
    async with open_service(settings) as service:
        await remember(service, "I never eat fish", ada)
        await remember(service, "I broke my wrist skiing", metadata={"speaker": "ada"})
        forgotten = await remember(service, "I live in Mill Lane", metadata={"speaker": "Ada"})
        await service.forget([forgotten], CALLER)
        about = await remember(service, "The dentist of Ada is Dr Weiss")
        other = await remember(service, "I never eat meat", metadata={"speaker": "Adam"})
        seen = await service.to_erase(EraseRequest(person="Ada"), CALLER)
        done = await erase(service, person="Ada")

        assert (seen.count, seen.by_namespace) == (3, {"project": 3})
        assert [str(memory.id) for memory in seen.mentions] == [about]
        assert len(done.operations[0].subjects) == 3
        assert set(await recall(service, "")) == {about, other}


async def test_a_namespace_and_everything(settings: Settings) -> None:
    async with open_service(settings) as service:
        here = await remember(service, "This is of the project")
        await service.remember(RememberRequest("This is of everybody"), CALLER, "global")
        done = await erase(service, namespace="global")
        assert done.proof.holds
        assert await recall(service, "") == [here]
        await remember(service, "This is of the project, too")
        everything = await erase(service, everything=True)

        assert await recall(service, "", namespace="*") == []
        assert everything.proof.holds
        assert (await service.stats(CALLER)).counts.by_namespace == {}


async def test_only_what_was_shown_is_erased(settings: Settings) -> None:
    request = EraseRequest(namespace="project")
    async with open_service(settings) as service:
        await remember(service, "One")
        token = (await service.to_erase(request, CALLER)).token
        await remember(service, "Two")
        for wrong in (token, "", "no"):
            with pytest.raises(ConflictError):
                await service.erase(request, CALLER, wrong)
        for nothing in (EraseRequest(), EraseRequest(person="x", namespace="y"), EraseRequest(ids=["no id"])):
            with pytest.raises(RequestError):
                await service.to_erase(nothing, CALLER)

        assert len(await recall(service, "")) == 2
        assert (await service.to_erase(EraseRequest(person="nobody"), CALLER)).token == ""


async def test_the_proof_finds_what_is_still_there(tmp_path: Path) -> None:
    """Somebody's notes in the data directory, and another memory that says the same."""
    async with open_service(settings_for(tmp_path)) as service:
        gone = await remember(service, "Quirinius plays the zimbeln in Zwickau")
        await remember(service, "It is said that Quirinius plays the zimbeln in Zwickau")
        done = await erase(service, ids=[gone])
        assert (done.proof.holds, done.proof.elsewhere) == (True, done.proof.strings)
        again = await remember(service, "Quirinius carved a xylograph for the mayor")
        (tmp_path / "notes.txt").write_text("Remember: Quirinius carved a xylograph for the mayor.")
        found = await erase(service, ids=[again])

    assert not found.proof.holds
    assert {path for paths in found.proof.found.values() for path in paths} == {str(tmp_path / "notes.txt")}


async def test_what_a_crash_left_undone_is_done_when_it_is_next_opened(settings: Settings, tmp_path: Path) -> None:
    async with open_service(settings) as service:
        gone = await remember(service, "Quirinius plays the zimbeln")
    Register(tmp_path).add("local", [UUID(gone)])
    async with open_service(settings) as service:
        assert await recall(service, "Who plays something?") == []
        assert (await service.records.operations("local", limit=1))[0].action == "erase"  # type: ignore[attr-defined]
    if settings.records.backend == "sqlite":
        assert await traces(tmp_path) == set()


async def test_a_backup_that_is_put_back_brings_nothing_back(tmp_path: Path) -> None:
    """Nor does the store that was kept when another took its place."""
    folder, copy = tmp_path / "data", tmp_path / "copy.db"
    async with open_service(settings_for(folder)) as service:
        first = await remember(service, "Quirinius plays the zimbeln")
        second = await remember(service, "A xylograph hangs in Zwickau")
        stays = await remember(service, "Candles are in aisle nine")
        backup(folder, copy)
    restore(folder, copy, NOW)
    async with open_service(settings_for(folder)) as service:
        assert await traces(folder) >= {"uirinius", "ylograph"}
        done = await erase(service, ids=[first])
        assert "uirinius" not in await traces(folder)
    restored = restore(folder, copy, NOW + DAY, erased=Register(folder).read())
    after_restore = await traces(folder)
    async with open_service(settings_for(folder)) as service:
        everything = await recall(service, "")
        assert await service.records.verify_chain() is None  # type: ignore[attr-defined]

    assert [path.name for path in done.copies] == ["memories.db.before-restore-20260701-120000-000000"]
    assert (restored.erased_again, "uirinius" in after_restore, "ylograph" in after_restore) == (1, False, True)
    assert set(everything) == {second, stays}


async def test_the_trash_is_emptied_after_its_time_and_not_before(settings: Settings) -> None:
    now = NOW
    async with open_service(settings) as service:
        service.clock = lambda: now
        early = await remember(service, "Quirinius plays the zimbeln")
        late = await remember(service, "A xylograph hangs in Zwickau")
        old = await remember(service, "The lamp is green", key="lamp")
        await remember(service, "The lamp is red", key="lamp")
        await service.forget([early], CALLER)
        now += 20 * DAY
        late_operation = (await service.forget([late], CALLER)).operation
        now += 10 * DAY - timedelta(seconds=1)
        assert list(await service.empty_trash(CALLER)) == []
        now += timedelta(seconds=2)
        (emptied,) = await service.empty_trash(CALLER)
        assert list(await service.empty_trash(CALLER)) == []
        assert late_operation is not None
        await service.undo(str(late_operation.number), CALLER)
        found = await recall(service, "xylograph")
        ((superseded, _),) = await service.get([old], CALLER)

        assert (emptied.action, list(map(str, emptied.subjects))) == ("purge", [early])
        assert found[:1] == [late]
        assert superseded.content == "The lamp is green"
        assert await service.eraser._store.texts("local", [emptied.subjects[0]]) == []
        with pytest.raises(RequestError, match="any more"):
            await service.undo("5", CALLER)
        assert await service.records.check() == []


async def test_a_trash_that_is_kept_for_ever_is_never_emptied(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    settings = settings.model_copy(update={"trash": settings.trash.model_copy(update={"keep_days": 0.0})})
    async with open_service(settings) as service:
        gone = await remember(service, "Quirinius plays the zimbeln")
        await service.forget([gone], CALLER)
        service.clock = lambda: NOW + 10_000 * DAY
        assert list(await service.empty_trash(CALLER)) == []
        await service.undo("last", CALLER)

        assert await recall(service, "") == [gone]
