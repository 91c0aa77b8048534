"""export and import, as a person or a script runs them; what an import leaves behind when it is ended midway."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from record_stores import GLOBAL, HOME, NOW, SECOND, add, live

from memory_mcp.models import Memory, Provenance
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.upkeep.lines import MAX_LINE_BYTES
from memory_mcp.upkeep.register import Register
from tests.engines import command, data_directory, surroundings


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with data_directory(tmp_path / "data") as data:
        yield data


def told(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def file_of(folder: Path, *entries: Any) -> Path:
    path = folder / "lines.jsonl"
    path.write_text("".join((entry if isinstance(entry, str) else json.dumps(entry)) + "\n" for entry in entries), "utf-8")
    return path


async def filled(folder: Path) -> None:
    async with SqliteStore.open(folder) as store:
        await add(store, "uses vim", key="editor", now=NOW)
        await add(store, "uses emacs", key="editor", now=NOW + SECOND, metadata={"speaker": "Ada", "n": 1})
        await add(
            store, "everybody's\nsecond line ", GLOBAL, tags=("a", "b"), occurred_at=NOW, kind="event", session_id="s", importance=0.9
        )


async def kept(folder: Path) -> list[Memory]:
    async with SqliteStore.open(folder) as store:
        assert await store.verify_chain() is None
        return await live(store, HOME, GLOBAL)


async def test_what_was_exported_is_there_again_word_for_word(folder: Path, tmp_path: Path) -> None:
    await filled(folder)
    other = tmp_path / "other"
    with data_directory(other):
        made = told(command("export", str(tmp_path / "out.jsonl"), "--json", folder=folder))
        done = told(command("import", str(tmp_path / "out.jsonl"), "--no-wait", "--json", folder=other))
        before, after = await kept(folder), await kept(other)
        lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()

    def plain(memories: list[Memory]) -> list[Any]:
        own = ("content", "kind", "tags", "metadata", "key", "session_id", "importance", "scope", "created_at", "occurred_at", "valid_from")
        return [[getattr(memory, name) for name in own] for memory in memories]

    assert made["memories"] == 2
    assert (done["stored"], set(done["operations"])) == (2, {"home", "global"})
    assert plain(after) == plain(before)
    assert all(json.loads(line)["provenance"].keys() <= {"client", "user", "agent", "source"} for line in lines)
    assert {memory.provenance.source for memory in after} == {"import"}
    assert {memory.provenance.agent[:7] for memory in after} == {"import:"}


async def test_an_export_that_cannot_be_written_says_so_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    await filled(folder)
    target = tmp_path / "nowhere" / "memories.jsonl"

    said = refused(command("export", str(target), folder=folder))

    assert said == f"memory-mcp: {target} cannot be written: No such file or directory. What was there is as it was.\n"


async def test_an_import_is_one_operation_and_again_stores_nothing(folder: Path, tmp_path: Path) -> None:
    source = file_of(tmp_path, *({"content": f"Note number {n}", "namespace": "home"} for n in range(450)))
    done = told(command("import", str(source), "--no-wait", "--json", folder=folder))
    again = told(command("import", str(source), "--no-wait", "--json", folder=folder))
    (number,) = done["operations"].values()
    there = len(await kept(folder))
    entries = [json.loads(line) for line in command("audit", "export", "--who", "command line", folder=folder).stdout.splitlines()]
    undone = told(command("forget", "--undo", str(number), "--json", folder=folder))

    assert (done["stored"], done["known"], again["stored"], again["known"], there) == (450, 0, 0, 450, 450)
    assert len(undone["undone"]) == 3  # batches
    assert await kept(folder) == []
    assert [entry["action"] for entry in entries] == ["import"] * 3


@pytest.mark.parametrize(("line", "status"), [('{"content": "x"}', 0), ("{}", 1)])
def test_an_import_waits_for_no_thread_at_its_end(folder: Path, tmp_path: Path, line: str, status: int) -> None:
    """One that is loading the model, in native code, would have the end of the interpreter abort the process."""
    source = file_of(tmp_path, line)
    ending = "import atexit, os; atexit.register(os._exit, 9); from memory_mcp.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", ending, "import", str(source), "--json", "--data-dir", str(folder)],
        env=surroundings({}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == status, done.stderr
    assert done.stdout if status == 0 else "1 line is at fault" in done.stderr


async def test_a_file_with_a_fault_stores_nothing_unless_faults_are_to_be_skipped(folder: Path, tmp_path: Path) -> None:
    secret = {"content": "password: hunter2-Xq9!vv"}
    source = file_of(
        tmp_path, {"content": "fine"}, "{broken", secret, {"content": "x", "colour": "red"}, {"content": "y", "kind": "nonsense"}
    )
    with source.open("a") as file:
        file.write('{"content": "cut of')
    said = refused(command("import", str(source), folder=folder))
    skipped = told(command("import", str(source), "--skip-faulty", "--no-wait", "--namespace", "home", "--json", folder=folder))

    assert "5 lines are at fault" in said
    assert all(f"line {number}:" in said for number in (2, 3, 4, 5, 6))
    assert "hunter2" not in said
    assert (skipped["stored"], skipped["left_out"]["faulty"]) == (1, 5)
    assert [memory.content for memory in await kept(folder)] == ["fine"]


async def test_of_a_file_with_a_line_that_is_too_long_the_lines_after_it_are_stored(folder: Path, tmp_path: Path) -> None:
    source = file_of(tmp_path, {"content": "before"}, {"content": "x" * (2 * MAX_LINE_BYTES)}, {"content": "after"})
    skipped = told(command("import", str(source), "--skip-faulty", "--no-wait", "--namespace", "home", "--json", folder=folder))

    assert (skipped["stored"], skipped["left_out"]["faulty"]) == (2, 1)
    assert {memory.content for memory in await kept(folder)} == {"before", "after"}


async def test_what_is_past_or_was_erased_here_is_left_out(folder: Path, tmp_path: Path) -> None:
    await filled(folder)
    erased = uuid4()
    Register(folder).add("local", [erased])
    made = told(command("export", str(tmp_path / "all.jsonl"), "--all", "--json", folder=folder))
    past = [entry for entry in lines(tmp_path / "all.jsonl") if "superseded_by" in entry]
    expired = {"content": "yesterday's", "expires_at": "2001-01-01T00:00:00+00:00"}
    source = file_of(tmp_path, *past, expired, {"id": str(erased), "content": "zimbeln"}, {"content": "new", "namespace": "home"})
    done = told(command("import", str(source), "--no-wait", "--json", folder=folder))

    assert made["memories"] == 3
    assert (done["stored"], done["left_out"]) == (1, {"past": 2, "erased": 1, "faulty": 0})
    assert "zimbeln" not in {memory.content for memory in await kept(folder)}


async def test_an_old_export_does_not_take_back_what_is_newer(folder: Path, tmp_path: Path) -> None:
    await filled(folder)
    told(command("export", str(tmp_path / "old.jsonl"), "--namespace", "home", "--json", folder=folder))
    async with SqliteStore.open(folder) as store:
        await add(store, "uses helix", key="editor", now=NOW + 9 * SECOND)
    done = told(command("import", str(tmp_path / "old.jsonl"), "--no-wait", "--json", folder=folder))

    assert "uses helix" in {memory.content for memory in await kept(folder)}
    assert (done["stored"], done["known"]) == (0, 1)


async def ended_by(number: signal.Signals, folder: Path, source: Path, store: SqliteStore) -> tuple[int, str]:
    """An import that is ended as soon as it has stored something; with which status, and what it said."""
    line = [sys.executable, "-m", "memory_mcp", "import", str(source), "--no-wait", "--data-dir", str(folder)]
    before = await count(store)
    async with await anyio.open_process(line, env=surroundings({}), stdout=subprocess.DEVNULL) as process:
        with anyio.fail_after(60):
            while await count(store) == before:
                assert process.returncode is None
                await anyio.sleep(0.01)
        process.send_signal(number)
        assert process.stderr
        errors = b"".join([chunk async for chunk in process.stderr])
        return await process.wait(), errors.decode()


async def count(store: SqliteStore) -> int:
    return sum((await store.counts("local")).by_namespace.values())


async def test_an_import_that_was_ended_is_completed_by_running_it_again(folder: Path, tmp_path: Path) -> None:
    source = file_of(tmp_path, *({"content": f"Note number {n} is about {n * 7}", "namespace": "home"} for n in range(3_000)))
    async with SqliteStore.open(folder) as store:
        status, said = await ended_by(signal.SIGINT, folder, source, store)
        first = await count(store)
        await ended_by(signal.SIGKILL, folder, source, store)
        second = await count(store)
        done = told(await anyio.to_thread.run_sync(lambda: command("import", str(source), "--no-wait", "--json", folder=folder)))
        whole = [memory.content for memory in await live(store, HOME)]
        assert await store.check() == []
        assert await store.verify_chain() is None
        await store.undo(HOME, done["operations"]["home"], Provenance(), NOW)
        left = await count(store)

    assert 0 < first < second < 3_000
    assert first % 200 == second % 200 == 0  # whole batches
    assert (status, "the same command again stores the rest" in said) == (130, True)
    assert (done["stored"], done["known"]) == (3_000 - second, second)
    assert len(whole) == len(set(whole)) == 3_000
    assert left == 0  # the first two parts went with it
