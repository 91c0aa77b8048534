"""Another process on the same store, told what to do in its arguments and by the lines of its input."""

import asyncio
import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from anyio import Path as AsyncPath

import memory_mcp.tiers.sqlite.store
from memory_mcp.errors import StoreFullError, StoreReadOnlyError
from memory_mcp.models import Draft, Filter, Scope
from memory_mcp.tiers.sqlite import sealing
from memory_mcp.tiers.sqlite.cipher import parse, state_of
from memory_mcp.tiers.sqlite.settings import EncryptionSettings
from memory_mcp.tiers.sqlite.store import SqliteStore

HOME = Scope("local", "home")
KEY = "0123456789abcdef" * 4


def draft(content: str) -> Draft:
    fingerprint = hashlib.blake2b(content.encode(), digest_size=12).digest()
    return Draft(id=uuid4(), scope=HOME, content=content, fingerprint=fingerprint, now=datetime.now(UTC))


def say(word: Any) -> None:
    print(json.dumps(word), flush=True)


def told() -> str:
    return sys.stdin.readline().strip()


async def add_many(folder: Path, name: str, count: str, key: str = "") -> None:
    """Store so many at once when told to; then say how many are there as often as told to."""
    async with SqliteStore.open(folder, EncryptionSettings(key=key)) as store:
        say("ready")
        told()
        results = await asyncio.gather(
            *(store.add(draft(f"{name} {n}"), None, within=()) for n in range(int(count))), return_exceptions=True
        )
        say([repr(result) for result in results if isinstance(result, BaseException)])
        while told():
            say((await store.counts("local")).by_namespace["home"])


async def open_often(folder: Path, name: str) -> None:
    """Open whatever store is named, store one text there, close it."""
    say("ready")
    while line := told():
        async with SqliteStore.open(folder / line) as store:
            await store.add(draft(f"by {name}"), None, within=())
        say("ok")


async def add_for_ever(folder: Path, key: str = "") -> None:
    """Store one after the other in eight places at once, and say each id once it is acknowledged."""

    async def stream(store: SqliteStore, place: int) -> None:
        for n in range(1_000_000):
            added = await store.add(draft(f"{uuid4()} {place} {n}"), None, within=())
            say(str(added.id))

    say("ready")
    told()
    async with SqliteStore.open(folder, EncryptionSettings(key=key)) as store:
        await asyncio.gather(*(stream(store, place) for place in range(8)))


async def hold(folder: Path) -> None:
    """Begin a write, and end it when told to."""

    def write(_connection: Any) -> None:
        say("held")
        told()

    async with SqliteStore.open(folder) as store:
        await store._write(write)
        say("done")


async def fill(folder: Path) -> None:
    """Store until the disk is full; what then works and what does not; then make room."""
    ballast = AsyncPath(folder / "ballast")
    await ballast.write_bytes(bytes(600_000))
    stored: list[str] = []
    async with SqliteStore.open(folder / "store") as store:
        refused = 0
        for n in range(2000):
            try:
                await store.add(draft(f"{n} " + f"word{n} " * 400), None, within=())
                stored.append(str(n))
            except StoreFullError:
                refused += 1
                if refused == 5:
                    break
        readable = len(await store.newest([HOME], Filter(), limit=10_000))
        hits = len(await store.search_text([HOME], "word", Filter(), limit=5))
        await ballast.unlink()
        await store.add(draft("room again"), None, within=())
    async with SqliteStore.open(folder / "store") as store:
        memories = await store.newest([HOME], Filter(), limit=10_000)
        kept = {memory.content.split(" ")[0] for memory in memories}
        faults, broken = await store.check(), await store.verify_chain()
    say(
        {
            "stored": len(stored),
            "refused": refused,
            "readable": readable,
            "hits": hits,
            "kept": kept == {*stored, "room"} and len(memories) == len(kept),
            "faults": faults,
            "broken": broken,
        }
    )


async def read_only(folder: Path) -> None:
    """Read what can only be read, and try to write."""
    async with SqliteStore.open(folder) as store:
        contents = [memory.content for memory in await store.newest([HOME], Filter(), limit=10)]
        hits = len(await store.search_text([HOME], "readable", Filter(), limit=5))
        try:
            await store.add(draft("new"), None, within=())
        except StoreReadOnlyError as error:
            say({"contents": contents, "hits": hits, "faults": await store.check(), "refusal": str(error)})


async def modules() -> None:
    """Which other SQLite libraries came in with the store."""
    say([name for name in ("sqlite3", "_sqlite3", "pysqlite3") if name in sys.modules])
    assert memory_mcp.tiers.sqlite.store


async def seal(folder: Path, key: str) -> None:
    """When told to, encrypt what is plain or decrypt what is encrypted; how many seconds it took."""
    plain = state_of(folder / "memories.db") == "plain"
    say("ready")
    told()
    began = time.monotonic()
    if plain:
        sealing.encrypt(folder, lambda: parse(key), None, lambda *_: None)
    else:
        sealing.decrypt(folder, parse(key), lambda *_: None)
    say(time.monotonic() - began)


async def flood(folder: Path, count: str) -> None:
    """Store big texts while reading all the time; the largest that the WAL ever was, and how much there was to write."""
    wal = folder / "memories.db-wal"
    largest, written, ended = 0, 0, False
    async with SqliteStore.open(folder) as store:

        async def poll() -> None:
            nonlocal largest
            while not ended:
                await store.newest([HOME], Filter(), limit=3)
                largest = max(largest, wal.stat().st_size)

        readers = [asyncio.create_task(poll()) for _ in range(3)]
        started = time.monotonic()
        for n in range(0, int(count), 8):
            texts = [f"{n + i} {'.' * 100_000}" for i in range(8)]
            written += sum(map(len, texts))
            await asyncio.gather(*(store.add(draft(text), None, within=()) for text in texts))
        ended = True
        await asyncio.gather(*readers)
    say({"largest": largest, "after": wal.stat().st_size, "written": written, "seconds": time.monotonic() - started})


COMMANDS = {command.__name__: command for command in (add_many, open_often, add_for_ever, hold, fill, read_only, modules, flood, seal)}

if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    arguments = [Path(rest[0]), *rest[1:]] if rest else []
    asyncio.run(COMMANDS[name](*arguments))
