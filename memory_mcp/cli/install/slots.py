"""The place of one thing of ours in a client's file: found, put in, taken out. From text to text; no file is touched."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from memory_mcp.cli.install import json_edit, toml_edit
from memory_mcp.cli.install.hosts import Host
from memory_mcp.cli.install.jsonc import BYTE_ORDER_MARK, NotJsonError
from memory_mcp.cli.install.toml_edit import NotTomlError

UNREADABLE = (NotJsonError, NotTomlError, json_edit.CannotEditError)
"""What any method here raises where a text is to be left alone."""


class Slot(Protocol):
    """One place. What is put in comes out again exactly; everything else in the text keeps every character."""

    @property
    def where(self) -> str:
        """For people, like `mcpServers.memory`."""

    def find(self, text: str) -> Mapping[str, Any] | None:
        """What is there; None if nothing is."""

    def put(self, text: str | None, entry: Mapping[str, Any]) -> str:
        """The text with this entry there, whatever was before; parts of it that are right stay as they are written.

        Args:
            text: None if there is no file yet.
        """

    def take(self, text: str, before: str | None) -> str | None:
        """The text without the entry.

        Args:
            before: The text as it was without it, None if there was no file: what it did not have either goes too.

        Returns:
            None if there is to be no file.
        """


@dataclass(frozen=True, slots=True)
class JsonSlot:
    """A member of an object."""

    path: tuple[str, ...]

    @property
    def where(self) -> str:
        """As in Slot."""
        return ".".join(self.path)

    def find(self, text: str) -> Mapping[str, Any] | None:
        """As in Slot; what is no object is found as one that nobody knows."""
        found = json_edit.value_at(text, self.path)
        return found if found is None or isinstance(found, dict) else {"value": found}

    def put(self, text: str | None, entry: Mapping[str, Any]) -> str:
        """As in Slot."""
        text = text or ""
        existing = json_edit.value_at(text, self.path)
        if existing is None:
            return json_edit.put(text, self.path, entry)
        for name in [name for name in existing if name not in entry]:
            text = json_edit.remove(text, (*self.path, name))
        for name, value in entry.items():
            if name not in existing or existing[name] != value:
                text = json_edit.put(text, (*self.path, name), value)
        return text

    def take(self, text: str, before: str | None) -> str | None:
        """As in Slot."""
        return _tidied(json_edit.remove(text, self.path), self.path[:-1], before)


@dataclass(frozen=True, slots=True)
class TomlSlot:
    """A table."""

    key: tuple[str, ...]

    @property
    def where(self) -> str:
        """As in Slot."""
        return ".".join(self.key)

    def find(self, text: str) -> Mapping[str, Any] | None:
        """As in Slot; what is no table is found as one that nobody knows."""
        found = toml_edit.table_at(text, self.key)
        return found if found is None or isinstance(found, dict) else {"value": found}

    def put(self, text: str | None, entry: Mapping[str, Any]) -> str:
        """As in Slot."""
        return toml_edit.put_table(text or "", self.key, entry)

    def take(self, text: str, before: str | None) -> str | None:
        """As in Slot."""
        rest = toml_edit.remove_table(text, self.key)
        return None if before is None and not rest.removeprefix(BYTE_ORDER_MARK).strip() else rest


@dataclass(frozen=True, slots=True)
class HookSlot:
    """A command among Claude Code's hooks: an item of a list in an item of a list."""

    event: str
    command: re.Pattern[str]
    """By this ours is known."""

    @property
    def where(self) -> str:
        """As in Slot."""
        return f"hooks.{self.event}"

    def find(self, text: str) -> Mapping[str, Any] | None:
        """As in Slot."""
        at = self._at(text)
        return None if at is None else _plain(json_edit.value_at(text, ("hooks", self.event, at[0])))

    def put(self, text: str | None, entry: Mapping[str, Any]) -> str:
        """As in Slot; of a hook that is there only the command is set: when it runs is the user's."""
        text = text or ""
        at = self._at(text)
        if at is None:
            return json_edit.append(text, ("hooks", self.event), entry)
        path = ("hooks", self.event, at[0], "hooks", at[1], "command")
        command = next(hook["command"] for hook in entry["hooks"] if self._is_ours(hook))
        return text if json_edit.value_at(text, path) == command else json_edit.put(text, path, command)

    def take(self, text: str, before: str | None) -> str | None:
        """As in Slot."""
        at = self._at(text)
        if at is None:
            return text
        path = ("hooks", self.event, at[0])
        alone = len(json_edit.value_at(text, (*path, "hooks"))) == 1
        return _tidied(json_edit.remove(text, path if alone else (*path, "hooks", at[1])), ("hooks", self.event), before)

    def _at(self, text: str) -> tuple[int, int] | None:
        groups = json_edit.value_at(text, ("hooks", self.event))
        for outer, group in enumerate(groups if isinstance(groups, list) else []):
            inner_hooks = _plain(group).get("hooks")
            for inner, hook in enumerate(inner_hooks if isinstance(inner_hooks, list) else []):
                if self._is_ours(hook):
                    return outer, inner
        return None

    def _is_ours(self, hook: Any) -> bool:
        return bool(self.command.search(str(_plain(hook).get("command", ""))))


def server_slot(host: Host, name: str) -> Slot:
    """Where a client's file has the entry of this server."""
    return TomlSlot(("mcp_servers", name)) if host.form == "toml" else JsonSlot((host.form, name))


def _plain(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _tidied(text: str, path: Sequence[str], before: str | None) -> str | None:
    """Without what was only made to hold the entry: an empty object or list that was not there before."""
    known = before or ""
    for length in range(len(path), 0, -1):
        place = path[:length]
        if json_edit.value_at(text, place) not in ({}, []) or json_edit.value_at(known, place) is not None:
            return text
        text = json_edit.remove(text, place)
    return None if before is None and text.removeprefix(BYTE_ORDER_MARK).split() == ["{}"] else text
