"""What there is to set up on this machine: every client's file, the hooks, the rules of a project."""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_mcp.cli.install import entry
from memory_mcp.cli.install.entry import Launch
from memory_mcp.cli.install.hosts import HOSTS, Host, Machine, claude_settings, places
from memory_mcp.cli.install.rules import RULES_FILES, RulesFile, RulesSlot, imports_agents, rules_text
from memory_mcp.cli.install.slots import HookSlot, Slot, server_slot
from memory_mcp.errors import RequestError

HOOK_SECONDS = 15
"""How long Claude Code waits for the hook, which itself gives up sooner."""

_HOOK = re.compile(r"""memory[-_]mcp(\.exe)?["']? hook session-start""")
_HOOK_SOURCES = "startup|clear|compact"
"""A resumed session has what its start was told in its transcript."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing in one file.

    Attributes:
        title: For people; the client's name first.
        wanted: Makes the entry from the one that is there, or from None.
        ours: Tells whether an entry is one to be changed.
        copied: Whether a copy is kept beside when the file changes, and a new file is for its owner alone.
        next_step: What makes the client take notice; may be empty.
    """

    title: str
    path: Path
    slot: Slot
    wanted: Callable[[Any], Mapping[str, Any]]
    ours: Callable[[Any], bool]
    copied: bool = True
    next_step: str = ""


def chosen_hosts(keys: Sequence[str]) -> list[Host]:
    """The clients of these keys; all where none is named.

    Raises:
        RequestError: There is no such client.
    """
    known = {host.key: host for host in HOSTS}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise RequestError(f"There is no client {unknown[0]!r}. Name one of {', '.join(known)}; for any other see --print.")
    return [host for host in HOSTS if not keys or host.key in keys]


def found_files(host: Host, machine: Machine) -> list[Path]:
    """A client's files on this machine, whether they exist yet or not; none if the client is not there."""
    found = [(Path(place.sign), Path(place.file)) for place in places(host, machine)]
    return [file for sign, file in found if sign.is_dir() or file.exists()]


def server_jobs(hosts: Sequence[Host], machine: Machine, start: Launch, name: str) -> Iterator[Job]:
    """The entry of this server in every client that is there."""
    for host in hosts:
        for file in found_files(host, machine):

            def wanted(existing: Any, host: Host = host) -> Mapping[str, Any]:
                return entry.entry_for(host, start, existing)

            yield Job(host.title, file, server_slot(host, name), wanted, entry.is_ours, next_step=host.next_step)


def hook_job(machine: Machine, start: Launch, windows: bool) -> Job:
    """The hook that tells Claude Code at its start what is remembered.

    There is none for PreCompact and SessionEnd: what these print reaches no model, and nothing here could decide in
    its place what is worth remembering. After compacting SessionStart runs again, and reminds of it.
    """
    words = [start.command, *start.before, "hook", "session-start", *(word for option in start.options.items() for word in option)]
    command = subprocess.list2cmdline(words) if windows else shlex.join(words)
    group = {"matcher": _HOOK_SOURCES, "hooks": [{"type": "command", "command": command, "timeout": HOOK_SECONDS}]}
    slot = HookSlot("SessionStart", _HOOK)
    return Job(
        "Claude Code, hook",
        Path(claude_settings(machine)),
        slot,
        lambda existing: group if existing is None else _with_command(existing, command),
        lambda _: True,
        next_step="It runs when the next session starts; /hooks shows it.",
    )


def _with_command(group: Mapping[str, Any], command: str) -> Mapping[str, Any]:
    def changed(hook: Any) -> Any:
        return {**hook, "command": command} if isinstance(hook, dict) and _HOOK.search(str(hook.get("command", ""))) else hook

    return {**group, "hooks": [changed(hook) for hook in group["hooks"]]}


def rules_jobs(hosts: Sequence[Host], root: Path) -> Iterator[Job]:
    """The rules in the files of a project that these clients read, each file once."""
    keys = {host.key for host in hosts}
    text, seen = rules_text(), set()
    for rules_file in RULES_FILES:
        if rules_file.host not in keys:
            continue
        path = root / rules_file.path
        if rules_file.path.name == "CLAUDE.md" and path.is_file() and imports_agents(path.read_text("utf-8", errors="replace")):
            path = root / "AGENTS.md"
        if path.resolve() not in seen:
            seen.add(path.resolve())
            yield rules_job(rules_file, path, text)


def rules_job(rules_file: RulesFile, path: Path, text: str) -> Job:
    """The rules in one file."""
    return Job(f"Rules in {path.name}", path, RulesSlot(rules_file.head), lambda _: {"rules": text}, lambda _: True, copied=False)


def every_rules_job(root: Path) -> Iterator[Job]:
    """Wherever in a project the rules can stand."""
    text = rules_text()
    for name in sorted({rules_file.path for rules_file in RULES_FILES}):
        rules_file = next(one for one in RULES_FILES if one.path == name)
        yield rules_job(rules_file, root / name, text)
