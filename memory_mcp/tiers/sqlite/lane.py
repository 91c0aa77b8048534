"""The one writer: whatever has queued while it was busy becomes one transaction, so that a sync serves many calls."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import apsw
import structlog

from memory_mcp.errors import MemoryMcpError, StoreBusyError, TierError
from memory_mcp.handover import Awaited, wake
from memory_mcp.tiers.sqlite.cipher import TIER
from memory_mcp.tiers.sqlite.database import BUSY_MILLISECONDS, sqlite_errors
from memory_mcp.tiers.sqlite.footing import Footing
from memory_mcp.tiers.sqlite.lock import StoreLock

T = TypeVar("T")
Write = Callable[[apsw.Connection], T]


@dataclass(frozen=True, slots=True)
class _Job:
    write: Write[Any]
    awaited: Awaited[Any]
    alone: bool


_CHECKPOINT_PAGES = 1_000  # 4 MB of WAL
_TRUNCATE_PAGES = 8_000  # a long read kept the WAL from being reused: shrink it as soon as one can
_TRUNCATE_WAIT_MILLISECONDS = 200
_MAX_BATCH = 256

log = structlog.get_logger(__name__)


class WriterLane:
    """A daemon thread that owns the writing connection.

    Each job runs in a savepoint of a shared transaction: it is wholly in or wholly out, whatever
    becomes of its neighbours, and its caller hears of it only after the commit.

    Attributes:
        failure: Why the newest write failed, if the disk or another process was the reason.
    """

    def __init__(self, connection: apsw.Connection, lock: StoreLock, footing: Footing, wait_seconds: float) -> None:
        self._connection, self._lock, self._footing, self._wait_seconds = connection, lock, footing, wait_seconds
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._next: list[_Job | None] = []  # taken from the queue, and not part of the transaction at hand
        self._wal_pages = 0
        self._closed = False
        self.failure: BaseException | None = None
        connection.set_wal_hook(self._note_wal)
        self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, write: Write[T], *, alone: bool = False) -> T:
        """Carry out `write` and return its result once it is on the disk; `alone`: outside of any transaction.

        A call that is cancelled, or has waited too long, before its write began is dropped whole;
        once begun it is carried to its end, and the cancellation takes effect after it.

        Raises:
            StoreBusyError: The store's lock was not to be had; nothing was written.
            StoreMovedError: Nobody would find what is written.
        """
        if self._closed:
            raise TierError(TIER, "The memory store is closed.")
        awaited: Awaited[T] = Awaited()
        self._jobs.put(_Job(write, awaited, alone))
        try:
            with anyio.move_on_after(self._wait_seconds):
                return await awaited.settled()
            if awaited.future.cancel():
                self.failure = StoreBusyError(TIER, self._wait_seconds)
                raise self.failure
            return await awaited.settled()
        except asyncio.CancelledError:
            if not awaited.future.cancel():
                with anyio.CancelScope(shield=True), suppress(Exception):  # whoever is cancelled hears of neither end
                    await awaited.settled()
            raise

    async def close(self) -> None:
        """Finish what has queued, fold the WAL into the file, and end."""
        self._closed = True
        self._jobs.put(None)
        await anyio.to_thread.run_sync(self._thread.join, 2.0)

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _work(self) -> None:
        while (first := self._next.pop() if self._next else self._jobs.get()) is not None:
            # jobs stay cancellable until the lock is ours: whoever waits too long gives up by himself
            self._lock.acquire(None)
            try:
                if first.alone:
                    self._carry_out_alone(first)
                else:
                    self._commit(self._drain(first))
                self._checkpoint()
            finally:
                self._lock.release()
        if self._lock.acquire(1.0):
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            except apsw.Error:
                log.info("final_checkpoint_skipped")
            finally:
                self._connection.close()
                self._lock.release()
        self._lock.close()

    def _drain(self, first: _Job) -> list[_Job]:
        batch: list[_Job] = []
        job: _Job | None = first
        while job is not None and not job.alone:
            if job.awaited.future.set_running_or_notify_cancel():
                batch.append(job)
            if len(batch) >= _MAX_BATCH:
                return batch
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch
        self._next.append(job)
        return batch

    def _carry_out_alone(self, job: _Job) -> None:
        if not job.awaited.future.set_running_or_notify_cancel():
            return
        try:
            self._footing.refuse_moved()
            with sqlite_errors():
                result = job.write(self._connection)
        except BaseException as error:  # noqa: BLE001 - belongs to the caller alone
            job.awaited.future.set_exception(error)
        else:
            job.awaited.future.set_result(result)
        wake([job.awaited])

    def _commit(self, batch: list[_Job]) -> None:
        if not batch:
            return
        outcomes: list[tuple[Any, BaseException | None]] = []
        changes = self._connection.total_changes()
        try:
            self._footing.refuse_moved()
            with sqlite_errors():
                self._connection.execute("BEGIN IMMEDIATE")
                for job in batch:
                    outcomes.append(self._attempt(job.write))
                self._connection.execute("COMMIT")
            if self._connection.total_changes() > changes or isinstance(self.failure, StoreBusyError):
                self.failure = None  # what changes nothing is carried out on a full disk, too
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self.failure = error
            if not isinstance(error, MemoryMcpError):
                log.exception("transaction_failed", jobs=len(batch))
            outcomes = [(None, error)] * len(batch)
        for job, (result, failure) in zip(batch, outcomes, strict=True):
            if failure is None:
                job.awaited.future.set_result(result)
            else:
                job.awaited.future.set_exception(failure)
        wake(job.awaited for job in batch)

    def _attempt(self, write: Write[Any]) -> tuple[Any, BaseException | None]:
        """Run one job in its savepoint; errors that end the whole transaction pass on."""
        self._connection.execute("SAVEPOINT job")
        try:
            result = write(self._connection)
        except (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.ReadOnlyError, apsw.BusyError):
            raise
        except BaseException as error:  # noqa: BLE001 - belongs to this job's caller alone
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            return None, error
        self._connection.execute("RELEASE job")
        return result, None

    def _checkpoint(self) -> None:
        if self._wal_pages < _CHECKPOINT_PAGES:
            return
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if self._wal_pages > _TRUNCATE_PAGES else apsw.SQLITE_CHECKPOINT_PASSIVE
        try:
            self._connection.set_busy_timeout(_TRUNCATE_WAIT_MILLISECONDS)
            self._connection.wal_checkpoint(mode=mode)
        except apsw.Error as error:
            log.warning("checkpoint_failed", error=type(error).__name__)
        finally:
            self._connection.set_busy_timeout(BUSY_MILLISECONDS)
        self._wal_pages = 0
