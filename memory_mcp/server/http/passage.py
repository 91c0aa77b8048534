"""What every request goes through first: it gets an id, and its answer is counted."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory_mcp.server.http.turns import Turns
from memory_mcp.server.requests import REQUEST_ID, Traffic, new_request_id
from memory_mcp.telemetry import tracing

HEADER = "x-request-id"
_OTHER = "other"


@dataclass(slots=True)
class HttpTraffic(Traffic):
    """What went through one server over HTTP.

    Attributes:
        responses: By the route and the status; every path that is no route is one.
        connections: That are open now.
        turns: Who hands out the slots for calls.
    """

    responses: Counter[tuple[str, int]] = field(default_factory=Counter)
    connections: int = 0
    turns: Turns | None = None


class Passage:
    """An application behind it: `X-Request-Id` is taken from the request where it is fit for a log, and stands in the answer.

    Args:
        routes: The paths there are, as they are told, with what a path is matched by.
    """

    def __init__(self, app: ASGIApp, routes: Mapping[str, re.Pattern[str]], traffic: HttpTraffic) -> None:
        self._app, self._routes, self._traffic = app, routes, traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        named = new_request_id(Headers(scope=scope).get(HEADER, ""))
        route = next((told for told, pattern in self._routes.items() if pattern.match(scope["path"])), _OTHER)
        scope[REQUEST_ID] = named

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = named
                self._traffic.responses[route, message["status"]] += 1
            await send(message)

        token = tracing.request_id.set(named)
        try:
            await self._app(scope, receive, answer)
        finally:
            tracing.request_id.reset(token)
