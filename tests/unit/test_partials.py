"""What processes that were killed left half written goes with the next write; what others are writing stays."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from record_stores import add

from memory_mcp.partials import clear_left_over, written_beside
from memory_mcp.tiers.sqlite.backup import backup
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.upkeep.exporting import beside

WRITE = """
import sys
from pathlib import Path
from memory_mcp.partials import written_beside
with written_beside(Path(sys.argv[1])) as partial:
    partial.with_name(partial.name + "-journal").write_text("of a database")
    print("writing", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_writing(target: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", WRITE, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            yield process
        finally:
            process.kill()


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["lines.jsonl", "odd [name] *.jsonl"])
def test_what_a_killed_process_left_goes_with_the_next_write_to_the_same_place(tmp_path: Path, name: str) -> None:
    with another_process_writing(tmp_path / name) as process:
        half = names_in(tmp_path)
        process.kill()
        process.wait()
    with another_process_writing(tmp_path / f"{name}.2") as process:
        process.kill()
        process.wait()
    of_another = names_in(tmp_path) - half
    with beside(tmp_path / name) as file:
        file.write(b"whole")

    assert len(half) == len(of_another) == 2
    assert names_in(tmp_path) == {name} | of_another
    assert (tmp_path / name).read_bytes() == b"whole"

    clear_left_over(tmp_path)

    assert names_in(tmp_path) == {name}


def test_what_is_being_written_stays(tmp_path: Path) -> None:
    target = tmp_path / "lines.jsonl"
    with another_process_writing(target), written_beside(target) as own:
        before = names_in(tmp_path)
        with beside(target) as file:
            file.write(b"whole")

        assert names_in(tmp_path) == before | {target.name}
        assert own.exists()


async def test_what_a_killed_backup_left_goes_with_the_next(tmp_path: Path) -> None:
    store, copy = tmp_path / "store", tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    with another_process_writing(copy) as process:
        process.kill()
        process.wait()
    async with SqliteStore.open(store) as opened:
        await add(opened, "kept")
        made = await anyio.to_thread.run_sync(backup, store, copy)

    assert made.memories == 1
    assert names_in(copy.parent) == {copy.name}
