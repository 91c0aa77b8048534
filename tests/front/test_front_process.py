"""Fronts as hosts run them, before a real engine that is now and then killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError

from tests.engines import (
    PATIENCE,
    Hand,
    by_hand,
    command,
    data_directory,
    end_engine,
    front,
    is_listening,
    is_running,
    pid_of,
    status,
    surroundings,
    text_in,
    wait_until,
)
from tests.memories import text_of
from tests.promises import kept_within

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
PASSED_ON_SECONDS = 1.0
"""In which a front has passed on what it was told, on a busy machine; nothing says that it has."""

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="makes a terminal")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


async def test_clients_of_both_eras_share_one_engine_at_the_same_time(folder: Path) -> None:
    async with Client(front(folder), mode="legacy") as old, Client(front(folder), mode="auto") as new:
        stored = await old.call_tool("remember", {"content": "The ferry leaves at nine."})
        found = await new.call_tool("recall", {"query": "When does the ferry leave?"})
        tools = [await client.list_tools() for client in (old, new)]
        engines = [(await client.call_tool("stats", {"section": "engine"})).structured_content for client in (old, new)]

    assert stored.structured_content is not None
    assert stored.structured_content["id"] in text_of(found)
    assert tools[0].tools == tools[1].tools
    assert {each["engine"]["pid"] for each in engines if each} == {pid_of(folder)}
    assert all("notices" not in each["engine"] for each in engines if each)


@posix_only
def test_a_person_who_starts_it_in_a_terminal_is_told_what_it_is_and_a_client_is_not(folder: Path) -> None:
    program = front(folder)
    started = [program.command, *program.args]
    master, terminal = os.openpty()
    os.write(master, b"\x04")
    at_a_terminal = subprocess.run(started, stdin=terminal, env=program.env, capture_output=True, timeout=PATIENCE, check=False)
    os.close(master)
    os.close(terminal)
    by_client = subprocess.run(started, stdin=subprocess.DEVNULL, env=program.env, capture_output=True, timeout=PATIENCE, check=False)

    assert b"`memory-mcp install` sets up your clients" in at_a_terminal.stderr
    assert (at_a_terminal.returncode, at_a_terminal.stdout, by_client.stderr) == (0, b"", b"")


async def test_each_client_works_in_the_namespace_of_its_own_directory(folder: Path, tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / name / ".git").mkdir(parents=True)
    namespaces = set()
    async with (
        Client(front(folder, cwd=tmp_path / "north", namespace="")) as north,
        Client(front(folder, cwd=tmp_path, namespace="", CLAUDE_PROJECT_DIR=str(tmp_path / "south"))) as south,
        Client(front(folder, cwd=tmp_path, namespace="")) as nowhere,
        Client(front(folder, cwd=tmp_path / "north", namespace="", MEMORY_MCP_NAMESPACE="given")) as given,
    ):
        for client in (north, south, nowhere, given):
            stats = (await client.call_tool("stats", {})).structured_content
            assert stats is not None
            namespaces.add(stats["namespace"].rpartition("-")[0] or stats["namespace"])
        assert status(folder)["connections"] == 4

    assert namespaces == {"north", "south", "personal", "given"}


async def paused(folder: Path, hand: Hand, *calls: tuple[Any, ...]) -> int:
    """Have the engine stand still with these calls before it; its process."""
    pid = pid_of(folder)
    os.kill(pid, signal.SIGSTOP)
    for call in calls:
        await hand.call(*call[:2], **call[2])
    await anyio.sleep(PASSED_ON_SECONDS)
    return pid


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_calls_in_flight_when_the_engine_is_killed_are_answered_and_later_ones_work(folder: Path, era: str) -> None:
    meta = {} if era == "legacy" else {"_meta": MODERN}
    async with by_hand(front(folder), handshake=era == "legacy") as hand:
        await hand.request("first", "tools/call", name="remember", arguments={"content": "Before the fall."}, **meta)
        assert not (await hand.answer())["result"].get("isError")
        pid = await paused(folder, hand)
        await hand.request("write", "tools/call", name="remember", arguments={"content": "During the fall."}, **meta)
        await hand.request("read", "tools/call", name="recall", arguments={"query": "the fall"}, **meta)
        await hand.request("list", "tools/list", **meta)
        await anyio.sleep(PASSED_ON_SECONDS)
        os.kill(pid, signal.SIGKILL)
        answers = await hand.answers(3)
        await hand.request("again", "tools/call", name="remember", arguments={"content": "During the fall."}, **meta)
        again = await hand.answer()

    failed = answers["write"]["result"]
    assert failed["isError"] is True
    assert "restarted" in failed["content"][0]["text"]
    assert "unknown" in failed["content"][0]["text"]
    assert "safe to repeat" in failed["content"][0]["text"]
    assert failed.get("resultType") == (None if era == "legacy" else "complete")
    assert "Before the fall." in text_in(answers["read"])
    assert len(answers["list"]["result"]["tools"]) == 8
    assert not again["result"].get("isError")
    assert pid_of(folder) != pid


async def test_an_engine_that_was_stopped_stays_so_until_a_client_asks_for_something(folder: Path) -> None:
    async with by_hand(front(folder)) as hand:
        end_engine(folder)
        await anyio.sleep(0.5)
        assert not is_running(folder)
        await hand.call(1, "stats", section="engine")
        answer = await hand.answer()

    assert answer["id"] == 1
    assert not answer["result"].get("isError")


async def test_a_call_that_was_not_begun_when_the_engine_left_is_carried_out_by_the_next(folder: Path) -> None:
    async with by_hand(front(folder)) as hand:
        pid = await paused(folder, hand, *[(number, "remember", {"content": f"Call number {number}"}) for number in range(1, 101)])
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        answers = await hand.answers(100)

    assert sorted(answers) == list(range(1, 101))
    assert [text_in(answer) for answer in answers.values() if answer["result"].get("isError")] == []


async def test_lines_of_any_kind_are_passed_on_and_answered_by_the_engine(folder: Path) -> None:
    async with by_hand(front(folder)) as hand:
        await hand.send(
            b"\xff\xfe",
            b"",
            b"not JSON",
            b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
            b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"recall","arguments":{"query":"\\ud800"}}}',
            b'{"jsonrpc":"2.0","id":3,"method":"ping","params":{"a":' + b"[" * 300 + b"]" * 300 + b"}}",
            b'{"jsonrpc":"2.0","id":4,"method":"ping","params":{"a":' + b"9" * 5_000 + b"}}",
            b'{"jsonrpc":"2.0","id":5,"method":"no/such/method"}',
            b'{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"recall","arguments":{"query":"' + b"x" * 3_000_000 + b'"}}}',
            b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"a":"' + b"x" * 20_000_000 + b'"}}',
            b'{"jsonrpc":"2.0","id":8,"method":"ping"}',
        )
        answers = [await hand.answer() for _ in range(11)]

    by_id = {answer["id"]: answer for answer in answers}
    assert sorted(str(answer["id"]) for answer in answers) == sorted(["None"] * 4 + list("2345678"))
    assert "too long" in by_id[7]["error"]["message"]
    assert by_id[8]["result"] == {}


def megabytes(pid: int, what: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) // 1000


@linux_only
async def test_a_client_that_does_not_read_does_not_make_the_front_grow(folder: Path) -> None:
    async with by_hand(front(folder)) as hand:
        await hand.call(0, "remember", content="x" * 200_000)
        stored = (await hand.answer())["result"]["structuredContent"]["id"]
        resting = megabytes(hand.process.pid, "VmRSS")
        pipe = hand.process._transport.get_pipe_transport(1)  # there is no public way to it
        pipe.pause_reading()
        for number in range(1, 201):  # 80 MB of answers: in text and in structure
            await hand.call(number, "get", ids=[stored])
        await anyio.sleep(1)
        pipe.resume_reading()
        answers = await hand.answers(200)
        peak = megabytes(hand.process.pid, "VmHWM")

    print(f"resting {resting} MB, peak {peak} MB")
    assert resting < 30
    assert peak < 45
    assert sorted(answers) == list(range(1, 201))


@pytest.mark.parametrize("how", ["eof", "SIGTERM", "SIGINT"])
async def test_a_front_ends_within_a_second_and_the_engine_goes_on(folder: Path, how: str) -> None:
    for seconds in kept_within(1.0):
        async with by_hand(front(folder)) as hand:
            assert hand.process.stdin
            began = time.monotonic()
            if how == "eof":
                hand.process.stdin.close()
            else:
                hand.process.send_signal(signal.Signals[how])
            ended = await hand.ended()
            seconds.append(time.monotonic() - began)

        assert ended == 0
        assert is_running(folder)
        wait_until(lambda: status(folder)["connections"] == 0)


@posix_only
def test_who_is_impatient_with_a_front_is_told_nothing_of_its_insides(folder: Path) -> None:
    program = front(folder)
    started = [program.command, *program.args]
    process = subprocess.Popen(started, env=program.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        assert process.stdin
        assert process.stdout
        initialize = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": initialize}).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        os.kill(pid_of(folder), signal.SIGSTOP)
        try:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "ping"}).encode() + b"\n")
            process.stdin.flush()
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                time.sleep(0.01)
        finally:
            os.kill(pid_of(folder), signal.SIGCONT)
        _, said = process.communicate(timeout=PATIENCE)

    assert (process.returncode, said) == (0, b"")


async def test_answers_still_to_come_are_passed_on_after_the_end_of_the_input(folder: Path) -> None:
    assert command("remember", "The engine is there, and so is its model", folder=folder).returncode == 0
    async with by_hand(front(folder)) as hand:
        assert hand.process.stdin
        assert hand.process.stdout
        for number in range(1, 6):
            await hand.call(number, "remember", content=f"Last words, part {number}")
        hand.process.stdin.close()
        with anyio.fail_after(PATIENCE):
            said = [json.loads(line) for line in (await hand.process.stdout.read()).splitlines()]

    assert sorted(answer["id"] for answer in said) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("asked", [False, True])
async def test_a_front_whose_engine_stands_still_ends_all_the_same(folder: Path, asked: bool) -> None:
    """With its input, and with a call open, by a signal: until then somebody may be waiting for the answer."""
    for seconds in kept_within(2.0):
        async with by_hand(front(folder)) as hand:
            assert hand.process.stdin
            pid = await paused(folder, hand, *([(1, "stats", {})] if asked else []))
            began = time.monotonic()
            hand.process.stdin.close()
            if asked:
                hand.process.send_signal(signal.SIGTERM)
            ended = await hand.ended()
            seconds.append(time.monotonic() - began)
            os.kill(pid, signal.SIGCONT)

        assert ended == 0


async def test_who_has_said_all_and_still_reads_gets_the_answer_of_a_slow_engine(folder: Path) -> None:
    async with by_hand(front(folder)) as hand:
        assert hand.process.stdin
        assert hand.process.stdout
        pid = await paused(folder, hand, (1, "stats", {"section": "counts"}))
        hand.process.stdin.close()
        await anyio.sleep(2.5)
        os.kill(pid, signal.SIGCONT)
        with anyio.fail_after(PATIENCE):
            answered = json.loads(await hand.process.stdout.read())
        ended = await hand.ended()

    assert (answered["id"], ended) == (1, 0)


@linux_only
def test_a_front_ends_with_its_parent_even_if_its_input_stays_open(folder: Path) -> None:
    server = front(folder)
    reading, writing = os.pipe()
    script = f"import subprocess, sys; p = subprocess.Popen({[server.command, *server.args]!r}); print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=reading, stdout=subprocess.PIPE, env=server.env) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        try:
            wait_until(lambda: is_listening(folder) and status(folder)["connections"] == 1)
        finally:
            parent.kill()
        began = time.monotonic()
        wait_until(lambda: status(folder)["connections"] == 0)
        took = time.monotonic() - began
    os.close(reading)
    os.close(writing)

    assert took < 5
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 5)


@linux_only
def test_the_engine_survives_the_end_of_the_client_and_all_its_processes(folder: Path) -> None:
    server = front(folder)
    with subprocess.Popen(
        [server.command, *server.args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=server.env, start_new_session=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":%s}}\n' % json.dumps(MODERN).encode())
        process.stdin.flush()
        assert b'"id":1' in process.stdout.readline()
        pid = status(folder)["pid"]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)

    assert status(folder)["pid"] == pid
    assert os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == str(folder)


def spoken(folder: Path, *messages: dict[str, Any], **environment: str) -> subprocess.CompletedProcess[str]:
    """A conversation of a script: everything said at once, then the end."""
    server = front(folder, **environment)
    sent = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    command = [server.command, *server.args]
    return subprocess.run(command, input=sent, env=server.env, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_script_may_say_all_it_has_to_say_at_once_while_the_engine_is_yet_to_start(folder: Path) -> None:
    call = {"name": "stats", "arguments": {"section": "counts"}, "_meta": MODERN}
    done = spoken(folder, {"id": 1, "method": "tools/call", "params": call})

    assert done.returncode == 0
    assert json.loads(done.stdout)["result"]["structuredContent"]["counts"]["memories"] == 0


async def test_a_client_with_settings_of_its_own_is_told_that_they_do_not_count(folder: Path) -> None:
    async with by_hand(front(folder, MEMORY_MCP_RECALL__CANDIDATES="77")) as hand, by_hand(front(folder)) as other:
        await hand.call(1, "stats", section="engine")
        told = (await hand.answer())["result"]["structuredContent"]["engine"]
        await other.call(1, "stats", section="engine")
        plain = (await other.answer())["result"]["structuredContent"]["engine"]
        assert hand.process.stdin
        hand.process.stdin.close()
        await hand.ended()
        said = await hand.stderr()

    (sentence,) = told["notices"]
    assert "recall.candidates" in sentence
    assert "config.toml" in sentence
    assert "--isolated" in sentence
    assert sentence in said
    assert "notices" not in plain


@pytest.mark.parametrize("fault", ["file", "environment", "namespace"])
def test_a_configuration_that_makes_no_sense_is_told_to_the_client_and_ends_the_front_with_status_2(tmp_path: Path, fault: str) -> None:
    more = "candidats = 9\n" if fault == "file" else ""
    environment = {"environment": {"MEMORY_MCP_RECALL__CANDIDATS": "9"}, "namespace": {"MEMORY_MCP_NAMESPACE": "a\tb"}}.get(fault, {})
    with data_directory(tmp_path / "data", more) as folder:
        server = front(folder, namespace="", **environment)
        request = '{"jsonrpc":"2.0","id":"a","method":"initialize","params":{}}\n'
        command = [server.command, *server.args]
        done = subprocess.run(command, input=request, env=server.env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if fault == "file":
            wait_until(lambda: not is_running(folder), 5)

    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["id"] == "a"
    assert ("namespace" if fault == "namespace" else "recall.candidats") in answer["error"]["message"]
    (line,) = done.stderr.splitlines()
    assert answer["error"]["message"] in line


def test_where_no_home_folder_is_known_a_data_directory_has_to_be_named(folder: Path) -> None:
    (elsewhere := folder / "elsewhere").mkdir()
    nobody = {name: value for name, value in surroundings({}).items() if name != "HOME"}
    wrapper = ["unshare", "--map-user=54321", "--map-group=54321"]  # whom no list of users has
    probe = [*wrapper, sys.executable, "-c", "import os; print(os.path.expanduser('~'))"]
    if shutil.which("unshare") is None or subprocess.run(probe, env=nobody, capture_output=True, check=False).stdout != b"~\n":
        pytest.skip("being nobody in a namespace of one's own is not possible here")
    asked = '{"jsonrpc":"2.0","id":"a","method":"initialize","params":{}}\n'
    unnamed, named, where = (
        subprocess.run(
            [*wrapper, sys.executable, "-m", "memory_mcp", *arguments],
            input=asked,
            env={**nobody, "PYTHONPATH": os.getcwd()},
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        for arguments in (["serve"], ["remember", "The pump is blue.", "--data-dir", str(folder)], ["where", "--data-dir", str(folder)])
    )

    assert unnamed.returncode == 2
    assert "no home folder is known" in json.loads(unnamed.stdout)["error"]["message"]
    assert list(elsewhere.iterdir()) == []
    assert named.stdout.startswith("stored in ")
    assert where.stdout.startswith("data directory")


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_real_client_reads_the_sentence(tmp_path: Path, mode: Any) -> None:
    with data_directory(tmp_path / "data", "candidats = 9\n") as folder, pytest.raises(ExceptionGroup) as caught:
        async with Client(front(folder), mode=mode):
            pass

    assert caught.group_contains(MCPError, match=r"recall\.candidats")


async def test_a_configuration_mended_or_changed_counts_for_the_next_client(folder: Path) -> None:
    async with by_hand(front(folder)):
        first = pid_of(folder)
    wait_until(lambda: status(folder)["connections"] == 0)
    (folder / "config.toml").write_text((folder / "config.toml").read_text() + "candidates = 60\n")
    async with by_hand(front(folder)) as one, by_hand(front(folder)) as two:
        second = pid_of(folder)
        (folder / "config.toml").write_text((folder / "config.toml").read_text() + "candidats = 50\n")
        async with by_hand(front(folder)) as three:
            third = pid_of(folder)
            for hand in (one, two, three):
                await hand.call(1, "stats", section="engine")
            notices = [(await hand.answer())["result"]["structuredContent"]["engine"].get("notices", []) for hand in (one, two, three)]

    assert first != second == third
    assert notices[:2] == [[], []]
    assert "recall.candidats" in notices[2][0]


@linux_only
async def test_where_no_engine_can_be_a_client_is_served_by_a_process_of_its_own(tmp_path: Path) -> None:
    server = front(Path("/proc/memory"), namespace="")
    async with by_hand(server, handshake=False) as hand:
        await hand.initialize()
        await hand.call(1, "recall", query="x")
        answer = await hand.answer()
        assert hand.process.stdin
        hand.process.stdin.close()
        assert await hand.ended() == 0
        said = await hand.stderr()

    assert answer["result"]["isError"]
    assert "cannot be opened" in text_in(answer)
    assert "/proc/memory" in said.splitlines()[0]
    assert "process of its own" in said.splitlines()[0]


ON_A_FULL_DISK = """
import json, subprocess, sys
from contextlib import suppress
from pathlib import Path
from tests.engines import command, data_directory, front
folder, disk = Path(sys.argv[1]), Path(sys.argv[1]).parent
with data_directory(folder):
    command("remember", "The pump in the cellar is blue.", "--namespace", "project", folder=folder)
    command("engine", "stop", folder=folder)
    with suppress(OSError), open(disk / "filling", "wb", 0) as file:
        while True:
            file.write(bytes(4096))
    server = front(folder)
    done = subprocess.run([server.command, *server.args], input=sys.argv[2], env=server.env, capture_output=True, text=True, check=False)
    by_command = command("recall", "colour of the pump", folder=folder).stderr
    (disk / "filling").unlink()
    later = command("recall", "colour of the pump", "--namespace", "project", folder=folder).stdout
print(json.dumps({"answer": done.stdout, "said": done.stderr, "by_command": by_command, "later": later}))
"""


def test_on_a_full_disk_what_is_known_can_be_recalled(tmp_path: Path, mounted: Callable[[str], list[str]]) -> None:
    (disk := tmp_path / "disk").mkdir()
    call = {"name": "recall", "arguments": {"query": "colour of the pump"}, "_meta": MODERN}
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}) + "\n"
    wrapper = mounted(f"mount -t tmpfs -o size=8m none '{disk}'")
    command = [*wrapper, sys.executable, "-c", ON_A_FULL_DISK, str(disk / "data"), asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)

    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert "No space left on device" in seen["said"].splitlines()[0]
    assert "process of its own" in seen["said"].splitlines()[0]
    assert "The pump in the cellar is blue." in seen["answer"]
    assert "No space left on device" in seen["by_command"]
    assert "The pump in the cellar is blue." in seen["later"]


def test_it_does_not_matter_which_standard_descriptors_are_open(folder: Path) -> None:
    server = front(folder)
    line = " ".join(["exec", server.command, *server.args])
    for closed in ("<&-", "<&- >&-", "<&- >&- 2>&-", "</dev/null 2>&-"):
        done = subprocess.run(["sh", "-c", f"{line} {closed}"], env=surroundings({}), capture_output=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stdout) == (0, b"")
