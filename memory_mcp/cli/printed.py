"""What commands print on stdout."""

import json
from typing import Any


def say(text: str) -> None:
    """Print it for a person."""
    print(text)  # noqa: T201


def say_json(facts: Any) -> None:
    """Print it for a program."""
    say(json.dumps(facts, ensure_ascii=False, indent=2))
