"""What a thread brings to those who wait for it in an event loop: many at one wake.

Waking a loop costs a system call and a change of threads, and `asyncio.wrap_future` does it for each future by itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Awaited(Generic[T]):
    """A result that a thread will give or refuse by `future`, and one coroutine awaits; make it in the loop that waits.

    The thread calls `wake` for it afterwards, with as many others as it has settled.
    """

    __slots__ = ("_loop", "_waiter", "future")

    def __init__(self) -> None:
        self.future: Future[T] = Future()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] = self._loop.create_future()

    async def settled(self) -> T:
        """The result, or what was raised in its place; may be awaited again by the same coroutine when it was given up."""
        await asyncio.shield(self._waiter)
        return self.future.result()

    def __repr__(self) -> str:
        return f"Awaited({self.future!r})"


def wake(settled: Iterable[Awaited[Any]]) -> None:
    """Tell those who await these that they are settled; from any thread. Loops that have ended are not told."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
    for one in settled:
        by_loop[one._loop].append(one._waiter)
    for loop, waiters in by_loop.items():
        with suppress(RuntimeError):  # closed
            loop.call_soon_threadsafe(_release, waiters)


def _release(waiters: Sequence["asyncio.Future[None]"]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
