"""The hook as Claude Code runs it: quick, and never in the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memory_mcp.cli import hook
from memory_mcp.errors import TierUnavailableError
from memory_mcp.remember.drafts import RememberRequest
from tests.engines import command, configuration, data_directory, pid_of
from tests.memories import CALLER, open_service, settings_for

ROOT = Path(__file__).parents[2]


def run_hook(folder: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "memory_mcp", "hook", *arguments],
        input=said,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("CLAUDE")},
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def session(folder: Path, source: str) -> str:
    """What Claude Code says on stdin."""
    given = {"session_id": "s1", "transcript_path": "/t", "cwd": str(folder), "hook_event_name": "SessionStart", "source": source}
    return json.dumps(given)


async def test_a_session_starts_from_what_is_remembered_of_its_project(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.toml").write_text(configuration(), "utf-8")
    async with open_service(settings_for(tmp_path / "data")) as service:
        await service.remember(RememberRequest("Prices are in øre.", kind="rule"), CALLER, "shop")
        await service.remember(RememberRequest("Unrelated.", kind="rule"), CALLER, "other")
    options = ("session-start", "--data-dir", str(tmp_path / "data"), "--namespace", "shop")

    started = json.loads(run_hook(tmp_path, *options, said=session(tmp_path, "startup")).stdout)["hookSpecificOutput"]
    compacted = json.loads(run_hook(tmp_path, *options, said=session(tmp_path, "compact")).stdout)["hookSpecificOutput"]

    options = ("session-start", "--data-dir", str(tmp_path / "data"), "--namespace", "shop-0123abcd")
    moved = json.loads(run_hook(tmp_path, *options, said=session(tmp_path, "startup")).stdout)["hookSpecificOutput"]

    assert moved["additionalContext"] == "Nothing is stored in shop-0123abcd yet; is shop meant?"
    assert started["hookEventName"] == "SessionStart"
    assert "Prices are in øre." in started["additionalContext"]
    assert "Unrelated." not in started["additionalContext"]
    assert "compacted" not in started["additionalContext"]
    assert compacted["additionalContext"].index("call remember now") < compacted["additionalContext"].index("Prices")
    assert len(compacted["additionalContext"]) < 10_000  # more is put into a file


def test_where_nothing_is_remembered_nothing_is_said(tmp_path: Path) -> None:
    with data_directory(tmp_path / "data") as folder:
        assert run_hook(tmp_path, "session-start", "--data-dir", str(folder), said=session(tmp_path, "startup")).stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("session-start",), "no JSON"),
        (("session-start",), "[]"),
        (("session-start", "--data-dir", "/dev/null/below"), ""),
        (("session-start", "--no-such-option"), "[]"),
        (("pre-compact",), "{}"),
        ((), ""),
    ],
)
def test_whatever_goes_wrong_the_session_starts(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run_hook(tmp_path, *arguments, said=said)

    assert done.stdout == ""
    assert "memory-mcp" in done.stderr


async def test_an_engine_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with data_directory(tmp_path / "data") as folder:
        assert command("remember", "something", folder=folder).returncode == 0
        monkeypatch.setattr(hook, "CONTEXT_SECONDS", 0.3)
        os.kill(pid_of(folder), signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(TierUnavailableError):
                hook.project_context(str(tmp_path), folder, "")
        finally:
            os.kill(pid_of(folder), signal.SIGCONT)

    assert time.monotonic() - began < 10
