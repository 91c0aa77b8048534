"""Revisions that are known for as long as nobody has committed anything, so that asking for them takes no thread."""

from collections.abc import Awaitable, Callable, Sequence

import apsw

from memory_mcp.models import Scope

_MOST = 10_000
"""Scopes whose revisions are remembered."""


class Watch:
    """Remembers revisions until the file is changed.

    SQLite counts the changes that others make to a file, be they connections of this process or other processes. It reads the
    count off the index of the WAL, which lies in memory that all of them share, within microseconds and waiting for nobody:
    fit for the event loop, on which this is asked.

    Args:
        connection: That is used for nothing else, and above all writes nothing.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(0)
        self._connection = connection
        self._changes: int | None = None
        self._known: dict[Scope, int] = {}

    async def revisions(self, scopes: Sequence[Scope], read: Callable[[], Awaitable[tuple[int, ...]]]) -> tuple[int, ...]:
        """The revisions as they are now; `read` when they are not known."""
        known = self._still_known()
        if all(scope in known for scope in scopes):
            return tuple([known[scope] for scope in scopes])
        found = await read()
        known.update(zip(scopes, found, strict=True))  # which nobody looks at any more if the file was changed meanwhile
        return found

    def _still_known(self) -> dict[Scope, int]:
        try:
            changes = int(self._connection.pragma("data_version"))
        except apsw.Error:  # closed; or the WAL's index is being made anew, or the disk is at fault, as whoever reads will tell
            changes = None
        if changes is None or changes != self._changes or len(self._known) > _MOST:
            self._changes, self._known = changes, {}
        return self._known

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
