"""Who is spoken to, and from which page: the check of Host and Origin on every route.

A web page can have a name of its own resolve to this machine and then call this server as its own origin (DNS
rebinding). It cannot choose the names that are known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from memory_mcp.server.http.answers import answer

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("0.0.0.0", "::")
"""Every address of this machine, and the name of none."""


@dataclass(frozen=True, slots=True)
class Names:
    """What this server is called by.

    Attributes:
        hosts: Names and addresses without a port, in small letters.
        origins: Of web pages on other hosts that may call.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()

    def knows(self, host: str) -> bool:
        """Whether a header `Host` names this server, on whatever port."""
        return hostname(host) in self.hosts

    def admits(self, origin: str, host: str) -> bool:
        """Whether a page may call: one of this server's own, or one of those named."""
        try:
            own = urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:  # an address that is none
            return False
        return own or origin in self.origins


def names(host: str, public_url: str, hosts: Sequence[str], origins: Sequence[str]) -> Names:
    """The names that follow from the settings. What is bound to loopback, or to a Unix socket, is called by loopback's names."""
    own = "" if host in EVERYWHERE else host
    known = {hostname(name) for name in (own, urlsplit(public_url).netloc, *hosts) if name}
    if (not known and host not in EVERYWHERE) or known & set(LOOPBACK):
        known.update(LOOPBACK)
    return Names(frozenset(known), frozenset(origin.rstrip("/") for origin in origins))


def hostname(host: str) -> str:
    """The name in `name`, `name:port`, `address` or `[address]:port`; empty where there is none."""
    try:
        return (urlsplit(f"//{host}" if host.count(":") < 2 or host.startswith("[") else f"//[{host}]").hostname or "").lower()
    except ValueError:
        return ""


class Guard:
    """Lets nothing pass that does not name this server, or comes from a page that may not call it."""

    def __init__(self, app: ASGIApp, known: Names) -> None:
        self._app, self._names = app, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is meant for this server."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        app = self._app
        if len(hosts) != 1 or not self._names.knows(hosts[0]):
            app = answer(421, "wrong_host", "This server is not known by that name: add it to allowed_hosts of [http].")
        elif len(origins) > 1 or not all(self._names.admits(origin, hosts[0]) for origin in origins):
            app = answer(403, "wrong_origin", "No web page may call here, but those in allowed_origins of [http].")
        await app(scope, receive, send)
