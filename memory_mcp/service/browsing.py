"""Looking through all that is kept, and writing it into files."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from uuid import UUID

from memory_mcp.access import Role
from memory_mcp.answers import Browsed, BrowseRequest
from memory_mcp.errors import ConflictError, RequestError, require
from memory_mcp.models import Caller, Filter, Memory, Operation, Scope
from memory_mcp.remember import door
from memory_mcp.remember.confirmation import confirmation
from memory_mcp.service.parts import EVERY_NAMESPACE, Parts
from memory_mcp.states import STATES, State
from memory_mcp.upkeep.exporting import Saved
from memory_mcp.upkeep.maintenance import Tidied

ALL = "all"
_PAGE = 500


class Browsing(Parts):
    """The use cases `browse`, `namespaces`, `operations`, `export`, `backup` and `maintain`."""

    __slots__ = ()

    async def browse(self, request: BrowseRequest, caller: Caller) -> Browsed:
        """A page of what is kept in a namespace, whether it is still an answer or not; of the trash only for those who may empty it.

        Raises:
            RequestError: A value is not allowed.
            AccessDeniedError: The namespace, or the trash, is not open to the caller.
        """
        states = _states(request.state)
        if "forgotten" in states:
            require(caller.access, Role.WRITER)
        everywhere = request.namespace.strip() == EVERY_NAMESPACE
        scopes = await self._open_to(caller) if everywhere else self._own(caller, request.namespace)
        where = Filter(
            kinds=door.kinds(request.kinds),
            tags=frozenset(door.tags(request.tags)),
            since=door.moment(request.since, "since"),
            until=door.moment(request.until, "until"),
        )
        wanted = door.limit(request.limit)
        found = await self.shelves.browse(scopes, where, states, now=self.clock(), limit=wanted + 1, after=request.after)
        home = caller.namespace if everywhere else scopes[0].namespace
        return Browsed(found[:wanted], home, more=len(found) > wanted)

    async def namespaces(self, caller: Caller) -> dict[Scope, dict[State, int]]:
        """How much there is in each namespace that is open to the caller, by state."""
        return await self.shelves.holdings(await self._open_to(caller), now=self.clock())

    async def operations(self, caller: Caller, namespace: str, *, limit: int, before: int | None = None) -> list[Operation]:
        """The log, newest first; of one namespace, or of all that are open to the caller."""
        require(caller.access, Role.MANAGER)
        scopes = set(self._own(caller, namespace) if namespace else await self._open_to(caller))
        found: list[Operation] = []
        while len(found) < limit and (page := await self.log.operations(caller.tenant, limit=_PAGE, before=before)):
            found += [entry for entry in page if entry.scope in scopes]
            before = page[-1].number
        return found[:limit]

    async def export(self, caller: Caller, namespace: str) -> Saved:
        """Write what is an answer, or was one until it expired, into a new file of the data directory."""
        return await self.files.export(self.everything_in(caller, namespace), caller.tenant, self.clock())

    async def everything_in(self, caller: Caller, namespace: str, state: str = "") -> AsyncIterator[Sequence[Memory]]:
        """Pages of all that is in a namespace, or without a name in all that are open to the caller, newest first."""
        require(caller.access, Role.ADMIN)
        scopes, states, now = self._own(caller, namespace) if namespace else await self._open_to(caller), _states(state), self.clock()
        after: tuple[datetime, UUID] | None = None
        while page := await self.shelves.browse(scopes, Filter(), states, now=now, limit=_PAGE, after=after):
            yield page
            after = page[-1].when, page[-1].id

    async def backup(self, caller: Caller) -> Saved:
        """Copy the whole store into a new file of the data directory."""
        require(caller.access, Role.ADMIN)
        return await self.files.backup(self.clock())

    async def maintain(self, caller: Caller, token: str = "") -> tuple[Tidied, str]:
        """What maintenance would do for the tenant, with its token; with the token it does it, and the token comes back empty.

        Raises:
            ConflictError: What there is to do is no longer that of the dry run.
        """
        require(caller.access, Role.ADMIN)
        found = await self.maintenance.once(dry_run=True, tenant=caller.tenant)
        ids = [one.id for plan in found.plans.values() for one in (*plan.promote, *plan.archive, *(kept for kept, _ in plan.merge))]
        expected = confirmation(Scope(caller.tenant, f"maintenance/{found.purged}"), ids) if ids or found.purged else ""
        if not token or not expected:
            return found, expected
        if token.strip() != expected:
            raise ConflictError("What there is to do is not that of the dry run any more. Call again without confirm to see it.")
        return await self.maintenance.once(dry_run=False, tenant=caller.tenant), ""


def _states(name: str) -> Collection[State]:
    if not name:
        return ("live", "archived")
    found = [state for state in STATES if name in (state, ALL)]
    if not found:
        raise RequestError(f"state must be one of: {', '.join(STATES)}, {ALL}.")
    return found
