"""The front's small decisions: arguments, places, what it says of itself, what is in flight, when it rests."""

import os
from pathlib import Path

import pytest

from memory_mcp.front import hello
from memory_mcp.front.arguments import parse
from memory_mcp.front.flight import Flight
from memory_mcp.front.locks import is_held, try_lock, wait_lock
from memory_mcp.front.messages import look
from memory_mcp.front.pacing import Pacing
from memory_mcp.front.places import data_folder
from memory_mcp.front.starting import environment_of_engine


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ("", "", False)),
        (["--data-dir", "/d", "--namespace=a b", "--isolated"], ("/d", "a b", True)),
        (["--data-dir=/d=e"], ("/d=e", "", False)),
        (["--name", "n"], ("", "n", False)),  # argparse takes what is unambiguous
    ],
)
def test_arguments_are_read(arguments: list[str], expected: tuple[str, str, bool]) -> None:
    given = parse(arguments)

    assert (given.data_dir, given.namespace, given.isolated) == expected


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--data-dir"], ["--isolated=1"], ["word"]])
def test_arguments_that_make_no_sense_end_it_with_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)

    assert ended.value.code == 2


def test_the_data_directory_is_the_one_given_else_of_the_environment_else_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir(tmp_path)

    assert data_folder("/d", {"MEMORY_MCP_DATA_DIR": "/e"}) == "/d"
    assert data_folder("", {"MEMORY_MCP_DATA_DIR": "~/e"}) == "/home/ann/e"
    assert data_folder("", {}) == "/home/ann/.memory-mcp"
    assert data_folder("here", {}) == str(tmp_path / "here")


def test_a_front_says_where_its_client_works_and_what_its_settings_would_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {
        "MEMORY_MCP_RECALL__CANDIDATES": "20",
        "memory_mcp_log__level": "debug",
        "MEMORY_MCP_DATA_DIR": "/d",
        "MEMORY_MCP_NAMESPACE": "n",
        "MEMORY_MCP_CONFIG": "c.toml",
        "MEMORY_MCP_ENCRYPTION__KEY": "a secret passphrase",
        "CLAUDE_PROJECT_DIR": "/p",
        "TOKEN": "secret",
    }
    said = hello.hello("1.2", "", environment)

    assert said["settings"] == {
        "MEMORY_MCP_RECALL__CANDIDATES": "20",
        "memory_mcp_log__level": "debug",
        "MEMORY_MCP_CONFIG": str(tmp_path / "c.toml"),
    }
    assert (said["cwd"], said["project"], said["namespace"]) == (str(tmp_path), "/p", "n")
    assert hello.read(hello.write({"cwd": "/\udcff"})) == {"memory-mcp": 1, "cwd": "/\udcff"}


@pytest.mark.parametrize("line", [b"", b"GET / HTTP/1.1\r\n", b"[]", b"{}", b'{"memory-mcp":"1"}', b"\xff", b"[" * 100_000])
def test_what_is_not_in_our_language_is_nothing(line: bytes) -> None:
    assert hello.read(line) is None


def test_versions_compare_by_their_numbers() -> None:
    assert hello.version("0.10.0") > hello.version("0.9.9")
    assert hello.version("1.0rc1") == (1, 0)
    assert hello.version("1.x.2") == (1,)
    assert hello.version(None) == hello.version("") == ()


def test_an_engine_gets_none_of_its_starters_settings_but_the_key() -> None:
    environment = {
        "MEMORY_MCP_RECALL__CANDIDATES": "20",
        "MEMORY_MCP_CONFIG": "/c.toml",
        "MEMORY_MCP_DATA_DIR": "/d",
        "MEMORY_MCP_ENCRYPTION__KEY": "a passphrase",
        "HF_HUB_OFFLINE": "1",
    }
    given = environment_of_engine(environment, ["", "/code", "/lib"])

    assert given == {
        "MEMORY_MCP_CONFIG": "/c.toml",
        "MEMORY_MCP_ENCRYPTION__KEY": "a passphrase",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": f"/code{os.pathsep}/lib",
    }


def line(request_id: object, tool: str) -> bytes:
    return b'{"id":%s,"method":"tools/call","params":{"name":"%s"}}\n' % (str(request_id).encode(), tool.encode())


def test_a_call_that_writes_is_sent_once_and_one_that_reads_again_but_not_for_ever() -> None:
    flight = Flight()
    write, read = (flight.add(look(text), text) for text in (line(1, "remember"), line('"1"', "recall")))
    before = write.can_be_sent, read.can_be_sent
    write.sendings = read.sendings = 1
    after_one = write.can_be_sent, read.can_be_sent
    read.sendings = 3
    too_often = write.can_be_sent, read.can_be_sent
    flight.hand_back()

    assert too_often == (False, False)
    assert before == (True, True)
    assert after_one == (False, True)
    assert (write.can_be_sent, read.can_be_sent) == (True, True)
    assert flight.open() == [write, read]
    assert flight.settle("1") is read
    assert flight.settle("1") is None
    assert flight.open() == [write]


def test_rests_grow_until_an_engine_is_there_again() -> None:
    pacing = Pacing()
    pacing.failed(100.0)
    first = pacing.rests_until
    pacing.failed(100.0)
    second = pacing.rests_until
    for _ in range(20):
        pacing.failed(100.0)
    longest = pacing.rests_until
    pacing.succeeded()

    assert [first, second, longest] == [101.0, 102.0, 130.0]
    assert pacing.rests_until == 0.0


def test_engines_may_end_now_and_then_but_not_again_and_again() -> None:
    pacing = Pacing()

    assert not any(pacing.ended(40.0 * number) for number in range(50))
    assert [pacing.ended(5_000.0 + number) for number in range(6)] == [False] * 5 + [True]


def test_a_lock_is_free_once_its_descriptor_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert not is_held(path)
    handle = try_lock(path)
    assert handle is not None

    assert is_held(path)
    assert try_lock(path) is None
    assert wait_lock(path, 0.0) is None
    os.close(handle)
    assert not is_held(path)
