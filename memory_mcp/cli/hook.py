"""`memory-mcp hook session-start`: what Claude Code runs when a session begins, to tell the model what is remembered.

It must never be in the way: on any error it prints nothing, says so on stderr, and ends well.

Source of the formats: code.claude.com/docs/en/hooks (input on stdin; `additionalContext` of SessionStart).
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_mcp.cli.asking import conversation
from memory_mcp.cli.printed import remark

CONTEXT_SECONDS = 10.0
_MAX_INPUT = 1_000_000

_COMPACTED = (
    "The conversation was just compacted. What was decided, found out or asked for in it and matters later, but is not in memory yet: "
    "call remember now, once per statement."
)


def hook(
    event: Annotated[str, typer.Argument(help="session-start")] = "",
    data_dir: Annotated[str, typer.Option("--data-dir")] = "",
    namespace: Annotated[str, typer.Option("--namespace")] = "",
) -> None:
    """What Claude Code runs by itself; `install --hooks` sets it up."""
    try:
        if event != "session-start":
            raise ValueError(f"there is nothing to do at {event!r}")
        said = {} if sys.stdin.isatty() else json.loads(sys.stdin.read(_MAX_INPUT) or "{}")
        remembered = project_context(str(said.get("cwd") or os.getcwd()), Path(data_dir) if data_dir else None, namespace)
        if answer := session_start_answer(remembered, str(said.get("source", ""))):
            print(json.dumps(answer))  # noqa: T201
    except Exception as error:  # noqa: BLE001 - a host must not suffer from whatever it may be
        remark(f"the hook did nothing: {type(error).__name__}: {error}")


def session_start_answer(remembered: str, source: str) -> dict[str, Any] | None:
    """What Claude Code is to add to the model's context; None for nothing.

    Args:
        remembered: Empty where nothing is.
        source: Why the session starts: startup, resume, clear or compact.
    """
    text = "\n\n".join(part for part in (_COMPACTED if source == "compact" else "", remembered) if part)
    return {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": text}} if text else None


def project_context(directory: str, data_dir: Path | None, namespace: str) -> str:
    """What a session in a directory should start from, as the tool `context` tells it.

    Empty if nothing is remembered, there or under a like name.

    Raises:
        MemoryMcpError: The engine cannot be reached, or takes longer than `CONTEXT_SECONDS`.
    """
    with conversation(data_dir, namespace, directory=directory, seconds=CONTEXT_SECONDS) as engine:
        facts, told = engine.call("context", {})
    return told if facts.get("sections") or facts.get("namespaces_like_it") else ""
