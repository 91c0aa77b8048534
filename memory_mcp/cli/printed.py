"""What commands print."""

import io
import json
import sys
from typing import Any


def take_any_text() -> None:
    """See to it that stdout refuses no text: files and programs get UTF-8, and a terminal what it cannot show as an escape."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")


def say(text: str) -> None:
    """Print it for a person."""
    print(text)  # noqa: T201


def remark(sentence: str) -> None:
    """Print it for a person beside what was asked for, on stderr."""
    print(f"memory-mcp: {sentence}", file=sys.stderr, flush=True)  # noqa: T201


def say_json(facts: Any) -> None:
    """Print it for a program."""
    say(json.dumps(facts, ensure_ascii=False, indent=2))
