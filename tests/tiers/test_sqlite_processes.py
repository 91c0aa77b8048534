"""One folder, several processes: nothing is lost, whoever is killed, paused or too late; rules R1 to R3."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from record_stores import ANYTHING, HOME, draft, texts

from memory_mcp.errors import StoreBusyError
from memory_mcp.tiers.sqlite.store import SqliteStore

CHILD = Path(__file__).with_name("sqlite_child.py")
Start = Callable[..., "Child"]


class Child:
    """A process that takes lines and answers in JSON, one a line."""

    def __init__(self, arguments: Sequence[object], wrapper: Sequence[str] = ()) -> None:
        command = [*wrapper, sys.executable, str(CHILD), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, line: str = "go") -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process ended with status {self.process.wait(5)}"
        return json.loads(line)

    def rest(self) -> list[Any]:
        """What it said before it was killed; half a line was not said."""
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout if line.endswith("\n")]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self.process.wait(10)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts children, and ends them all."""
    children: list[Child] = []

    def started(*arguments: object, wrapper: Sequence[str] = ()) -> Child:
        children.append(Child(arguments, wrapper))
        return children[-1]

    yield started
    for child in children:
        child.end()


async def test_four_processes_store_at_once(tmp_path: Path, start: Start) -> None:
    children = [start("add_many", tmp_path, name, 250) for name in "abcd"]
    assert [child.answer() for child in children] == ["ready"] * 4
    for child in children:
        child.tell()
    assert [child.answer() for child in children] == [[]] * 4
    for child in children:
        child.tell("count")
    assert [child.answer() for child in children] == [1000] * 4

    async with SqliteStore.open(tmp_path) as store:
        assert set(await texts(store)) == {f"{name} {n}" for name in "abcd" for n in range(250)}
        assert len(await store.operations("local", limit=2000)) == 1000
        assert await store.verify_chain() is None
        assert await store.check() == []


async def test_six_processes_start_on_nothing(tmp_path: Path, start: Start) -> None:
    children = [start("open_often", tmp_path, name) for name in "abcdef"]
    assert [child.answer() for child in children] == ["ready"] * 6
    for n in range(8):
        for child in children:
            child.tell(f"store{n}")
        assert [child.answer() for child in children] == ["ok"] * 6

        async with SqliteStore.open(tmp_path / f"store{n}") as store:
            assert set(await texts(store)) == {f"by {name}" for name in "abcdef"}
            assert await store.verify_chain() is None


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, start: Start) -> None:
    """Eight writes in flight, killed at a random moment, ten times over."""
    chance = random.Random(11)
    children = [start("add_for_ever", tmp_path) for _ in range(10)]
    acknowledged: set[UUID] = set()
    for child in children:
        assert child.answer() == "ready"
        child.tell()
        for _ in range(chance.randrange(60, 160)):
            acknowledged.add(UUID(child.answer()))
        await anyio.sleep(chance.random() / 100)
        child.signal(signal.SIGKILL)
        acknowledged.update(map(UUID, child.rest()))
        async with SqliteStore.open(tmp_path) as store:
            kept = {memory.id for memory in await store.newest([HOME], ANYTHING, limit=100_000)}
            assert acknowledged <= kept
            assert len(kept - acknowledged) <= 8 * len(children)
            assert len(await store.operations("local", limit=100_000)) == len(kept)
            assert await store.verify_chain() is None
            assert await store.check() == []
    assert len(acknowledged) > 900


async def test_a_paused_holder_makes_others_say_busy(tmp_path: Path, start: Start) -> None:
    async with SqliteStore.open(tmp_path, lock_wait_seconds=1) as store:
        await store.add(draft("before"), None, within=())
        child = start("hold", tmp_path)
        assert child.answer() == "held"
        child.signal(signal.SIGSTOP)

        began = time.monotonic()
        with pytest.raises(StoreBusyError) as caught:
            await store.add(draft("refused"), None, within=())
        with pytest.raises(StoreBusyError):
            async with SqliteStore.open(tmp_path, lock_wait_seconds=1):
                pass
        assert time.monotonic() - began < 5
        assert caught.value.retryable
        assert await texts(store) == ["before"]

        child.signal(signal.SIGCONT)
        child.tell()
        assert child.answer() == "done"
        await store.add(draft("after"), None, within=())
        assert sorted(await texts(store)) == ["after", "before"]


async def test_a_killed_holder_lets_go(tmp_path: Path, start: Start) -> None:
    async with SqliteStore.open(tmp_path, lock_wait_seconds=5) as store:
        child = start("hold", tmp_path)
        assert child.answer() == "held"
        child.signal(signal.SIGKILL)
        await store.add(draft("after"), None, within=())

        assert await texts(store) == ["after"]


def test_the_wal_stays_small_under_a_flood(tmp_path: Path, start: Start) -> None:
    figures = start("flood", tmp_path, 800).answer()

    assert figures["written"] > 78_000_000
    assert 0 < figures["largest"] < 64_000_000
    assert figures["after"] == 0


def test_no_other_sqlite_comes_in(start: Start) -> None:
    """Two of them in one process undo each other's locks."""
    assert start("modules").answer() == []


def test_a_full_disk(tmp_path: Path, start: Start, mounted: Callable[[str], list[str]]) -> None:
    """Refused clearly, nothing torn, reads go on, and it works again once there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    figures = start("fill", disk, wrapper=mounted(f"mount -t tmpfs -o size=4m none '{disk}'")).answer()

    assert figures["stored"] > 20
    assert figures["refused"] == 5
    assert figures["readable"] == figures["stored"]
    assert figures["hits"] == 5
    assert figures["kept"]
    assert (figures["faults"], figures["broken"]) == ([], None)


@pytest.mark.parametrize("leftovers", ["closed", "copied"])
async def test_a_read_only_disk(tmp_path: Path, start: Start, mounted: Callable[[str], list[str]], leftovers: str) -> None:
    """Memory can be read, with or without what SQLite leaves beside its file, and writing is refused."""
    async with SqliteStore.open(tmp_path) as store:
        await store.add(draft("a readable text"), None, within=())
    if leftovers == "copied":
        for name in ("memories.db-wal", "memories.db-shm", "memories.lock"):
            os.remove(tmp_path / name)
    mount = f"mount --bind '{tmp_path}' '{tmp_path}' && mount -o remount,ro,bind '{tmp_path}' '{tmp_path}'"
    seen = start("read_only", tmp_path, wrapper=mounted(mount)).answer()

    assert (seen["contents"], seen["hits"], seen["faults"]) == (["a readable text"], 1, [])
    assert "read-only" in seen["refusal"]
