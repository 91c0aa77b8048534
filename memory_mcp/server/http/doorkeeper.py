"""Routes that are not for everybody: who comes is asked for a token, and for the role that the route needs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory_mcp.access import Role
from memory_mcp.errors import TierError
from memory_mcp.server.http.addresses import address_of
from memory_mcp.server.http.answers import answer
from memory_mcp.server.http.identity import Identity, TokenRefusedError, Verifier, attach
from memory_mcp.server.http.rates import Rates
from memory_mcp.server.http.refusals import Refusals

log = logging.getLogger(__name__)

_LONGEST_TOKEN = 8_192
_RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Budgets:
    """What is counted before a request is looked at.

    Attributes:
        refusals: Requests without a good token, by address.
        requests: Requests, by token.
        sent: Bytes, by token; taken when they have arrived, so that a balance can fall below nothing.
    """

    refusals: Rates
    requests: Rates
    sent: Rates


class Doorkeeper:
    """Tells who is calling.

    Args:
        verifiers: The kinds of tokens that are accepted.
        refusals: Takes note of who is refused.
        metadata_url: Where clients learn how to get a token, given a request; None: nowhere.
    """

    def __init__(
        self,
        verifiers: Sequence[Verifier],
        budgets: Budgets,
        refusals: Refusals,
        metadata_url: Callable[[Scope], str] | None = None,
    ) -> None:
        self._verifiers, self._budgets, self._metadata_url = verifiers, budgets, metadata_url
        self._refusals = refusals

    def protect(self, app: ASGIApp, needs: Role = Role.READER, also: Sequence[Verifier] = ()) -> ASGIApp:
        """The same application for those alone who have that role.

        Args:
            also: Of further kinds of tokens, that are good for this application alone.
        """
        verifiers = [*also, *self._verifiers]

        async def protected(scope: Scope, receive: Receive, send: Send) -> None:
            found = await self._admit(scope, needs, verifiers)
            if isinstance(found, Response):
                await found(scope, receive, send)
                return
            attach(scope, found)

            async def counted() -> Message:
                message = await receive()
                self._budgets.sent.take(found.token, len(message.get("body", b"")))
                return message

            await app(scope, counted, send)

        return protected

    async def _admit(self, scope: Scope, needs: Role, verifiers: Sequence[Verifier]) -> Identity | Response:
        address = address_of(scope)
        if wait := self._budgets.refusals.wait(address):
            await self._refusals.of_stranger(scope, TokenRefusedError(why="limit"))
            return answer(429, "too_many_refusals", f"Too many requests without a good token: wait {wait:.0f} s.", retry_seconds=wait)
        try:
            identity = await _identify(Headers(scope=scope), verifiers)
        except TokenRefusedError as refused:
            self._budgets.refusals.take(address, 1)
            await self._refusals.of_stranger(scope, refused)
            return self._unknown(refused, scope)
        except TierError as error:
            log.warning("token_not_verified: %s", type(error).__name__, exc_info=error.__cause__)
            return answer(503, "not_ready", "Tokens cannot be verified at the moment: try again.", retry_seconds=_RETRY_SECONDS)
        for budget, amount in ((self._budgets.requests, 1), (self._budgets.sent, 0)):
            if wait := budget.wait(identity.token):
                await self._refusals.of(scope, identity, "connect", "limit")
                return answer(429, "too_many_requests", f"This token has used up its share: wait {wait:.0f} s.", retry_seconds=wait)
            budget.take(identity.token, amount)
        if identity.access.role < needs:
            await self._refusals.of(scope, identity, str(scope["path"]), f"takes the role {needs.word}")
            return self._unknown(TokenRefusedError(f"This takes the role {needs.word}.", 403), scope)
        return identity

    def _unknown(self, refused: TokenRefusedError, scope: Scope) -> Response:
        challenge = f'Bearer resource_metadata="{self._metadata_url(scope)}"' if self._metadata_url else 'Bearer realm="memory"'
        why = str(refused)
        if not why:  # nobody has tried: RFC 6750, section 3.1, wants no error code then
            return answer(401, "unauthorized", "Send a token: Authorization: Bearer TOKEN.", challenge=challenge)
        error = "invalid_token" if refused.status == 401 else "insufficient_scope"
        return answer(refused.status, error, why, challenge=f'{challenge}, error="{error}"')


async def _identify(headers: Headers, verifiers: Sequence[Verifier]) -> Identity:
    given = headers.getlist("authorization")
    if not given:
        raise TokenRefusedError(why="no token")
    scheme, _, token = given[0].partition(" ")
    token = token.strip()
    if len(given) > 1 or scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
        raise TokenRefusedError("Send the token as: Authorization: Bearer TOKEN.")
    for verifier in verifiers:
        if verifier.knows(token):
            return await verifier.verify(token)
    raise TokenRefusedError("No token of that kind is accepted here.", why="token not known")
