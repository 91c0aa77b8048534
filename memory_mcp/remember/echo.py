"""When a text that memory has just told is nothing new. Pure; see `hygiene.echoes` for what counts as the same text."""

from datetime import datetime

from memory_mcp.hygiene.echoes import echo_form
from memory_mcp.models import EPISODIC_KINDS, Memory
from memory_mcp.remember.drafts import RememberRequest


def deliberate(request: RememberRequest) -> bool:
    """Whether more than its text says that a call is meant: it replaces something, happened at its own time, or is a program's."""
    happened = request.kind in EPISODIC_KINDS and bool(request.occurred_at)
    return bool(request.supersedes or request.idempotency_key or request.identity) or happened


def says_back(request: RememberRequest, form: str, memory: Memory, now: datetime) -> bool:
    """Whether a text whose `echo_form` was told of a memory is still what that memory says, and is not to become anything else.

    A memory that has been superseded, has expired or says something else by now is not echoed; nor is one that the request
    gives another key, or makes a rule, a decision or the like of what was none.
    """
    live = memory.superseded_by is None and (memory.expires_at is None or memory.expires_at > now)
    same_kind = request.kind in EPISODIC_KINDS or request.kind in ("fact", memory.kind)
    return live and same_kind and request.key in ("", memory.key) and form in echo_form(memory.content)
