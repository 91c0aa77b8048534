"""The connection to a Redis, whatever its kind: few commands, each on one key, so that a cluster is as good as a server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import anyio
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Connection, Redis, RedisCluster, Sentinel, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from memory_mcp.errors import TierError, TierUnavailableError
from memory_mcp.tiers.redis.settings import RedisSettings

TIER = "redis"

T = TypeVar("T")

_REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.AuthenticationWrongNumberOfArgsError)
_PASSING = {"OOM", "MISCONF", "NOREPLICAS", "LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "UNBLOCKED"}
"""How errors begin that a server gives for a while."""

_CALL_TIMEOUTS = 5
"""A call may take so many time limits: for a connection from the pool, to connect, to log in, to be answered, and one to spare."""


class RedisClient:
    """Bytes in, bytes out, driver errors translated.

    A call is carried out in a task of its own. Whoever waits may stop waiting at any moment; the driver then still ends
    the call in order, within some time limits, and its connection is ready for the next one or closed. So a connection that
    takes longer to make than a question wants to wait is there for the question after it.

    Args:
        redis: Live; not closed here.
        timeout_seconds: That of the driver, for one step.
    """

    def __init__(self, redis: "Redis | RedisCluster", *, timeout_seconds: float) -> None:
        self._redis: Any = redis
        self._longest_seconds = _CALL_TIMEOUTS * timeout_seconds
        self._calls: set[asyncio.Task[Any]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: RedisSettings) -> AsyncIterator["RedisClient"]:
        """A client of the Redis that the settings name; connects with the first call, and is closed on leaving."""
        async with AsyncExitStack() as stack:
            client = cls(_connect(settings, stack), timeout_seconds=settings.timeout_seconds)
            stack.push_async_callback(client._end)
            yield client

    async def ping(self) -> None:
        """Whether it answers."""
        await self._call("ping", lambda: self._redis.ping())

    async def get(self, key: str, max_bytes: int) -> bytes | None:
        """The string under a key; None where there is none, or it is longer, or is something else than a string."""
        try:
            found: bytes = await self._call("get", lambda: self._redis.getrange(key, 0, max_bytes))
        except WrongTypeError:
            return None
        return found if 0 < len(found) <= max_bytes else None

    async def set(self, key: str, value: bytes, ttl_seconds: int) -> None:
        """Put a string under a key, in place of whatever was there, for some time."""
        await self._call("set", lambda: self._redis.set(key, value, ex=ttl_seconds))

    async def append(self, stream: str, entry: Mapping[str, str], length: int) -> None:
        """Add an entry to a stream, of which about the last `length` are kept; what lies there and is no stream goes."""
        try:
            await self._call("append", lambda: self._redis.xadd(stream, dict(entry), maxlen=length, approximate=True))
        except WrongTypeError:
            await self.delete(stream)
            await self._call("append", lambda: self._redis.xadd(stream, dict(entry), maxlen=length, approximate=True))

    async def delete(self, key: str) -> None:
        """Remove a key."""
        await self._call("delete", lambda: self._redis.delete(key))

    async def version(self) -> str:
        """Of the server, where it tells."""
        try:
            found = await self._call("version", lambda: self._redis.info("server"))
        except TierUnavailableError:
            raise
        except TierError:  # a user may be denied the command
            return ""
        return str(found.get("redis_version", "")) if isinstance(found, dict) else ""

    async def _call(self, operation: str, work: Callable[[], Awaitable[T]]) -> T:
        task = asyncio.ensure_future(self._bounded(work))
        self._calls.add(task)
        task.add_done_callback(self._done)
        with redis_errors(operation):
            return await asyncio.shield(task)

    async def _bounded(self, work: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._longest_seconds):
            return await work()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            task.exception()  # else asyncio complains where nobody waited any longer

    async def _end(self) -> None:
        for task in list(self._calls):
            task.cancel()
        with anyio.CancelScope(shield=True):
            if self._calls:
                await asyncio.wait(self._calls, timeout=1)


class WrongTypeError(TierError):
    """Under the key lies something that is not ours: no string."""


@contextmanager
def redis_errors(operation: str) -> Iterator[None]:
    """Driver errors stop here; their words, which may quote keys and addresses, are not repeated."""
    try:
        yield
    except Exception as error:  # the driver's parser dies of what is not Redis in many ways
        raise _meaning(error, operation) from error


def _meaning(error: Exception, operation: str) -> TierError:
    """What an error of the driver means for whoever asked."""
    for one in (error.__cause__, error):  # one met while connecting is the cause of a plain `ConnectionError`
        if isinstance(one, _REFUSED):
            return TierUnavailableError(TIER, "Redis refuses the user or the password.")
        if isinstance(one, (exceptions.TimeoutError, TimeoutError)):
            return TierUnavailableError(TIER, "Redis was too slow to answer.")
    if isinstance(error, exceptions.NoPermissionError):
        return TierError(TIER, f"Redis does not allow its user to {operation}.")
    if isinstance(error, exceptions.OutOfMemoryError):
        return TierUnavailableError(TIER, "Redis is full and takes nothing more.")
    if isinstance(error, exceptions.ReadOnlyError):
        return TierUnavailableError(TIER, "This Redis is a replica and takes nothing.")
    if isinstance(error, exceptions.ResponseError) and not isinstance(error, (exceptions.ClusterError, exceptions.AskError)):
        word = str(error).partition(" ")[0]
        if word == "WRONGTYPE":
            return WrongTypeError(TIER, "Something foreign lies under a key in Redis.")
        if word not in _PASSING:
            return TierError(TIER, f"Redis refused to {operation}.")
    return TierUnavailableError(TIER, "Redis does not answer, or is no Redis.")


def _connect(settings: RedisSettings, stack: AsyncExitStack) -> "Redis | RedisCluster":
    """A driver for the address, to be closed by the stack. No retries: who waits for a cache has no time for them (rule R6)."""
    address = settings.address
    limits: dict[str, Any] = {
        "socket_timeout": settings.timeout_seconds,
        "socket_connect_timeout": settings.timeout_seconds,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    who: dict[str, Any] = {
        "username": settings.username or address.username or None,
        "password": settings.password.get_secret_value() or address.password or None,
    }
    trust: dict[str, Any] = {"ssl_ca_certs": settings.ca_file or None} if address.tls else {}
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.nodes]
        cluster: Any = RedisCluster(
            startup_nodes=nodes, max_connections=settings.max_connections, ssl=address.tls, **limits, **who, **trust
        )
        stack.push_async_callback(_close, cluster)
        return cluster  # type: ignore[no-any-return]
    if address.kind == "sentinel":
        tls = {"ssl": True, **trust} if address.tls else {}
        sentinel = Sentinel(list(address.nodes), sentinel_kwargs={**limits, **tls}, **limits, **who, **tls)  # type: ignore[no-untyped-call]
        for watcher in sentinel.sentinels:
            stack.push_async_callback(_close, watcher)
        redis: Redis = sentinel.master_for(address.service, db=address.database, max_connections=settings.max_connections)
        stack.push_async_callback(_close, redis)
        return redis
    place: dict[str, Any] = {"connection_class": UnixDomainSocketConnection, "path": address.path}
    if address.kind == "server":
        ((host, port),) = address.nodes
        place = {"connection_class": SSLConnection if address.tls else Connection, "host": host, "port": port, **trust}
    pool = BlockingConnectionPool(
        max_connections=settings.max_connections, timeout=settings.timeout_seconds, db=address.database, **limits, **who, **place
    )
    redis = Redis.from_pool(pool)
    stack.push_async_callback(_close, redis)
    return redis


async def _close(redis: Any) -> None:
    with anyio.CancelScope(shield=True), suppress(Exception):  # a broken connection cannot be closed in order, and need not be
        async with asyncio.timeout(1):
            await redis.aclose()
