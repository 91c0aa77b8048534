"""Idempotency (rule R8): a repeated call gets the first receipt, for a day."""

import json
from datetime import timedelta
from uuid import UUID

import apsw

from memory_mcp.clock import to_micros
from memory_mcp.errors import ConflictError
from memory_mcp.models import Added, Draft
from memory_mcp.tiers.sqlite.query import first
from memory_mcp.tiers.sqlite.rows import to_json

LIFETIME = timedelta(hours=24)


def earlier_receipt(db: apsw.Connection, draft: Draft) -> Added | None:
    """What the first call with this key was answered; None without a key, or when it is the first.

    Raises:
        ConflictError: The key named another request.
    """
    if not draft.idempotency_key:
        return None
    db.execute("DELETE FROM idempotency WHERE at < ?", (to_micros(draft.now - LIFETIME),))
    query = "SELECT digest, receipt FROM idempotency WHERE tenant = ? AND key = ?"
    row = first(db, query, (draft.scope.tenant, draft.idempotency_key))
    if row is None:
        return None
    if row[0] != draft.request_digest:
        raise ConflictError("This idempotency key was used for a different request: use a new one for each request.")
    memory_id, status, operation, replaced, embedded, *current = json.loads(row[1])
    after = UUID(current[0]) if current and current[0] else None
    return Added(UUID(memory_id), status, operation, tuple(UUID(other) for other in replaced), embedded, after)


def keep_receipt(db: apsw.Connection, draft: Draft, added: Added) -> Added:
    """Remember the answer under the draft's key, if it has one; the answer itself."""
    if draft.idempotency_key:
        current = added.superseded_by and added.superseded_by.hex
        receipt = to_json([added.id.hex, added.status, added.operation, [other.hex for other in added.replaced], added.embedded, current])
        db.execute(
            "INSERT INTO idempotency (tenant, key, digest, receipt, at) VALUES (?, ?, ?, ?, ?)",
            (draft.scope.tenant, draft.idempotency_key, draft.request_digest, receipt, to_micros(draft.now)),
        )
    return added
