"""Bearer tokens, by their digests, which lie outside of all tenants; what is noted of them lies in the log of theirs."""

from datetime import datetime
from typing import Any

from memory_mcp.access import ROLES, Access
from memory_mcp.clock import from_micros, to_micros
from memory_mcp.errors import TierError
from memory_mcp.models import Provenance
from memory_mcp.tiers.postgres import audit, schema
from memory_mcp.tiers.postgres.faults import TIER
from memory_mcp.tiers.postgres.session import Transaction
from memory_mcp.tokens import Token, told_of

_COLUMNS = "id, digest, tenant, subject, role, namespaces, created, expires, revoked"


async def add(tx: Transaction, token: Token, actor: Provenance) -> None:
    """`Gate.add_token`; repeating it changes nothing."""
    added = await tx.rows(
        f"""INSERT INTO tokens ({_COLUMNS}) VALUES (%(id)s, %(digest)s, %(tenant)s, %(subject)s, %(role)s, %(namespaces)s,
                %(created)s, %(expires)s, NULL) ON CONFLICT (id) DO NOTHING RETURNING id""",
        {
            "id": token.id,
            "digest": token.digest,
            "tenant": token.tenant,
            "subject": token.access.subject,
            "role": token.access.role.word,
            "namespaces": list(token.access.namespaces),
            "created": to_micros(token.created),
            "expires": None if token.expires is None else to_micros(token.expires),
        },
    )
    if added:
        await audit.record(tx, "token create", actor, token.created, told_of(token))


async def find(tx: Transaction, digest: bytes) -> Token | None:
    """`Gate.find_token`."""
    row = await tx.row(f"SELECT {_COLUMNS} FROM tokens WHERE digest = %(digest)s", {"digest": digest})
    return None if row is None else _token(row)


async def everyone(tx: Transaction) -> list[Token]:
    """`Gate.tokens`."""
    return [_token(row) for row in await tx.rows(f"SELECT {_COLUMNS} FROM tokens ORDER BY created, id")]


async def revoke(tx: Transaction, token_id: str, now: datetime, actor: Provenance) -> bool:
    """`Gate.revoke_token`."""
    query = f"UPDATE tokens SET revoked = %(now)s WHERE id = %(id)s AND revoked IS NULL RETURNING {_COLUMNS}"
    row = await tx.row(query, {"id": token_id, "now": to_micros(now)})
    if row is not None:
        token = _token(row)
        await tx.become(token.tenant)
        await audit.record(tx, "token revoke", actor, now, told_of(token))
    return row is not None


async def ready(tx: Transaction) -> None:
    """`Gate.ready`."""
    version = int(await tx.value("SELECT max(version) FROM schema_version") or 0)
    known = len(schema.migrations())
    if version != known:
        raise TierError(TIER, f"The tables in the memory database are of version {version}, and this program knows {known}.")


def _token(row: tuple[Any, ...]) -> Token:
    access = Access(ROLES[row[4]], row[3], tuple(row[5]))
    created, expires, revoked = (None if moment is None else from_micros(moment) for moment in row[6:9])
    assert created is not None
    return Token(row[0], bytes(row[1]), row[2], access, created, expires, revoked)
