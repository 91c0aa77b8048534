"""A memory with Redis behind it, on good days and bad ones: never another answer, never a failed call."""

import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import anyio
import pytest

from memory_mcp.answers import Answer, RecallRequest
from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.models import Caller
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.tiers.redis.candidates import SharedCandidates
from memory_mcp.tiers.redis.codec import decode_candidates, encode_candidates
from memory_mcp.tiers.redis.settings import RedisSettings
from memory_mcp.tiers.sqlite.backup import backup, restore
from memory_mcp.upkeep.lines import Line as Carried
from tests.memories import CALLER, open_service, settings_for
from tests.redis_servers import PATIENCE, Line, Server, line_to, needs_redis, redis_server, settings_of

pytestmark = needs_redis

THINGS = "printer projector kettle ladder scanner bicycle telescope fridge drone tripod".split()
PLACES = "cellar attic garage kitchen workshop library".split()
QUESTIONS = [f"Where is the {thing} of team {team}?" for thing in THINGS for team in range(3)]


def with_redis(folder: Path, redis: RedisSettings) -> Settings:
    return settings_for(folder).model_copy(update={"redis": redis})


async def remember(service: MemoryService, text: str) -> UUID:
    receipt = await service.remember(RememberRequest(text), CALLER)
    return receipt.added.id


async def fill(service: MemoryService) -> None:
    for number, thing in enumerate(THINGS):
        for team in range(3):
            await remember(service, f"The {thing} of team {team} stands in the {PLACES[(number + team) % len(PLACES)]}")


async def ask(service: MemoryService, question: str) -> Answer:
    return await service.recall(RecallRequest(question), CALLER)


def told(answer: Answer) -> Any:
    """Everything of an answer that can be compared: which memories, how likely, how sure."""
    return answer.verdict, answer.degraded, [(hit.memory.id, round(hit.score, 6)) for hit in answer.hits]


async def tier(service: MemoryService) -> dict[str, Any]:
    return dict((await service.stats(CALLER)).tiers["redis"])


async def written(service: MemoryService) -> None:
    """Wait until what is to be written behind is in Redis."""
    with anyio.fail_after(PATIENCE):
        await shared(service)._behind.flush()


def shared(service: MemoryService) -> SharedCandidates:
    """The cache in Redis."""
    assert isinstance(service.shared, SharedCandidates)
    return service.shared


async def until_well(service: MemoryService) -> None:
    """Ask until Redis is used again, which it is by itself."""
    with anyio.fail_after(PATIENCE):
        while True:
            before = (await tier(service))["calls"]
            await ask(service, f"Is it there again, {random.random()}?")
            state = await tier(service)
            if state["breaker"] == "closed" and state["calls"] > before and state["health"] == "ok":
                return
            await anyio.sleep(0.05)


def gathers(service: MemoryService) -> int:
    return int(service.stages.summary().get("gather", {"calls": 0})["calls"])


# good days


async def test_what_one_process_has_found_another_need_not_search(tmp_path: Path) -> None:
    with redis_server() as server:
        settings = with_redis(tmp_path, settings_of(server))
        async with open_service(settings) as one, open_service(settings) as other:
            await fill(one)
            mine = [told(await ask(one, question)) for question in QUESTIONS]
            await written(one)
            theirs = [told(await ask(other, question)) for question in QUESTIONS]
            state = await tier(other)

    assert mine == theirs
    assert gathers(other) == 0
    assert state["hit_rate"] == 1.0
    assert {"health", "calls", "errors", "p50_ms", "p95_ms", "p99_ms", "breaker"} <= state.keys()


async def test_what_one_process_has_embedded_another_need_not(tmp_path: Path) -> None:
    with redis_server() as server:
        settings = with_redis(tmp_path, settings_of(server))
        async with open_service(settings) as one, open_service(settings) as other:
            await fill(one)
            for question in QUESTIONS:
                await ask(one, question)
            await written(one)
            await remember(one, "Something else is so from now on")  # every candidate in a cache is stale by this
            before = asked_of_the_model(other)
            theirs = [told(await ask(other, question)) for question in QUESTIONS]
            mine = [told(await ask(one, question)) for question in QUESTIONS]
            after, state = asked_of_the_model(other), await tier(other)

    assert theirs == mine
    assert gathers(other) == len(QUESTIONS)
    assert after == before
    assert state["question_hit_rate"] == 1.0


def asked_of_the_model(service: MemoryService) -> float:
    figures = service.sources.embedder.state.figures
    assert figures is not None
    return figures["misses"]


async def test_each_sees_the_others_writes_at_once(tmp_path: Path) -> None:
    """Whatever is written on one service, the next recall on the other tells so: nothing stale, ever."""
    chance = random.Random(7)
    with redis_server() as server:
        settings = with_redis(tmp_path, settings_of(server))
        async with open_service(settings) as one, open_service(settings) as other:
            present: dict[int, UUID] = {}
            stale = []
            for turn in range(150):
                writer, reader = chance.sample([one, other], 2)
                which = chance.randrange(8)
                if which in present:
                    await writer.forget([str(present.pop(which))], CALLER)
                else:
                    present[which] = await remember(writer, f"Locker {which} holds the {chance.choice(THINGS)} since turn {turn}")
                asked = chance.randrange(8) if turn % 3 else which
                hits = {hit.memory.id for hit in (await ask(reader, f"What does locker {asked} hold?")).hits}
                if not hits <= set(present.values()) or (asked in present and present[asked] not in hits):
                    stale.append(turn)
            state = await tier(one)

    assert stale == []
    assert state["errors"] == 0


async def test_two_stores_on_one_redis_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    """As many writes, the same names, the same questions; and yet another history."""
    with redis_server() as server:
        here, there = (with_redis(tmp_path / name, settings_of(server)) for name in ("here", "there"))
        async with open_service(here) as one, open_service(there) as other:
            mine = await remember(one, "The spare key hangs in the kitchen")
            theirs = await remember(other, "The spare key lies under the mat")
            for service, expected in ((one, mine), (other, theirs), (one, mine)):
                assert [hit.memory.id for hit in (await ask(service, "Where is the spare key?")).hits] == [expected]
                await written(service)


async def test_an_entry_of_the_time_before_a_restore_is_never_served(tmp_path: Path) -> None:
    with redis_server() as server:
        settings = with_redis(tmp_path / "store", settings_of(server))
        async with open_service(settings) as service:
            await remember(service, "The lift is inspected in May")
        backup(tmp_path / "store", tmp_path / "copy")
        async with open_service(settings) as service:
            gone = await remember(service, "The door code is 1234")
            assert gone in [hit.memory.id for hit in (await ask(service, "What is the door code?")).hits]
            await written(service)
        restore(tmp_path / "store", tmp_path / "copy", utc_now())
        async with open_service(settings) as service:
            now = await remember(service, "The door code is 5678")
            found = [hit.memory.id for hit in (await ask(service, "What is the door code?")).hits]

    assert found[0] == now
    assert gone not in found


async def test_what_was_stored_just_before_the_end_is_told_and_a_redis_that_hangs_holds_up_no_end(tmp_path: Path) -> None:
    with redis_server() as server, server.talk() as redis:
        settings = with_redis(tmp_path, settings_of(server, stream_length=50))
        for count in range(1, 4):
            async with open_service(settings) as service:
                await remember(service, f"The mat is red {count}")
            assert redis.xlen("memory:1:local:changes") == count
        async with open_service(settings) as service:
            redis.client_pause(60_000)  # milliseconds
            await remember(service, "The mat is blue")
            began = time.monotonic()
        took = time.monotonic() - began

    assert took < 10


async def test_changes_are_told_in_a_stream_without_any_text(tmp_path: Path) -> None:
    with redis_server() as server, server.talk() as redis:
        async with open_service(with_redis(tmp_path, settings_of(server, stream_length=50))) as service:
            first = await remember(service, "The mat is red")
            await remember(service, "The mat is red")  # known already: no change
            await service.update(str(first), CALLER, content="The mat is green")
            second = await service.remember(RememberRequest("The mat is blue", supersedes=(str(first),)), CALLER)
            await service.forget([str(second.added.id)], CALLER)
            (operation,) = await service.undo("last", CALLER)
            carried = [Carried(number, {"content": f"The mat was once {number}"}) for number in range(3)]
            imported = await service.carry_in(carried, CALLER, "elsewhere", lambda more: None)
            await written(service)
            (revision,) = await service.records.revisions([operation.scope])
            *entries, last = [{k.decode(): v.decode() for k, v in entry.items()} for _, entry in redis.xrange("memory:1:local:changes")]
            for number in range(300):
                await service.update(str(second.added.id), CALLER, importance=number / 300)
            await written(service)
            length = redis.xlen("memory:1:local:changes")

    assert [entry["action"] for entry in entries][:2] == ["remember", "update"]
    assert [entry["ids"].split() for entry in entries] == [
        [str(first)],
        [str(first)],
        [str(second.added.id), str(first)],
        [str(second.added.id)],
        [str(second.added.id)],
    ]
    assert {(entry["tenant"], entry["namespace"]) for entry in entries} == {("local", "project")}
    assert (last["action"], last["count"], last["namespace"]) == ("import", "3", "elsewhere")
    assert last["operation"] == str(imported.operations["elsewhere"])
    assert (entries[-1]["operation"], entries[-1]["revision"]) == (str(operation.number), str(revision))
    assert "mat" not in " ".join(value for entry in entries for value in entry.values())
    assert 50 <= length < 300


# bad days


@dataclass
class Day:
    """What happens on a bad day, and how it ends.

    Attributes:
        away: Whether Redis does not answer meanwhile.
    """

    befall: Callable[[Server, Line], None]
    mend: Callable[[Server, Line], None] = field(default=lambda server, line: None)
    away: bool = True


def slow(server: Server, line: Line) -> None:
    line.delay_seconds = 0.2


def quick(server: Server, line: Line) -> None:
    line.delay_seconds = 0.0


def full(server: Server, line: Line) -> None:
    with server.talk() as redis:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", "1")


def evicting(server: Server, line: Line) -> None:
    with server.talk() as redis:
        redis.config_set("maxmemory-policy", "allkeys-random")
        redis.config_set("maxmemory", str(redis.info("memory")["used_memory"]))


def roomy(server: Server, line: Line) -> None:
    with server.talk() as redis:
        redis.config_set("maxmemory", "0")


def restarted(server: Server, line: Line) -> None:
    server.kill()
    server.start()


def emptied(server: Server, line: Line) -> None:
    with server.talk() as redis:
        redis.flushall()


def garbled(server: Server, line: Line) -> None:
    """Under every key something else: of another type, another key's, another tenant's, cut, random."""
    chance = random.Random(3)
    with server.talk() as redis:
        keys = sorted(redis.keys("memory:*"))
        values = {key: redis.get(key) for key in keys if redis.type(key) == b"string"}
        redis.delete(*keys)
        for number, key in enumerate(keys):
            other = chance.choice(list(values.values()))
            match number % 7:
                case 0:
                    redis.rpush(key, "x")
                case 1:
                    redis.hset(key, "a", "b")
                case 2:
                    redis.set(key, other)
                case 3:
                    redis.set(key, other[: len(other) // 2])
                case 4:
                    redis.set(key, chance.randbytes(500))
                case 5:
                    redis.set(key, other.replace(b"local/", b"other/"))
                case 6:
                    redis.xadd(key, {"a": "b"})


DAYS = {
    "killed": Day(lambda server, line: server.kill(), lambda server, line: server.start()),
    "hanging": Day(lambda server, line: line.hang(), lambda server, line: line.go_on()),
    "slow by 0.2 s": Day(slow, quick),
    "restarted empty": Day(restarted, away=False),
    "emptied": Day(emptied, away=False),
    "full": Day(full, roomy, away=False),
    "evicting": Day(evicting, roomy, away=False),
    "garbled": Day(garbled, away=False),
}


@asynccontextmanager
async def both(folder: Path, server: Server) -> AsyncIterator[tuple[MemoryService, MemoryService, Line]]:
    """A service with Redis, as it comes, at the end of a line; and one without on the same store."""
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(line_to(server))
        service = await stack.enter_async_context(open_service(with_redis(folder, RedisSettings(url=line.url))))
        plain = await stack.enter_async_context(open_service(settings_for(folder)))
        yield service, plain, line


@pytest.mark.parametrize("day", [pytest.param(day, id=name) for name, day in DAYS.items()])
async def test_a_bad_day_of_redis_changes_no_answer_and_fails_no_call(day: Day, tmp_path: Path) -> None:
    with redis_server() as server:
        async with both(tmp_path, server) as (service, plain, line):
            await fill(service)
            for question in QUESTIONS:
                await ask(service, question)
                await ask(plain, question)
            healthy = await times(service)

            async with anyio.create_task_group() as tasks:  # in the middle of it all
                for number in range(30):
                    tasks.start_soon(remember, service, f"Crate {number} came in the middle of it")
                    tasks.start_soon(ask, service, QUESTIONS[number])
                    if number == 10:
                        await anyio.sleep(0.01)
                        day.befall(server, line)
            for _ in range(2):  # from the search, and from a cache
                for question in QUESTIONS:
                    assert told(await ask(service, question)) == told(await ask(plain, question))
            meanwhile, state = await times(service), await tier(service)

            day.mend(server, line)
            await until_well(service)
            for question in QUESTIONS:
                assert told(await ask(service, question)) == told(await ask(plain, question))

    assert meanwhile < healthy + RedisSettings().timeout_seconds / 2  # it is not waited for
    assert not day.away or (state["health"], state["breaker"] == "closed") == ("away", False)


async def times(service: MemoryService) -> float:
    """The median of what recall takes, of questions never asked before, in seconds."""
    taken = []
    for number in range(40):
        started = time.perf_counter()
        await ask(service, f"Where is number {number} of {random.random()}?")
        taken.append(time.perf_counter() - started)
    return median(taken)


async def test_a_redis_that_is_full_is_named_and_still_read(tmp_path: Path) -> None:
    with redis_server() as server:
        async with open_service(with_redis(tmp_path, settings_of(server))) as service:
            await fill(service)
            await ask(service, QUESTIONS[0])
            await written(service)
            full(server, Line(server.socket, server.socket))
            for question in QUESTIONS[1:12]:
                await ask(service, question)
            with anyio.fail_after(PATIENCE):
                while (await tier(service))["health"] != "takes no writes":
                    await ask(service, f"And {random.random()}?")
                    await anyio.sleep(0.02)
            state = await tier(service)

    assert (state["breaker"], state["errors"]) == ("closed", 0)
    assert state["writes_dropped"] > 0


async def test_a_start_without_redis_is_as_quick_and_complete(tmp_path: Path) -> None:
    async with open_service(with_redis(tmp_path, RedisSettings(url="redis://127.0.0.1:1"))) as service:
        stored = await remember(service, "The ladder stands in the attic")
        found = [hit.memory.id for hit in (await ask(service, "Where is the ladder?")).hits]
        for number in range(5):
            await ask(service, f"Where is ladder {number}?")
        state = await tier(service)

    assert found == [stored]
    assert (state["health"], state["breaker"]) == ("away", "open")


async def test_foreign_candidates_in_redis_show_nobody_foreign_memories(tmp_path: Path) -> None:
    """Even one who can write to Redis, and knows how, brings no memory to where it does not belong."""
    stranger = Caller("stranger", "project")
    with redis_server() as server, server.talk() as redis:
        async with open_service(with_redis(tmp_path, settings_of(server))) as service:
            secret = (await service.remember(RememberRequest("The safe opens with 4711"), stranger)).added.id
            own = await remember(service, "The safe stands in the cellar")
            await service.recall(RecallRequest("What about the safe?"), stranger)
            await ask(service, "What about the safe?")
            await written(service)
            theirs, mine = (entry_of(redis, tenant) for tenant in ("stranger", "local"))
            candidates = decode_candidates(theirs.data, theirs.key, theirs.stamp)
            assert candidates is not None
            assert candidates.ids == (secret,)
            redis.set(mine.name, encode_candidates(mine.key, mine.stamp, candidates))
            service.known.clear()  # what this process remembers would hide it
            found = [hit.memory.id for hit in (await ask(service, "What about the safe?")).hits]

    assert secret not in found
    assert set(found) <= {own}


@dataclass(frozen=True)
class Entry:
    name: bytes
    data: bytes
    key: str
    stamp: str


def entry_of(redis: Any, tenant: str) -> Entry:
    (name,) = redis.keys(f"memory:1:{tenant}:candidates:*")
    data = redis.get(name)
    header = json.loads(data[24 : 24 + int.from_bytes(data[20:24], "little")])
    return Entry(name, data, header["key"], header["stamp"])
