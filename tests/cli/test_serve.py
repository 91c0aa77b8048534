"""An isolated server that cannot start says why: to whoever started it, and to the client that waits for it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters

PROGRAM = [sys.executable, "-m", "memory_mcp"]
SERVE = [*PROGRAM, "serve", "--isolated"]


def misconfigured(folder: Path) -> dict[str, str]:
    (folder / "config.toml").write_text("[recall]\ncandidats = 9\n", "utf-8")
    return {**os.environ, "MEMORY_MCP_DATA_DIR": str(folder)}


def serve(folder: Path, *messages: dict[str, Any], command: Sequence[str] = SERVE) -> subprocess.CompletedProcess[str]:
    sent = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    environment = misconfigured(folder)
    return subprocess.run(command, input=sent, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_a_bad_configuration_ends_it_with_one_line_and_status_2(tmp_path: Path) -> None:
    done = serve(tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "recall.candidats" in done.stderr


@pytest.mark.parametrize("method", ["initialize", "server/discover"])
def test_a_client_gets_the_sentence_as_the_answer_to_its_handshake(tmp_path: Path, method: str) -> None:
    done = serve(tmp_path, {"id": "a", "method": method, "params": {}}, command=[*PROGRAM, "--isolated"])
    answer = json.loads(done.stdout)

    assert done.returncode == 2
    assert answer["id"] == "a"
    assert "recall.candidats" in answer["error"]["message"]
    assert len(done.stderr.splitlines()) == 1


def test_what_is_no_request_gets_no_answer(tmp_path: Path) -> None:
    done = serve(tmp_path, {"method": "notifications/initialized"}, {"id": 1, "result": {}})

    assert done.returncode == 2
    assert done.stdout == ""


def test_a_client_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    with subprocess.Popen([*SERVE], env=misconfigured(tmp_path), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        status = process.wait(timeout=20)

    assert status == 2
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_real_client_reads_the_sentence(tmp_path: Path, mode: Any) -> None:
    server = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=misconfigured(tmp_path))
    with pytest.raises(ExceptionGroup) as caught:
        async with Client(server, mode=mode):
            pass

    assert caught.group_contains(MCPError, match=r"recall\.candidats")


@pytest.mark.parametrize("arguments", [("serve", "--no-such-option"), ("--isolated", "--namespace", "a\tb"), ("--no-such-option",)])
def test_wrong_arguments_end_it_with_status_2_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = subprocess.run([*PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
