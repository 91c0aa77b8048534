"""What a recall cache may do, whatever keeps it: be slow, forget, but never lie."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import anyio
import numpy as np
import pytest

from memory_mcp.contracts import Candidates, Circumstances, RecallCache
from memory_mcp.tiers.redis.tier import RedisTier
from tests.redis_servers import needs_redis, redis_server, settings_of

OpenCache = Callable[[], AbstractAsyncContextManager[RecallCache]]


class Settled:
    """Waits until what is written behind is written."""

    def __init__(self, tier: RedisTier) -> None:
        self._tier = tier

    async def lookup(self, key: str, stamp: str) -> Candidates | None:
        return await self._tier.candidates.lookup(key, stamp)

    async def store(self, key: str, stamp: str, candidates: Candidates) -> None:
        await self._tier.candidates.store(key, stamp, candidates)
        await self._tier.behind.flush()


@asynccontextmanager
async def open_redis_cache() -> AsyncIterator[RecallCache]:
    with redis_server() as server:
        async with RedisTier.open(settings_of(server)) as tier, anyio.create_task_group() as tasks:
            tasks.start_soon(tier.run)
            yield Settled(tier)
            tasks.cancel_scope.cancel()


@pytest.fixture(params=[pytest.param(open_redis_cache, marks=needs_redis)])
def open_cache(request: pytest.FixtureRequest) -> OpenCache:
    opener: OpenCache = request.param
    return opener


def candidates(number: int) -> Candidates:
    one = np.array([float(number)])
    around = Circumstances(
        lexical=one,
        standing=np.array([3], np.uint64),
        kinds=np.array([0.5]),
        session=np.array([-1]),
        order=np.array([0]),
        session_lexical=np.empty(0),
        when=np.array([number]),
        asking=np.array([False]),
        dated=np.array([False]),
        specific=np.array([True]),
        named=np.array([1.0]),
        importance=np.array([0.5]),
    )
    return Candidates((UUID(int=number),), one, around, mean=0.1, deviation=0.2, unrelated=0.0, sampled=1, rows=1, rarity=(0.5, 2.0))


async def test_what_was_stored_comes_back_under_its_key_and_stamp_alone(open_cache: OpenCache) -> None:
    async with open_cache() as cache:
        await cache.store("local/question", "revision 1", candidates(1))
        found = await cache.lookup("local/question", "revision 1")

        assert found is not None
        assert (found.ids, found.similarity.tolist(), found.around.named.tolist()) == ((UUID(int=1),), [1.0], [True])
        assert await cache.lookup("local/question", "revision 2") is None
        assert await cache.lookup("local/another", "revision 1") is None
        assert await cache.lookup("stranger/question", "revision 1") is None


async def test_a_late_fill_of_an_older_revision_is_never_served_for_a_newer_one(open_cache: OpenCache) -> None:
    async with open_cache() as cache:
        await cache.store("local/question", "revision 2", candidates(2))
        await cache.store("local/question", "revision 1", candidates(1))
        found = await cache.lookup("local/question", "revision 2")

        assert found is None or found.ids == (UUID(int=2),)


async def test_room_is_made_for_what_is_asked_now(open_cache: OpenCache) -> None:
    async with open_cache() as cache:
        for number in range(10):
            await cache.store(f"local/question {number}", "revision 1", candidates(number))
        found = await cache.lookup("local/question 9", "revision 1")

    assert found is not None
    assert found.ids == (UUID(int=9),)
