"""Bearer tokens, by their digests; a transaction here is nobody's."""

from datetime import datetime
from typing import Any

from memory_mcp.access import ROLES, Access
from memory_mcp.clock import from_micros, to_micros
from memory_mcp.errors import TierError
from memory_mcp.tiers.postgres import schema
from memory_mcp.tiers.postgres.faults import TIER
from memory_mcp.tiers.postgres.session import Transaction
from memory_mcp.tokens import Token

_COLUMNS = "id, digest, tenant, subject, role, namespaces, created, expires, revoked"


async def add(tx: Transaction, token: Token) -> None:
    """`Gate.add_token`; repeating it changes nothing."""
    await tx.run(
        f"""INSERT INTO tokens ({_COLUMNS}) VALUES (%(id)s, %(digest)s, %(tenant)s, %(subject)s, %(role)s, %(namespaces)s,
                %(created)s, %(expires)s, NULL) ON CONFLICT (id) DO NOTHING""",
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


async def find(tx: Transaction, digest: bytes) -> Token | None:
    """`Gate.find_token`."""
    row = await tx.row(f"SELECT {_COLUMNS} FROM tokens WHERE digest = %(digest)s", {"digest": digest})
    return None if row is None else _token(row)


async def everyone(tx: Transaction) -> list[Token]:
    """`Gate.tokens`."""
    return [_token(row) for row in await tx.rows(f"SELECT {_COLUMNS} FROM tokens ORDER BY created, id")]


async def revoke(tx: Transaction, token_id: str, now: datetime) -> bool:
    """`Gate.revoke_token`."""
    values = {"id": token_id, "now": to_micros(now)}
    return bool(await tx.rows("UPDATE tokens SET revoked = %(now)s WHERE id = %(id)s AND revoked IS NULL RETURNING id", values))


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
