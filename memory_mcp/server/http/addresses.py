"""Where a request comes from, as limits count it."""

import ipaddress
from functools import lru_cache

from starlette.types import Scope

LOCAL = "local"
"""What comes over a Unix socket."""


def address_of(scope: Scope) -> str:
    """The client's address; of an IPv6 one the network, of which a household has 2^64 addresses."""
    client = scope.get("client")
    return network(client[0]) if client else LOCAL


def host_of(scope: Scope) -> str:
    """The client's whole address."""
    client = scope.get("client")
    return str(client[0]) if client and client[0] else LOCAL


@lru_cache(4_096)
def network(host: str) -> str:
    """An IPv4 address as it is, an IPv6 address by its first 64 bits, anything else as it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or LOCAL
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)).network_address)
