"""Where a Redis is, as one URL says it: a server, a socket, a service that Sentinel watches, or a cluster."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

Kind = Literal["server", "socket", "sentinel", "cluster"]

_SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("socket", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORTS = {"server": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Address:
    """A Redis to connect to.

    Attributes:
        nodes: Hosts and ports: of the server, of Sentinels, or of some nodes of a cluster; empty for a socket.
        path: Of a socket.
        service: What Sentinel calls the service.
        database: By its number; a cluster has only 0.
    """

    kind: Kind
    nodes: tuple[tuple[str, int], ...] = ()
    tls: bool = False
    path: str = ""
    service: str = ""
    database: int = 0
    username: str = ""
    password: str = ""


def parse(url: str) -> Address:
    """The address that a URL names.

    Raises:
        ValueError: It names none. The message says what is expected, and holds nothing of the URL, which may be a secret.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SCHEMES or not rest:
        raise ValueError(f"a Redis is named by a URL that begins with {', '.join(f'{known}://' for known in _SCHEMES)}")
    kind, tls = _SCHEMES[scheme]
    if "?" in rest or "#" in rest:
        raise ValueError("the URL of a Redis has no options: what can be set has a key of its own")
    credentials, _, place = rest.rpartition("@")
    username, _, password = credentials.partition(":")
    if kind == "socket":
        if not place.startswith("/"):
            raise ValueError("a socket is named by its absolute path: unix:///run/redis.sock")
        return Address(kind, path=unquote(place), username=unquote(username), password=unquote(password))
    hosts, *parts = place.rstrip("/").split("/")
    nodes = tuple(_node(host, _PORTS[kind]) for host in hosts.split(","))
    if kind == "server" and len(nodes) > 1:
        raise ValueError("several hosts are those of a cluster (redis+cluster://) or of Sentinels (redis+sentinel://)")
    service = ""
    if kind == "sentinel":
        if not parts:
            raise ValueError("Sentinel has to be told the service: redis+sentinel://host:26379/service")
        service, parts = unquote(parts[0]), parts[1:]
    database = _number(parts[0]) if parts else 0
    if len(parts) > 1 or (kind == "cluster" and database):
        raise ValueError("after the host comes the number of a database at most, and after a cluster's nothing")
    return Address(kind, nodes, tls, "", service, database, unquote(username), unquote(password))


def _node(text: str, usual_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise ValueError("a host is written as name, name:port or [IPv6]:port")
    return host, usual_port if port is None else port


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError("a database has a number")
    return int(text)
