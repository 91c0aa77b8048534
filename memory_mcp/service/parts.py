"""What the use cases share: the seams they were given, and which scopes a caller means."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

import anyio
import anyio.to_thread

from memory_mcp.access import PERSONAL, Access, Role
from memory_mcp.config import RecallSettings, RememberSettings
from memory_mcp.contracts import Clock, Experience, OperationLog, RecallCache, RecordStore, Shelves
from memory_mcp.errors import AccessDeniedError, EmbedderNotReadyError, require
from memory_mcp.graph import Graph
from memory_mcp.hygiene.echoes import Echoes
from memory_mcp.models import (
    GLOBAL_NAMESPACE,
    Caller,
    Embedding,
    Filter,
    Hit,
    Memory,
    Scope,
    Visibility,
)
from memory_mcp.namespaces import similar_names
from memory_mcp.recall.asked import Questions
from memory_mcp.recall.gather import Sources
from memory_mcp.recall.ranking import still_valid
from memory_mcp.recall.reinforce import Reinforcer
from memory_mcp.recall.scale import Scale
from memory_mcp.remember import door
from memory_mcp.remember.embed import embed_texts
from memory_mcp.remember.indexer import Indexer
from memory_mcp.service.census import Census
from memory_mcp.service.known import KnownAnswers
from memory_mcp.telemetry.instruments import Instruments
from memory_mcp.telemetry.timing import Stages
from memory_mcp.text.passages import PASSAGE_TOKENS, weight
from memory_mcp.tokens import Gate
from memory_mcp.upkeep.denials import Denials
from memory_mcp.upkeep.erasing import Eraser
from memory_mcp.upkeep.exporting import Files
from memory_mcp.upkeep.maintenance import Maintenance

PROMPT_TOKENS = 16 * PASSAGE_TOKENS
"""A text of up to so many is embedded while its caller waits: a quarter of a second on two cores."""
EVERY_NAMESPACE = "*"
INLINE_CHARACTERS = 20_000
"""Of what is to be stored: so many are looked through for secrets on the event loop, in a millisecond or two."""

T = TypeVar("T")


def _opened(access: Access) -> str:
    named = [f"{PERSONAL} (your own)", *access.namespaces] if access.home else list(access.namespaces)
    return f"Yours are: {', '.join(named)}." if access.namespaces else f"Use {PERSONAL} for your own, or one that is shared."


@dataclass(slots=True)
class Parts:
    """What every use case is carried out with.

    Attributes:
        known: Answers of this process that still hold.
        shared: Candidates that other processes found; None: there is nothing that is shared.
        questions: Takes note of what is asked; None: nobody does.
        figures: Per tier, a function that tells its figures for `stats`.
        instruments: For `/metrics`.
        in_place: Whether the record store is still the one that lies where it was opened; else this is to be opened anew.
    """

    records: RecordStore
    log: OperationLog
    shelves: Shelves
    experience: Experience
    graph: Graph
    gate: Gate
    sources: Sources
    known: KnownAnswers
    shared: RecallCache | None
    scale: Scale
    indexer: Indexer
    reinforcer: Reinforcer
    eraser: Eraser
    denials: Denials
    maintenance: Maintenance
    files: Files
    questions: Questions | None
    clock: Clock
    remember_settings: RememberSettings
    recall_settings: RecallSettings
    stages: Stages = field(default_factory=Stages)
    echoes: Echoes = field(default_factory=Echoes)
    started: float = field(default_factory=time.monotonic)
    census: Census = field(default_factory=Census)
    figures: Mapping[str, Any] = field(default_factory=dict)
    instruments: Instruments = field(default_factory=Instruments)
    in_place: Callable[[], bool] = lambda: True

    async def _readable(self, caller: Caller, namespace: str) -> list[Scope]:
        """The scopes to search: as `_scopes`, or for `*` every one that the caller may read, his own first."""
        if namespace.strip() != EVERY_NAMESPACE:
            return self._scopes(caller, namespace)
        return list(dict.fromkeys([*self._scopes(caller, ""), *await self._open_to(caller)]))

    async def _open_to(self, caller: Caller) -> list[Scope]:
        """Every scope in which an id that the caller names may lie; an id of another one is an unknown id."""
        return [scope for scope in await self.records.scopes(caller.tenant) if caller.access.may_read(scope.namespace)]

    async def _changeable_by(self, caller: Caller) -> list[Scope]:
        """Likewise where the caller may change what is there."""
        return [scope for scope in await self._open_to(caller) if caller.access.may_write(scope.namespace)]

    def _scopes(self, caller: Caller, namespace: str) -> list[Scope]:
        """The scope that is meant; beside it are read the caller's private part of it, and the global one where it is open.

        Raises:
            AccessDeniedError: The scope that is meant is not.
        """
        own = Scope(caller.tenant, caller.access.meant(door.namespace(namespace) if namespace else caller.namespace))
        if not caller.access.may_read(own.namespace):
            sentence = f"The namespace {own.namespace} is not open to you. {_opened(caller.access)}"
            raise AccessDeniedError(sentence, "namespace", own.namespace)
        beside = [caller.access.private_part(own.namespace)]
        if caller.access.may_read(GLOBAL_NAMESPACE):
            beside += [GLOBAL_NAMESPACE, caller.access.private_part(GLOBAL_NAMESPACE)]
        return list(dict.fromkeys([own, *(Scope(caller.tenant, name) for name in beside)]))

    def _own(self, caller: Caller, namespace: str) -> list[Scope]:
        """The scope that is meant, and the caller's private part of it."""
        scope = self._scopes(caller, namespace)[0]
        return list(dict.fromkeys([scope, Scope(scope.tenant, caller.access.private_part(scope.namespace))]))

    async def _named_like(self, own: Sequence[Scope], caller: Caller) -> list[str]:
        """Namespaces with a name like that of the first of these scopes, that hold something and are open to the caller."""
        others = [scope.namespace for scope in await self._open_to(caller) if scope not in own]
        alike, where = similar_names(own[0].namespace, others), Filter(now=self.clock())
        return [name for name in alike if await self.records.newest([Scope(caller.tenant, name)], where, limit=1)]

    def _asked_in(self, caller: Caller, meant: Scope) -> Scope:
        """To which scope a question belongs: to the private part of what was meant where memories are private, too."""
        return Scope(meant.tenant, caller.access.private_part(meant.namespace)) if caller.visibility == "private" else meant

    def _changeable(self, caller: Caller, namespace: str, role: Role = Role.WRITER) -> Scope:
        """The scope that is meant, to be changed by somebody of that role.

        Raises:
            AccessDeniedError: The caller may not.
        """
        require(caller.access, role)
        return self._scopes(caller, namespace)[0]

    def _place(self, caller: Caller, namespace: str, visibility: Visibility | Literal[""]) -> Scope:
        """Where the caller's next memory of a namespace lies: a private one in a part that nobody else reads but managers.

        Raises:
            AccessDeniedError: The caller may not write there, or not choose.
        """
        scope = self._changeable(caller, namespace)
        if visibility and visibility != caller.visibility and caller.access.role < caller.visibility_role:
            usual, needed = caller.visibility, caller.visibility_role.word
            sentence = f"Memories are {usual} here; to say otherwise takes the role {needed}. Leave visibility out."
            raise AccessDeniedError(sentence, "visibility")
        private = (visibility or caller.visibility) == "private"
        return Scope(scope.tenant, caller.access.private_part(scope.namespace)) if private else scope

    async def _looked_through(self, look: Callable[[], T], characters: int) -> T:
        """Do what takes a while for many characters, in a worker thread if there are."""
        return look() if characters <= INLINE_CHARACTERS else await anyio.to_thread.run_sync(look)

    async def _embed(self, text: str) -> Embedding | None:
        """None where there is no vector to be had at once."""
        if weight(text, PROMPT_TOKENS) > PROMPT_TOKENS:
            return None  # others would wait for it; the indexer lets them go first
        try:
            with self.stages.measure("embed"), anyio.fail_after(self.recall_settings.embed_seconds):
                (embedding,) = await embed_texts(self.sources.embedder, [text], urgent=True)
        except (EmbedderNotReadyError, TimeoutError):
            return None
        return embedding

    async def _read(self, hits: Sequence[Hit], scopes: Sequence[Scope], where: Filter) -> list[Memory]:
        """The memories of these hits that are still what the search took them for."""
        memories = await self.records.get_many(scopes, [hit.id for hit in hits]) if hits else []
        now = self.clock()
        return [memory for memory in memories if still_valid(memory, where, now)]

    def _this_second(self) -> datetime:
        """Now, for filters: searches of one second ask the same, and what expires within it is left out on the fresh record."""
        return self.clock().replace(microsecond=0)
