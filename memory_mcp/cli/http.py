"""`memory-mcp serve --http`: one memory for many clients, in one process or several on one socket."""

import argparse
import asyncio
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import anyio

from memory_mcp.access import Role
from memory_mcp.assembly import open_records
from memory_mcp.cli.acting import operator
from memory_mcp.cli.sentences import in_one_line
from memory_mcp.clock import utc_now
from memory_mcp.config import HttpSettings, Settings, load_settings
from memory_mcp.engine.opening import open_behind
from memory_mcp.log import configure_log
from memory_mcp.remember import door
from memory_mcp.server.desk import Opening
from memory_mcp.server.ending import Ending, leave
from memory_mcp.server.http.app import Protected, make_app
from memory_mcp.server.http.balances import SharedBalances
from memory_mcp.server.http.binding import check_certificate, listen, refuse_strangers, url_of
from memory_mcp.server.http.metrics import PATH, Metrics, ScrapeToken
from memory_mcp.server.http.passage import HttpTraffic
from memory_mcp.server.http.running import CLOSING_SECONDS, serve
from memory_mcp.server.http.siblings import Siblings
from memory_mcp.server.http.signed import signed_tokens
from memory_mcp.server.http.workers import CANNOT_START, Workers
from memory_mcp.tokens import mint

_TENANT = "local"
"""Of the first token: the same memories that clients on this machine's pipes have."""


def serve_http(arguments: Sequence[str]) -> NoReturn:
    """Serve until a signal; exit status 2 and one line on stderr if the settings make no sense."""
    with in_one_line():
        settings = _settings(arguments)
        configure_log(settings.log.level, settings.log.format)
        ending = _ending(settings.http)
        status = anyio.run(_serve, settings, ending)
    leave(status)


def _settings(arguments: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="memory-mcp serve", description="Serve MCP over HTTP, as [http] of the configuration says.")
    parser.add_argument("--http", action="store_true", required=True, help="over HTTP, at /mcp, and for older clients at /sse")
    parser.add_argument("--data-dir", default="", help="where everything is kept (default: ~/.memory-mcp)")
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0: a free one, which is told")
    parser.add_argument("--unix-socket", help="a path to listen on instead")
    parser.add_argument("--workers", type=int, help="processes that serve")
    given = parser.parse_args(arguments)
    over = {name: getattr(given, name) for name in ("host", "port", "unix_socket", "workers") if getattr(given, name) is not None}
    settings = load_settings(data_dir=Path(given.data_dir) if given.data_dir else None, over={"http": over})
    if settings.namespace:
        door.namespace(settings.namespace)
    return settings


def _ending(http: HttpSettings) -> Ending:
    ending = Ending(http.shutdown_seconds + CLOSING_SECONDS)
    ending.watch_signals()
    return ending


async def _serve(settings: Settings, ending: Ending) -> int:
    http = settings.http
    listener, text = await _open_door(settings)
    with listener:
        _say(f"Serving on {url_of(http, listener)}")
        if text:
            _say(f"A token for you, shown this once: {text}")
        if http.workers == 1:
            await _serve_here(settings, listener, ending, Siblings())
            return 0
        stop = anyio.Event()
        with TemporaryDirectory(prefix="memory-mcp-workers-") as folder:
            shared = (settings, listener, SharedBalances(), Path(folder))
            workers = Workers(http.workers, _work, shared, http.shutdown_seconds + CLOSING_SECONDS)
            ending.attach(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
            return await workers.run(stop)


async def _open_door(settings: Settings) -> tuple[socket.socket, str]:
    """A socket that listens, and a first token where nobody would be let in otherwise; else an empty text.

    Raises:
        ConfigError: Other machines could connect, and nobody would be let in; or it is not possible to listen there.
    """
    check_certificate(settings.http)
    if settings.http.jwt.issuer:
        signed_tokens(settings.http.jwt, "", time.monotonic)
    now = utc_now()
    async with open_records(settings) as store:
        somebody = bool(settings.http.jwt.issuer) or any(token.is_live(now) for token in await store.tokens())
        refuse_strangers(settings.http, somebody=somebody)
        listener = listen(settings.http)
        if somebody:
            return listener, ""
        text, token = mint(_TENANT, Role.ADMIN, now)
        await store.add_token(token, operator())
        return listener, text


async def _serve_here(
    settings: Settings, listener: socket.socket, ending: Ending, siblings: Siblings, balances: SharedBalances | None = None
) -> None:
    http, opening, traffic = settings.http, Opening(lambda: open_behind(settings)), HttpTraffic()
    metrics = Metrics(opening, traffic, siblings)
    more = [Protected(PATH, metrics, Role.ADMIN, [ScrapeToken(http.metrics_token.get_secret_value())])] if _has_metrics(http) else []
    sets = settings.tools.sets
    app = make_app(http, opening, namespace=settings.namespace, sets=sets, more=more, traffic=traffic, balances=balances)
    async with siblings.answering(metrics.tell) if more else nullcontext():
        await serve(app, http, listener, ending, traffic)


def _has_metrics(http: HttpSettings) -> bool:
    """Whether there is the route: several workers tell each other what they have counted over sockets that Windows has not."""
    return http.metrics and (http.workers == 1 or sys.platform != "win32")


def _work(settings: Settings, listener: socket.socket, balances: SharedBalances, folder: Path, place: int) -> None:
    """One of several workers; it ends with its parent, however that ends."""
    configure_log(settings.log.level, settings.log.format)
    ending = _ending(settings.http)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel, ending), name="parent", daemon=True).start()
    try:
        anyio.run(_serve_here, settings, listener, ending, Siblings(folder, place, settings.http.workers), balances)
    except* SystemExit:
        leave(CANNOT_START)
    leave(0)


def _follow(parent: int, ending: Ending) -> None:
    wait([parent])
    ending.begin()


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)  # noqa: T201
