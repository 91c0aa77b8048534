"""Searches that came while one was at work, carried out together."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from memory_mcp.models import Hit, Matrix

MOST_ROWS = 256
"""Query vectors in one turn: their scores for 100,000 rows take 100 MB."""

Answers = list[list[Hit]]


class Turns:
    """Takes what has queued while it was busy, without a timer: a lone search waits for nothing.

    A search that is given up does not disturb the others of its turn; a turn that fails fails for all who were in it.

    Attributes:
        on_idle: Called when nothing is left to do.
    """

    def __init__(self, search: Callable[[Matrix, int | None], Awaitable[Answers]]) -> None:
        self._search = search
        self._waiting: list[tuple[Matrix, int | None, asyncio.Future[Answers]]] = []
        self._worker: asyncio.Task[None] | None = None
        self.on_idle: Callable[[], object] = lambda: None

    async def take(self, vectors: Matrix, at: int | None) -> Answers:
        """The answers for (q, d) vectors, found after this call began.

        Args:
            at: The revision the caller has just read, if any.
        """
        done: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting.append((vectors, at, done))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await done

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._turn(self._next())
        finally:
            self._worker = None
            self.on_idle()
            for _, _, done in self._waiting:  # only where the event loop is ending
                done.cancel()

    def _next(self) -> list[tuple[Matrix, int | None, "asyncio.Future[Answers]"]]:
        """Those still waited for, as many as go into one turn."""
        self._waiting = [one for one in self._waiting if not one[2].done()]
        rows = taken = 0
        while taken < len(self._waiting) and (not taken or rows + len(self._waiting[taken][0]) <= MOST_ROWS):
            rows += len(self._waiting[taken][0])
            taken += 1
        turn, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return turn

    async def _turn(self, turn: list[tuple[Matrix, int | None, "asyncio.Future[Answers]"]]) -> None:
        if not turn:
            return
        revisions = [at for _, at, _ in turn]
        known = [at for at in revisions if at is not None]
        newest = max(known) if len(known) == len(turn) else None
        try:
            answers = await self._search(np.concatenate([vectors for vectors, _, _ in turn]), newest)
        except BaseException as error:
            for _, _, done in turn:
                if not done.done():
                    done.cancel() if isinstance(error, asyncio.CancelledError) else done.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        start = 0
        for vectors, _, done in turn:
            if not done.done():
                done.set_result(answers[start : start + len(vectors)])
            start += len(vectors)
