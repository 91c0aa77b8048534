"""Bearer tokens: what a client holds, what is kept of it, and where."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from memory_mcp.access import Access, Role
from memory_mcp.models import Provenance

PREFIX = "mmcp_"
"""By which people, and programs that look for leaked secrets, know one."""


NOBODY_SAYS = Provenance(source="")
"""Who makes or revokes a token, where nobody says."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: everything but the token.

    Attributes:
        id: A name for people; tells nothing of the token.
        digest: SHA-256 of the token. It has 256 random bits, so that a slow hash would protect nothing more.
        access: What its bearer may do within the tenant.
        expires: None: it does not.
    """

    id: str
    digest: bytes
    tenant: str
    access: Access
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Whether its bearer is let in."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def told_of(token: Token) -> dict[str, Any]:
    """What the log says of a token."""
    access = token.access
    facts = {"token": token.id, "subject": access.subject, "role": access.role.word, "namespaces": list(access.namespaces)}
    return {**facts, "expires": None if token.expires is None else token.expires.isoformat()}


def mint(
    tenant: str, role: Role, now: datetime, *, subject: str = "", namespaces: Sequence[str] = (), expires: datetime | None = None
) -> tuple[str, Token]:
    """A new token, to be shown once, and what is to be kept of it."""
    text = PREFIX + secrets.token_urlsafe(32)
    return text, Token(secrets.token_hex(6), digest(text), tenant, Access(role, subject, tuple(namespaces)), now, expires)


def digest(text: str) -> bytes:
    """What a token is found by."""
    return hashlib.sha256(text.encode(errors="replace")).digest()


class Gate(Protocol):
    """What is asked before it is known on whose behalf: the bearer tokens, which lie outside of all tenants."""

    async def ready(self) -> None:
        """Return if memories can be read at this moment.

        Raises:
            TierError: The store cannot be reached, or its schema is not this program's any more.
        """

    async def add_token(self, token: Token, actor: Provenance = NOBODY_SAYS) -> None:
        """Keep a new token, and note in its tenant's log who made it; it is good when this returns."""

    async def find_token(self, digest: bytes) -> Token | None:
        """The token of that SHA-256, expired and revoked ones too; None where there never was one."""

    async def tokens(self) -> list[Token]:
        """Every token, of all tenants, oldest first."""

    async def revoke_token(self, token_id: str, now: datetime, actor: Provenance = NOBODY_SAYS) -> bool:
        """Let its bearer in no more, and note it; whether there was such a token that was not revoked."""
