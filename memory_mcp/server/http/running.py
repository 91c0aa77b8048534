"""One process that serves over HTTP, until it is told to end; the end has its bound."""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from memory_mcp.config import HttpSettings
from memory_mcp.server.ending import Ending
from memory_mcp.server.http.passage import HttpTraffic
from memory_mcp.server.http.protocol import Patience, bounded

log = logging.getLogger(__name__)

CLOSING_SECONDS = 4.0
"""For the memory to be closed, after the calls at work have had theirs."""
_KEEP_ALIVE_SECONDS = 30


class _Server(uvicorn.Server):
    """uvicorn's, without its signal handlers: this process has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a client went away in the middle of its request, or sent no message: any may do so as often as it likes."""
    return not (record.exc_info and record.exc_info[0] is not None and issubclass(record.exc_info[0], ClientDisconnect | ValidationError))


async def serve(app: ASGIApp, settings: HttpSettings, listener: socket.socket, ending: Ending, traffic: HttpTraffic) -> None:
    """Serve until the end begins; calls at work are finished within `shutdown_seconds`, then cut off."""
    patience = Patience(
        settings.request_seconds,
        settings.write_seconds,
        settings.max_connections,
        settings.max_connections_per_address,
        settings.trusted_proxies,
    )
    config = uvicorn.Config(
        app,
        http=bounded(patience, traffic),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
    )
    logging.getLogger("mcp.server.streamable_http").addFilter(_is_news)
    logging.getLogger("mcp.server.sse").addFilter(_is_news)
    logging.getLogger("mcp.server.sse").setLevel(logging.ERROR)  # its warnings quote what clients send
    server = _Server(config)
    stop = partial(server.handle_exit, signal.SIGTERM, None)
    ending.attach(partial(asyncio.get_running_loop().call_soon_threadsafe, stop))
    await server.serve(sockets=[listener])
