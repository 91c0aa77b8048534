"""What a client's file says about this server: the command with its arguments; and whether an entry says that."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

from memory_mcp.cli.install.hosts import Host
from memory_mcp.folders import in_full

NAME = "memory"

_RUNNERS = {"uvx", "uv", "pipx"}
_TEMPORARY = re.compile(r"/(archive-v\d+|environments-v\d+|builds-v\d+|pip-build-env-[^/]*|\.cache/pipx|pipx/\.cache)/")


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start the server.

    Attributes:
        command: Absolute: clients start programs with hardly a PATH.
        before: Arguments that lead to this program, such as `-m memory_mcp`.
        options: Of `serve`, by name; only those that were given.
    """

    command: str
    before: tuple[str, ...]
    options: Mapping[str, str]


def installed_command(executable: Path, windows: bool) -> tuple[str, tuple[str, ...]]:
    """The console script beside the interpreter where there is one, else the interpreter and its arguments."""
    script = executable.parent / ("memory-mcp.exe" if windows else "memory-mcp")
    return (str(script), ()) if script.is_file() else (str(executable), ("-m", "memory_mcp"))


def launch(data_dir: Path | None, namespace: str) -> Launch:
    """How this very installation is started."""
    command, before = installed_command(Path(sys.executable).absolute(), sys.platform == "win32")
    options = {"--data-dir": str(in_full(data_dir))} if data_dir else {}
    return Launch(command, before, options | ({"--namespace": namespace} if namespace else {}))


def starts_anywhere(interpreter: str) -> bool:
    """Whether an interpreter finds this package as a client would start it: from elsewhere, without our environment."""
    bare = {name: os.environ[name] for name in ("HOME", "APPDATA", "SYSTEMROOT", "USERPROFILE") if name in os.environ}
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('memory_mcp') is None)"
    try:
        done = subprocess.run(
            [interpreter, "-c", code], env=bare, cwd=Path(interpreter).anchor, capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def temporary_place(command: PurePath, temporary_folder: PurePath) -> bool:
    """Whether a program lies where it will be cleared away: a cache of uv or pipx, a build, the temporary folder."""
    return temporary_folder in command.parents or bool(_TEMPORARY.search(command.as_posix()))


def is_ours(entry: Any) -> bool:
    """Whether an entry starts this server, by whatever road."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("command"), str):
        return False
    program = re.split(r"[\\/]", entry["command"])[-1].lower().removesuffix(".exe")
    arguments = _arguments(entry)
    if program in _RUNNERS:
        return any(re.fullmatch(r"memory-mcp(\[.*)?([=@~<>!].*)?", argument) for argument in arguments)
    return program == "memory-mcp" or ("-m", "memory_mcp") in pairwise(arguments)


def entry_for(host: Host, start: Launch, existing: Any = None) -> dict[str, Any]:
    """The entry for a client. Of one of ours that is there, what was not asked for stays: options, environment, switches."""
    given = dict(existing) if is_ours(existing) else {}
    options = _options(_arguments(given), start.options)
    arguments = [*start.before, *(["serve", *options] if options else [])]
    entry: dict[str, Any] = {"type": "stdio"} if host.typed else {}
    entry["command"] = start.command
    if arguments:
        entry["args"] = arguments
    # in the order that is there; what is new comes behind
    kept = {name: entry.get(name, value) for name, value in given.items() if name in entry or name != "args"}
    return {**kept, **{name: value for name, value in entry.items() if name not in kept}}


def _arguments(entry: Mapping[str, Any]) -> list[str]:
    arguments = entry.get("args")
    return [str(argument) for argument in arguments] if isinstance(arguments, Sequence) and not isinstance(arguments, str) else []


def _options(arguments: Sequence[str], wanted: Mapping[str, str]) -> list[str]:
    """The options behind `serve` as they are, with those that are wanted put in their place or behind them."""
    present = list(arguments[arguments.index("serve") + 1 :]) if "serve" in arguments else []
    for name, value in wanted.items():
        at = next((index for index, argument in enumerate(present) if argument == name or argument.startswith(f"{name}=")), None)
        if at is None:
            present += [name, value]
        else:
            present[at : at + (1 if "=" in present[at] else 2)] = [name, value]
    return present
