"""The engine at work: one memory, one server, and a conversation for each front that comes in.

front ──> first line ──> reception ──> conversation (a desk of its own) ──┐
front ──> first line ──> reception ──> conversation ──────────────────────┴──> one memory
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

import anyio
from anyio.abc import SocketListener, SocketStream, TaskGroup
from anyio.streams.buffered import BufferedByteStream

from memory_mcp import __version__
from memory_mcp.config import Settings, load_settings
from memory_mcp.engine.claim import Claim
from memory_mcp.engine.differences import Differences, compare
from memory_mcp.engine.logfile import keep_bounded
from memory_mcp.engine.opening import open_behind
from memory_mcp.engine.reception import House, Verdict, Visitor, full, judge, visitor
from memory_mcp.engine.refusal import refuse_all
from memory_mcp.errors import ConfigError, RequestError
from memory_mcp.front import hello
from memory_mcp.namespaces import client_namespace, home_folder
from memory_mcp.remember import door
from memory_mcp.server.app import TOOL_SETS, make_server
from memory_mcp.server.calls import Limits
from memory_mcp.server.connection import serve_lines
from memory_mcp.server.desk import Desk, Opening
from memory_mcp.server.ending import Ending, leave

log = logging.getLogger(__name__)

MOST_CONVERSATIONS = 64
_MOST_CONNECTIONS = 256
_HELLO_SECONDS = 5.0
_LIMITS = Limits(held_bytes=32 * 2**20, grace_seconds=5.0)
_PARTING = hello.write({"parted": True})
_HOUSEKEEPING_SECONDS = 2.0
_GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead, anyio.DelimiterNotFound)


def host(claimed: Claim, ending: Ending, *, keeps_log: bool) -> NoReturn:
    """Serve all fronts that come, until nobody has for a while, or something ends it; then leave the process.

    Args:
        keeps_log: Whether stderr is the log file, to be kept within its bounds.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)  # until the log is configured
    own = {name: value for name in (hello.CONFIGURATION, hello.KEY) if (value := os.environ.get(name))}
    try:
        settings = load_settings(data_dir=Path(claimed.places.folder), environment=own)
        if settings.namespace:
            door.namespace(settings.namespace)
    except (ConfigError, RequestError) as error:
        log.error("configuration_refused: %s", error)
        refuse_all(claimed, str(error), 2)
        leave(2)
    try:
        anyio.run(_Host(claimed, settings, own, ending, keeps_log).run)
    except BaseException:  # above this is only the interpreter, which might wait for a thread
        log.exception("engine_failed")
        claimed.withdraw()
        leave(1)
    leave(0)


class _Host:
    def __init__(self, claimed: Claim, settings: Settings, own: Mapping[str, str], ending: Ending, keeps_log: bool) -> None:
        self._claim, self._settings, self._own = claimed, settings, own
        self._ending, self._keeps_log = ending, keeps_log
        self._opening = Opening(lambda: open_behind(settings))
        self._mcp = make_server(Desk(self._opening, "local", ""), settings.tools.sets)
        self._connections = self._conversations = 0
        self._began = time.monotonic()

    async def run(self) -> None:
        """Until `stop`; the calls at work by then get their grace, and the memory is closed behind them."""
        self._stop, self._came, self._gone = anyio.Event(), anyio.Event(), anyio.Event()
        self._ending.attach(partial(asyncio.get_running_loop().call_soon_threadsafe, self._end, "signal"))
        async with self._opening.running(), anyio.create_task_group() as tasks:
            listener = await SocketListener.from_socket(self._claim.listener)
            tasks.start_soon(self._accept, listener, tasks)
            tasks.start_soon(self._end_when_idle)
            tasks.start_soon(self._keep_house)
            await self._stop.wait()
            self._claim.withdraw()
            await listener.aclose()
            tasks.cancel_scope.deadline = anyio.current_time() + _LIMITS.grace_seconds + 2 * _LIMITS.flush_seconds
            while self._connections:
                await self._gone.wait()
            tasks.cancel_scope.cancel()

    def _end(self, why: str) -> None:
        if not self._stop.is_set():
            log.info("engine_ends: %s", why)
            self._ending.start_clock()
            self._stop.set()

    async def _accept(self, listener: SocketListener, tasks: TaskGroup) -> None:
        while not self._stop.is_set():
            try:
                stream = await listener.accept()
            except anyio.ClosedResourceError:
                return
            except OSError as error:  # too many open files, say; those there are go on
                log.warning("not_accepted: %s", error.strerror)
                await anyio.sleep(0.1)
                continue
            if self._connections >= _MOST_CONNECTIONS:
                await stream.aclose()
                continue
            self._connections += 1  # before anything else can run: an engine with a connection is not idle
            self._came.set()
            tasks.start_soon(self._receive, stream)

    async def _receive(self, stream: SocketStream) -> None:
        try:
            async with stream:
                await self._talk(BufferedByteStream(stream))
        except _GONE:
            pass  # a front that is killed says nothing
        except Exception:  # one conversation is none of the others' business
            log.exception("conversation_failed")
        finally:
            self._connections -= 1
            self._gone.set()
            self._gone = anyio.Event()

    async def _talk(self, stream: BufferedByteStream) -> None:
        said = None
        with anyio.move_on_after(_HELLO_SECONDS):
            said = hello.read(await stream.receive_until(b"\n", hello.MAX_BYTES))
        house = House(__version__, self._claim.secret, self._conversations, MOST_CONVERSATIONS, self._stop.is_set())
        match judge(said, house):
            case Verdict.STATUS:
                await self._answer(stream, **self._status())
            case Verdict.STOP:
                await self._answer(stream, stopping=True, pid=os.getpid())
                self._end("asked to stop")
            case Verdict.TELL_OLDER:
                await self._answer(stream, older=True)
            case Verdict.LEAVE:
                await self._answer(stream, leaving=True)
                self._end("a newer program takes over")
            case Verdict.REFUSE:
                await self._answer(stream, refused=full(MOST_CONVERSATIONS), status=1)
            case Verdict.ADMIT if said is not None:
                self._conversations += 1
                try:
                    await self._converse(stream, visitor(said))
                finally:
                    self._conversations -= 1

    async def _converse(self, stream: BufferedByteStream, guest: Visitor) -> None:
        try:
            differences, namespace = await anyio.to_thread.run_sync(self._know, guest)
        except (ConfigError, RequestError) as error:
            await self._answer(stream, refused=str(error), status=2)
            return
        if differences.outdated and self._conversations == 1:  # nobody is disturbed by starting anew
            await self._answer(stream, leaving=True)
            self._end("the configuration has changed")
            return
        await self._answer(stream, accepted=True, tell=differences.notices)
        desk = Desk(self._opening, "local", namespace, differences.notices)
        await serve_lines(
            self._whole if guest.all_tools else self._mcp, stream, state=desk, stop=self._stop, limits=_LIMITS, parting=_PARTING
        )

    @cached_property
    def _whole(self) -> Any:
        """A server with the tools of every set, for commands, which are few."""
        return make_server(Desk(self._opening, "local", ""), TOOL_SETS)

    def _know(self, guest: Visitor) -> tuple[Differences, str]:
        """What to tell the client, and where it works; looks at files, which may lie on slow disks."""
        given = guest.namespace or self._settings.namespace
        if given:
            door.namespace(given)
        differences = compare(self._settings, guest.settings, self._own)
        return differences, client_namespace(given, {"CLAUDE_PROJECT_DIR": guest.project}, Path(guest.directory or "/"), home_folder())

    async def _answer(self, stream: BufferedByteStream, **said: Any) -> None:
        await stream.send(hello.write({"program": __version__, **said}))

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "uptime_seconds": round(time.monotonic() - self._began),
            "connections": self._conversations,
            "data_dir": self._claim.places.folder,
            "socket": self._claim.address,
            "log": self._claim.places.log,
        }

    async def _end_when_idle(self) -> None:
        while True:
            self._came = anyio.Event()
            if self._connections:
                await self._gone.wait()
                continue
            with anyio.move_on_after(self._settings.engine.idle_seconds or float("inf")):
                await self._came.wait()
                continue
            self._end("idle")
            return

    async def _keep_house(self) -> None:
        while True:
            await anyio.sleep(_HOUSEKEEPING_SECONDS)
            if self._keeps_log:
                keep_bounded(self._claim.places.log)
            if not self._claim.holds():
                self._end("its files are gone or another's, so that no client can find it")
