"""This server's own bearer tokens."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from memory_mcp.clock import utc_now
from memory_mcp.server.http.identity import Identity, TokenRefusedError
from memory_mcp.tokens import PREFIX, Token, digest

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from memory_mcp.tokens import Gate

_KNOWN = 1_000
_BELIEVED_SECONDS = 2.0
"""So long after it was looked up a token is not looked up again: a revoked one is refused from then on."""


class BearerTokens:
    """Tokens of `memory-mcp token create`, looked up by their digests in the record store."""

    def __init__(self, gate: "Callable[[], Awaitable[Gate]]", monotonic: Callable[[], float]) -> None:
        self._gate, self._monotonic = gate, monotonic
        self._known: OrderedDict[bytes, tuple[float, Token]] = OrderedDict()

    def knows(self, token: str) -> bool:
        """See `Verifier`."""
        return token.startswith(PREFIX)

    async def verify(self, token: str) -> Identity:
        """See `Verifier`."""
        found = await self._find(digest(token))
        unknown = "This token is not known here, or was revoked."
        if found is None:
            raise TokenRefusedError(unknown, why="token not known")
        refused = partial(TokenRefusedError, tenant=found.tenant, subject=found.access.subject, token=found.id)
        if found.revoked is not None:
            raise refused(unknown, why="token revoked")
        if not found.is_live(utc_now()):
            raise refused("This token has expired: ask an administrator for another.", why="token expired")
        return Identity(found.tenant, found.access, found.id)

    async def _find(self, key: bytes) -> Token | None:
        known = self._known.get(key)
        if known and self._monotonic() - known[0] < _BELIEVED_SECONDS:
            return known[1]
        found = await (await self._gate()).find_token(key)
        self._known.pop(key, None)
        if found is not None:  # unknown ones are not kept, or they would drive the known ones out
            self._known[key] = (self._monotonic(), found)
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return found
