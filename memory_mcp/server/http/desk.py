"""The desk where calls over HTTP are received: each on behalf of whoever its own request was sent by."""

from dataclasses import dataclass
from typing import Any

from mcp.server.mcpserver import Context

from memory_mcp.access import PERSONAL, Role
from memory_mcp.audit.entries import Origin
from memory_mcp.errors import AccessDeniedError
from memory_mcp.models import Caller, Provenance, Visibility
from memory_mcp.server.desk import Desk, client_name
from memory_mcp.server.http.addresses import host_of
from memory_mcp.server.http.identity import Identity, identity_in


@dataclass(frozen=True, slots=True)
class HttpDesk(Desk):
    """A desk of many tenants; its own `tenant` is nobody's, and its `namespace` an owner's.

    Attributes:
        visibility, visibility_role, most_memories: See `Caller`.
    """

    visibility: Visibility = "shared"
    visibility_role: Role = Role.WRITER
    most_memories: int = 0

    def caller(self, ctx: Context[Any, Any]) -> Caller:
        """See `Desk`; tenant, role and namespaces come from the token alone.

        Raises:
            AccessDeniedError: Nobody was asked for a token.
        """
        request = ctx.request_context.request
        identity = identity_in(request.scope) if request is not None else None
        if request is None or identity is None:
            raise AccessDeniedError("It is not known who is calling.")
        origin = Origin(host_of(request.scope), identity.access.role.word, identity.token)
        provenance = Provenance(client=client_name(ctx), user=identity.access.subject, origin=origin)
        return Caller(
            identity.tenant,
            self._namespace_of(identity),
            provenance,
            identity.access,
            self.visibility,
            self.visibility_role,
            self.most_memories,
        )

    def _namespace_of(self, identity: Identity) -> str:
        """Where a caller works that names no namespace: in the first that its token opens, else in its own."""
        access = identity.access
        return next(iter(access.namespaces), "") or access.home or self.namespace or PERSONAL
