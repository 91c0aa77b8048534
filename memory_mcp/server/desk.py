"""What a conversation's calls find when they arrive: the memory, as soon as it is open, and on whose behalf to ask it."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver import Context

from memory_mcp.access import Role
from memory_mcp.audit.entries import Origin
from memory_mcp.errors import UNEXPECTED, AccessDeniedError, LimitError, MemoryMcpError, StoreKeyError, TierError, TierUnavailableError
from memory_mcp.hygiene.trust import client_named
from memory_mcp.models import Caller, Denied, Provenance

if TYPE_CHECKING:  # the service brings NumPy along, which the handshake does not wait for
    from memory_mcp.answers import Statistics
    from memory_mcp.service import MemoryService

log = logging.getLogger(__name__)

Open = Callable[[], "AbstractAsyncContextManager[MemoryService]"]

_LONGEST_WAIT_SECONDS = 20.0
_RETRY_SECONDS = 2.0
_LOOK_SECONDS = 1.0
_KEY_RETRY_SECONDS = 30.0
"""Finding a key may ask a person each time."""


class Opening:
    """A memory that opens behind the handshake's back; calls wait for it, within a bound."""

    def __init__(self, open_memory: Open) -> None:
        self._open = open_memory
        self._settled = anyio.Event()
        self._service: MemoryService | None = None
        self._failure: MemoryMcpError | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open in the background and close on leaving."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()

    async def _run(self) -> None:
        # Served degraded: each call is told what is wrong, and a store that is mended meanwhile opens after all.
        while True:
            try:
                async with self._open() as service:
                    self._service, self._failure = service, None
                    self._settled.set()
                    while service.in_place():  # noqa: ASYNC110 - nobody tells of it
                        await anyio.sleep(_LOOK_SECONDS)
                    log.error("store_moved: what lies in its place now is opened")
                    self._service, self._settled = None, anyio.Event()
                continue
            except MemoryMcpError as error:
                log.error("memory_not_open: %s", type(error).__name__, exc_info=error.__cause__)
                self._failure = error
            except Exception:  # whatever it is, the client gets an answer and the log the trace
                log.exception("memory_not_open")
                self._failure = TierError("records", UNEXPECTED)
            finally:
                self._service = None
            self._settled.set()
            await anyio.sleep(_KEY_RETRY_SECONDS if isinstance(self._failure, StoreKeyError) else _RETRY_SECONDS)

    @property
    def present(self) -> "MemoryService | None":
        """The memory, if it is open now."""
        return self._service

    async def service(self) -> "MemoryService":
        """The open memory.

        Raises:
            MemoryMcpError: It cannot be opened, or not yet.
        """
        if self._service is None:
            with anyio.move_on_after(_LONGEST_WAIT_SECONDS):
                await self._settled.wait()
        if self._service is not None:
            return self._service
        raise self._failure or TierUnavailableError("records", "The memory store is still opening. Try again in a moment.")


async def note_refusal(opening: Opening, denied: Denied) -> None:
    """Enter a refused call in the log; while the memory is not open, the server's own is all there is."""
    service = opening.present
    if service is None:
        log.error("refusal_not_in_log: %s of %s, %s", denied.what, denied.tenant, denied.why)
    else:
        await service.denials.note(denied)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a conversation's calls are received; what the lifespan hands to them.

    Attributes:
        notices: Sentences on what this client should know about its server.
    """

    opening: Opening
    tenant: str
    namespace: str
    notices: Sequence[str] = ()

    async def ask(self, ctx: Context[Any, Any]) -> "tuple[MemoryService, Caller]":
        """The memory, and the caller as the server sees it.

        Raises:
            MemoryMcpError: The memory is not open.
        """
        caller = self.caller(ctx)
        return await self.opening.service(), caller

    def caller(self, ctx: Context[Any, Any]) -> Caller:
        """On whose behalf a call is made: here, of the owner of everything."""
        origin = Origin("stdio", Role.ADMIN.word)
        return Caller(self.tenant, self.namespace, Provenance(client=client_name(ctx), origin=origin))

    async def refused(self, ctx: Context[Any, Any], tool: str, error: AccessDeniedError | LimitError) -> None:
        """Enter in the log that a call was refused."""
        with suppress(AccessDeniedError):  # nobody knows who it is
            caller = self.caller(ctx)
            await note_refusal(self.opening, Denied(caller.tenant, caller.provenance, tool, error.why, error.namespace))

    async def statistics(self, ctx: Context[Any, Any]) -> "Statistics":
        """How the memory is doing, with the notices of this conversation."""
        service, caller = await self.ask(ctx)
        found = await service.stats(caller)
        return replace(found, engine={**found.engine, "notices": list(self.notices)}) if self.notices else found


def client_name(ctx: Context[Any, Any]) -> str:
    """What the client calls itself, empty where it does not say."""
    params = ctx.session.client_params
    return client_named(params.client_info.name) if params is not None else ""


def desk_of(ctx: Context[Any, Any]) -> Desk:
    """The desk of the conversation that a call belongs to."""
    desk = ctx.request_context.lifespan_context
    assert isinstance(desk, Desk)
    return desk
