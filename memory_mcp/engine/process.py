"""The engine as a process: it claims its place first, and imports the rest of itself while fronts already wait.

    lock -> socket -> address file -> [in the background from here] -> imports -> conversations

Exit statuses: 0 a regular end, 1 a failure, 2 the configuration is wrong, 73 its files cannot be made, 75 there is
an engine already.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from memory_mcp.engine.claim import Claim, claim
from memory_mcp.engine.logfile import divert_stderr
from memory_mcp.front.descriptors import fill_holes
from memory_mcp.front.importing import quick_imports
from memory_mcp.front.places import Places, data_folder
from memory_mcp.front.starting import TAKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

CANNOT_BE_MADE = 73
_LAST_RESORT_SECONDS = 8.0
"""From the first sign of the end: 5 s for calls at work, the rest for closing the store."""


def run(arguments: Sequence[str]) -> "NoReturn":
    """Be the engine of a data directory, in the foreground or detached, until it ends.

    Args:
        arguments: `--data-dir DIR`, `--detached` (go to the background once it listens, and write to the log),
            `--tcp` (listen on loopback instead of a Unix socket; there is no other way on Windows).
    """
    folder, detached, tcp = _parse(arguments)
    fill_holes()
    try:
        places = Places(data_folder(folder, os.environ))
        claimed = claim(places, tcp=tcp)
        if claimed is None:
            _end(f"There is an engine for {places.folder} already.", TAKEN)
        _go_on_in_background(claimed) if detached and sys.platform != "win32" else claimed.announce(os.getpid())
        if detached:
            divert_stderr(places.log)
        os.chdir(places.folder)  # which may be anywhere, but not where some client works
    except OSError as error:
        _end(f"{error.filename or folder or 'the data directory'}: {error.strerror}.", CANNOT_BE_MADE)
    from memory_mcp.server.ending import Ending  # noqa: PLC0415 - from here on fronts can wait

    ending = Ending(_LAST_RESORT_SECONDS)
    ending.watch_signals()
    with quick_imports():
        from memory_mcp.engine.host import host  # noqa: PLC0415

    host(claimed, ending, keeps_log=detached)


def _go_on_in_background(claimed: Claim) -> None:
    """Let whoever started this know that it listens, and be nobody's child: hosts end the trees of their processes."""
    child = os.fork()
    if child:
        try:
            claimed.announce(child)
        except OSError:
            os.kill(child, signal.SIGKILL)  # nobody could find it
            raise
        os._exit(0)


def _parse(arguments: Sequence[str]) -> tuple[str, bool, bool]:
    import argparse  # noqa: PLC0415 - light beside what follows, but nothing that a front should load

    parser = argparse.ArgumentParser(prog="memory-mcp engine run", description="Be the engine of a data directory.")
    parser.add_argument("--data-dir", default="", help="where everything is kept (default: ~/.memory-mcp)")
    parser.add_argument("--detached", action="store_true", help="in the background, writing to engine.log")
    parser.add_argument("--tcp", action="store_true", default=sys.platform == "win32", help="listen on loopback, not on a Unix socket")
    given = parser.parse_args(arguments)
    return given.data_dir, given.detached, given.tcp


def _end(sentence: str, status: int) -> "NoReturn":
    with suppress(OSError):  # the log may be on the disk that is full
        os.write(2, f"memory-mcp engine: {sentence}\n".encode(errors="replace"))
    os._exit(status)
