"""Threads bring results to coroutines: all of a loop at one wake, whole or refused, whatever becomes of who waits."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from memory_mcp.handover import Awaited, wake


async def in_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)


async def test_a_loop_is_woken_once_for_all_that_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    results: list[Awaited[int]] = [Awaited() for _ in range(100)]
    waiting = asyncio.gather(*(one.settled() for one in results))
    await anyio.lowlevel.checkpoint()
    wakes: list[object] = []
    original = loop.call_soon_threadsafe

    def count(callback: Callable[..., object], *given: Any, **options: Any) -> asyncio.Handle:
        if threading.current_thread() is worker:
            wakes.append(callback)
        return original(callback, *given, **options)

    def bring() -> None:
        for n, one in enumerate(results):
            one.future.set_result(n)
        wake(results)

    monkeypatch.setattr(loop, "call_soon_threadsafe", count)
    worker = threading.Thread(target=bring)
    worker.start()
    with anyio.fail_after(5):
        assert await waiting == list(range(100))
    worker.join()

    assert len(wakes) == 1


async def test_a_refusal_is_raised_where_the_result_is_awaited() -> None:
    given: Awaited[str] = Awaited()
    refused: Awaited[str] = Awaited()

    def bring() -> None:
        given.future.set_result("here")
        refused.future.set_exception(LookupError("nothing"))
        wake([given, refused])

    await in_a_thread(bring)
    with anyio.fail_after(5):
        assert await given.settled() == "here"
        with pytest.raises(LookupError, match="nothing"):
            await refused.settled()


async def test_who_gave_up_may_wait_again() -> None:
    late: Awaited[str] = Awaited()
    with anyio.move_on_after(0.01):
        await late.settled()

    def bring() -> None:
        late.future.set_result("late")
        wake([late])

    await in_a_thread(bring)
    with anyio.fail_after(5):
        assert await late.settled() == "late"


def test_each_loop_is_told_and_one_that_has_ended_is_passed_over() -> None:
    async def make() -> Awaited[str]:
        return Awaited()

    ended: Awaited[str] = asyncio.run(make())
    made: list[Awaited[str]] = []
    ready = threading.Event()

    async def wait() -> str:
        made.append(Awaited())
        ready.set()
        async with asyncio.timeout(5):
            return await made[0].settled()

    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(asyncio.run(wait())))
    thread.start()
    assert ready.wait(5)
    for one in (ended, *made):
        one.future.set_result("told")
    wake([ended, *made])
    thread.join(5)

    assert told == ["told"]
