"""What goes for good by somebody's wish."""

from collections import Counter
from collections.abc import Sequence

from memory_mcp.access import Role
from memory_mcp.answers import EraseRequest, ToErase
from memory_mcp.errors import ConflictError, RequestError, require
from memory_mcp.models import Caller, Filter, Meant, Memory, Scope
from memory_mcp.remember import door
from memory_mcp.remember.confirmation import confirmation
from memory_mcp.service.parts import Parts
from memory_mcp.upkeep.erasing import Erased

_SHOWN = 5
_MENTIONS_LOOKED_AT = 100


class Erasing(Parts):
    """The use cases `to_erase` and `erase`."""

    __slots__ = ()

    async def to_erase(self, request: EraseRequest, caller: Caller) -> ToErase:
        """What the request means, in all namespaces of the tenant; nothing is erased.

        Raises:
            RequestError: Not exactly one thing is asked for, or a value is not allowed.
        """
        require(caller.access, Role.ADMIN)
        what = _meant(request)
        memories = await self.eraser.meant(caller.tenant, what)
        ids = [memory_id for memory_id, _ in memories]
        scopes = await self.records.scopes(caller.tenant)
        return ToErase(
            by_namespace=dict(Counter(scope.namespace for _, scope in memories)),
            sample=await self.records.get_many(scopes, ids[:_SHOWN]),
            mentions=[memory for memory in await self._mentioning(what.person, scopes) if memory.id not in set(ids)],
            token=confirmation(Scope(caller.tenant, ""), ids) if ids else "",
        )

    async def erase(self, request: EraseRequest, caller: Caller, token: str) -> Erased:
        """Take what the request means away for good, with the token that `to_erase` gave for it. Nothing brings it back.

        Raises:
            ConflictError: What is meant is no longer what the token was given for.
            TierError: The store is away or cannot be written; what was begun is finished when it is next opened.
        """
        require(caller.access, Role.ADMIN)
        memories = await self.eraser.meant(caller.tenant, _meant(request))
        if not memories or token.strip() != confirmation(Scope(caller.tenant, ""), [memory_id for memory_id, _ in memories]):
            raise ConflictError("The memories meant are not those that were shown. Nothing was erased; look at them again.")
        self.echoes.clear()
        return await self.eraser.erase(caller.tenant, memories, caller.provenance, self.clock())

    async def _mentioning(self, person: str, scopes: Sequence[Scope]) -> list[Memory]:
        if not person:
            return []
        hits = await self.sources.text.search_text(scopes, person, Filter(), limit=_MENTIONS_LOOKED_AT)
        found = await self.records.get_many(scopes, [hit.id for hit in hits])
        return [memory for memory in found if person.casefold() in memory.content.casefold()]


def _meant(request: EraseRequest) -> Meant:
    given = [name for name in ("ids", "person", "namespace", "everything") if getattr(request, name)]
    if len(given) != 1:
        raise RequestError("Say what to erase, one thing: ids, or a person, or a namespace.")
    return Meant(
        ids=tuple(door.memory_ids(request.ids)) if request.ids else (),
        person=door.name(request.person, "person"),
        namespace=door.namespace(request.namespace) if request.namespace else "",
        everything=request.everything,
    )
