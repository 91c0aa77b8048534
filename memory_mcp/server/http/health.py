"""What a supervisor asks: whether the process is alive, and whether it can answer anything."""

import logging

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from memory_mcp import __version__
from memory_mcp.errors import MemoryMcpError
from memory_mcp.server.desk import Opening
from memory_mcp.server.http.answers import answer

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 2.0
_RETRY_SECONDS = 2.0


async def health(request: Request) -> Response:
    """The process answers; nothing else is looked at."""
    return JSONResponse({"status": "alive", "version": __version__}, headers={"cache-control": "no-store"})


class Ready:
    """The record store can be reached and its schema is this program's; a derived tier may be away."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def __call__(self, request: Request) -> Response:
        """200, or 503 without a reason, which is in the log: anybody may ask."""
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                service = await self._opening.service()
                await service.gate.ready()
        except (MemoryMcpError, TimeoutError) as error:
            log.warning("not_ready: %s", error or type(error).__name__)
            return answer(503, "not_ready", "The record store is not ready.", retry_seconds=_RETRY_SECONDS)
        return JSONResponse({"status": "ready"}, headers={"cache-control": "no-store"})
