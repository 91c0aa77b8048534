"""Several processes on one socket: they are started, replaced when one dies, and ended with a bound."""

import logging
import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import anyio

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_SHORT_LIFE_SECONDS = 10.0
"""A worker that ends sooner has not just died but cannot start, or nearly so: it is replaced after a pause."""
_LONGEST_PAUSE_SECONDS = 30.0
CANNOT_START = 2
"""The exit status of a worker that no other could do better than."""


class Workers:
    """Keeps so many workers at work.

    Args:
        target: What a worker is, a function of a module: it runs in a process of its own, given the arguments and its place.
        grace_seconds: From being told to end to being killed.
    """

    def __init__(self, count: int, target: Callable[..., None], arguments: tuple[Any, ...], grace_seconds: float) -> None:
        self._target, self._arguments, self._grace_seconds = target, arguments, grace_seconds
        self._context = multiprocessing.get_context("spawn")
        self._places: list[_Place] = [_Place() for _ in range(count)]

    async def run(self, stop: anyio.Event) -> int:
        """Until `stop`, or until one of them cannot start at all; the exit status."""
        status = 0
        while not stop.is_set() and not status:
            now = time.monotonic()
            for number, place in enumerate(self._places):
                if place.process is not None and place.process.exitcode is not None:
                    log.error("worker_ended: process %s, status %s", place.process.pid, place.process.exitcode)
                    status = CANNOT_START if place.process.exitcode == CANNOT_START else status
                    place.note_end(now)
                if place.process is None and now >= place.due and not status:
                    place.process = self._context.Process(target=self._target, args=(*self._arguments, number))
                    place.process.start()
                    place.began = now
            with anyio.move_on_after(_LOOK_SECONDS):
                await stop.wait()
        await self._end()
        return status

    async def _end(self) -> None:
        there = [place.process for place in self._places if place.process is not None]
        for process in there:
            process.terminate()
        deadline = time.monotonic() + self._grace_seconds
        while any(process.is_alive() for process in there):
            if time.monotonic() > deadline:
                for process in there:
                    process.kill()
            await anyio.sleep(0.05)


class _Place:
    """Of one worker, and of those that come after it."""

    def __init__(self) -> None:
        self.process: Any = None
        self.began = self.due = 0.0
        self._pause = 0.0

    def note_end(self, now: float) -> None:
        """It has ended: the next one may be started at once, or after a pause that doubles."""
        lived = now - self.began
        self._pause = 0.0 if lived > _SHORT_LIFE_SECONDS else min(_LONGEST_PAUSE_SECONDS, max(0.5, self._pause * 2))
        self.process, self.due = None, now + self._pause
