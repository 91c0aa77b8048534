"""The older transport: a stream of events, and beside it posts that belong to it. Its sessions live in one process."""

from typing import Any

from mcp.server.lowlevel.server import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Receive, Scope, Send

from memory_mcp.server.desk import Desk

MESSAGES = "/messages/"


class Events:
    """The two halves of the transport.

    The server's lifespan is not entered for each connection, as the SDK would: there is one memory, and its desk is
    handed out.
    """

    def __init__(self, server: Server[Any], desk: Desk, max_body_bytes: int) -> None:
        self._server, self._desk = server, desk
        # Host and Origin are looked at in front of every route; here it would be done by another rule
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        self._transport = SseServerTransport(MESSAGES, unchecked, max_body_bytes)

    async def stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /sse`: lasts as long as the client listens."""
        async with self._transport.connect_sse(scope, receive, send) as (read, write):
            options = self._server.create_initialization_options()
            await serve_dual_era_loop(self._server, read, write, lifespan_state=self._desk, init_options=options)

    @property
    def posts(self) -> ASGIApp:
        """`POST /messages/`: by whom the stream belongs to."""
        return self._transport.handle_post_message
