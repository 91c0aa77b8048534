"""A question that is asked again gets the answer that it would get if nothing were remembered of the first time."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from memory_mcp import assembly
from memory_mcp.answers import Answer, EraseRequest, RecallRequest
from memory_mcp.config import CacheSettings
from memory_mcp.contracts import Clock
from memory_mcp.models import Caller
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, open_settled, settings_for

QUESTIONS = [f"What does locker {locker} hold?" for locker in range(5)]
QUESTIONS += ["What was brought yesterday?", "What came recently?", "What happened on Monday?"]
CHANGES = ["remember", "remember", "expiring", "shared", "update", "forget", "undo", "outcome", "erase", "model", "time"]
SHARED = Caller("local", "global", CALLER.provenance)
STRANGER = Caller("stranger", "project")


class Watch:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 5, 23, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def engines(folder: Path, clock: Clock) -> AsyncIterator[tuple[MemoryService, list[MemoryService]]]:
    """One that remembers no answer, and others that do, on one store."""
    settings = settings_for(folder)
    without = settings.model_copy(update={"cache": CacheSettings(max_entries=0)})
    async with (
        open_settled(without, clock=clock) as plain,
        open_settled(settings, clock=clock) as one,
        open_settled(settings, clock=clock) as other,
    ):
        yield plain, [one, other]


def told(answer: Answer) -> dict[str, Any]:
    """All that a caller gets to see, but for the scores, whose last digit depends on how the engine's vectors lie in memory."""
    hits = [
        (hit.memory.content, str(hit.memory.id), hit.alike, hit.memory.tags, hit.memory.worked, hit.memory.failed) for hit in answer.hits
    ]
    return {"hits": hits, "verdict": answer.verdict, "below": answer.below, "more": answer.more, "degraded": list(answer.degraded)}


class Life:
    """Changes of every kind, by chance, at one engine or the other."""

    def __init__(self, services: Sequence[MemoryService], plain: MemoryService, watch: Watch, seed: int) -> None:
        self.chance = random.Random(seed)
        self.services, self.plain, self.watch = services, plain, watch
        self.ids: list[str] = []

    async def change(self, turn: int) -> str:
        """One change; which it was."""
        writer = self.chance.choice(self.services)
        what = self.chance.choice(CHANGES)
        known = self.chance.choice(self.ids) if self.ids else ""
        text = f"Locker {self.chance.randrange(5)} holds the {self.chance.choice(['kettle', 'tripod', 'rope'])} since turn {turn}"
        match what:
            case "remember" | "expiring" | "shared":
                request = RememberRequest(text, expires_in="2 minutes" if what == "expiring" else "", occurred_at=self.some_day())
                receipt = await writer.remember(request, SHARED if what == "shared" else CALLER)
                self.ids.append(str(receipt.added.id))
            case "update" if known:
                await writer.update(known, CALLER, tags=[f"turn-{turn}"], content=text if turn % 2 else "")
            case "forget" if known:
                await writer.forget([known], CALLER)
                self.ids.remove(known)
            case "outcome" if known:
                await writer.report_outcome(known, worked=bool(turn % 2), caller=CALLER)
            case "undo":
                operations = await writer.log.operations(CALLER.tenant, limit=1)
                if operations and operations[0].action == "forget" and operations[0].scope.namespace == CALLER.namespace:
                    await writer.undo(str(operations[0].number), CALLER)
                    self.ids += [str(subject) for subject in operations[0].subjects]
            case "erase" if known:
                meant = EraseRequest(ids=[known])
                await writer.erase(meant, CALLER, (await writer.to_erase(meant, CALLER)).token)
                self.ids.remove(known)
            case "model":
                present = writer.sources.embedder.state.epoch
                await writer.eraser._store.adopt_epoch(f"another-model@{turn}/384")  # type: ignore[attr-defined]
                await writer.eraser._store.adopt_epoch(present)  # type: ignore[attr-defined]
                await self.settle()
            case "time":
                self.watch.now += timedelta(seconds=self.chance.choice([1, 45, 100, 400, 3_000, 90_000]))
        return what

    async def settle(self) -> None:
        """Whoever saw the other model meanwhile finds by words until it looks again, which it does every few seconds."""
        with anyio.fail_after(20):
            for service in (*self.services, self.plain):
                await service.indexer.work_once()
                while service.indexer.overtaken:
                    await service.indexer.work_once()

    def some_day(self) -> str:
        return (self.watch.now - timedelta(hours=self.chance.choice([0, 1, 20, 30, 100]))).isoformat()

    async def wrong(self, turn: int, what: str) -> list[str]:
        """Ask something of an engine, and of the one that remembers nothing."""
        request = RecallRequest(self.chance.choice(QUESTIONS), limit=self.chance.choice([3, 8]))
        service = self.chance.choice(self.services)
        first, again, anew = [told(await each.recall(request, CALLER)) for each in (service, service, self.plain)]
        return [] if first == again == anew else [f"turn {turn}, after {what}: {request.query} {first} {again} {anew}"]


async def test_whatever_changes_anywhere_no_answer_is_of_before(tmp_path: Path) -> None:
    wrong: list[str] = []
    watch = Watch()
    async with engines(tmp_path, watch) as (plain, services):
        life = Life(services, plain, watch, seed=7)
        for turn in range(120):
            what = await life.change(turn)
            for _ in range(3):
                wrong += await life.wrong(turn, what)
        hits = sum(service.known.hits for service in services)

    assert wrong == []
    assert hits > 300  # every second time, but where nothing is stored
    assert plain.known.hits == 0


async def test_what_expires_leaves_known_answers_by_the_clock_alone_and_comes_back_with_it(tmp_path: Path) -> None:
    now = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
    async with open_settled(settings_for(tmp_path), clock=lambda: now) as service:
        await service.remember(RememberRequest("The guest wifi code is 4711", expires_in="2 minutes"), CALLER)
        seen = []
        for moment in (0, 119, 120, 121, 60):  # a clock that is set back, too
            now = datetime(2026, 5, 5, 12, 0, tzinfo=UTC) + timedelta(seconds=moment)
            seen.append(len((await service.recall(RecallRequest("What is the wifi code?"), CALLER)).hits))

    assert seen == [1, 1, 0, 0, 1]
    assert service.known.hits == 2  # the second time, and that of 121


async def test_yesterday_is_another_day_after_midnight(tmp_path: Path) -> None:
    now = datetime(2026, 5, 5, 23, 59, tzinfo=UTC)
    async with open_settled(settings_for(tmp_path), clock=lambda: now) as service:
        for day in (3, 4, 5):
            said = RememberRequest(f"Ann went to market {day} and bought bread", occurred_at=f"2026-05-0{day}T12:00")
            await service.remember(said, CALLER)
        request = RecallRequest("Which market did Ann go to yesterday?")
        before = [(await service.recall(request, CALLER)).hits[0].memory.content for _ in range(2)]
        now += timedelta(minutes=2)
        after = [(await service.recall(request, CALLER)).hits[0].memory.content for _ in range(2)]

    assert (before, after) == (["Ann went to market 4 and bought bread"] * 2, ["Ann went to market 5 and bought bread"] * 2)
    assert service.known.hits == 2


async def test_nobody_gets_the_answer_of_another_tenant_or_namespace(tmp_path: Path) -> None:
    request = RecallRequest("How does the safe open?")
    elsewhere = Caller("local", "elsewhere", CALLER.provenance)
    async with open_settled(settings_for(tmp_path)) as service:
        for caller in (CALLER, elsewhere, STRANGER):
            await service.remember(RememberRequest(f"The safe of {caller.tenant} in {caller.namespace} opens with a key"), caller)
        seen = [[hit.memory.scope for hit in (await service.recall(request, caller)).hits] for caller in (CALLER, elsewhere, STRANGER) * 2]

    assert [[(scope.tenant, scope.namespace) for scope in scopes] for scopes in seen] == [
        [("local", "project")],
        [("local", "elsewhere")],
        [("stranger", "project")],
    ] * 2
    assert service.known.hits == 3


async def test_being_an_answer_again_counts_as_being_used(tmp_path: Path) -> None:
    async with open_settled(settings_for(tmp_path)) as service:
        stored = (await service.remember(RememberRequest("The ladder stands in the attic"), CALLER)).added.id
        for _ in range(5):
            await service.recall(RecallRequest("Where is the ladder?"), CALLER)
        await service.reinforcer.flush()
        ((memory, _),) = await service.get([str(stored)], CALLER)

    assert memory.recalled_count == 5
    assert service.known.hits == 4


async def test_what_another_process_erases_is_let_go_of_here_though_nobody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "_FLUSH_SECONDS", 0.05)
    async with open_settled(settings_for(tmp_path)) as one, open_service(settings_for(tmp_path)) as other:
        receipt = await other.remember(RememberRequest("Locker 3 holds the rope"), CALLER)
        assert (await one.recall(RecallRequest("What does locker 3 hold?"), CALLER)).hits
        assert one.known.scopes
        meant = EraseRequest(ids=(str(receipt.added.id),))
        await other.erase(meant, CALLER, (await other.to_erase(meant, CALLER)).token)
        with anyio.fail_after(20):
            while one.known.scopes:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
