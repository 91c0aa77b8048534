"""What a program's memory survives: lost answers, killed servers, hanging lines, impatient callers."""

import os
import signal
from pathlib import Path
from uuid import UUID

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.client import MemoryClient, Patience
from memory_mcp.client.patience import pause
from memory_mcp.client.transports import Translating
from memory_mcp.errors import LimitError, MemoryMcpError, RequestError, TierUnavailableError
from memory_mcp.faults import Fault, fault_in, fault_of
from memory_mcp.front.messages import BUSY, FAULT, UNAVAILABLE
from tests.client.conftest import UNLIMITED
from tests.client.test_memory_client import over_stdio
from tests.engines import PATIENCE, data_directory, front, pid_of
from tests.http_servers import Serving, new_token, serving
from tests.proxies import proxy_to

ENDURING = Patience(tries=1_000, total_seconds=4 * PATIENCE, longest_pause_seconds=0.5)


def is_call(data: bytes) -> bool:
    return b"tools/call" in data


async def test_a_write_is_stored_once_when_the_server_is_killed_between_the_commit_and_the_answer(tmp_path: Path) -> None:
    """The same key at each try, kept in the same transaction: the retry gets the first receipt, from another process."""
    with serving(tmp_path / "data", UNLIMITED) as server:
        token, port = await new_token(server.folder), str(server.port)
        async with (
            proxy_to(("127.0.0.1", server.port)) as proxy,
            MemoryClient.http(f"http://127.0.0.1:{proxy.port}/mcp", token, patience=ENDURING) as client,
            MemoryClient.http(f"{server.url}/mcp", token, patience=ENDURING) as other,
            anyio.create_task_group() as tasks,
        ):
            receipts = []

            async def write(through: MemoryClient, number: int) -> None:
                receipts.append(await through.store_event(f"Event {number} has happened."))

            proxy.swallow = is_call
            tasks.start_soon(write, client, 0)
            with anyio.fail_after(PATIENCE):
                await proxy.hidden.wait()  # so the server has answered
            for number in range(1, 9):
                tasks.start_soon(write, other, number)
            server.process.kill()
            server.process.wait(PATIENCE)
            with await anyio.to_thread.run_sync(lambda: _again(server, port)) as back:
                with anyio.fail_after(4 * PATIENCE):
                    while len(receipts) < 9:  # noqa: ASYNC110 - a number to look at, no event
                        await anyio.sleep(0.01)
                found = [memory async for memory in other.iterate()]
                assert back.is_alive()

    assert [receipt.status for receipt in receipts] == ["stored"] * 9
    assert sorted(memory.text for memory in found) == sorted(f"Event {number} has happened." for number in range(9))
    assert {memory.id for memory in found} == {receipt.id for receipt in receipts}


class _again:  # noqa: N801
    """The same server once more, on the same port."""

    def __init__(self, server: Serving, port: str) -> None:
        self._context = serving(server.folder, UNLIMITED, port=port)
        self._made = self._context.__enter__()

    def __enter__(self) -> Serving:
        return self._made

    def __exit__(self, *raised: object) -> None:
        self._context.__exit__(None, None, None)


async def test_what_cannot_be_repeated_is_not_sent_again_when_its_answer_is_lost(server: Serving) -> None:
    token = await new_token(server.folder, "undoing", role="admin")
    async with (
        proxy_to(("127.0.0.1", server.port)) as proxy,
        MemoryClient.http(f"http://127.0.0.1:{proxy.port}/mcp", token) as client,
    ):
        for number in range(3):
            await client.remember(f"Statement {number}")
        proxy.swallow = is_call
        with pytest.raises(TierUnavailableError):
            await client.undo()
        left = [memory.text async for memory in client.iterate()]

    assert left == ["Statement 1", "Statement 0"]


async def test_a_program_of_its_own_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with over_stdio(tmp_path, patience=ENDURING) as client:
        first = await client.remember("Staging runs on heron.")
        killed = (await client.stats()).engine["pid"]
        os.kill(killed, signal.SIGKILL)
        receipts = [await client.remember(f"Statement {number}") for number in range(3)]
        found = {memory.id async for memory in client.iterate()}
        now = (await client.stats()).engine["pid"]

    assert found == {first.id, *(receipt.id for receipt in receipts)}
    assert now != killed


async def test_several_clients_of_one_engine_that_is_killed_store_everything_once(tmp_path: Path) -> None:
    receipts: dict[UUID, str] = {}
    with data_directory(tmp_path / "data") as folder:
        program = front(folder)

        async def work(name: int) -> None:
            client = MemoryClient.stdio(program.command, program.args, environment=program.env, patience=ENDURING)
            async with client, anyio.create_task_group() as tasks:

                async def write(number: int) -> None:
                    text = f"Client {name} has written line {number}"
                    receipt = await client.store_event(text)
                    assert receipt.status == "stored"
                    receipts[receipt.id] = text

                for number in range(40):
                    tasks.start_soon(write, number)

        with anyio.fail_after(4 * PATIENCE):
            async with anyio.create_task_group() as tasks:
                for name in range(3):
                    tasks.start_soon(work, name)
                while len(receipts) < 20:  # noqa: ASYNC110 - a number to look at, no event
                    await anyio.sleep(0.005)
                os.kill(pid_of(folder), signal.SIGKILL)
        async with MemoryClient.stdio(program.command, program.args, environment=program.env) as client:
            found = {memory.id: memory.text async for memory in client.iterate()}

    assert len(receipts) == 120
    assert found == receipts


async def test_a_hanging_line_costs_a_call_its_time_and_the_client_nothing(server: Serving) -> None:
    token = await new_token(server.folder, "hanging")
    short = Patience(tries=2, attempt_seconds=1, total_seconds=20)
    async with (
        proxy_to(("127.0.0.1", server.port)) as proxy,
        MemoryClient.http(f"http://127.0.0.1:{proxy.port}/mcp", token, patience=short) as client,
    ):
        await client.remember("Before")
        proxy.hang()
        began = anyio.current_time()
        with pytest.raises(TierUnavailableError, match="memory server"):
            await client.stats()
        took = anyio.current_time() - began
        with anyio.move_on_after(0.1) as cancelled:
            await client.stats()
        proxy.resume()
        assert (await client.recall()).hits

    assert 2 <= took < 10
    assert cancelled.cancelled_caught


async def test_one_call_that_fails_disturbs_no_other(server: Serving) -> None:
    token = await new_token(server.folder, "many")
    once = Patience(tries=1)
    async with (
        proxy_to(("127.0.0.1", server.port)) as proxy,
        MemoryClient.http(f"http://127.0.0.1:{proxy.port}/mcp", token, patience=once) as client,
    ):
        proxy.swallow = lambda data: b"Doomed" in data
        outcomes: list[str] = []

        async def write(text: str) -> None:
            try:
                outcomes.append((await client.remember(text)).status)
            except TierUnavailableError:
                outcomes.append("lost")

        await write("First")
        await write("Doomed")
        await write("Last")

    assert outcomes == ["stored", "lost", "stored"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "code", "retry_seconds"),
    [
        (429, {"Retry-After": "7"}, b'{"error": "x", "error_description": "Wait a little."}', "limit_reached", 7.0),
        (429, {"Retry-After": "soon"}, b"", "limit_reached", 1.0),
        (503, {"Retry-After": "999999999999"}, b"<html>", "unavailable", 86_400.0),
        (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"[]", "unavailable", 0.0),
        (502, {}, b"\xff", "unavailable", 0.0),
        (500, {"Retry-After": "5"}, b'{"error_description": 5}', "failed", 0.0),
        (403, {}, b'{"error_description": ""}', "access_denied", 0.0),
    ],
)
async def test_what_http_says_is_told_in_the_protocol(
    status: int, headers: dict[str, str], body: bytes, code: str, retry_seconds: float
) -> None:
    answering = httpx2.MockTransport(lambda _: httpx2.Response(status, headers=headers, content=body))
    async with httpx2.AsyncClient(transport=Translating(answering)) as http:
        answer = await http.post("http://memory.example.com/mcp", json={})
    error = answer.json()["error"]
    fault = fault_in(error["data"], error["message"])

    assert fault
    assert (fault.code, fault.retry_seconds) == (code, retry_seconds)
    assert fault.sentence == ("Wait a little." if b"little" in body else fault.sentence)
    assert fault.sentence


@given(
    st.builds(Fault, st.sampled_from([BUSY, UNAVAILABLE, "limit_reached", "conflict"]), st.just(""), st.booleans(), st.floats(0, 100)),
    st.integers(1, 10_000),
    st.floats(0, 100),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
)
def test_a_pause_is_bounded_and_never_shorter_than_asked_for(
    fault: Fault, tried: int, left: float, chance: float, repeatable: bool
) -> None:
    patience = Patience()
    seconds = pause(patience, fault, tried, left, chance, repeatable=repeatable)

    if seconds is None:
        may = fault.retryable and tried < patience.tries and (repeatable or fault.code in (BUSY, "limit_reached"))
        assert not may or fault.retry_seconds + patience.longest_pause_seconds >= left
    else:
        assert fault.retryable
        assert repeatable or fault.code != UNAVAILABLE
        assert fault.retry_seconds <= seconds < left
        assert seconds - fault.retry_seconds <= min(patience.longest_pause_seconds, 0.1 * 2 ** (tried - 1))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.dictionaries(st.sampled_from([FAULT, "code", "retryable", "retry_seconds"]), inner),
    )
)
def test_whatever_stands_beside_an_error_is_read_or_passed_over(beside: object) -> None:
    fault = fault_in(beside, "It failed.")

    if fault is not None:
        assert 0 <= fault.retry_seconds <= 86_400
        assert isinstance(fault.error(), MemoryMcpError)
        assert str(fault.error()) == "It failed."


@pytest.mark.parametrize("error", [LimitError("Wait.", 3.5), RequestError("Mend it."), TierUnavailableError("redis", "Away.")])
def test_an_error_comes_back_as_what_it_was(error: MemoryMcpError) -> None:
    fault = fault_in(fault_of(error).told(), str(error))

    assert fault
    again = fault.error()
    assert (type(again), str(again), again.retryable, again.retry_seconds) == (
        type(error),
        str(error),
        error.retryable,
        error.retry_seconds,
    )
