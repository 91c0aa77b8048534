"""Bearer tokens, by their digests."""

import json
from datetime import datetime
from typing import Any

import apsw

from memory_mcp.access import ROLES, Access
from memory_mcp.clock import from_micros, to_micros
from memory_mcp.models import Provenance
from memory_mcp.tiers.sqlite import audit
from memory_mcp.tiers.sqlite.query import all_rows, first
from memory_mcp.tokens import Token, told_of

_COLUMNS = "id, digest, tenant, subject, role, namespaces, created, expires, revoked"


def add(db: apsw.Connection, token: Token, actor: Provenance) -> None:
    """`Gate.add_token`."""
    access = token.access
    values = (token.id, token.digest, token.tenant, access.subject, access.role.word, json.dumps(access.namespaces))
    times = (to_micros(token.created), None if token.expires is None else to_micros(token.expires))
    db.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", (*values, *times))
    audit.record(db, token.tenant, "token create", actor, token.created, told_of(token))


def find(db: apsw.Connection, digest: bytes) -> Token | None:
    """`Gate.find_token`."""
    row = first(db, f"SELECT {_COLUMNS} FROM tokens WHERE digest = ?", (digest,))
    return None if row is None else _token(row)


def everyone(db: apsw.Connection) -> list[Token]:
    """`Gate.tokens`."""
    return [_token(row) for row in all_rows(db, f"SELECT {_COLUMNS} FROM tokens ORDER BY created, id")]


def revoke(db: apsw.Connection, token_id: str, now: datetime, actor: Provenance) -> bool:
    """`Gate.revoke_token`."""
    row = first(db, f"UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL RETURNING {_COLUMNS}", (to_micros(now), token_id))
    if row is not None:
        token = _token(row)
        audit.record(db, token.tenant, "token revoke", actor, now, told_of(token))
    return row is not None


def _token(row: tuple[Any, ...]) -> Token:
    access = Access(ROLES[row[4]], row[3], tuple(json.loads(row[5])))
    created, expires, revoked = (None if moment is None else from_micros(moment) for moment in row[6:9])
    assert created is not None
    return Token(row[0], row[1], row[2], access, created, expires, revoked)
