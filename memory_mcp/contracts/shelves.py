"""All that is kept, by the state it is in."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from memory_mcp.models import Filter, Memory, Scope
from memory_mcp.states import State


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
