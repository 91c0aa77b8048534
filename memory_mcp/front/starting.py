"""Starting an engine: a process of its own, of no client's, that outlives whoever started it."""

import os
import sys
import time
from collections.abc import Mapping

from memory_mcp.front.dialling import dial
from memory_mcp.front.hello import CONFIGURATION, KEY, settings_in
from memory_mcp.front.places import Places

STARTED, TAKEN = 0, 75
"""Exit statuses of what is started: an engine listens now, or another process is the engine already."""

_WINDOWS_FLAGS = 0x00000008 | 0x00000200  # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
_POLL_SECONDS = 0.02


def start_engine(places: Places, deadline: float) -> int:
    """Start the engine of a data directory and wait until it listens; the exit status of what was started.

    It has its own session, none of the client's descriptors, working directory and settings, and writes to its log.

    Raises:
        OSError: The log cannot be written, or no process can be started.
    """
    import subprocess  # noqa: PLC0415 - the one front that starts an engine needs it

    # -P and the path: what is imported is what this process has, never a file of the data directory
    command = [sys.executable, "-P", "-m", "memory_mcp", "engine", "run", "--detached", "--data-dir", places.folder]
    log = os.open(places.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=places.folder,
            env=environment_of_engine(os.environ, sys.path),
            start_new_session=True,
            creationflags=_WINDOWS_FLAGS if sys.platform == "win32" else 0,
        )
    finally:
        os.close(log)
    if sys.platform == "win32":  # where no process can leave its child behind: it is the engine itself
        while process.poll() is None and time.monotonic() < deadline:
            if connection := dial(places, deadline):
                connection.close()
                return STARTED
            time.sleep(_POLL_SECONDS)
        return process.poll() or STARTED
    try:
        return process.wait(max(deadline - time.monotonic(), 0.001))
    except subprocess.TimeoutExpired:
        return STARTED


def environment_of_engine(environment: Mapping[str, str], paths: list[str]) -> dict[str, str]:
    """A front's environment without its settings: the engine's come from the file, and are nobody's in particular.

    The store's key stays: it is the same for all, and may be kept nowhere else.
    """
    kept = {name: value for name, value in environment.items() if name == KEY or not name.upper().startswith("MEMORY_MCP_")}
    named = {name: value for name, value in settings_in(environment).items() if name == CONFIGURATION}
    return {**kept, **named, "PYTHONPATH": os.pathsep.join(path for path in paths if os.path.isabs(path))}
