"""A server as hosts run it: a process, two pipes, and an end that may come at any moment."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.promises import kept_within

TOY = [sys.executable, str(Path(__file__).with_name("toy_server.py"))]
PATIENCE = 30
"""Seconds in which a server starts even on a busy machine."""
ENDINGS = ["eof", "SIGTERM", "SIGINT"]

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and descriptors")


class Toy:
    """A running toy server, spoken to by hand."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self.stdout_transport = process._transport.get_pipe_transport(1)  # there is no public way to it
        self.notes: list[str] = []

    async def send(self, *messages: dict[str, Any] | bytes) -> None:
        assert self._stdin
        for message in messages:
            self._stdin.write((message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n")
        await self._stdin.drain()

    async def request(self, request_id: int | str, method: str, **params: Any) -> None:
        await self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})

    async def call(self, request_id: int | str, tool: str, **arguments: Any) -> None:
        await self.request(request_id, "tools/call", name=tool, arguments=arguments)

    async def answer(self) -> dict[str, Any]:
        assert self._stdout
        with anyio.fail_after(PATIENCE):
            return json.loads(await self._stdout.readline())

    async def answers(self, count: int) -> dict[int | str | None, dict[str, Any]]:
        return {answer["id"]: answer for answer in [await self.answer() for _ in range(count)]}

    async def initialize(self) -> None:
        client = {"name": "hand", "version": "1"}
        await self.request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert (await self.answer())["result"]["serverInfo"]["name"] == "toy"

    async def noted(self, text: str, times: int = 1) -> None:
        """Wait until the server has said this on stderr."""
        assert self._stderr
        with anyio.fail_after(PATIENCE):
            while self.notes.count(text) < times:
                line = await self._stderr.readline()
                assert line, self.notes
                self.notes.append(line.decode().strip())

    def close(self) -> None:
        """Close its input."""
        assert self._stdin
        self._stdin.close()

    async def end(self, how: str) -> float:
        """End it, and return the seconds that took."""
        began = time.monotonic()
        if how == "eof":
            self.close()
        else:
            self.process.send_signal(signal.Signals[how])
        with anyio.fail_after(PATIENCE):
            await self.process.wait()
        return time.monotonic() - began

    async def rest(self) -> list[dict[str, Any]]:
        """Every answer still in the pipe of a server that has exited."""
        assert self._stdout
        return [json.loads(line) for line in (await self._stdout.read()).splitlines()]

    async def last_notes(self) -> list[str]:
        assert self._stderr
        self.notes += (await self._stderr.read()).decode().splitlines()
        return self.notes


@asynccontextmanager
async def toy(*ways: str, handshake: bool = True) -> AsyncIterator[Toy]:
    process = await asyncio.create_subprocess_exec(
        *TOY, *ways, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=2**26
    )
    server = Toy(process)
    try:
        if handshake:
            await server.initialize()
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        assert process.stdin
        process.stdin.close()
        await process.communicate()


def text_of(answer: dict[str, Any]) -> str:
    return answer["result"]["content"][0]["text"]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_sdk_client_talks_to_it_in_both_eras(mode: Any) -> None:
    async with Client(StdioServerParameters(command=TOY[0], args=TOY[1:]), mode=mode) as client:
        echoed = await client.call_tool("echo", {"text": "hello 🎈\n\u2028"})
        failed = await client.call_tool("fail", {})
        unsendable = await client.call_tool("surrogate", {})
        tools = await client.list_tools()

    assert echoed.content[0].text == "hello 🎈\n\u2028"
    assert failed.is_error
    assert failed.content[0].text.endswith("half a pair: \ufffd")
    assert unsendable.is_error
    assert len(tools.tools) == 9


async def test_nothing_but_the_protocol_reaches_the_wire() -> None:
    async with toy() as server:
        await server.call(1, "chatty")
        await server.call(2, "stdin_of_child")
        answers = await server.answers(2)
        await server.end("eof")

        assert text_of(answers[1]) == "said"
        assert text_of(answers[2]) == "0"
        assert await server.rest() == []
        assert {"a stray print before serving", "stray text on stdout"} <= set(await server.last_notes())


async def test_every_request_gets_one_answer_whatever_surrounds_it() -> None:
    async with toy() as server:
        await server.call("slow", "slow", seconds=0.3)
        await server.send(
            b"\xff\xfe",
            b"",
            b"not JSON",
            b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
            b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
            b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"text":"\\ud800"}}}',
            b'{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"echo","arguments":{"text":NaN}}}',
            b'{"jsonrpc":"2.0","id":4,"method":"ping","params":{"a":' + b"[" * 300 + b"]" * 300 + b"}}",
            b'{"jsonrpc":"2.0","id":5,"method":"ping","params":{"a":' + b"9" * 5000 + b"}}",
            b'{"jsonrpc":"2.0","id":6,"method":"no/such/method"}',
        )
        for request_id, tool in enumerate(["fail", "surrogate"], start=7):
            await server.call(request_id, tool)
        await server.request(9, "ping")
        answers = [await server.answer() for _ in range(13)]
        await server.end("eof")
        assert await server.rest() == []

    by_id = {answer["id"]: answer for answer in answers}
    assert sorted(str(answer["id"]) for answer in answers) == sorted(["None"] * 4 + list("23456789") + ["slow"])
    assert text_of(by_id["slow"]) == "slept"
    assert [bool(by_id[i]["result"]["isError"]) for i in (2, 3, 7, 8)] == [True] * 4
    assert "\ufffd" in text_of(by_id[7])


async def test_an_overlong_line_is_refused_and_the_server_lives() -> None:
    async with toy("small") as server:
        await server.call(1, "echo", text="x" * 1_000_000)
        await server.send(b'{"method":"ping","params":{"x":"' + b"x" * 1_000_000 + b'"},"jsonrpc":"2.0","id":2}')
        await server.send(b"x" * 1_000_000)
        await server.call(3, "echo", text="short")
        answers = await server.answers(4)

    assert "too long" in text_of(answers[1])
    assert answers[2]["error"]["code"] == -32600
    assert "too long" in answers[None]["error"]["message"]
    assert text_of(answers[3]) == "short"


async def test_two_hundred_calls_at_once() -> None:
    async with toy() as server:
        for request_id in range(1, 201):
            tool, arguments = ("slow", {"seconds": 0.05}) if request_id % 2 else ("stuck", {"seconds": 0.01})
            await server.call(request_id, tool, **arguments)
        answers = await server.answers(200)

    assert sorted(answers) == list(range(1, 201))
    assert {text_of(answer) for answer in answers.values()} == {"slept", "unstuck"}


async def test_ping_is_answered_however_many_calls_wait() -> None:
    async with toy("small") as server:
        for request_id in range(1, 8):
            await server.call(request_id, "stuck", seconds=0.5)
        await server.request("ping", "ping")
        first = await server.answers(4)
        rest = await server.answers(4)

    assert set(first) == {"ping", 5, 6, 7}
    assert all("busy" in text_of(first[number]) for number in (5, 6, 7))
    assert {text_of(answer) for answer in rest.values()} == {"unstuck"}


def peak_megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [peak] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return peak // 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_client_that_does_not_read_costs_bounded_memory() -> None:
    async with toy("narrow") as server:
        server.stdout_transport.pause_reading()
        for request_id in range(1, 201):  # 400 MB of answers, if all were made at once: in text and in structure
            await server.call(request_id, "big", size=1_000_000)
        await server.noted("big at work", times=8)
        server.stdout_transport.resume_reading()
        answers = await server.answers(200)
        peak = peak_megabytes(server.process.pid)

    print(f"peak {peak} MB")
    assert peak < 200
    assert sorted(answers) == list(range(1, 201))
    assert {len(text_of(answer)) for answer in answers.values()} == {1_000_000}


async def test_a_client_that_closes_only_its_reading_end_ends_the_server() -> None:
    async with toy() as server:
        server.stdout_transport.close()
        assert await server.rest() == []  # closed by now: what is answered sooner would still fit into the pipe
        await server.call(1, "echo", text="to nobody")
        with anyio.fail_after(PATIENCE):
            assert await server.process.wait() == 0
        assert "down" in await server.last_notes()


@posix_only
async def test_the_end_comes_soon_whatever_is_at_work() -> None:
    cases = [  # ending, way to run, tool at work, seconds that the end may take, whether the lifespan is cleaned up
        ("eof", "", None, 1.0, True),
        ("SIGTERM", "", None, 1.0, True),
        ("SIGINT", "", None, 1.0, True),
        ("eof", "hasty", "slow", 2.5, True),
        ("SIGTERM", "", "slow", 2.5, True),
        ("eof", "hasty", "stuck", 2.5, True),
        ("SIGINT", "", "stuck", 2.5, True),
        ("eof", "hasty", "blocking", 3.5, False),
        ("SIGINT", "", "blocking", 3.0, False),
        ("SIGTERM", "stuck-end", None, 3.0, False),
    ]
    all_up = asyncio.Barrier(len(cases))

    async def run(how: str, way: str, tool: str | None, at_most: float, is_cleaned_up: bool) -> None:
        async with toy(way) as server:
            if tool:
                await server.call(1, tool, seconds=30)
                await server.noted(f"{tool} at work")
            await all_up.wait()
            seconds = await server.end(how)
            answers = await server.rest()
            print(f"{how} with {tool or way or 'nothing'}: {seconds:.2f} s")

            assert seconds < at_most
            assert server.process.returncode == 0
            assert ("down" in await server.last_notes()) is is_cleaned_up
            assert len(answers) == (tool in ("slow", "stuck"))
            assert all("may have taken effect" in text_of(answer) for answer in answers)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for case in cases:
                tasks.start_soon(run, *case)


@posix_only
async def test_calls_that_finish_in_time_are_answered() -> None:
    async def run(how: str) -> None:
        async with toy() as server:
            await server.call(1, "slow", seconds=0.4)
            await server.call(2, "stuck", seconds=0.4)
            await server.noted("slow at work")
            await server.noted("stuck at work")
            await server.end(how)
            answers = {answer["id"]: text_of(answer) for answer in await server.rest()}

            assert answers == {1: "slept", 2: "unstuck"}
            assert server.process.returncode == 0

    await asyncio.gather(*[run(how) for how in ENDINGS])


@posix_only
async def test_who_has_only_closed_its_side_gets_its_answers_unless_a_signal_ends_that() -> None:
    async with toy() as patient, toy() as ended:
        for server, seconds in ((patient, 2.5), (ended, 60)):
            await server.call(1, "slow", seconds=seconds)
            await server.noted("slow at work")
        await patient.end("eof")
        ended.close()
        await ended.end("SIGTERM")
        (slept,), (interrupted,) = await patient.rest(), await ended.rest()

    assert text_of(slept) == "slept"
    assert "may have taken effect" in text_of(interrupted)


@posix_only
async def test_the_end_comes_soon_under_load() -> None:
    async def run(how: str) -> float:
        async with toy("hasty") as server:
            for request_id in range(1, 301):
                await server.call(request_id, *(("stuck",) if request_id % 2 else ("slow",)), seconds=30)
            await server.request(301, "ping")
            assert (await server.answer())["id"] == 301  # so all that came before it has been read
            seconds = await server.end(how)
            answers = await server.rest()
            assert server.process.returncode == 0
            assert sorted(answer["id"] for answer in answers) == list(range(1, 301))
            return seconds

    for seconds in kept_within(3):
        seconds.append(max(await asyncio.gather(*[run(how) for how in ENDINGS])))


@posix_only
async def test_signals_may_come_at_any_point_of_the_start() -> None:
    async def run(way: str, how: str) -> float:
        async with toy(way, handshake=False) as server:
            await server.noted("importing" if way == "early" else "starting")
            seconds = await server.end(how)
            assert server.process.returncode == 0
            return seconds

    cases = [("early", "SIGINT"), ("early", "SIGTERM"), ("slow-start", "SIGINT"), ("slow-start", "SIGTERM"), ("stuck-start", "SIGINT")]
    for seconds in kept_within(3):
        seconds.append(max(await asyncio.gather(*[run(*case) for case in cases])))


async def test_a_server_that_cannot_start_says_so() -> None:
    async with toy("failing-start", handshake=False) as server:
        with anyio.fail_after(PATIENCE):
            assert await server.process.wait() == 1
        assert any("RuntimeError: no start" in line for line in await server.last_notes())


@posix_only
async def test_several_signals_are_one_end() -> None:
    async with toy() as server:
        await server.call(1, "slow", seconds=0.3)
        await server.noted("slow at work")
        for number in [signal.SIGINT, signal.SIGTERM] * 5:
            server.process.send_signal(number)
        await server.end("eof")
        [answer] = await server.rest()

        assert text_of(answer) == "slept"
        assert server.process.returncode == 0


def test_serving_can_return_and_gives_back_what_it_took() -> None:
    script = """
import anyio
from mcp.server.mcpserver import MCPServer
from memory_mcp.server.descriptors import claim_wire
from memory_mcp.server.stdio import serve_stdio

async def main():
    print("buffered before")
    with claim_wire() as wire:
        await serve_stdio(MCPServer("x", version="1"), wire)
        print("meanwhile")

anyio.run(main)
print("after")
"""
    buffered = os.environ | {"PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, input=PING, env=buffered, capture_output=True, timeout=30, check=True)

    answer, after = run.stdout.splitlines()
    assert json.loads(answer)["id"] == 1
    assert after == b"after"
    assert run.stderr.split() == b"buffered before meanwhile".split()


PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


def run_with(stdin: int, shell: str = "") -> subprocess.CompletedProcess[bytes]:
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *TOY] if shell else TOY
    return subprocess.run(command, stdin=stdin, capture_output=True, timeout=PATIENCE, check=False)


@posix_only
def test_stdin_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / "requests").write_bytes(PING)
    with (tmp_path / "requests").open() as file:
        from_file = run_with(file.fileno())
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        ours.sendall(PING)
        ours.shutdown(socket.SHUT_WR)
        from_socket = run_with(theirs.fileno())
    master, terminal = os.openpty()
    os.write(master, PING + b"\x04")
    from_terminal = run_with(terminal)
    os.close(master)
    os.close(terminal)
    from_null, closed = (run_with(subprocess.DEVNULL, shell) for shell in ("", "<&-"))
    nothing_at_all = run_with(subprocess.DEVNULL, "<&- >&- 2>&-")

    assert [run.returncode for run in (from_file, from_socket, from_terminal, from_null)] == [0] * 4
    assert [run.returncode for run in (closed, nothing_at_all)] == [0] * 2
    for run in (from_file, from_socket, from_terminal):
        assert json.loads(run.stdout)["id"] == 1
    for run in (from_null, closed, nothing_at_all):
        assert run.stdout == b""
