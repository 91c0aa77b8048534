"""A relay before engines that a test plays itself."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pytest

from memory_mcp.front.dialling import Connection
from memory_mcp.front.election import UnavailableError
from memory_mcp.front.relay import Relay

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}


class Table:
    """A client's end of a relay, and the engines' ends, in the order in which it found them."""

    def __init__(self, find: Callable[["Table"], Connection]) -> None:
        incoming, stdin = os.pipe()
        stdout, outgoing = os.pipe()
        self.stdin, self.stdout = os.fdopen(stdin, "wb", buffering=0), os.fdopen(stdout, "rb")
        self.said: list[str] = []
        self.engines: list[tuple[socket.socket, BinaryIO]] = []
        self.found = threading.Semaphore(0)
        self.status: list[int] = []
        relay = Relay(incoming, outgoing, lambda _: (find(self), []), self.said.append, lambda: None)
        self.thread = threading.Thread(target=lambda: self.status.append(relay.run()))
        self.thread.start()

    def new_engine(self) -> Connection:
        theirs, ours = socket.socketpair()
        ours.settimeout(30)
        self.engines.append((ours, ours.makefile("rb")))
        self.found.release()
        return Connection(theirs)

    def send(self, message: dict[str, Any]) -> None:
        self.stdin.write(json.dumps(message).encode() + b"\n")

    def answer(self) -> dict[str, Any]:
        return json.loads(self.stdout.readline())

    def heard(self, number: int) -> dict[str, Any]:
        return json.loads(self.engines[number][1].readline())

    def say(self, number: int, message: dict[str, Any]) -> None:
        self.engines[number][0].sendall(json.dumps(message).encode() + b"\n")

    def hang_up(self, number: int) -> None:
        for each in self.engines[number]:
            each.close()

    def close(self) -> None:
        self.stdin.close()
        for number in range(len(self.engines)):
            self.hang_up(number)
        self.thread.join(30)
        self.stdout.close()
        assert self.status == [0]


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table(Table.new_engine)
    assert made.found.acquire(timeout=30)
    yield made
    made.close()


def test_the_next_engine_hears_the_handshake_first_and_the_client_nothing_of_it(table: Table) -> None:
    table.send(INITIALIZE)
    assert table.heard(0) == INITIALIZE
    table.say(0, {"jsonrpc": "2.0", "id": 0, "result": {"from": "the first"}})
    first = table.answer()
    table.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    table.send({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert [table.heard(0).get("method") for _ in range(2)] == ["notifications/initialized", "tools/list"]
    table.hang_up(0)
    assert table.found.acquire(timeout=30)
    again = table.heard(1)
    table.say(1, {"jsonrpc": "2.0", "id": again["id"], "result": {"from": "the second"}})
    rest = [table.heard(1) for _ in range(2)]
    table.say(1, {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}})
    listed = table.answer()

    assert first["result"] == {"from": "the first"}
    assert again["method"] == "initialize"
    assert [message["method"] for message in rest] == ["notifications/initialized", "tools/list"]
    assert listed == {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}


def test_half_an_answer_of_an_engine_that_ended_is_not_passed_on(table: Table) -> None:
    table.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "update"}})
    table.heard(0)
    table.engines[0][0].sendall(b'{"jsonrpc":"2.0","id":1,"res')
    table.hang_up(0)

    assert "safe to repeat" in table.answer()["result"]["content"][0]["text"]


def test_a_call_that_was_handed_back_goes_to_the_next_engine(table: Table) -> None:
    call = {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "remember"}}
    table.send(call)
    table.heard(0)
    table.say(0, {"memory-mcp": 1, "parted": True})
    table.hang_up(0)
    assert table.found.acquire(timeout=30)
    assert table.heard(1) == call
    table.say(1, {"jsonrpc": "2.0", "id": "a", "result": {}})

    assert table.answer()["result"] == {}


def test_a_call_that_was_withdrawn_is_not_answered_when_its_engine_ends(table: Table) -> None:
    table.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "remember"}})
    table.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    table.send({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "remember"}})
    for _ in range(3):
        table.heard(0)
    table.hang_up(0)

    assert table.answer()["id"] == 2


def test_a_request_before_which_every_engine_ends_is_answered_with_an_error() -> None:
    def find(table: Table) -> Connection:
        engine = table.new_engine()
        table.hang_up(len(table.engines) - 1)
        return engine

    table = Table(find)
    table.send({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    table.send({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    answers = {table.answer()["id"]: None for _ in range(2)}
    found = len(table.engines)
    table.close()

    assert sorted(answers) == [1, 2]
    assert found < 12


def test_without_an_engine_every_request_is_told_why_at_once_and_people_once() -> None:
    def find(_: Table) -> Connection:
        raise UnavailableError("There is none.")

    table = Table(find)
    table.send({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "remember"}})
    table.send({"jsonrpc": "2.0", "id": 2, "method": "prompts/list"})
    answers = [table.answer() for _ in range(2)]
    table.close()

    assert answers[0]["result"]["content"][0]["text"] == "There is none. Nothing was done; try again later."
    assert answers[1]["error"]["message"] == "There is none. Nothing was done; try again later."
    assert table.said == ["There is none."]
