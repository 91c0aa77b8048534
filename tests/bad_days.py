"""A whole memory over PostgreSQL, Redis and Qdrant, each behind a door; a crowd at work on it; and what must hold of both."""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import anyio
from postgres_server import APP, Databases
from postgres_server import server as postgres
from proxies import Proxy, proxy_to
from qdrant_client import AsyncQdrantClient
from qdrant_wire import serving
from qdrants import SERVER
from redis_servers import Server as RedisServer
from redis_servers import redis_server

from memory_mcp.answers import RecallRequest
from memory_mcp.config import RecallSettings, Settings, StackSettings
from memory_mcp.errors import MemoryMcpError, MemoryNotFoundError, TierError, TierUnavailableError
from memory_mcp.models import Caller, Filter, Provenance, Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.tiers.qdrant.index import QdrantIndex
from memory_mcp.tiers.qdrant.opening import open_qdrant
from memory_mcp.tiers.qdrant.settings import QdrantSettings
from memory_mcp.tiers.redis.codec import decode_candidates
from memory_mcp.tiers.redis.settings import RedisSettings
from memory_mcp.upkeep.carrier import Source
from tests.memories import settings_for

PREFIX = "memory-mcp-test"
TENANTS = [Caller(tenant, "project", Provenance(client="pytest")) for tenant in ("local", "neighbour")]
SECONDS = 30.0
"""In which all tiers are equal again once a server is back, on a busy machine."""


@dataclass
class Servers:
    """The three servers, and the doors to them that can be made to hang, crawl and shut."""

    databases: Databases
    redis: RedisServer
    doors: dict[str, Proxy]
    qdrant_port: int

    def settings(self, data_dir: Path, **recall: float) -> Settings:
        """As a user would have them, with every tier; Qdrant is asked before what is in memory."""
        dsn = postgres().dsn(self.databases.make(), APP, "127.0.0.1", self.doors["postgres"].port)
        given = {
            "records": postgres().settings(self.databases.make(), dsn=dsn, owner_dsn="", pool_size=8),
            "redis": RedisSettings.model_validate({"url": f"redis://127.0.0.1:{self.doors['redis'].port}"}),
            "qdrant": self.qdrant,
            "stack": StackSettings(vectors=["qdrant", "resident"]),
            "recall": RecallSettings(**recall),
        }
        return settings_for(data_dir).model_copy(update=given)

    @property
    def qdrant(self) -> QdrantSettings:
        return QdrantSettings(url="http://127.0.0.1:9", grpc_port=self.doors["qdrant"].port, prefix=PREFIX)

    async def empty_qdrant(self) -> None:
        """As after a restart on another disk."""
        client = AsyncQdrantClient(url="http://127.0.0.1:9", grpc_port=self.qdrant_port, prefer_grpc=True, check_compatibility=False)
        for each in (await client.get_collections()).collections:
            if each.name.startswith(f"{PREFIX}-"):
                await client.delete_collection(each.name)
        await client.close()


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    """All of them, empty; on a Qdrant server of somebody's own nothing is left at the end."""
    async with AsyncExitStack() as stack:
        databases = Databases(folder)
        stack.callback(databases.drop)
        redis = stack.enter_context(redis_server())
        qdrant = (urlsplit(SERVER).hostname or "", 6334) if SERVER else ("127.0.0.1", await stack.enter_async_context(serving()))
        targets: dict[str, Any] = {"postgres": postgres().socket, "redis": redis.socket, "qdrant": qdrant}
        doors = {name: await stack.enter_async_context(proxy_to(target)) for name, target in targets.items()}
        made = Servers(databases, redis, doors, qdrant[1])
        yield made
        if SERVER:
            await made.empty_qdrant()


# what may happen

Happening = Callable[[Servers], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """What befalls a server, and how it ends.

    Attributes:
        seconds: How long it lasts.
        noticed: Whether the tier is away meanwhile, so that it has to be named.
    """

    server: str
    befall: Happening
    mend: Happening
    seconds: float = 2.0
    noticed: bool = True


async def _nothing(town: Servers) -> None:
    pass


def _door(server: str, act: Callable[[Proxy], None]) -> Happening:
    async def happen(town: Servers) -> None:
        act(town.doors[server])

    return happen


def _slowed(seconds: float) -> Callable[[Proxy], None]:
    return lambda door: setattr(door, "delay_seconds", seconds)


def _in_thread(act: Callable[[Servers], object]) -> Happening:
    async def happen(town: Servers) -> None:
        await anyio.to_thread.run_sync(act, town)

    return happen


def _restart_postgres(town: Servers) -> None:
    postgres().stop("fast")
    postgres().start()


def _restart_redis(town: Servers) -> None:
    town.redis.kill()
    town.redis.start()


async def _restart_qdrant(town: Servers) -> None:
    town.doors["qdrant"].shut()
    await town.empty_qdrant()
    town.doors["qdrant"].unlock()


FAULTS = {
    "postgres killed": Fault("postgres", _in_thread(lambda _: postgres().stop("immediate")), _in_thread(lambda _: postgres().start()), 4.0),
    "postgres hung": Fault("postgres", _door("postgres", Proxy.hang), _door("postgres", Proxy.resume), 4.0),
    "postgres slow": Fault("postgres", _door("postgres", _slowed(0.2)), _door("postgres", _slowed(0.0)), noticed=False),
    "postgres restarted": Fault("postgres", _in_thread(_restart_postgres), _nothing, 0.5, noticed=False),
    "redis killed": Fault("redis", _in_thread(lambda town: town.redis.kill()), _in_thread(lambda town: town.redis.start())),
    "redis hung": Fault("redis", _door("redis", Proxy.hang), _door("redis", Proxy.resume)),
    "redis slow": Fault("redis", _door("redis", _slowed(0.2)), _door("redis", _slowed(0.0))),
    "redis restarted empty": Fault("redis", _in_thread(_restart_redis), _nothing, 0.5, noticed=False),
    "qdrant killed": Fault("qdrant", _door("qdrant", Proxy.shut), _door("qdrant", Proxy.unlock)),
    "qdrant hung": Fault("qdrant", _door("qdrant", Proxy.hang), _door("qdrant", Proxy.resume)),
    "qdrant slow": Fault("qdrant", _door("qdrant", _slowed(0.2)), _door("qdrant", _slowed(0.0)), noticed=False),
    "qdrant restarted empty": Fault("qdrant", _restart_qdrant, _nothing, 0.5, noticed=False),
}


# those who work meanwhile

_SYLLABLES = "ba ke li mo nu pa re si to vu".split()


def word(number: int) -> str:
    """A word that stands for a number, and for no other."""
    return "".join(_SYLLABLES[int(digit)] for digit in f"{number:05d}")


@dataclass(frozen=True)
class Recall:
    """One question, and what became of it; times as of the monotonic clock."""

    began: float
    ended: float
    degraded: tuple[str, ...] = ()
    error: str = ""


@dataclass
class Crowd:
    """Some who write and change and forget, and some who ask, for two tenants on one memory.

    Attributes:
        present, gone: Per tenant the texts acknowledged to be there, by id, and those acknowledged to be forgotten.
        strange: What should not have been, in sentences.
        refused: Why writes were refused; each was repeated until it was acknowledged.
    """

    services: Sequence[MemoryService]
    present: dict[str, dict[UUID, str]] = field(default_factory=lambda: {caller.tenant: {} for caller in TENANTS})
    gone: dict[str, dict[UUID, str]] = field(default_factory=lambda: {caller.tenant: {} for caller in TENANTS})
    strange: list[str] = field(default_factory=list)
    refused: list[TierUnavailableError] = field(default_factory=list)
    recalls: list[Recall] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _busy: set[UUID] = field(default_factory=set)
    _chance: random.Random = field(default_factory=lambda: random.Random(5))
    _ending: bool = False

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """From now to the end of the block, at which each ends what it is about."""
        self._ending = False
        async with anyio.create_task_group() as tasks:
            for caller in TENANTS:
                for service in self.services:
                    tasks.start_soon(self._write, service, caller)
                    tasks.start_soon(self._ask, service, caller)
            yield
            self._ending = True

    async def written(self, count: int) -> None:
        """Wait until so many more writes are acknowledged."""
        at = sum(map(len, self.present.values())) + count
        while sum(map(len, self.present.values())) < at:  # noqa: ASYNC110 - others count
            await anyio.sleep(0.01)

    async def _write(self, service: MemoryService, caller: Caller) -> None:
        present, gone = self.present[caller.tenant], self.gone[caller.tenant]
        while not self._ending:
            number = next(self._numbers)
            text = f"The crate {word(number)} of {caller.tenant} stands in hall {number % 7}"
            receipt = await self._until_done(lambda text=text: service.remember(RememberRequest(text), caller))
            present[receipt.added.id] = text
            if number % 4 == 3:
                memory_id = next(iter(present))
                text = present.pop(memory_id)
                await self._until_done(lambda memory_id=memory_id: service.forget([str(memory_id)], caller))
                gone[memory_id] = text
            elif number % 4 == 1:
                memory_id = next(iter(present))
                text = present.pop(memory_id)  # nobody asks for it while it changes
                changed = f"The crate {word(number)} {text.partition(' of ')[0].rpartition(' ')[2]} of {caller.tenant} has moved"
                await self._until_done(lambda memory_id=memory_id, changed=changed: service.update(str(memory_id), caller, content=changed))
                present[memory_id] = changed
            await anyio.sleep(0.02)

    async def _until_done(self, write: Callable[[], Awaitable[Any]]) -> Any:
        uncertain = False
        while True:
            try:
                return await write()
            except TierUnavailableError as error:
                self.refused.append(error)
                uncertain = True
                await anyio.sleep(0.1)
            except MemoryNotFoundError:
                if not uncertain:
                    raise
                return None  # the try that was not answered had forgotten it

    async def _ask(self, service: MemoryService, caller: Caller) -> None:
        present = self.present[caller.tenant]
        while not self._ending:
            await anyio.sleep(0.03)
            if not present:
                continue
            wanted = self._chance.choice(list(present))
            text = present[wanted]
            began = time.monotonic()
            try:
                answer = await service.recall(RecallRequest(f"Where is {text.partition(' of ')[0]}?"), caller)
            except MemoryMcpError as error:
                self.recalls.append(Recall(began, time.monotonic(), error=str(error)))
                if not isinstance(error, TierUnavailableError):
                    self.strange.append(f"a recall raised {error!r}")
                continue
            ids = [hit.memory.id for hit in answer.hits]
            found = wanted in ids or present.get(wanted) != text  # forgotten or changed meanwhile
            self.recalls.append(Recall(began, time.monotonic(), tuple(answer.degraded)))
            if {(hit.memory.scope.tenant, hit.memory.scope.namespace) for hit in answer.hits} - {(caller.tenant, "project")}:
                self.strange.append("a recall told of another's memory")
            if not found and not answer.degraded:
                self.strange.append(f"{wanted} was not found, and nothing was said to be missing")


# what must hold


async def differences(service: MemoryService, town: Servers, crowd: Crowd) -> list[str]:
    """Every difference between what was acknowledged, the record store, and each tier."""
    store = cast(Source, service.sources.text)
    epoch = service.sources.embedder.state.epoch or ""
    faults: list[str] = []
    async with open_qdrant(town.qdrant, Path("/nonexistent"), await store.identity()) as (index, _):
        for caller in TENANTS:
            scope = Scope(caller.tenant, "project")
            memories = (await store.changed(scope, 0)).memories
            texts = {memory.id: memory.content for memory in memories}
            if texts != crowd.present[caller.tenant]:
                lost, more = crowd.present[caller.tenant].keys() - texts.keys(), texts.keys() - crowd.present[caller.tenant].keys()
                faults.append(f"store: {len(lost)} lost, {len(more)} not acknowledged, of {len(texts)}")
            if twice := [text for text, count in Counter(texts.values()).items() if count > 1]:
                faults.append(f"store: {len(twice)} texts twice")
            held = await _held(service, index, scope, epoch)
            faults += [f"{tier}: {len(ids ^ texts.keys())} of {len(texts)} differ" for tier, ids in held.items() if ids != texts.keys()]
            faults += [f"redis: {fault}" for fault in _in_redis(town, crowd, caller.tenant)]
    return faults


async def _held(service: MemoryService, index: QdrantIndex, scope: Scope, epoch: str) -> dict[str, set[UUID]]:
    everything = Filter()
    resident = cast(Any, service.sources.nearest)._tiers["resident"]
    (vector,) = (await service.sources.embedder.embed(["a crate"]))[0][:1]
    (hits,) = await resident.search(scope, vector[None], everything, limit=100_000, epoch=epoch)
    (stacked,) = await service.sources.nearest.search(scope, vector[None], everything, limit=10_000, epoch=epoch)
    look = await service.sources.reader.look(scope, "crate")
    return {
        "vectors in the store": set((await cast(Source, service.sources.text).vector_changes(scope, 0, epoch)).points.ids),
        "resident": {hit.id for hit in hits},
        "texts": {hit.id for hit in look.best(everything, 100_000)},
        "stack": {hit.id for hit in stacked},
        "qdrant": set(await index.held(scope, epoch)),
    }


def _in_redis(town: Servers, crowd: Crowd, tenant: str) -> Iterator[str]:
    """No entry of a tenant names what is not, or never was, that tenant's."""
    own = crowd.present[tenant].keys() | crowd.gone[tenant].keys()
    with town.redis.talk() as redis:
        for name in redis.keys(f"memory:1:{tenant}:candidates:*"):
            data = redis.get(name)
            header = json.loads(data[24 : 24 + int.from_bytes(data[20:24], "little")])
            candidates = decode_candidates(data, header["key"], header["stamp"])
            if candidates is None or set(candidates.ids) - own:
                yield "an entry is not this tenant's"


async def equal_again(service: MemoryService, town: Servers, crowd: Crowd) -> float:
    """Wait until nothing differs, for so many seconds; that is how long it took.

    Raises:
        AssertionError: They still differ; it says how.
    """
    began = time.monotonic()
    while True:
        try:
            faults = await differences(service, town, crowd)
            faults += [f"{tier}: {health}" for tier in ("redis", "qdrant") if (health := service.figures[tier]()["health"]) != "ok"]
        except TierError as error:
            faults = [str(error)]
        took = time.monotonic() - began
        if not faults:
            return took
        assert took < SECONDS, faults
        for caller in TENANTS:  # who is not asked does not notice that it is well
            try:
                await service.recall(RecallRequest(f"Which crate is it at {time.monotonic()}?"), caller)
            except TierError:
                continue
        await anyio.sleep(0.1)
