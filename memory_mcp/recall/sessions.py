"""What belongs to one sitting: the memories of a session, or without one those written in one go. Pure."""

from collections.abc import Sequence
from datetime import timedelta

from memory_mcp.models import Memory

PAUSE = timedelta(hours=2)
"""Without writing for so long, a new sitting begins."""


def last_session(newest: Sequence[Memory]) -> list[Memory]:
    """Of memories, those of the sitting that wrote last, in the order they were written.

    The sitting has a name where its last memory has one; else it goes back to the first pause, or to a memory of a
    session.
    """
    written = sorted(newest, key=lambda memory: (memory.created_at, memory.id), reverse=True)
    if not written:
        return []
    name = written[0].session_id
    if name:
        return [memory for memory in reversed(written) if memory.session_id == name]
    sitting = [written[0]]
    for memory in written[1:]:
        if memory.session_id or sitting[-1].created_at - memory.created_at > PAUSE:
            break
        sitting.append(memory)
    return sitting[::-1]
