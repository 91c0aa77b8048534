"""The background worker that gives memories the vectors they are owed."""

from typing import Protocol

import anyio
import structlog

from memory_mcp.contracts import Embedder, Origin, Outbox, VectorSource
from memory_mcp.errors import EmbedderNotReadyError, TierError
from memory_mcp.models import Note
from memory_mcp.remember.embed import embed_texts

log = structlog.get_logger(__name__)

_BATCH = 32
_BATCH_CHARACTERS = 200_000
"""Embedded in 3 to 10 s on two cores."""
_AT_ONCE = 2
"""Batches: while one is embedded, the vectors of the one before it are stored and the texts of the next one read."""
_LEASE_SECONDS = 60.0
_IDLE_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 300.0


class Store(Outbox, VectorSource, Origin, Protocol):
    """What the indexer needs of a record store."""


class Indexer:
    """Embeds the backlog: what was stored before the model was ready, or under another model.

    Notes are claimed under a lease, so that several processes on one store share the work and a crash
    loses nothing. What cannot be embedded is postponed for longer each time. Once another process has brought another
    model, the backlog is left to it: vectors of this one would not be stored any more.

    Attributes:
        overtaken: Whether that is so.
    """

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self._store, self._embedder = store, embedder
        self._wake = anyio.Event()
        self._adopted: str | None = None
        self.overtaken = False

    def wake(self) -> None:
        """There may be something to do; call it from the event loop."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._wake = anyio.Event()
            async with anyio.create_task_group() as tasks:
                for _ in range(_AT_ONCE):
                    tasks.start_soon(self._work_off)
            with anyio.move_on_after(_IDLE_SECONDS):
                await self._wake.wait()

    async def _work_off(self) -> None:
        try:
            while await self.work_once():
                pass
        except EmbedderNotReadyError:
            pass  # the model's readiness wakes us
        except TierError as error:
            log.warning("indexing_interrupted", error=type(error).__name__)

    async def work_once(self) -> int:
        """Embed one batch of the backlog; how many notes it held, 0 where it is left to another process.

        Raises:
            EmbedderNotReadyError: The model is loading or broken.
        """
        epoch = self._embedder.state.epoch
        if epoch is None:
            raise EmbedderNotReadyError(self._embedder.state.detail)
        if epoch != self._adopted:
            owed = await self._store.adopt_epoch(epoch)
            self._adopted = epoch
            if owed:
                log.info("embedding_backlog", count=owed)
        if await self._is_overtaken(epoch):
            return 0
        notes = await self._store.claim("embed", limit=_BATCH, lease_seconds=_LEASE_SECONDS)
        if notes and await self._is_overtaken(epoch):  # just now: they are the other's, at once
            await self._store.postpone(notes, 0.0)
            return 0
        if notes:
            await self._embed(notes)
        return len(notes)

    async def _is_overtaken(self, epoch: str) -> bool:
        overtaken = await self._store.active_epoch() != epoch
        if overtaken and not self.overtaken:
            log.warning("another_model_adopted", own=epoch)
        self.overtaken = overtaken
        return overtaken

    async def _embed(self, notes: list[Note]) -> None:
        contents = await self._store.contents(notes)
        wanted = [content for content in contents if content is not None]
        if len(notes) > 1 and sum(map(len, wanted)) > _BATCH_CHARACTERS:  # else their lease might end meanwhile
            half = len(notes) // 2
            await self._embed(notes[:half])
            await self._embed(notes[half:])
            return
        try:
            made = iter(await embed_texts(self._embedder, wanted) if wanted else ())
        except EmbedderNotReadyError as error:
            if len(notes) > 1:  # one text that the model cannot take must not hold up the others
                for note in notes:
                    await self._embed([note])
                return
            log.warning("embedding_postponed", attempts=notes[0].attempts, error=type(error).__name__)
            delay = min(_FIRST_DELAY_SECONDS * 2.0 ** notes[0].attempts, _LONGEST_DELAY_SECONDS)
            await self._store.postpone(notes, delay)
            return
        await self._store.settle_embeddings(notes, [None if content is None else next(made) for content in contents])
