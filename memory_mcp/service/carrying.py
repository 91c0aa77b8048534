"""Taking in what was exported, here or elsewhere."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from uuid import UUID

import anyio.to_thread

from memory_mcp.answers import CarriedIn
from memory_mcp.errors import RequestError
from memory_mcp.models import Added, Caller, Draft, Provenance, Scope
from memory_mcp.remember.drafts import uuid7
from memory_mcp.service.parts import Parts
from memory_mcp.text.words import same_label
from memory_mcp.upkeep.lines import Line, drafted, is_past

BATCH = 200
"""Memories that are stored at once, in a tenth of a second in which nobody else writes."""
_MARK = "import:"


@dataclass(slots=True)
class _Read:
    """What some lines come to.

    Attributes:
        faults: What is wrong with which lines, by their numbers.
    """

    drafts: list[Draft] = field(default_factory=list)
    past: int = 0
    erased: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    """Drafts of one scope that are stored as one operation: no two have the same text or key."""

    drafts: list[Draft] = field(default_factory=list)
    taken: set[bytes | str] = field(default_factory=set)

    def takes(self, draft: Draft) -> bool:
        """Whether it has room for one more."""
        return len(self.drafts) < BATCH and self.taken.isdisjoint((draft.fingerprint, same_label(draft.key)))

    def add(self, draft: Draft) -> None:
        """Take one more."""
        self.drafts.append(draft)
        self.taken |= {draft.fingerprint, same_label(draft.key)} if draft.key else {draft.fingerprint}


class Carrying(Parts):
    """The use cases `faults_in` and `carry_in`.

    Of both, `namespace` is where lines go that name none, and `told` is told of so many more that are done.
    """

    __slots__ = ()

    async def faults_in(self, lines: Iterable[Line], caller: Caller, namespace: str, told: Callable[[int], None]) -> list[tuple[int, str]]:
        """What is wrong with which lines, by their numbers; nothing is stored."""
        faults: list[tuple[int, str]] = []
        async for found in self._pieces(lines, caller, namespace):
            faults += found.faults
            told(len(found.drafts))
        return faults

    async def carry_in(self, lines: Iterable[Line], caller: Caller, namespace: str, told: Callable[[int], None]) -> CarriedIn:
        """Store memories as one operation of each namespace, however many batches they go in; lines with a fault are left out.

        Their vectors come later. Broken off, what was stored stays, and the same call again stores the rest as part of the
        same operations.
        """
        now = self.clock()
        import_ = _Import(replace(caller.provenance, agent=f"{_MARK}{uuid7(now).hex[-12:]}", source="import"))
        past = erased = 0
        batches: dict[Scope, _Batch] = {}
        async for found in self._pieces(lines, caller, namespace):
            past, erased = past + found.past, erased + found.erased
            for draft in found.drafts:
                batch = batches.setdefault(draft.scope, _Batch())
                if not batch.takes(draft):
                    told(await self._store(batch, import_))
                    batch = batches[draft.scope] = _Batch()
                batch.add(draft)
        for batch in batches.values():
            told(await self._store(batch, import_))
        return CarriedIn(import_.stored, import_.known, past, erased, import_.operations)

    async def _store(self, batch: _Batch, import_: "_Import") -> int:
        drafts = [replace(draft, provenance=import_.by) for draft in batch.drafts]
        added = await self.records.add_many(drafts)
        import_.note(drafts[0].scope, added)
        if import_.stored == 0 and not import_.taken_up:  # perhaps this goes on with one that was broken off
            known = await self.records.get_many([drafts[0].scope], [one.id for one in added])
            import_.take_up({memory.provenance for memory in known})
        self.indexer.wake()
        return len(drafts)

    async def _pieces(self, lines: Iterable[Line], caller: Caller, namespace: str) -> AsyncIterator[_Read]:
        gone, iterator = await self.eraser.erased(caller.tenant), iter(lines)

        def read() -> _Read | None:
            some = list(islice(iterator, BATCH))
            return self._drafted(some, caller, namespace, gone) if some else None

        while (found := await anyio.to_thread.run_sync(read)) is not None:
            yield found

    def _drafted(self, lines: Iterable[Line], caller: Caller, namespace: str, gone: Collection[UUID]) -> _Read:
        now, found = self.clock(), _Read()
        for line in lines:
            try:
                if line.fault:
                    raise RequestError(line.fault)
                if line.id in gone:
                    found.erased += 1
                elif is_past(line, now):
                    found.past += 1
                else:
                    scope = self._changeable(caller, line.fields.get("namespace") or namespace)
                    found.drafts.append(drafted(line, scope, caller, now, self.remember_settings.secrets))
            except RequestError as error:
                found.faults.append((line.number, str(error)))
        return found


@dataclass(slots=True)
class _Import:
    """How an import gets on.

    Attributes:
        by: Who stamps what is stored; the agent names the import.
        taken_up: Whether it is known by now if an earlier one is gone on with.
    """

    by: Provenance
    stored: int = 0
    known: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    taken_up: bool = False

    def note(self, scope: Scope, added: Iterable[Added]) -> None:
        """What became of a batch."""
        for one in added:
            if one.operation is None:
                self.known += 1
            else:
                self.stored += 1
                self.operations[scope.namespace] = one.operation

    def take_up(self, sources: Collection[Provenance]) -> None:
        """Go on with the import that has stored all of a batch, if it is of one."""
        self.taken_up = True
        if len(sources) == 1:
            (source,) = sources
            if source.source == "import" and source.agent.startswith(_MARK):
                self.by = replace(self.by, agent=source.agent)
