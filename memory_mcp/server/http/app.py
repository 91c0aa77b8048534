"""The application: every route on one page, and what stands in front of them.

Passage (id) ──> Guard (Host, Origin) ──> /health, /ready, metadata
                                     └──> Doorkeeper (token, role) ──> /mcp, /sse, /messages/, /api/v1 ──> Limits ──> tools
                                                               └──> /metrics
"""

import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from memory_mcp.access import ROLES, Role
from memory_mcp.config import HttpSettings
from memory_mcp.server.app import make_server
from memory_mcp.server.desk import Opening
from memory_mcp.server.http import metadata as documents
from memory_mcp.server.http.answers import API, answer
from memory_mcp.server.http.api import OPERATIONS, Api, Document
from memory_mcp.server.http.balances import Balances
from memory_mcp.server.http.bearer import BearerTokens
from memory_mcp.server.http.desk import HttpDesk
from memory_mcp.server.http.doorkeeper import Budgets, Doorkeeper
from memory_mcp.server.http.guard import Guard, names
from memory_mcp.server.http.health import Ready, health
from memory_mcp.server.http.identity import Verifier
from memory_mcp.server.http.limits import Limits
from memory_mcp.server.http.metadata import Metadata
from memory_mcp.server.http.openapi import document
from memory_mcp.server.http.passage import HttpTraffic, Passage
from memory_mcp.server.http.rates import Rates
from memory_mcp.server.http.refusals import Refusals
from memory_mcp.server.http.signed import signed_tokens
from memory_mcp.server.http.sse import MESSAGES, Events
from memory_mcp.server.http.wording import Worded
from memory_mcp.server.tools import core_tools
from memory_mcp.tokens import Gate

MCP, SSE = "/mcp", "/sse"


@dataclass(frozen=True, slots=True)
class Protected:
    """A route of another room's that only those with a role may ask; `/metrics` is one.

    Attributes:
        also: Kinds of tokens that are good here alone.
    """

    path: str
    app: ASGIApp
    needs: Role
    also: Sequence[Verifier] = ()


def make_app(
    settings: HttpSettings,
    opening: Opening,
    *,
    namespace: str = "",
    sets: Collection[str] = (),
    more: Sequence[Protected] = (),
    traffic: HttpTraffic | None = None,
    balances: Balances | None = None,
) -> Starlette:
    """Everything that is served over HTTP, over one memory that opens behind it.

    Args:
        namespace: Where the owner of a tenant works; empty: in `personal`.
        sets: Sets of tools beside the core.
        more: Further routes.
        traffic: Where it is counted what goes through.
        balances: What several workers count by; None: this process counts for itself.
    """
    traffic = traffic or HttpTraffic()
    desk = HttpDesk(
        opening,
        tenant="",
        namespace=namespace,
        visibility=settings.visibility,
        visibility_role=ROLES[settings.visibility_role],
        most_memories=settings.limits.memories_per_tenant,
    )
    refusals = Refusals(opening)
    limits = Limits(settings.limits, time.monotonic, refusals, balances)
    traffic.turns = limits.turns
    server = make_server(desk, sets, several=True, middleware=[limits], traffic=traffic)
    manager = StreamableHTTPSessionManager(
        server._lowlevel_server,
        stateless=not settings.sessions,
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # that is the Guard's
        max_request_body_size=settings.max_body_bytes,
    )
    metadata = Metadata(settings.public_url, MCP, settings.jwt.issuer) if settings.jwt.issuer else None
    doorkeeper = _doorkeeper(settings, opening, metadata, refusals, balances)
    routes: list[BaseRoute] = [
        Route("/health", health, methods=["GET"]),
        Route("/ready", Ready(opening).__call__, methods=["GET"]),
        # without sessions there is nothing that a stream of its own could bring, or an end that could be announced
        Route(MCP, _Endpoint(doorkeeper.protect(Worded(manager.handle_request))), methods=None if settings.sessions else ["POST"]),
        *(Route(each.path, _Endpoint(doorkeeper.protect(each.app, each.needs, each.also))) for each in more),
    ]
    if settings.api:
        api = Api(server, desk, settings.max_body_bytes)
        described = Document(document(core_tools(several=True)))
        routes += [Route(f"{API}/openapi.json", _Endpoint(doorkeeper.protect(described)), methods=["GET"])]
        routes += [Route(API + each.path, _Endpoint(doorkeeper.protect(api.app(each))), methods=[each.method]) for each in OPERATIONS]
    if metadata:
        routes += [Route(path, metadata.answer, methods=["GET"]) for path in (f"{documents.PATH}{MCP}", documents.PATH)]
    if settings.sse and settings.workers == 1:
        events = Events(server._lowlevel_server, desk, settings.max_body_bytes)
        routes += [
            Route(SSE, _Endpoint(doorkeeper.protect(events.stream)), methods=["GET"]),
            Mount(MESSAGES, doorkeeper.protect(events.posts)),
        ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            yield

    async def missing(request: Request, error: Exception) -> Response:
        return answer(404, "not_found", f"There is nothing here: clients connect to {MCP}.")

    async def not_so(request: Request, error: Exception) -> Response:
        refused = answer(405, "wrong_method", "This is not how to ask here: see the header Allow.")
        refused.headers.update(getattr(error, "headers", None) or {})
        return refused

    known = names(settings.host if not settings.unix_socket else "", settings.public_url, settings.allowed_hosts, settings.allowed_origins)
    paths = {route.path: route.path_regex for route in routes if isinstance(route, Route | Mount)}
    middleware = [Middleware(Passage, routes=paths, traffic=traffic), Middleware(Guard, known=known)]
    if settings.allowed_origins:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=sorted(known.origins),
                allow_methods=["GET", "POST", "PATCH", "DELETE"],
                allow_headers=["*"],
                expose_headers=["mcp-session-id", "x-request-id", "www-authenticate", "retry-after", "location"],
            )
        )
    return Starlette(routes=routes, middleware=middleware, lifespan=lifespan, exception_handlers={404: missing, 405: not_so})


def _doorkeeper(
    settings: HttpSettings, opening: Opening, metadata: Metadata | None, refusals: Refusals, balances: Balances | None
) -> Doorkeeper:
    async def gate() -> Gate:
        return (await opening.service()).gate

    limits = settings.limits
    budgets = Budgets(
        refusals=Rates(limits.refusals_per_minute, time.monotonic, balances, "refusals"),
        requests=Rates(limits.requests_per_minute, time.monotonic, balances, "requests"),
        sent=Rates(limits.megabytes_per_minute << 20, time.monotonic, balances, "sent"),
    )
    verifiers: list[Verifier] = [BearerTokens(gate, time.monotonic)]
    if not metadata:
        return Doorkeeper(verifiers, budgets, refusals)
    audience = settings.jwt.audience or f"{settings.public_url.rstrip('/')}{MCP}"
    verifiers.append(signed_tokens(settings.jwt, audience, time.monotonic))
    return Doorkeeper(verifiers, budgets, refusals, metadata.url)


class _Endpoint:
    """An application as a route's endpoint; a class, since of a function Starlette would make a request handler."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
