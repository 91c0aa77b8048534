"""The way to Qdrant: by gRPC, by HTTP, or to its own code on a folder."""

import asyncio
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import portalocker
import structlog
from qdrant_client import AsyncQdrantClient, QdrantClient

from memory_mcp.errors import TierUnavailableError
from memory_mcp.tiers.qdrant.faults import TIER, FolderInUseError, qdrant_errors
from memory_mcp.tiers.qdrant.settings import QdrantSettings

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 2.0
"""Longest wait for the first answer by gRPC, and then by HTTP."""

_CHANNEL = {
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 5_000,  # its own choice is two minutes, in which a server that is back is not seen
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 5_000,  # a connection that died without a word is given up
}


class Connection:
    """Makes the client when it is first needed, so that opening waits for nobody; tried again until it succeeds.

    Args:
        make: What makes a client and proves that it works, in place of what the settings say; for tests.

    Attributes:
        transport: folder, grpc or http; empty before the first connection.
        trouble: Why there is none, in a sentence.
    """

    def __init__(self, settings: QdrantSettings, make: Callable[[], AsyncQdrantClient] | None = None) -> None:
        self._settings, self._make = settings, make
        self._client: AsyncQdrantClient | None = None
        self._lock = anyio.Lock()
        self.transport = self.trouble = ""

    @property
    def local(self) -> bool:
        """Whether it is Qdrant's own code in this process, which has no indexes and compares every vector."""
        return bool(self._settings.path)

    async def client(self) -> AsyncQdrantClient:
        """The client, connected.

        Raises:
            TierUnavailableError: There is no way to Qdrant at the moment.
        """
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    try:
                        self._client = await self._connect()
                    except TierUnavailableError as error:
                        self.trouble = str(error)
                        raise
                    self.trouble = ""
        return self._client

    async def close(self) -> None:
        """Let the client go; what fails on the way is of no concern any more."""
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(2.0, shield=True):
                try:
                    await client.close()
                except Exception as error:  # noqa: BLE001 - whatever the driver says, it is gone
                    log.info("qdrant_not_closed", error=type(error).__name__)

    async def _connect(self) -> AsyncQdrantClient:
        if self._make is not None:
            return self._make()
        if self.local:
            self.transport = "folder"
            return await _open_folder(self._settings.path)
        if self._settings.prefer_grpc:
            try:
                client = await self._proven(grpc=True)
                self.transport = "grpc"
                return client
            except TierUnavailableError:
                log.info("qdrant_without_grpc")
        client = await self._proven(grpc=False)
        self.transport = "http"
        return client

    async def _proven(self, *, grpc: bool) -> AsyncQdrantClient:
        settings = self._settings
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection", UserWarning)  # an own network may be enough
            driver = AsyncQdrantClient(
                url=settings.url,
                api_key=settings.api_key.get_secret_value() or None,
                prefer_grpc=grpc,
                grpc_port=settings.grpc_port,
                grpc_options=dict(_CHANNEL),  # which it writes to
                timeout=int(settings.write_timeout_seconds) + 1,  # what waits less long says so itself
                check_compatibility=False,  # it would ask by HTTP, and hold up the event loop
            )
        client = cast(AsyncQdrantClient, InTasks(driver))
        try:
            with qdrant_errors(), anyio.fail_after(max(_LOOK_SECONDS, settings.timeout_seconds)):
                await client.get_aliases()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await client.close()
            raise
        return client


async def _open_folder(path: str) -> AsyncQdrantClient:
    """Qdrant's local mode, in a thread, as it computes and writes files.

    Raises:
        FolderInUseError: Another process has the folder open.
        TierUnavailableError: It cannot be written, or is damaged.
    """
    limiter = anyio.CapacityLimiter(1)
    try:
        client = await anyio.to_thread.run_sync(partial(_local, path), limiter=limiter)
    except RuntimeError as error:
        raise FolderInUseError from error
    except Exception as error:  # the driver reads JSON, pickles and SQLite, and says of what is damaged whatever each of these says
        raise TierUnavailableError(TIER, "The folder of [qdrant] path cannot be opened: it cannot be written, or is damaged.") from error
    return cast(AsyncQdrantClient, InThread(client, limiter))


def _local(path: str) -> QdrantClient:
    if path == ":memory:":
        return QdrantClient(":memory:")
    lock = Path(path) / ".lock"
    if lock.exists():  # the driver reads everything before it looks, and leaves the file open where it fails
        with lock.open("r+") as file:
            try:
                portalocker.lock(file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            except portalocker.exceptions.LockException as error:
                raise RuntimeError from error
            portalocker.unlock(file)
    return QdrantClient(path=path, force_disable_check_same_thread=True)


class InTasks:
    """A client of a server under its own names: each call in a task of its own.

    A call by gRPC that is cancelled forgets who did that, and the time limit of anyio that it was would not know its own
    again: instead of being late, the call would seem cancelled from outside, and with it whoever waits for it.
    """

    def __init__(self, client: AsyncQdrantClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*args: Any, **given: Any) -> Any:
            task = asyncio.create_task(method(*args, **given))
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                raise
            if task.cancelled():
                raise ConnectionError("the connection was closed meanwhile")
            return task.result()

        return call


class InThread:
    """A client of Qdrant's local mode under the asynchronous client's names: each call in a thread, one after the other."""

    def __init__(self, client: QdrantClient, limiter: anyio.CapacityLimiter) -> None:
        self._client, self._limiter = client, limiter

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        async def call(*args: Any, **given: Any) -> Any:
            return await anyio.to_thread.run_sync(partial(method, *args, **given), limiter=self._limiter)

        return call
