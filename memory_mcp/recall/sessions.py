"""What belongs to one sitting: the memories of a session, or without one those written in one go. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memory_mcp.models import Memory

PAUSE = timedelta(hours=2)
"""Without writing for so long, a new sitting begins."""
TITLE = "session_title"
"""Metadata of any memory of a session: what to call it."""
MAX_TITLE_CHARACTERS = 100
_TELLING = ("decision", "insight", "event", "procedure", "rule", "fact", "context", "error", "chat")
"""Kinds, by how well one of them stands for a whole sitting."""


@dataclass(frozen=True, slots=True)
class Session:
    """A sitting, as it is listed.

    Attributes:
        name: The `session_id` of its memories; empty where they have none.
        title: As given in the metadata of the last memory that has one, else how the most telling memory begins.
        began, ended: Of when its memories were written, or of when they happened where all of them say so, as in an import.
        kinds: How many memories of each kind, the most frequent first.
    """

    name: str
    title: str
    began: datetime
    ended: datetime
    kinds: Mapping[str, int]


def sessions(memories: Sequence[Memory]) -> list[Session]:
    """The sittings that wrote these memories, the latest first."""
    return sorted(map(_session, sittings(memories)), key=lambda one: (one.ended, one.began, one.name), reverse=True)


def last_session(newest: Sequence[Memory]) -> list[Memory]:
    """Of memories, those of the sitting that wrote last, in the order they were written."""
    return max(sittings(newest), key=lambda sitting: _written(sitting[-1]), default=[])


def sittings(memories: Sequence[Memory]) -> list[list[Memory]]:
    """The memories by who belongs together, in the order they were written.

    A session is all that bears its name; what bears none goes on until the next pause, or a memory of a session.
    """
    named: dict[str, list[Memory]] = {}
    others: list[list[Memory]] = []
    before: Memory | None = None
    for memory in sorted(memories, key=_written):
        if memory.session_id:
            named.setdefault(memory.session_id, []).append(memory)
        elif before is None or before.session_id or memory.created_at - before.created_at > PAUSE:
            others.append([memory])
        else:
            others[-1].append(memory)
        before = memory
    return [*named.values(), *others]


def _written(memory: Memory) -> tuple[datetime, bytes]:
    return memory.created_at, memory.id.bytes


def _session(sitting: Sequence[Memory]) -> Session:
    happened = [memory.occurred_at for memory in sitting if memory.occurred_at is not None]
    times = happened if len(happened) == len(sitting) else [memory.created_at for memory in sitting]
    kinds = Counter(memory.kind for memory in sitting)
    return Session(sitting[0].session_id, _title(sitting), min(times), max(times), dict(kinds.most_common()))


def _title(sitting: Sequence[Memory]) -> str:
    given = [memory.metadata.get(TITLE) for memory in sitting]
    telling = min(sitting, key=lambda memory: (-memory.importance, _TELLING.index(memory.kind)))
    chosen = next((title for title in reversed(given) if isinstance(title, str) and title.strip()), telling.content)
    line = chosen.strip().partition("\n")[0]
    return line if len(line) <= MAX_TITLE_CHARACTERS else line[: MAX_TITLE_CHARACTERS - 1].rstrip() + "…"
