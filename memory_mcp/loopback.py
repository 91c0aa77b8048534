"""Whether a host is this machine: what is said to another one has to be encrypted on the way."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

ALLOW_PLAINTEXT = "speak to another machine without TLS, where the network between is all your own"
"""What the setting is for that each tier has."""
HOW_TO_ALLOW = "or set allow_plaintext = true where the network between is all your own"


def elsewhere(hosts: Iterable[str]) -> list[str]:
    """The hosts, by name or address, that are not this machine for certain; a name is not looked up."""
    return [host for host in hosts if not _is_loopback(host.strip("[]").rstrip(".").lower())]


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
