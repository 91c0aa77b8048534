"""Where a memory came from, and how far that is to be trusted: stamped by the server. Pure."""

from memory_mcp.models import Provenance

SOURCES = ("import", "conversation")
"""Source classes, the least trusted first; an unknown one counts as the first."""
_MOST_CHARACTERS = 200


def trust(source: str) -> int:
    """How far a source class is trusted: a higher number is more."""
    return SOURCES.index(source) if source in SOURCES else 0


def may_rewrite(held: Provenance, by: Provenance) -> bool:
    """Whether somebody may change a memory's text in place, under the provenance that it has: not who is trusted less."""
    return trust(by.source) >= trust(held.source)


def client_named(name: str) -> str:
    """The name that a client gave itself at the handshake, as it may stand in answers and logs: at most 200 characters on one line."""
    return "".join(character for character in name[:_MOST_CHARACTERS] if character.isprintable())
