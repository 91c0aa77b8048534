"""The conversation over streams in memory, and over a Unix socket: limits, cancellation, endings."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, SocketStream
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import MCPServer

from memory_mcp.server.calls import Limits
from memory_mcp.server.connection import serve_lines

MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class End(ByteStream):
    """One end of a pair; what is sent may be of any length, and an exception is raised where it arrives."""

    def __init__(self, room: float) -> None:
        self._out, self._in = anyio.create_memory_object_stream[bytes | Exception](room)
        self.other: End

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        item = await self.other._in.receive()
        if isinstance(item, Exception):
            raise item
        return item

    async def send(self, item: bytes) -> None:
        await self._out.send(item)

    async def fail(self, error: Exception) -> None:
        await self._out.send(error)

    async def send_eof(self) -> None:
        self._out.close()

    async def aclose(self) -> None:
        self._out.close()
        self.other._in.close()


def pair(room: float) -> tuple[End, End]:
    ends = End(room), End(room)
    ends[0].other, ends[1].other = ends[1], ends[0]
    return ends


class Talk:
    """The client's side, by hand."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._received = b""

    async def send(self, *messages: dict[str, Any] | bytes) -> None:
        lines = [message if isinstance(message, bytes) else json.dumps(message).encode() for message in messages]
        await self.stream.send(b"".join(line + b"\n" for line in lines))

    async def request(self, request_id: int, method: str, **params: Any) -> None:
        await self.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})

    async def call(self, request_id: int, tool: str, **arguments: Any) -> None:
        await self.request(request_id, "tools/call", name=tool, arguments=arguments)

    async def cancel(self, request_id: int) -> None:
        await self.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": request_id}})

    async def answer(self) -> dict[str, Any]:
        with anyio.fail_after(5):
            while b"\n" not in self._received:
                self._received += await self.stream.receive()
        line, _, self._received = self._received.partition(b"\n")
        return json.loads(line)

    async def answers(self, count: int) -> dict[int, dict[str, Any]]:
        return {answer["id"]: answer for answer in [await self.answer() for _ in range(count)]}

    async def nothing_more(self) -> None:
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await self.stream.receive()

    async def initialize(self) -> dict[str, Any]:
        client = {"name": "hand", "version": "1"}
        await self.request(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return await self.answer()


class Gate:
    """A server whose calls stay at work until the gate is opened."""

    def __init__(self) -> None:
        self.opened = anyio.Event()
        self.at_work: list[str] = []
        self._more = anyio.Event()
        self.mcp = MCPServer("gate", version="1", log_level="ERROR", cache_hints={"server/discover": CacheHint(ttl_ms=5)})
        self.mcp.tool()(self.wait)
        self.mcp.tool()(self.echo)

    async def wait(self, name: str = "") -> str:
        self.at_work.append(name)
        self._more.set()
        await self.opened.wait()
        return name

    async def echo(self, text: str) -> str:
        return text

    async def until_at_work(self, count: int) -> None:
        with anyio.fail_after(5):
            while len(self.at_work) < count:
                self._more = anyio.Event()
                await self._more.wait()


@asynccontextmanager
async def talking(
    mcp: MCPServer, limits: Limits | None = None, stop: anyio.Event | None = None, room: float = 1000, state: Any = None
) -> AsyncIterator[Talk]:
    """A conversation that ends by itself within five seconds of the client's hanging up."""
    ours, theirs = pair(room)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve_lines, mcp, theirs, state={} if state is None else state, stop=stop, limits=limits))
            yield Talk(ours)
            await ours.send_eof()
            tasks.cancel_scope.deadline = anyio.current_time() + 5
        assert not tasks.cancel_scope.cancelled_caught
    finally:
        await ours.aclose()


def text_of(answer: dict[str, Any]) -> str:
    return answer["result"]["content"][0]["text"]


async def test_lines_may_come_in_pieces_and_together() -> None:
    async with talking(Gate().mcp) as talk:
        await talk.initialize()
        lines = [b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % number for number in range(1, 6)]
        for byte in lines[0]:
            await talk.stream.send(bytes([byte]))
        assert (await talk.answer())["id"] == 1
        await talk.stream.send(lines[1] + lines[2] + b"\n \n" + lines[3] + lines[4].rstrip())
        assert sorted(await talk.answers(3)) == [2, 3, 4]
        await talk.stream.send_eof()
        assert (await talk.answer())["id"] == 5  # the last line lacked its newline
        await talk.nothing_more()


async def test_calls_beyond_the_queue_are_declined_at_once_and_pings_never() -> None:
    gate = Gate()
    async with talking(gate.mcp, Limits(calls=2, queued_calls=3)) as talk:
        await talk.initialize()
        for number in range(1, 6):
            await talk.call(number, "wait", name=str(number))
        await gate.until_at_work(2)
        await talk.call(6, "wait")
        await talk.request(7, "tools/list")
        await talk.request(8, "ping")
        declined = await talk.answers(3)
        assert gate.at_work == ["1", "2"]
        gate.opened.set()
        done = await talk.answers(5)

    assert declined[6]["result"]["isError"] is True
    assert "busy" in text_of(declined[6])
    assert declined[7]["error"]["code"] == -32010
    assert "result" in declined[8]
    assert sorted(done) == [1, 2, 3, 4, 5]
    assert gate.at_work == ["1", "2", "3", "4", "5"]


async def test_calls_are_declined_by_the_bytes_they_hold() -> None:
    gate = Gate()
    async with talking(gate.mcp, Limits(held_bytes=1000)) as talk:
        await talk.initialize()
        await talk.call(1, "wait", name="x" * 2000)  # alone, it is taken
        await gate.until_at_work(1)
        await talk.call(2, "echo", text="small")
        assert "busy" in text_of(await talk.answer())
        gate.opened.set()
        assert (await talk.answer())["id"] == 1
        await talk.call(3, "echo", text="small")
        assert text_of(await talk.answer()) == "small"


async def test_an_id_at_work_cannot_be_used_twice() -> None:
    gate = Gate()
    async with talking(gate.mcp) as talk:
        await talk.initialize()
        await talk.call(1, "wait", name="first")
        await talk.call(1, "echo", text="second")
        refusal = await talk.answer()
        gate.opened.set()
        answer = await talk.answer()
        await talk.call(1, "echo", text="third")
        again = await talk.answer()

    assert (refusal["id"], refusal["error"]["code"]) == (None, -32600)
    assert (answer["id"], text_of(answer)) == (1, "first")
    assert (again["id"], text_of(again)) == (1, "third")


async def test_a_cancelled_call_gives_back_its_slot_and_gets_no_answer() -> None:
    gate = Gate()
    async with talking(gate.mcp, Limits(calls=1, queued_calls=2)) as talk:
        await talk.initialize()
        await talk.call(1, "wait", name="at work")
        await gate.until_at_work(1)
        await talk.call(2, "wait", name="withdrawn while waiting")
        await talk.call(3, "echo", text="third")
        await talk.cancel(2)
        await talk.cancel(1)
        assert text_of(await talk.answer()) == "third"
        await talk.call(1, "echo", text="the id is free again")
        assert text_of(await talk.answer()) == "the id is free again"
        await talk.stream.send_eof()
        await talk.nothing_more()

    assert gate.at_work == ["at work"]


@pytest.mark.parametrize("room", [0, 1000])
async def test_a_client_that_reads_late_gets_every_answer(room: int) -> None:
    async with talking(Gate().mcp, Limits(calls=2, queued_calls=500), room=room) as talk:
        await talk.initialize()
        async with anyio.create_task_group() as tasks:

            async def ask() -> None:
                for number in range(1, 201):
                    await talk.call(number, "echo", text="x" * 1000)

            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            answers = await talk.answers(200)

    assert sorted(answers) == list(range(1, 201))
    assert all(text_of(answer) == "x" * 1000 for answer in answers.values())


async def test_at_the_end_of_input_calls_may_finish_and_waiting_ones_still_start() -> None:
    gate = Gate()
    async with talking(gate.mcp, Limits(calls=1)) as talk:
        await talk.initialize()
        for number in (1, 2, 3):
            await talk.call(number, "wait", name=str(number))
        await gate.until_at_work(1)
        await talk.stream.send_eof()
        await anyio.wait_all_tasks_blocked()
        gate.opened.set()
        assert [text_of(await talk.answer()) for _ in range(3)] == ["1", "2", "3"]
        await talk.nothing_more()


async def test_what_does_not_finish_in_time_is_told_so() -> None:
    gate = Gate()
    async with talking(gate.mcp, Limits(calls=1, grace_seconds=0.05)) as talk:
        await talk.initialize()
        await talk.call(1, "wait")
        await talk.call(2, "wait")
        await gate.until_at_work(1)
        await talk.stream.send_eof()
        answers = await talk.answers(2)
        await talk.nothing_more()

    assert "may have taken effect" in text_of(answers[1])
    assert "Nothing was done" in text_of(answers[2])


async def test_a_stop_declines_what_waits_and_lets_the_rest_finish() -> None:
    gate, stop = Gate(), anyio.Event()
    async with talking(gate.mcp, Limits(calls=1), stop) as talk:
        await talk.initialize()
        await talk.call(1, "wait", name="one")
        await talk.call(2, "wait", name="two")
        await gate.until_at_work(1)
        stop.set()
        await anyio.wait_all_tasks_blocked()
        gate.opened.set()
        answers = await talk.answers(2)
        await talk.nothing_more()

    assert text_of(answers[1]) == "one"
    assert "Nothing was done" in text_of(answers[2])
    assert gate.at_work == ["one"]


async def test_a_client_that_will_ask_another_server_is_told_when_nothing_more_will_be_begun() -> None:
    gate, stop = Gate(), anyio.Event()
    ours, theirs = pair(1000)
    talk = Talk(ours)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(
            partial(
                serve_lines,
                gate.mcp,
                theirs,
                state={},
                stop=stop,
                limits=Limits(calls=1),
                parting=b'"farewell"\n',
            )
        )
        await talk.initialize()
        await talk.call(1, "wait", name="one")
        await talk.call(2, "wait")
        await talk.stream.send(b'{"jsonrpc":"2.0","id":3,')
        await gate.until_at_work(1)
        stop.set()
        await anyio.wait_all_tasks_blocked()
        gate.opened.set()
        answer, last = await talk.answer(), await talk.answer()
        await talk.nothing_more()
    await ours.aclose()

    assert text_of(answer) == "one"
    assert last == "farewell"
    assert gate.at_work == ["one"]


async def test_whenever_the_stop_comes_a_call_is_either_carried_out_or_was_not_begun() -> None:
    for steps in range(60):
        stop = anyio.Event()
        async with talking(Gate().mcp, Limits(calls=1), stop) as talk:
            await talk.initialize()
            for number in range(1, 4):
                await talk.call(number, "echo", text="done")
            await talk.request(4, "ping")
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            stop.set()
            with anyio.fail_after(0.9):  # nothing is waited for that nobody is at work on
                answers = await talk.answers(4)
                await talk.nothing_more()

        texts = [text_of(answers[number]) for number in range(1, 4)]
        assert all(text == "done" or "Nothing was done" in text for text in texts), (steps, texts)


@pytest.mark.parametrize("error", [ConnectionResetError(), anyio.BrokenResourceError()])
async def test_a_broken_connection_is_an_end_like_any_other(error: Exception) -> None:
    ours, theirs = pair(1000)
    talk = Talk(ours)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve_lines, Gate().mcp, theirs, state={}))
        await talk.initialize()
        await ours.fail(error)
        with anyio.fail_after(5):
            await talk.nothing_more()


async def test_a_client_that_hangs_up_without_reading_ends_the_conversation() -> None:
    gate = Gate()
    ours, theirs = pair(0)
    talk = Talk(ours)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve_lines, gate.mcp, theirs, state={}))
            await talk.initialize()
            for number in range(1, 6):
                await talk.call(number, "wait", name=str(number))
            await gate.until_at_work(5)
            await ours.aclose()
            gate.opened.set()


async def test_a_probe_binds_to_no_era() -> None:
    gate = Gate()
    async with talking(gate.mcp) as talk:
        await talk.request(1, "server/discover", _meta=MODERN)
        early = await talk.answer()
        await talk.request(2, "server/discover", _meta=MODERN | {"io.modelcontextprotocol/protocolVersion": "2099-01-01"})
        unknown = await talk.answer()
        assert (await talk.initialize())["result"]["serverInfo"]["name"] == "gate"
        await talk.call(3, "echo", text="legacy")
        assert text_of(await talk.answer()) == "legacy"

    async with talking(gate.mcp) as talk:
        await talk.request(1, "server/discover", _meta=MODERN)
        assert await talk.answer() == early
        await talk.request(0, "tools/call", name="echo", arguments={"text": "modern"}, _meta=MODERN)
        assert text_of(await talk.answer()) == "modern"
        await talk.request(1, "server/discover", _meta=MODERN)
        by_the_sdk = await talk.answer()

    assert early == by_the_sdk
    assert unknown["error"]["code"] == -32022
    assert unknown["error"]["data"]["requested"] == "2099-01-01"


@pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets")
async def test_one_server_holds_many_conversations_over_a_socket(tmp_path: Path) -> None:
    gate, stop = Gate(), anyio.Event()
    limits = Limits(calls=3)

    async def client(number: int, ready: Callable[[], None]) -> None:
        async with await anyio.connect_unix(tmp_path / "s") as stream:
            talk = Talk(stream)
            await talk.initialize()
            for request_id in range(1, 10):
                await talk.call(request_id, "echo", text=f"{number} {request_id}" * 10_000)
            answers = await talk.answers(9)
            assert all(text_of(answers[i]) == f"{number} {i}" * 10_000 for i in range(1, 10))
            ready()
            await talk.nothing_more()

    async def serve(stream: SocketStream) -> None:
        await serve_lines(gate.mcp, stream, state={}, stop=stop, limits=limits)

    finished: list[int] = []

    def ready() -> None:
        finished.append(1)
        if len(finished) == 4:
            stop.set()

    with anyio.fail_after(10):
        async with await anyio.create_unix_listener(tmp_path / "s") as listener, anyio.create_task_group() as serving:
            serving.start_soon(listener.serve, serve)
            async with anyio.create_task_group() as clients:
                for number in range(4):
                    clients.start_soon(client, number, ready)
            serving.cancel_scope.cancel()
