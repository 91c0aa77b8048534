"""`/metrics`: what all workers have counted, each under its own number, in the format that the scraper reads best."""

import hmac
import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from memory_mcp.access import Access, Role
from memory_mcp.errors import TierError
from memory_mcp.server.desk import Opening
from memory_mcp.server.http.answers import answer
from memory_mcp.server.http.identity import Identity
from memory_mcp.server.http.passage import HttpTraffic
from memory_mcp.server.http.siblings import Siblings

PATH = "/metrics"
_STORE_SECONDS = 2.0

log = logging.getLogger(__name__)


class ScrapeToken:
    """A `Verifier` of the one token that opens `/metrics` alone, also while the record store, which knows the others, is away."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def knows(self, token: str) -> bool:
        """See `Verifier`."""
        return bool(self._token) and hmac.compare_digest(token.encode(errors="replace"), self._token)

    async def verify(self, token: str) -> Identity:
        """See `Verifier`."""
        return Identity("", Access(Role.ADMIN), "metrics")


class Metrics:
    """The route. What draws the page up is loaded when somebody first asks."""

    def __init__(self, opening: Opening, traffic: HttpTraffic, siblings: Siblings) -> None:
        self._opening, self._traffic, self._siblings = opening, traffic, siblings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI; works whether the memory is open or not."""
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            await answer(405, "method_not_allowed", "Ask with GET.")(scope, receive, send)
            return
        told = {**await self._siblings.ask(), self._siblings.place: await self.tell()}
        exposition, notes = await _exposition(), await self._notes()
        accept = request.headers.get("accept", "")
        page, kind = await anyio.to_thread.run_sync(exposition.render, told, notes, self._siblings.count, accept)
        await Response(page, headers={"content-type": kind, "cache-control": "no-store"})(scope, receive, send)

    async def tell(self) -> bytes:
        """What this worker has counted."""
        written: bytes = (await _exposition()).write(self._traffic, self._opening.present)
        return written

    async def _notes(self) -> Mapping[str, int] | None:
        service = self._opening.present
        if service is None:
            return None
        try:
            with anyio.fail_after(_STORE_SECONDS):
                return await service.instruments.notes()
        except (TierError, TimeoutError) as error:
            log.warning("notes_not_counted: %s", type(error).__name__)
            return None


async def _exposition() -> Any:
    return await anyio.to_thread.run_sync(import_module, "memory_mcp.server.http.exposition")
