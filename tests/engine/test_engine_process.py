"""Engines as processes: there is one, it comes when it is needed, it goes when it is not, and nobody else gets in."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from memory_mcp import __version__
from memory_mcp.front import election
from memory_mcp.front.election import Election, RefusedError, UnavailableError
from memory_mcp.front.hello import hello
from memory_mcp.front.locks import try_lock
from memory_mcp.front.places import Places
from memory_mcp.front.starting import STARTED, TAKEN, start_engine
from tests.engines import (
    PATIENCE,
    ask,
    by_hand,
    command,
    connect,
    data_directory,
    end_engine,
    front,
    is_running,
    pid_of,
    status,
    surroundings,
    text_in,
    wait_until,
)

NEWER = {"program": "99.0"}


def engines_of(folder: Path) -> list[int]:
    """The processes that were started as its engine, and are more than a start that found the place taken."""
    listed = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if f"--data-dir {folder}" in line and "engine run" in line]


@contextmanager
def foreground(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """An engine that is this process's child."""
    with subprocess.Popen(
        [sys.executable, "-m", "memory_mcp", "engine", "run", "--data-dir", str(folder), *arguments],
        env=surroundings(environment),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_eight_clients_that_start_at_once_start_one_engine(folder: Path) -> None:
    pids = set()

    async def work(number: int) -> None:
        async with Client(front(folder), mode="legacy" if number % 2 else "auto") as client:
            assert len((await client.list_tools()).tools) == 8
            stats = await client.call_tool("stats", {"section": "engine"})
            assert stats.structured_content is not None
            pids.add(stats.structured_content["engine"]["pid"])

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(work, number)

    assert pids == {pid_of(folder)}
    assert engines_of(folder) == [pid_of(folder)]


def test_a_second_engine_leaves_at_once_and_says_why(folder: Path) -> None:
    with foreground(folder) as first:
        wait_until(lambda: status(folder) if (folder / "engine.json").exists() else None)
        began = time.monotonic()
        second = command("engine", "run", folder=folder)
        took = time.monotonic() - began
        assert status(folder)["pid"] == first.pid

    assert second.returncode == TAKEN
    assert "already" in second.stderr
    assert took < 5


async def test_an_engine_without_clients_ends_by_itself_and_is_started_anew_for_the_next(tmp_path: Path) -> None:
    with data_directory(tmp_path / "data", "[engine]\nidle_seconds = 0.5\n") as folder:
        async with by_hand(front(folder)):
            first = pid_of(folder)
            await anyio.sleep(1.0)
            assert is_running(folder)
        wait_until(lambda: not is_running(folder), 5)
        assert not (folder / "engine.sock").exists()
        assert not (folder / "engine.json").exists()
        async with by_hand(front(folder)) as hand:
            await hand.call(1, "stats", section="engine")
            assert (await hand.answer())["result"]["structuredContent"]["engine"]["pid"] != first


async def test_clients_that_come_while_an_engine_goes_find_one_all_the_same(tmp_path: Path) -> None:
    with data_directory(tmp_path / "data", "[engine]\nidle_seconds = 0.001\n") as folder:
        for _ in range(5):
            async with by_hand(front(folder)) as hand:
                await hand.call(1, "stats", section="counts")
                assert not (await hand.answer())["result"].get("isError")


async def test_commands_tell_of_an_engine_and_end_it(folder: Path) -> None:
    before = command("engine", "status", "--json", folder=folder), command("engine", "stop", folder=folder)
    no_log = command("engine", "logs", folder=folder)
    async with by_hand(front(folder)) as hand:
        told = json.loads(command("engine", "status", "--json", folder=folder).stdout)
        words = command("engine", "status", folder=folder).stdout
        await hand.call(1, "remember", content="Something that no log should hold")
        await hand.answer()
        stopped = command("engine", "stop", folder=folder)
        running = is_running(folder)
        logs = command("engine", "logs", "--lines", "5", folder=folder)

    assert json.loads(before[0].stdout)["running"] is False
    assert before[1].returncode == 0
    assert "No engine is running" in before[1].stdout
    assert no_log.returncode == 1
    assert told["running"]
    assert (told["version"], told["connections"], told["data_dir"]) == (__version__, 1, str(folder))
    assert Path(told["log"]).exists()
    assert str(told["pid"]) in words
    assert (stopped.returncode, stopped.stdout) == (0, "Stopped.\n")
    assert not running
    assert "engine_ends" in logs.stdout
    assert "Something that no log should hold" not in (folder / "engine.log").read_text()


def test_the_log_can_be_followed(folder: Path) -> None:
    (folder / "engine.log").write_text("one\ntwo\n")
    arguments = [sys.executable, "-m", "memory_mcp", "engine", "logs", "--follow", "--lines", "1", "--data-dir", str(folder)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=surroundings({}), text=True) as process:
        assert process.stdout
        first = process.stdout.readline()
        with (folder / "engine.log").open("a") as file:
            file.write("three\n")
        second = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            ended = process.wait(PATIENCE)
        finally:
            process.kill()

    assert (first, second, ended) == ("two\n", "three\n", 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_an_engine_cleanly(folder: Path, number: signal.Signals) -> None:
    async with by_hand(front(folder)) as hand:
        await hand.call(1, "remember", content="Kept.")
        assert not (await hand.answer())["result"].get("isError")
        os.kill(pid_of(folder), number)
        wait_until(lambda: not is_running(folder), 7)
        wal = folder / "memories.db-wal"
        assert not wal.exists() or wal.stat().st_size == 0  # what was in it has been carried into the file
        await hand.call(2, "recall", query="")
        assert "Kept." in text_in(await hand.answer())


async def test_an_engine_that_no_client_can_find_any_more_ends(folder: Path) -> None:
    async with by_hand(front(folder)):
        pid = pid_of(folder)
        for name in ("engine.lock", "engine.json", "engine.sock"):
            (folder / name).unlink()
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10)
        async with by_hand(front(folder)) as hand:
            await hand.call(1, "stats", section="engine")
            assert (await hand.answer())["result"]["structuredContent"]["engine"]["pid"] != pid


async def test_a_copy_of_a_data_directory_has_an_engine_of_its_own(folder: Path, tmp_path: Path) -> None:
    async with Client(front(folder)) as client:
        await client.call_tool("remember", {"content": "Told before the copy."})
        with data_directory(tmp_path / "copy") as copy:
            for name in ("engine.json", "engine.lock"):
                shutil.copy(folder / name, copy / name)
            unreached = command("engine", "stop", folder=copy)
            async with Client(front(copy)) as other:
                await other.call_tool("remember", {"content": "Told to the copy."})
            apart = pid_of(copy) != pid_of(folder)
        answer = await client.call_tool("recall", {})

    assert "No engine is running" in unreached.stdout
    assert apart
    assert [hit["text"] for hit in (answer.structured_content or {})["hits"]] == ["Told before the copy."]


async def test_a_data_directory_whose_path_is_too_long_for_a_socket(tmp_path: Path) -> None:
    with data_directory(tmp_path / ("x" * 100) / "data") as folder:
        async with by_hand(front(folder)) as one, by_hand(front(folder)) as two:
            for hand in (one, two):
                await hand.call(1, "stats", section="engine")
            pids = {(await hand.answer())["result"]["structuredContent"]["engine"]["pid"] for hand in (one, two)}
            path = Path(status(folder)["socket"])
            there = path.exists()
        end_engine(folder)

    assert len(pids) == 1
    assert there
    assert not path.is_relative_to(folder)
    assert not path.exists()


async def test_where_there_are_no_such_sockets_a_secret_guards_the_port(folder: Path) -> None:
    with foreground(folder, "--tcp") as engine:
        wait_until(lambda: (folder / "engine.json").exists())
        address = json.loads((folder / "engine.json").read_text())
        async with by_hand(front(folder)) as hand:
            await hand.call(1, "stats", section="engine")
            assert (await hand.answer())["result"]["structuredContent"]["engine"]["pid"] == engine.pid
        answers = []
        for secret in (address["secret"], "guessed", ""):
            with socket.create_connection(("127.0.0.1", address["port"]), timeout=PATIENCE) as stranger:
                stranger.sendall(json.dumps({"memory-mcp": 1, "ask": "status", "secret": secret}).encode() + b"\n")
                answers.append(stranger.recv(10_000))

    assert len(address["secret"]) == 64
    assert (folder / "engine.json").stat().st_mode & 0o777 == 0o600
    assert b'"pid"' in answers[0]
    assert answers[1:] == [b"", b""]


async def test_strangers_and_silent_visitors_do_no_harm(folder: Path) -> None:
    async with by_hand(front(folder)) as hand:
        lines = [connect(folder) for _ in range(20)]
        for number, line in enumerate(lines):
            if number % 2:
                line.send(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(2_000))
        await hand.call(1, "stats", section="counts")
        assert not (await hand.answer())["result"].get("isError")
        for line in lines:
            line.close()

    assert "Traceback" not in (folder / "engine.log").read_text()


def engaged(folder: Path, program: str, seconds: float = PATIENCE, start: Any = start_engine) -> Any:
    said = hello(program, "project", {})
    return Election(Places(str(folder)), said, time.monotonic() + seconds, start=start).engage()


async def test_a_newer_program_takes_over_and_every_client_goes_on(folder: Path) -> None:
    def start_newer(places: Places, deadline: float) -> int:
        script = "import memory_mcp; memory_mcp.__version__ = '99.0'; from memory_mcp.engine.process import run; run(['--detached', *ARGS])"
        arguments = ["--data-dir", places.folder]
        return subprocess.run([sys.executable, "-c", script.replace("*ARGS", f"*{arguments}")], check=False, timeout=PATIENCE).returncode

    async with by_hand(front(folder)) as one, by_hand(front(folder)) as two:
        older = status(folder)
        assert ask(folder, {**hello("99.0", "", {})}) == {"memory-mcp": 1, "program": __version__, "older": True}
        for number in range(1, 21):
            await one.call(number, "remember", content=f"Something of the old days, number {number}")
        connection, told = await anyio.to_thread.run_sync(lambda: engaged(folder, "99.0", start=start_newer))
        newer = status(folder)
        answers = await one.answers(20)
        await two.call(1, "recall", query="the old days", limit=30)
        found = await two.answer()
        connection.close()

    assert (older["version"], newer["version"]) == (__version__, "99.0")
    assert newer["pid"] != older["pid"]
    assert told == []
    assert [text_in(answer) for answer in answers.values() if answer["result"].get("isError")] == []
    assert not found["result"].get("isError")
    assert not is_older_running(older["pid"])


def is_older_running(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


async def test_an_older_program_is_served_by_a_newer_engine(folder: Path) -> None:
    async with by_hand(front(folder)):
        pid = pid_of(folder)
        connection, _ = await anyio.to_thread.run_sync(lambda: engaged(folder, "0.0.1"))
        connection.close()

        assert status(folder)["pid"] == pid


def test_an_engine_that_hangs_is_not_waited_for_for_ever(folder: Path) -> None:
    places = Places(str(folder))
    assert start_engine(places, time.monotonic() + PATIENCE) == STARTED
    pid = pid_of(folder)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(UnavailableError, match=r"does not answer.*engine\.log"):
            engaged(folder, __version__, seconds=1.0)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_lock_whose_holder_does_not_listen_is_told_within_the_time_given(folder: Path) -> None:
    lock = try_lock(str(folder / "engine.lock"))
    assert lock is not None
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"engine\.lock.*engine\.log"):
        engaged(folder, __version__, seconds=1.0)
    os.close(lock)

    assert time.monotonic() - began < 5


def test_engines_that_cannot_be_started_are_not_tried_for_ever(folder: Path) -> None:
    tries = []

    def start(places: Places, deadline: float) -> int:
        tries.append(places)
        return 1

    with pytest.raises(UnavailableError, match="status 1"):
        engaged(folder, __version__, start=start)

    assert len(tries) == 3


async def test_while_no_engine_can_be_had_every_request_is_told_so_and_later_ones_work(
    folder: Path,
) -> None:
    async with by_hand(front(folder)) as hand:
        end_engine(folder)
        engine_json = folder / "engine.json"
        (folder / "engine.starting").unlink()
        (folder / "engine.starting").mkdir()  # so that not even root can open it
        await hand.call(1, "remember", content="x")
        await hand.request(2, "tools/list")
        answers = await hand.answers(2)
        assert not engine_json.exists()
        (folder / "engine.starting").rmdir()
        with anyio.fail_after(PATIENCE):
            number = 3
            while True:
                await hand.call(number, "remember", content="x")
                answer = await hand.answer()
                if not answer["result"].get("isError"):
                    break
                number += 1
                await anyio.sleep(0.2)
        assert hand.process.stdin
        hand.process.stdin.close()
        await hand.ended()
        said = (await hand.stderr()).splitlines()

    assert answers[1]["result"]["isError"]
    assert "Nothing was done" in text_in(answers[1])
    assert str(folder / "engine.log") in text_in(answers[1])
    assert "cannot be reached or started" in answers[2]["error"]["message"]
    assert len(said) == 1


def test_more_clients_than_an_engine_takes_are_refused_with_a_sentence(folder: Path) -> None:
    lines = [engaged(folder, __version__)[0] for _ in range(64)]
    with pytest.raises(RefusedError, match="64") as refused:
        engaged(folder, __version__)
    lines.pop().close()
    wait_until(lambda: status(folder)["connections"] == 63)
    lines.append(engaged(folder, __version__)[0])
    for line in lines:
        line.close()

    assert refused.value.status == 1


async def test_restoring_while_an_engine_runs_names_the_command_that_ends_it(folder: Path, tmp_path: Path) -> None:
    async with by_hand(front(folder)) as hand:
        await hand.call(1, "remember", content="Saved.")
        await hand.answer()
        copy = str(tmp_path / "copy.db")
        assert command("backup", copy, folder=folder).returncode == 0
        refused = command("restore", copy, folder=folder)
        assert command("engine", "stop", folder=folder).returncode == 0
        restored = command("restore", copy, folder=folder)
        await hand.call(2, "recall")
        found = await hand.answer()

    assert refused.returncode == 1
    assert "memory-mcp engine stop" in refused.stderr
    assert restored.returncode == 0
    assert "Saved." in text_in(found)


def test_the_search_for_an_engine_ends_before_a_client_gives_up() -> None:
    assert election.PATIENCE_SECONDS <= 20


def test_paths_that_nobody_expects_do_no_harm() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="ein Ordner mit 'Zeichen' \u00e4\u20ac ", dir="/tmp") as name,
        data_directory(Path(name)) as folder,
    ):
        connection, _ = engaged(folder, __version__)
        connection.close()
