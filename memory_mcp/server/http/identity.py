"""Who is calling: what a token says of its bearer, once it is believed."""

from dataclasses import dataclass
from typing import Protocol

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.types import Scope

from memory_mcp.access import Access

_MEMBER = "memory_mcp.identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """The bearer of a token that was believed.

    Attributes:
        token: A name for the token that tells nothing of it: what limits are counted by, and sessions are bound to.
        issuer: Who issued it; empty: this server's own `token create`.
    """

    tenant: str
    access: Access
    token: str
    issuer: str = ""


class TokenRefusedError(Exception):
    """A token that lets nobody in; the message is for its bearer, and tells no more than a stranger may know.

    Attributes:
        status: 401, or 403 for one that is believed, but says nothing that would be of use here.
        why: In a word or two, for the log.
        tenant, subject, token: Whose it is, where that is known; see `Identity`.
    """

    def __init__(
        self, message: str = "", status: int = 401, *, why: str = "token not good", tenant: str = "", subject: str = "", token: str = ""
    ) -> None:
        self.status, self.why = status, why
        self.tenant, self.subject, self.token = tenant, subject, token
        super().__init__(message)


class Verifier(Protocol):
    """Something that knows one kind of token."""

    def knows(self, token: str) -> bool:
        """Whether it looks like one of these."""

    async def verify(self, token: str) -> Identity:
        """Who bears it.

        Raises:
            TokenRefusedError: It is not, or no longer, good.
            TierError: That cannot be told at the moment.
        """


def attach(scope: Scope, identity: Identity) -> None:
    """Let everything behind know who is calling; the SDK's transports bind their sessions to the same."""
    scope[_MEMBER] = identity
    claims = {"iss": identity.issuer or "memory-mcp"}
    bound = AccessToken(
        token="", client_id=f"{identity.tenant}/{identity.token}", scopes=[], subject=identity.access.subject, claims=claims
    )
    scope["user"] = AuthenticatedUser(bound)


def identity_in(scope: Scope) -> Identity | None:
    """Who is calling; None on a route that nobody is asked on."""
    found = scope.get(_MEMBER)
    return found if isinstance(found, Identity) else None
