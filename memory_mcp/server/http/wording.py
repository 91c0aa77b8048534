"""The transport of the SDK behind it: what that cannot read it refuses by what its parser says, and here in words."""

import anyio.to_thread
from mcp.types import JSONRPCError, JSONRPCResponse
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory_mcp.server.wire import Answer, encode, parse_line

_PARSED_IN_PLACE_BYTES = 65_536
_UNREAD = 400


class Worded:
    """An application that takes a message of the protocol in each request.

    What cannot be taken is answered as it is over stdio; everything else the application answers itself. Where a client
    would go on with a stream of events from the middle (`Last-Event-ID`) it gets a new one: no events are kept.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        heard: list[bytes] = []
        worded = False

        async def hearing() -> Message:
            message = await receive()
            heard.append(message.get("body", b""))
            return message

        async def saying(message: Message) -> None:
            nonlocal worded
            if message["type"] == "http.response.start" and message["status"] != _UNREAD:
                heard.clear()
            elif message["type"] == "http.response.start" and (answer := await _answer(b"".join(heard))):
                worded = True
                status = 200 if isinstance(answer, JSONRPCResponse) else _UNREAD
                await Response(encode(answer), status, media_type="application/json")(scope, receive, send)
            if not worded:
                await send(message)

        fresh = [(name, value) for name, value in scope["headers"] if name != b"last-event-id"]
        await self._app({**scope, "headers": fresh}, hearing, saying)


async def _answer(body: bytes) -> Answer | None:
    """To a message that cannot be taken; None where it can, or where there is none."""
    if not body:
        return None
    short = len(body) <= _PARSED_IN_PLACE_BYTES
    parsed = parse_line(body) if short else await anyio.to_thread.run_sync(parse_line, body)
    return parsed if isinstance(parsed, JSONRPCResponse | JSONRPCError) else None
