"""What the claims of a believed token say of its bearer; pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from memory_mcp.access import ROLES, TENANT_IS, Access, Role, is_tenant, subject
from memory_mcp.config import JwtSettings, RoleSettings
from memory_mcp.server.http.identity import Identity, TokenRefusedError

_FORBIDDEN = 403
"""Who it is, is known: another token of the same kind would help no more."""


def identity_of(claims: Mapping[str, Any], settings: JwtSettings) -> Identity:
    """Tenant, role and subject, by the claims that the configuration names.

    Raises:
        TokenRefusedError: One of them is missing or none.
    """
    tenant = settings.tenant or claim(claims, settings.tenant_claim)
    if not isinstance(tenant, str) or not is_tenant(tenant):
        raise TokenRefusedError(f"The claim {settings.tenant_claim} of this token names no tenant: {TENANT_IS}.", _FORBIDDEN)
    who = claims.get("sub")
    if not isinstance(who, str) or not who:
        raise TokenRefusedError("This token has no subject.")
    named = subject(who)
    role = role_of(claim(claims, settings.role_claim), settings.roles)
    if role is None:
        told = f"The claim {settings.role_claim} of this token gives no role here."
        raise TokenRefusedError(told, _FORBIDDEN, why="no role", tenant=tenant, subject=named, token=f"jwt/{named}")
    return Identity(tenant, Access(role, named), f"jwt/{named}", settings.issuer)


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim of that name, else the one that a name like `a.b` leads to; None where there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def role_of(value: Any, roles: RoleSettings) -> Role | None:
    """The greatest role that one of the values gives."""
    values: Sequence[Any] = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    given = {each for each in values if isinstance(each, str)}
    return max((role for word, role in ROLES.items() if given.intersection(getattr(roles, word))), default=None)
