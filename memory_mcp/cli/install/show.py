"""A change for people to read: what comes and what goes, line by line, secrets left out."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from memory_mcp.cli.install.plans import Change

_COLOURS = {"+": "green", "-": "red", " ": "dim"}


def change_lines(change: Change) -> Text:
    """The entry before and after; nothing of the rest of the file, which stays as it is."""
    shown = Text()
    for line in difflib.ndiff(_lines(change.before), _lines(change.after)):
        if not line.startswith("?"):
            shown.append(f"    {line.rstrip()}\n", _COLOURS[line[0]])
    return shown


def _lines(entry: Mapping[str, Any] | None) -> list[str]:
    if entry is None:
        return []
    if set(entry) == {"rules"}:
        return str(entry["rules"]).split("\n")
    return json.dumps(_without_secrets(entry), ensure_ascii=False, indent=2).split("\n")


def _without_secrets(entry: Mapping[str, Any]) -> dict[str, Any]:
    secret = {name: dict.fromkeys(entry[name], "...") for name in ("env", "headers") if isinstance(entry.get(name), Mapping)}
    return {**entry, **secret}
