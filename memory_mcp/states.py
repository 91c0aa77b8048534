"""In which state a memory is kept. Pure, and light: a handshake waits for it."""

from datetime import datetime
from typing import Literal, get_args

from memory_mcp.models import Memory

State = Literal["live", "archived", "superseded", "forgotten"]
STATES: tuple[State, ...] = get_args(State)
"""Of a memory that is kept: an answer; expired, so that it is none any more; replaced; in the trash."""


def state_of(memory: Memory, now: datetime) -> State:
    """The state that a memory is in, forgotten before superseded before archived."""
    if memory.forgotten_at is not None:
        return "forgotten"
    if memory.superseded_by is not None:
        return "superseded"
    return "archived" if memory.expires_at is not None and memory.expires_at <= now else "live"


def state_in_words(memory: Memory, now: datetime) -> str:
    """With its date, of a memory that is forgotten or archived; empty for others, of which one that was replaced names by what."""
    state = state_of(memory, now)
    if state == "forgotten" and memory.forgotten_at is not None:
        return f"forgotten {memory.forgotten_at:%Y-%m-%d}"
    return f"archived since {memory.expires_at:%Y-%m-%d}" if state == "archived" and memory.expires_at is not None else ""
