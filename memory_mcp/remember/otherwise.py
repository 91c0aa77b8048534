"""What was told of a text that is known already, and is not so there. Pure."""

from datetime import timedelta

from memory_mcp.models import Draft, Memory
from memory_mcp.remember.drafts import RememberRequest

SAME_END = timedelta(minutes=1)
"""Of two lifetimes told as `7d`, the second perhaps repeated because the answer to the first was lost."""
_USUAL = RememberRequest("")


def not_taken_over(given: Draft, known: Memory) -> list[str]:
    """By the names of arguments, those that were given with the text and that the memory does not have; what was left out is none."""
    found = {
        "kind": given.kind not in (_USUAL.kind, known.kind),
        "tags": not set(given.tags) <= set(known.tags),
        "importance": given.importance not in (_USUAL.importance, known.importance),
        "occurred_at": given.occurred_at not in (None, known.occurred_at),
        "expires_in": given.expires_at is not None and (known.expires_at is None or abs(given.expires_at - known.expires_at) > SAME_END),
        "metadata": any(known.metadata.get(name) != value for name, value in given.metadata.items()),
    }
    return [name for name, differs in found.items() if differs]
