"""All that is kept, by the state it is in."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, Protocol, get_args
from uuid import UUID

from memory_mcp.models import Filter, Memory, Scope

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


class Shelves(Protocol):
    """All that is kept, whether it is still an answer or not."""

    async def browse(
        self,
        scopes: Sequence[Scope],
        where: Filter,
        states: Collection[State],
        *,
        now: datetime,
        limit: int,
        after: tuple[datetime, UUID] | None = None,
    ) -> list[Memory]:
        """Memories in one of these states, newest `when` first, equal ones by id; `where` has no `now`.

        Args:
            after: `when` and id of the one before the first.
        """

    async def holdings(self, scopes: Sequence[Scope], *, now: datetime) -> dict[Scope, dict[State, int]]:
        """How many memories there are in each state; scopes and states without any are left out."""
