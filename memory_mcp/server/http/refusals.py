"""Refused requests on their way into the log."""

from starlette.types import Scope

from memory_mcp.audit.entries import SERVER, Origin
from memory_mcp.models import Denied, Provenance
from memory_mcp.server.desk import Opening, note_refusal
from memory_mcp.server.http.addresses import host_of
from memory_mcp.server.http.identity import Identity, TokenRefusedError


class Refusals:
    """Notes who was refused, as far as anybody is known."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    async def of(self, scope: Scope, identity: Identity, what: str, why: str) -> None:
        """Of somebody whose token was believed."""
        access = identity.access
        origin = Origin(host_of(scope), access.role.word, identity.token)
        await self._note(identity.tenant or SERVER, Provenance(user=access.subject, source="", origin=origin), what, why)

    async def of_stranger(self, scope: Scope, refused: TokenRefusedError) -> None:
        """Of somebody whose token was not, and who may be known all the same."""
        origin = Origin(host_of(scope), "", refused.token)
        await self._note(refused.tenant or SERVER, Provenance(user=refused.subject, source="", origin=origin), "connect", refused.why)

    async def _note(self, tenant: str, actor: Provenance, what: str, why: str) -> None:
        await note_refusal(self._opening, Denied(tenant, actor, what, why))
