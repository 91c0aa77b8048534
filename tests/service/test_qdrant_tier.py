"""The use cases with Qdrant before everything else: the same answers as without it, and none the worse for its faults."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import anyio
import pytest
from qdrant_wire import serving
from qdrants import IN_MEMORY, ON_WIRE, on_a_server, on_server

from memory_mcp.answers import RecallRequest
from memory_mcp.config import Settings, StackSettings
from memory_mcp.errors import TierUnavailableError
from memory_mcp.models import Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.tiers.qdrant import connection, index
from memory_mcp.tiers.qdrant.index import QdrantIndex
from memory_mcp.tiers.qdrant.settings import QdrantSettings
from memory_mcp.upkeep.carrier import Source
from tests.memories import CALLER, open_service, open_settled, settings_for

HANDBOOK = "\n\n".join(
    f"{name.title()}. {text * 6}"
    for name, text in {
        "moorings": "The ferry is tied up with two bow lines and a spring line; the harbour master wants fenders out before docking. ",
        "orchard": "Plum trees along the south wall blossom in April and have to be thinned in June so that branches do not break. ",
        "telescope": "The observatory's dome motor sticks in frost, so warm the gear for ten minutes before opening the shutter. ",
    }.items()
)
QUESTIONS = [
    "Which colour has room 3?",
    "When do the fruit trees bloom?",
    "What to do when the dome will not open?",
    "Which editor is used?",
]


def with_qdrant(data_dir: Path, qdrant: QdrantSettings = IN_MEMORY, *vectors: str) -> Settings:
    stack = StackSettings(vectors=list(vectors or ("qdrant",)))
    return settings_for(data_dir).model_copy(update={"qdrant": qdrant, "stack": stack})


async def remember(service: MemoryService, content: str, **fields: object) -> str:
    receipt = await service.remember(RememberRequest(content, **fields), CALLER)  # type: ignore[arg-type]
    return str(receipt.added.id)


async def recall(service: MemoryService, query: str, **fields: object) -> list[str]:
    answer = await service.recall(RecallRequest(query, **fields), CALLER)  # type: ignore[arg-type]
    return [str(hit.memory.id) for hit in answer.hits]


async def answers(service: MemoryService) -> list[list[tuple[str, float, int]]]:
    found = []
    for question in QUESTIONS:
        answer = await service.recall(RecallRequest(question, limit=20), CALLER)
        found.append([(hit.memory.content, round(hit.score, 2), hit.passage.start) for hit in answer.hits])
    return found


async def a_life(service: MemoryService) -> list[list[list[tuple[str, float, int]]]]:
    """Stores, replaces, forgets, brings back, and asks after each step."""
    found = []
    await remember(service, "The first thing that was ever noted down")
    await answered_by_the_first(service)
    ids = [await remember(service, f"Room {number} is painted in colour {number * 7}, seen from door {number}") for number in range(12)]
    await remember(service, HANDBOOK)
    found.append(await answers(service))
    for editor in ("Vim", "Emacs"):
        await remember(service, f"The user's editor is {editor}", key="user.editor")
    found.append(await answers(service))
    await service.forget(ids[3:5], CALLER)
    found.append(await answers(service))
    await service.undo("last", CALLER)
    await service.update(ids[2], CALLER, content="The fruit trees bloom in April, says the gardener", tags=["garden"])
    found.append(await answers(service))
    return found


async def answered_by_the_first(service: MemoryService) -> None:
    """Wait until the first tier of the stack holds the namespace; meanwhile the others answer, the last without a sample."""
    with anyio.fail_after(30):
        for number in itertools.count():
            (first, before), *_ = service.figures["resident"]()["answered_by"].items()
            await recall(service, f"Is anything noted down? {number}")
            if service.figures["resident"]()["answered_by"][first] > before:
                return
            await anyio.sleep(0.1)


def tier(service: MemoryService) -> dict[str, Any]:
    return dict(service.figures["qdrant"]())


async def until(settled: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not settled():  # noqa: ASYNC110 - only the figures know
            await anyio.sleep(0.02)


async def level(service: MemoryService) -> None:
    """Wait until nothing is left to be carried."""
    with anyio.fail_after(30):
        while (await service.instruments.notes()).get("qdrant"):  # noqa: ASYNC110 - only the store knows
            await anyio.sleep(0.02)


def store_of(service: MemoryService) -> Source:
    return cast(Source, service.sources.text)


async def in_store(service: MemoryService, scope: Scope) -> set[UUID]:
    epoch = service.sources.embedder.state.epoch
    assert epoch
    return set((await store_of(service).vector_changes(scope, 0, epoch)).points.ids)


@pytest.fixture
def indexes(monkeypatch: pytest.MonkeyPatch) -> list[QdrantIndex]:
    """The indexes that were opened, to look into."""
    made: list[QdrantIndex] = []
    original = index.QdrantIndex.__init__

    def noting(self: QdrantIndex, *args: Any, **given: Any) -> None:
        original(self, *args, **given)
        made.append(self)

    monkeypatch.setattr(index.QdrantIndex, "__init__", noting)
    return made


@pytest.mark.parametrize("settings", [pytest.param(IN_MEMORY, id="folder"), pytest.param(on_server(), id="server", marks=on_a_server)])
async def test_answers_are_the_same_with_and_without(tmp_path: Path, settings: QdrantSettings) -> None:
    async with open_settled(settings_for(tmp_path / "without")) as service:
        expected = await a_life(service)
    async with open_settled(with_qdrant(tmp_path / "with", settings)) as service:
        found = await a_life(service)
        asked = tier(service)

    assert found == expected
    assert asked["calls"] > 10
    assert (asked["errors"], asked["health"]) == (0, "ok")


async def test_what_was_stored_and_what_was_forgotten_counts_at_once_wherever_the_carrier_is(tmp_path: Path) -> None:
    async with open_service(with_qdrant(tmp_path)) as service:
        for number in range(15):
            stored = await remember(service, f"The meeting room number {number} is painted in colour {number * 7}")
            if number % 5 == 4:
                await level(service)
            assert stored in await recall(service, f"What colour is meeting room {number}?", limit=3)
        await service.forget([stored], CALLER)

        assert stored not in await recall(service, "What colour is meeting room 14?", limit=20)


async def test_a_namespace_that_was_there_before_the_tier_is_carried_by_itself(tmp_path: Path, indexes: list[QdrantIndex]) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for number in range(30):
            await remember(service, f"Room {number} has {number % 4 + 1} windows and a green door")
    async with open_service(with_qdrant(tmp_path)) as service:
        await until(lambda: tier(service)["carried"] >= 30)
        await level(service)
        scope, epoch = Scope("local", "project"), service.sources.embedder.state.epoch
        assert epoch

        assert set(await indexes[0].held(scope, epoch)) == await in_store(service, scope)


class Fault:
    """Stands before the client of a tier, and can take it away in several manners."""

    def __init__(self) -> None:
        self.manner = ""
        self.client: Any = None

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **given: Any) -> Any:
            if self.manner == "raises":
                raise ConnectionError("nobody there")
            if self.manner == "hangs":
                await anyio.sleep_forever()
            return await getattr(self.client, name)(*args, **given)

        return call


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    standing = Fault()
    original = connection._open_folder

    async def opened(path: str) -> Any:
        standing.client = await original(path)
        return standing

    monkeypatch.setattr(connection, "_open_folder", opened)
    return standing


@asynccontextmanager
async def impatient(tmp_path: Path) -> AsyncIterator[MemoryService]:
    settings = IN_MEMORY.model_copy(update={"timeout_seconds": 0.3})
    async with open_service(with_qdrant(tmp_path, settings)) as service:
        yield service


@pytest.mark.parametrize("manner", ["raises", "hangs"])
async def test_a_tier_that_is_away_is_named_passed_over_and_caught_up(
    tmp_path: Path, fault: Fault, manner: str, indexes: list[QdrantIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory_mcp.vector_tiers.CARRY_SECONDS", 0.3)
    async with impatient(tmp_path) as service:
        before = [await remember(service, f"Platform {number} is for trains to the coast") for number in range(5)]
        await answered_by_the_first(service)
        fault.manner = manner
        during = [await remember(service, f"Shed {number} is where the boats are painted") for number in range(5)]
        await service.forget(before[:1], CALLER)
        found = set(await recall(service, "Where are the boats painted?", limit=10))
        found |= set(await recall(service, "Which trains go to the coast?", limit=10))
        named = list(service.sources.away())
        health = tier(service)["health"]
        fault.manner = ""
        await level(service)
        scope, epoch = Scope("local", "project"), service.sources.embedder.state.epoch
        assert epoch
        with anyio.fail_after(30):
            while set(await indexes[0].held(scope, epoch)) != await in_store(service, scope):  # noqa: ASYNC110 - what comes is in Qdrant
                await anyio.sleep(0.05)
        with anyio.fail_after(30):
            while service.sources.away():
                await anyio.sleep(0.1)
                await service.find_similar(f"boats {anyio.current_time()}", "", CALLER)

    assert found >= {*during, *before[1:]}
    assert before[0] not in found
    assert (named, health) == (["qdrant"], "away")


async def test_a_server_that_dies_and_comes_back_empty_is_missed_by_nobody(tmp_path: Path, indexes: list[QdrantIndex]) -> None:
    scope = Scope("local", "project")
    async with AsyncExitStack() as first:
        port = await first.enter_async_context(serving())
        settings = ON_WIRE.model_copy(update={"grpc_port": port, "timeout_seconds": 1.0})
        async with open_service(with_qdrant(tmp_path, settings)) as service:
            ids = [await remember(service, f"Barrel {number} holds tar for the hull") for number in range(4)]
            await answered_by_the_first(service)
            await first.aclose()
            ids.append(await remember(service, "Barrel 4 holds tar for the deck"))
            found = set(await recall(service, "What holds the tar?", limit=10))
            errors, epoch = tier(service)["errors"], service.sources.embedder.state.epoch
            async with serving(port):
                held: set[UUID] = set()
                with anyio.fail_after(30):
                    for number in itertools.count():
                        await recall(service, f"Is anything noted down? {number}")
                        with suppress(TierUnavailableError):
                            held = set(await indexes[0].held(scope, epoch or ""))
                        if len(held) == len(ids):
                            break
                        await anyio.sleep(0.1)
                also = set(await recall(service, "Which barrels are there?", limit=10))

            assert errors > 0
            assert found == also == set(ids)
            assert held == await in_store(service, scope) == {UUID(memory_id) for memory_id in ids}


async def test_a_second_process_on_the_folder_works_without_the_tier_and_says_so(tmp_path: Path) -> None:
    settings = with_qdrant(tmp_path, QdrantSettings(path="vectors"))
    async with open_service(settings) as first:
        stored = await remember(first, "The ladder hangs behind the boiler")
        await level(first)
        async with open_service(settings) as second:
            also = await remember(second, "The saw hangs behind the stove")

            assert await recall(second, "Where is the ladder?") == [stored, also]
            assert "Another process uses the folder" in tier(second)["detail"]
        assert set(await recall(first, "What hangs behind the stove?")) == {stored, also}
    async with open_service(settings) as third:
        assert set(await recall(third, "Where is the ladder?")) == {stored, also}
        assert tier(third)["health"] == "ok"


@pytest.mark.parametrize("vectors", [["resident", "qdrant"], ["qdrant", "resident"], ["qdrant"], ["resident"], []], ids=",".join)
async def test_the_order_of_the_stack_is_the_order_of_the_configuration(tmp_path: Path, vectors: Sequence[str]) -> None:
    settings = with_qdrant(tmp_path).model_copy(update={"stack": StackSettings(vectors=list(vectors))})
    first = [*vectors, "records"][0]
    async with open_service(settings) as service:
        stored = await remember(service, "The locker by the door belongs to the night shift")
        if vectors:
            await answered_by_the_first(service)
        found = await recall(service, "Whose is the locker by the door?")
        answered = service.figures["resident"]()["answered_by"]

    assert found == [stored]
    assert list(answered) == [*vectors, "records"]
    assert answered[first] > 0
