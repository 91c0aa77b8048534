"""Idempotency (rule R8): a repeated call gets the first receipt, for a day."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from memory_mcp.clock import to_micros
from memory_mcp.errors import ConflictError
from memory_mcp.models import Added, Draft
from memory_mcp.tiers.postgres.rows import to_json
from memory_mcp.tiers.postgres.session import Transaction

LIFETIME = timedelta(hours=24)


async def earlier_receipt(tx: Transaction, draft: Draft) -> Added | None:
    """What the first call with this key was answered; None without a key, or when it is the first.

    Raises:
        ConflictError: The key named another request.
    """
    if not draft.idempotency_key:
        return None
    await tx.run("DELETE FROM idempotency WHERE at < %(ended)s", {"ended": to_micros(draft.now - LIFETIME)})
    row = await tx.row("SELECT digest, receipt FROM idempotency WHERE key = %(key)s", {"key": draft.idempotency_key})
    if row is None:
        return None
    if row[0] != draft.request_digest:
        raise ConflictError("This idempotency key was used for a different request: use a new one for each request.")
    memory_id, status, operation, replaced, embedded, *current = row[1]
    after = UUID(current[0]) if current and current[0] else None
    return Added(UUID(memory_id), status, operation, tuple(UUID(other) for other in replaced), embedded, after)


async def keep_receipt(tx: Transaction, draft: Draft, added: Added) -> Added:
    """Remember the answer under the draft's key, if it has one; the answer itself."""
    if draft.idempotency_key:
        current = added.superseded_by and added.superseded_by.hex
        receipt = [added.id.hex, added.status, added.operation, [other.hex for other in added.replaced], added.embedded, current]
        values: dict[str, Any] = {
            "tenant": draft.scope.tenant,
            "key": draft.idempotency_key,
            "digest": draft.request_digest,
            "receipt": to_json(receipt),
            "at": to_micros(draft.now),
        }
        query = "INSERT INTO idempotency (tenant, key, digest, receipt, at) VALUES (%(tenant)s, %(key)s, %(digest)s, %(receipt)s, %(at)s)"
        await tx.run(query, values)
    return added
