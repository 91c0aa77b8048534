"""The front as a process: how it begins, and how it ends with its client, whatever else is going on (rule R13, but for calls still open).

the client's process dies, SIGTERM, SIGINT:  answers still to come 1.0 s -> exit
its stdin closes:                            answers still to come, while any is, up to 60 s -> likewise
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from memory_mcp import __version__
from memory_mcp.front.arguments import Given
from memory_mcp.front.descriptors import fill_holes
from memory_mcp.front.dialling import Connection, dial
from memory_mcp.front.election import PATIENCE_SECONDS, Election
from memory_mcp.front.hello import hello
from memory_mcp.front.places import Places, data_folder
from memory_mcp.front.relay import Relay
from memory_mcp.front.signals import ending_signals
from memory_mcp.front.wire import ClientGoneError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_PARENT_POLL_SECONDS = 0.5
_LAST_ANSWERS_SECONDS = 1.0
_ANSWERS_SECONDS = 60.0
"""For an engine to start and to answer, when the client has asked something and closed its side at once, as scripts do."""
_ANSWERS_POLL_SECONDS = 0.1


def run(given: Given) -> None:
    """Serve the client on stdin and stdout through the engine, and leave the process.

    Returns, with nothing read yet, where no engine can be: the data directory cannot be written, so that there is
    nothing to share, and a process alone can at least read.
    """
    fill_holes()
    try:
        places = Places(data_folder(given.data_dir, os.environ))
    except OSError:
        return  # which is then told as any other setting that makes no sense
    there = dial(places, time.monotonic() + PATIENCE_SECONDS)
    if there is None and (problem := places.why_no_engine()):
        _say(f"{problem} No engine can be shared there, so this client is served by a process of its own.")
        return
    introduction = hello(__version__, given.namespace, os.environ)
    at_hand = [there] if there else []

    def engage(deadline: float) -> tuple[Connection, list[str]]:
        return Election(places, introduction, deadline, at_hand.pop() if at_hand else None).engage()

    ending, hurry = threading.Event(), threading.Event()
    relay = Relay(0, 1, engage, _say, on_end=ending.set)
    _watch(partial(_hurry, relay, ending, hurry))
    threading.Thread(target=_end_in_time, args=[relay, ending, hurry], name="ending", daemon=True).start()
    try:
        _leave(relay.run())
    except ClientGoneError:
        _leave(0)


def _hurry(relay: Relay, ending: threading.Event, hurry: threading.Event) -> None:
    hurry.set()
    ending.set()
    relay.stop()


def _end_in_time(relay: Relay, ending: threading.Event, hurry: threading.Event) -> None:
    ending.wait()
    until = time.monotonic() + _ANSWERS_SECONDS
    while relay.owes_answers() and time.monotonic() < until and not hurry.wait(_ANSWERS_POLL_SECONDS):
        pass
    time.sleep(_LAST_ANSWERS_SECONDS)
    _leave(0)


def _watch(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM, on SIGINT, or when the process that started this one is gone."""
    if sys.platform == "win32":  # no such signals, and no process inherits an orphan: there the end of stdin says it all
        return
    receiver = ending_signals()
    receiver.settimeout(_PARENT_POLL_SECONDS)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            try:
                receiver.recv(1)
                break
            except TimeoutError:
                pass
        stop()
        receiver.settimeout(None)
        while receiver.recv(64):  # from who is impatient: without a reader each would be told as a fault on stderr
            pass

    threading.Thread(target=watch, name="signals", daemon=True).start()


def _say(sentence: str) -> None:
    with suppress(OSError):  # nobody may listen there
        os.write(2, f"memory-mcp: {sentence}\n".encode(errors="replace"))


def _leave(status: int) -> "NoReturn":
    os._exit(status)  # which waits for no thread, and finds nothing buffered
