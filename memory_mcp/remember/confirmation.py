"""Bulk forgetting takes two calls; the second names what the first would have forgotten."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from memory_mcp.models import Scope


def confirmation(scope: Scope, ids: Sequence[UUID]) -> str:
    """The token of a dry run: it stands for exactly these memories, so that nothing need be kept until it comes back."""
    listed = b"".join(sorted(memory_id.bytes for memory_id in ids))
    return hashlib.blake2b(listed, key=f"{scope.tenant}/{scope.namespace}".encode()[:64], digest_size=6).hexdigest()
