"""Transactions: the one way to the database, and each begins by saying whose it is (rule R7)."""

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import anyio
import psycopg
import structlog
from pgvector import HalfVector
from pgvector.psycopg.halfvec import HalfVectorBinaryDumper
from psycopg import AsyncConnection, AsyncCursor
from psycopg.types import TypeInfo
from psycopg_pool import AsyncConnectionPool

from memory_mcp.errors import TierError, TierUnavailableError
from memory_mcp.tiers.postgres.faults import REPEATABLE, SLOW, TIER, UNCERTAIN, postgres_errors
from memory_mcp.tiers.postgres.schema import prepare

log = structlog.get_logger(__name__)

T = TypeVar("T")
Row = tuple[Any, ...]
Connection = AsyncConnection[Row]
Values = Mapping[str, Any]

_READ = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WRITE = b"BEGIN ISOLATION LEVEL READ COMMITTED"
"""It inherits the server's own default: one that is read-only is to say so."""
_BECOME = b"SELECT set_config('app.tenant', %s, true)"
_ATTEMPTS = 3
_PING_SECONDS = 1.0
_TRUSTED_SECONDS = 2.0
"""A connection that answered so lately is taken for alive without asking, unless its socket says otherwise."""
_OUTCOME_SECONDS = 5.0
_POLL_SECONDS = 0.1
_CLOSE_SECONDS = 2.0
NOBODY = ""
"""The tenant of a transaction that works outside of all tenants, and sees nothing of any."""


class Transaction:
    """One transaction, on behalf of one tenant at a time.

    Before its first statement go the one that begins it and the one that names the tenant, in the same round trip. A
    statement that is not answered in time is ended by cutting the connection: a server behind a broken network hears
    nothing else.

    Args:
        connection: On which each statement is its own transaction, so that this one begins where it is told to.
    """

    def __init__(self, connection: Connection, tenant: str, answer_seconds: float, *, writing: bool = False) -> None:
        self._connection, self._tenant, self._seconds, self._writing = connection, tenant, answer_seconds, writing
        self._begun = self._cut = False
        self._streams = 0
        self.number: str | None = None

    @property
    def tenant(self) -> str:
        """On whose behalf it works now."""
        return self._tenant

    async def become(self, tenant: str) -> None:
        """Go on on behalf of another tenant."""
        self._tenant = tenant
        if self._begun:
            await self._execute(_BECOME, (tenant,))

    async def rows(self, sql: str, values: Values | None = None, *, binary: bool = False) -> list[Row]:
        """Every row of the answer."""
        return await (await self._execute(sql.encode(), values, binary=binary)).fetchall()

    async def row(self, sql: str, values: Values | None = None) -> Row | None:
        """The first row, or None."""
        return await (await self._execute(sql.encode(), values)).fetchone()

    async def value(self, sql: str, values: Values | None = None) -> Any:
        """The first column of the first row, or None where there is no row."""
        found = await self.row(sql, values)
        return None if found is None else found[0]

    async def run(self, sql: str, values: Values | None = None) -> None:
        """Carry out a statement whose answer is of no interest."""
        await self._execute(sql.encode(), values)

    async def later(self, sql: str, values: Values | None = None) -> AsyncCursor[Row]:
        """Within `together`: a question whose answer is looked at after it."""
        return await self._execute(sql.encode(), values)

    async def stream(self, sql: str, values: Values, *, size: int) -> AsyncIterator[list[Row]]:
        """The rows of a long answer, `size` at a time, so that neither memory nor event loop is held up by all of them."""
        async with self.together():
            stream = await self.open_stream(sql, values, size=size)
        async for rows in stream:
            yield rows

    async def open_stream(self, sql: str, values: Values, *, size: int, binary: bool = False) -> "AsyncIterator[list[Row]]":
        """Within `together`: a stream, its first rows on their way; to be read after it."""
        self._streams += 1
        name = f"rows{self._streams}"
        await self._execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql}".encode(), values)
        fetch = f"FETCH FORWARD {size} FROM {name}".encode()
        return self._pages(await self._execute(fetch, None, binary=binary), fetch, size, binary)

    async def _pages(self, cursor: AsyncCursor[Row], fetch: bytes, size: int, binary: bool) -> AsyncIterator[list[Row]]:
        while rows := await cursor.fetchall():
            yield rows
            if len(rows) < size:
                return
            await asyncio.sleep(0)
            cursor = await self._execute(fetch, None, binary=binary)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """The statements within go out in one round trip; the first that fails fails them all."""
        with self._answering():
            async with self._connection.pipeline():
                await self._begin()
                yield

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            with self._answering():
                await self._connection.execute(_WRITE if self._writing else _READ, prepare=False)
                await self._connection.execute(_BECOME, (self._tenant,))

    async def _execute(self, sql: bytes, values: Any, *, binary: bool = False) -> AsyncCursor[Row]:
        cursor = self._connection.cursor(binary=binary)
        with self._answering():
            if self._begun:
                await cursor.execute(sql, values)
            else:
                async with self._connection.pipeline():
                    await self._begin()
                    await cursor.execute(sql, values)
        return cursor

    async def commit(self) -> None:
        """End it; what it wrote is durable.

        Raises:
            OutcomeUnknownError: The connection broke meanwhile.
        """
        try:
            with self._answering():
                await self._connection.commit()
        except (psycopg.OperationalError, TierUnavailableError) as error:
            raise OutcomeUnknownError(self.number) from error

    async def rollback(self) -> None:
        """End it without a trace; a connection that cannot do that is given up."""
        try:
            with self._answering():
                await self._connection.rollback()
        except (psycopg.Error, TierError):
            await self._connection.close()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        timer = asyncio.get_running_loop().call_later(self._seconds, self._end_waiting)
        try:
            yield
        except psycopg.OperationalError as error:
            if self._cut:
                raise TierUnavailableError(TIER, SLOW) from error
            raise
        finally:
            timer.cancel()

    def _end_waiting(self) -> None:
        self._cut = True
        cut(self._connection)


class OutcomeUnknownError(Exception):
    """The connection broke during a commit; `number` is the transaction's, to ask for its fate."""

    def __init__(self, number: str | None) -> None:
        self.number = number
        super().__init__()


def cut(connection: Connection) -> None:
    """End the connection's socket: whoever waits for an answer on it gets an error at once."""
    with suppress(OSError, psycopg.Error):
        ending = socket.socket(fileno=connection.fileno())
        try:
            ending.shutdown(socket.SHUT_RDWR)
        finally:
            ending.detach()


Work = Callable[[Transaction], Awaitable[T]]
Landed = Callable[..., Awaitable[bool]]
"""Given a transaction and the `result` of a write: whether that write stands in the database."""


class Sessions:
    """Hands out transactions over a pool of connections.

    Attributes:
        trouble: Why the newest call failed, or why nothing can be written, if the database is the reason; else empty.
    """

    def __init__(self, pool: "AsyncConnectionPool[Connection]", pulse: "Pulse", answer_seconds: float) -> None:
        self._pool, self._pulse, self._seconds = pool, pulse, answer_seconds
        self._at_work: set[asyncio.Task[Any]] = set()
        self._failure: TierError | None = None
        self._refusal: TierError | None = None

    @property
    def trouble(self) -> str:
        """See above: of a database that takes no writes every read is well."""
        return str(self._failure or self._refusal or "")

    def figures(self) -> dict[str, int]:
        """Of the pool, for people."""
        told = self._pool.get_stats()
        return {"connections": told.get("pool_size", 0), "free": told.get("pool_available", 0), "waiting": told.get("requests_waiting", 0)}

    async def read(self, tenant: str, work: Work[T]) -> T:
        """Carry out a read in one snapshot. Its transaction ends behind its caller's back, and so does one that is cancelled.

        Raises:
            TierUnavailableError: No connection was free in time, or the server is away or does not answer.
        """
        return await self._repeated(tenant, work, None)

    async def write(self, tenant: str, work: Work[T], landed: Landed) -> T:
        """Carry out a write; it is durable on return. Once begun it is carried to its end, also when cancelled.

        Args:
            landed: Whether a write that gave this answer stands in the database.

        Raises:
            TierUnavailableError: As in `read`; nothing was written unless it says that this is uncertain.
            StoreReadOnlyError: The server takes no writes.
        """
        return await self._repeated(tenant, work, landed)

    async def close(self) -> None:
        """Wait a moment for what is at work; then nothing is left of it."""
        if self._at_work:
            _, late = await asyncio.wait(self._at_work, timeout=_CLOSE_SECONDS)
            for task in late:
                task.cancel()
        with suppress(psycopg.Error):
            await self._pool.close(timeout=_CLOSE_SECONDS)

    async def _repeated(self, tenant: str, work: Work[T], landed: Landed | None) -> T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = await self._once(tenant, work, landed)
                self._failure = None
                if landed:
                    self._refusal = None
                return answer
            except TierError as error:
                self._failure = error
                if landed and not isinstance(error, TierUnavailableError):
                    self._refusal = error
                if attempt == _ATTEMPTS or not isinstance(error.__cause__, REPEATABLE):
                    raise
        raise AssertionError

    async def _once(self, tenant: str, work: Work[T], landed: Landed | None) -> T:
        with postgres_errors():
            connection = await self._pool.getconn()
        task = self._start(self._carry_out(connection, tenant, work, landed))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if landed and not task.done():
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([task])
            raise

    def _start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._at_work.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that it is not reported as lost when nobody waits any more

    async def _carry_out(self, connection: Connection, tenant: str, work: Work[T], landed: Landed | None) -> T:
        transaction = Transaction(connection, tenant, self._seconds, writing=landed is not None)
        reading = False
        try:
            with postgres_errors():
                try:
                    result = await work(transaction)
                    if landed:
                        await transaction.commit()
                except OutcomeUnknownError:
                    raise
                except BaseException:
                    await transaction.rollback()
                    raise
            reading = not landed
        except OutcomeUnknownError as unknown:
            await connection.close()
            if landed and not await self._was_committed(unknown, tenant, partial(landed, result=result)):
                raise TierUnavailableError(TIER, SLOW) from unknown
        finally:
            if reading:  # what was read is known: nobody waits for the end of its transaction
                self._start(self._end_reading(transaction, connection))
            else:
                await self._give_back(connection)
        return result

    async def _end_reading(self, transaction: Transaction, connection: Connection) -> None:
        try:
            await transaction.commit()  # a rollback would have the driver forget its prepared statements
        except OutcomeUnknownError:
            await connection.close()
        finally:
            await self._give_back(connection)

    async def _give_back(self, connection: Connection) -> None:
        self._pulse.beat(connection)
        await self._pool.putconn(connection)

    async def _was_committed(self, unknown: OutcomeUnknownError, tenant: str, landed: Work[bool]) -> bool:
        """Ask for the fate of a transaction whose commit was not answered.

        A server that crashed gives the number of a transaction that it lost to another one. So a number that was
        committed proves nothing alone: what the transaction wrote has to be there.

        Raises:
            TierUnavailableError: Nobody can tell; the message says so.
        """
        with anyio.move_on_after(_OUTCOME_SECONDS):
            while unknown.number is not None:
                with suppress(psycopg.Error, TierUnavailableError):
                    async with self._pool.connection() as connection:
                        transaction = Transaction(connection, tenant, self._seconds)
                        status = await transaction.value("SELECT pg_xact_status(%(number)s::xid8)", {"number": unknown.number})
                        there = status == "committed" and await landed(transaction)
                        await transaction.rollback()
                    if status == "aborted" or there:
                        return there
                    if status == "committed":
                        break
                await anyio.sleep(_POLL_SECONDS)
        raise TierUnavailableError(TIER, UNCERTAIN) from unknown


class Pulse:
    """Tells which pooled connections are alive: those that answered a moment ago are, the others are asked."""

    def __init__(self) -> None:
        self._answered: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()

    def beat(self, connection: Connection) -> None:
        """It answered just now."""
        self._answered[connection] = time.monotonic()

    async def check(self, connection: Connection) -> None:
        """Raise an error of the driver where a pooled connection does not answer at once."""
        if time.monotonic() < self._answered.get(connection, -math.inf) + _TRUSTED_SECONDS and is_quiet(connection):
            return
        timer = asyncio.get_running_loop().call_later(_PING_SECONDS, cut, connection)
        try:
            await AsyncConnectionPool.check_connection(connection)
        finally:
            timer.cancel()


def is_quiet(connection: Connection) -> bool:
    """Whether nothing has come that nobody asked for: a server that ends says so, or at least closes the connection."""
    try:
        looking = socket.socket(fileno=connection.fileno())
        try:
            looking.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        finally:
            looking.detach()
    except BlockingIOError:
        return True
    except (OSError, psycopg.Error):
        pass
    return False


def scopes_by_tenant(scopes: Sequence[Any]) -> dict[str, list[str]]:
    """The namespaces that are meant of each tenant."""
    found: dict[str, list[str]] = {}
    for scope in dict.fromkeys(scopes):
        found.setdefault(scope.tenant, []).append(scope.namespace)
    return found


async def configure(connection: AsyncConnection[Any], answer_seconds: float, pulse: Pulse) -> None:
    """A new connection: where names are looked for, how long the server works on a statement, and how vectors travel."""
    await connection.set_autocommit(True)
    await prepare(connection)
    # the server is to give up first; and compiling a plan takes longer than any of ours
    await connection.execute(
        "SELECT set_config('statement_timeout', %s, false), set_config('jit', 'off', false)", (str(int(answer_seconds * 900)),)
    )
    info = await TypeInfo.fetch(connection, "halfvec")
    assert info is not None
    info.register(connection)
    connection.adapters.register_dumper(HalfVector, type("HalfVectorDumper", (HalfVectorBinaryDumper,), {"oid": info.oid}))
    pulse.beat(connection)
