"""Several workers on one socket: which of them a scrape reaches is chance, so it asks the others what they have counted.

Each has a socket of its own in a folder that nobody but this user can enter, and says there what it has counted, to whoever
connects. Asked at that moment, no number can be older than one that was shown before.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import SocketStream

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 2.0
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Siblings:
    """The workers of one server.

    Attributes:
        folder: Where their sockets are; None: there is one worker.
        place: Which of them this one is, from 0; one that takes another's place has its number.
        count: How many there are.
    """

    folder: Path | None = None
    place: int = 0
    count: int = 1

    @asynccontextmanager
    async def answering(self, tell: Callable[[], Awaitable[bytes]]) -> AsyncIterator[None]:
        """Say what this one has counted to whoever asks, for so long."""
        if self.count == 1:
            yield
            return

        async def say(stream: SocketStream) -> None:
            try:
                async with stream:
                    with anyio.move_on_after(_PATIENCE_SECONDS):
                        await stream.send(await tell())
            except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass  # who asked has gone
            except Exception:  # it must not end what everybody works with
                log.exception("not_told")

        async with await anyio.create_unix_listener(self._path(self.place), mode=0o600) as listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, say)
            yield
            tasks.cancel_scope.cancel()

    async def ask(self) -> dict[int, bytes]:
        """What the others have counted; one that does not answer in time is left out."""
        told: dict[int, bytes] = {}

        async def one(place: int) -> None:
            try:
                with anyio.fail_after(_PATIENCE_SECONDS):
                    async with await anyio.connect_unix(self._path(place)) as stream:
                        heard = bytearray()
                        async for piece in stream:
                            heard += piece
                            if len(heard) > _MAX_BYTES:
                                return
                        told[place] = bytes(heard)
            except (OSError, anyio.BrokenResourceError) as error:
                log.warning("worker_not_heard: %s", type(error).__name__, extra={"worker": place})

        async with anyio.create_task_group() as tasks:
            for place in range(self.count):
                if place != self.place:
                    tasks.start_soon(one, place)
        return told

    def _path(self, place: int) -> Path:
        assert self.folder is not None
        return self.folder / str(place)
