"""`memory-mcp engine ...`: looking at the engine of a data directory, and ending it."""

import json
import os
import sys
import time
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say
from memory_mcp.cli.sentences import leave
from memory_mcp.counted import counted
from memory_mcp.engine.process import run as run_engine
from memory_mcp.front.dialling import dial
from memory_mcp.front.locks import is_held
from memory_mcp.front.places import Places, data_folder

commands = typer.Typer(no_args_is_help=True, help="The process that all clients share: it starts and ends by itself.")

_ANSWER_SECONDS = 5.0
_END_SECONDS = 10.0
_POLL_SECONDS = 0.05
_NO_ENGINE = "No engine is running for {}"


@commands.command()
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Whether the engine is running, and for how many clients."""
    places = _places(data_dir)
    found = _ask(places, "status")
    if as_json:
        members = ("pid", "version", "uptime_seconds", "connections", "socket")
        say(json.dumps({"running": found is not None, "data_dir": places.folder, "log": places.log, **_among(found or {}, members)}))
    elif found is None:
        say(_NO_ENGINE.format(places.folder))
    else:
        since = timedelta(seconds=int(found["uptime_seconds"]))
        clients = counted(found["connections"], "client")
        say(f"The engine {found['version']} (process {found['pid']}) has served {places.folder} for {since}; {clients} now.")
        say(f"Its log is {places.log}")


@commands.command()
def stop(data_dir: DataDir = None) -> None:
    """End the engine; it finishes the calls at work, and starts again when a client needs it."""
    places = _places(data_dir)
    if _ask(places, "stop") is None:
        say(_NO_ENGINE.format(places.folder))
        return
    deadline = time.monotonic() + _END_SECONDS
    while is_held(places.lock):
        if time.monotonic() > deadline:
            leave(f"The engine has been asked to stop but is still there after {_END_SECONDS:.0f} s. See {places.log}", 1)
        time.sleep(_POLL_SECONDS)
    say("Stopped.")


@commands.command()
def logs(
    data_dir: DataDir = None,
    lines: Annotated[int, typer.Option("--lines", min=0, help="How many of the last ones.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until interrupted.")] = False,
) -> None:
    """The last lines of the engine's log."""
    log = Path(_places(data_dir).log)
    if not log.exists():
        leave(f"There is no log yet: {log}", 1)
    try:
        with log.open(errors="replace") as file:
            sys.stdout.writelines(deque(file, lines))
            while follow:
                sys.stdout.flush()
                sys.stdout.writelines(file)
                time.sleep(_POLL_SECONDS)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)  # the reader has left: what is still buffered has nowhere to go


@commands.command(add_help_option=False, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def run(ctx: typer.Context) -> None:
    """Be the engine, in the foreground; clients start it by themselves."""
    run_engine(ctx.args)


def _ask(places: Places, what: str) -> dict[str, Any] | None:
    """What the engine answers; None if there is none. One that does not answer ends the command."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while True:
        if connection := dial(places, deadline):
            try:
                answer = connection.ask({"ask": what}, deadline)
            except TimeoutError:
                answer = None
            finally:
                connection.close()
            if answer is not None:
                return answer
        if not is_held(places.lock):
            return None
        if time.monotonic() > deadline:
            leave(f"The engine does not answer. See {places.log}; what holds {places.lock} is its process.", 1)
        time.sleep(_POLL_SECONDS)


def _places(data_dir: Path | None) -> Places:
    return Places(data_folder(str(data_dir or ""), os.environ))


def _among(facts: dict[str, Any], members: tuple[str, ...]) -> dict[str, Any]:
    return {name: facts[name] for name in members if name in facts}
