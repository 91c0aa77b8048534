"""Erasing: out of every tier, written down so that no older copy brings it back, and proven by looking for it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol
from uuid import UUID

import anyio.to_thread
import structlog

from memory_mcp.errors import TierError
from memory_mcp.models import EraseAction, Meant, Operation, Provenance, Scope
from memory_mcp.text import words
from memory_mcp.upkeep.register import Register
from memory_mcp.upkeep.searching import search_files

log = structlog.get_logger(__name__)

PIECE = 40
"""Characters of a text that are looked for at once: a page of the file may end in the middle of a longer one."""
SHORTEST = 6
"""Characters; what is shorter stands in any file by chance."""
MOST_STRINGS, MOST_TEXTS = 100, 200
"""Of each sort; a file of 100 MB is looked through for 100 strings in some seconds."""
BULK = 1_000
"""Erasing so many memories, the file is written anew, which gives their room back."""
ERASER = Provenance(source="replay")
_LEFT_OUT = ("models",)
"""Of the data directory: it is not looked through."""
_REPLAYED_AT_ONCE = 500


class Erasing(Protocol):
    """Taking memories away for good (rule R15)."""

    async def meant(self, tenant: str, what: Meant) -> list[tuple[UUID, Scope]]:
        """The memories that are meant and not gone already, by scope and id."""

    async def texts(self, tenant: str, ids: Sequence[UUID]) -> list[str]:
        """Everything that these memories say or ever said, with their keys, tags and metadata; each text once."""

    async def erase(
        self, tenant: str, ids: Sequence[UUID], actor: Provenance, now: datetime, *, action: EraseAction = "erase"
    ) -> list[Operation]:
        """Take memories out of everything that a question could reach; of each its id stays. Final; unknown ids are nothing to worry about.

        Returns:
            The entry of the log for each namespace.
        """

    async def scour(self, *, compact: bool) -> bool:
        """Overwrite what is left of erased memories in the store's own files; whether that was possible.

        Args:
            compact: Also give back the room they took, which takes as long as writing everything anew.
        """

    async def scouring_owed(self) -> bool:
        """Whether something was erased since it was last done."""

    async def standing(self, tenant: str, strings: Sequence[str]) -> list[str]:
        """Those of the strings that are part of anything the store still holds."""

    async def remains(self, tenant: str, ids: Sequence[UUID]) -> list[str]:
        """The tables in which anything of these memories is left but their ids."""

    async def epochs(self) -> list[str]:
        """Every epoch that vectors were ever made in, oldest first."""


class Deleting(Protocol):
    """What erasing needs of a vector tier."""

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        """See `contracts.VectorIndex`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What looking for erased texts brought up.

    Attributes:
        strings: How many pieces and words were looked for; 0: nothing that is long enough to be looked for.
        files: How many files were looked through; 0 where the store is a database server, which was asked instead.
        found: What was found, and in which files; tables that hold something still, in none. Never to be logged.
        elsewhere: How many of the strings other memories, or names in the log, hold as well.
    """

    strings: int
    files: int
    found: Mapping[str, Sequence[str]]
    elsewhere: int = 0

    @property
    def holds(self) -> bool:
        """Whether nothing was found that should be gone."""
        return not self.found


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of an erasure.

    Attributes:
        operations: Its entries in the log, one for each namespace.
        away: Tiers that could not be told now: they are told when they are back.
        copies: Former stores in the data directory that were cleaned, too.
        closed: Those that could not be looked into: of another key, or damaged.
        scoured: Whether the store's own files were; never by this program where they are a database server's.
    """

    operations: Sequence[Operation]
    proof: Proof
    away: Sequence[str] = ()
    copies: Sequence[Path] = ()
    closed: Sequence[Path] = ()
    scoured: bool = True


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else holds something of a memory, beside the record store.

    Attributes:
        tiers: Vector tiers by name.
        drop: Lets go what is held in this process of some scopes.
        clean_copies: Takes ids out of former stores in the folder; says from which, and which it could not look into.
        folder: The data directory, whose files are looked through; None where the store is a server.
        store_files: What the names of the store's own files begin with.
        tell: Told of every entry of the log.
    """

    tiers: Mapping[str, Deleting] = field(default_factory=dict)
    drop: Callable[[Collection[Scope]], None] = lambda scopes: None
    clean_copies: Callable[[str, Sequence[UUID], datetime], tuple[list[Path], list[Path]]] = lambda tenant, ids, now: ([], [])
    folder: Path | None = None
    store_files: str = "memories.db"
    tell: Callable[[Operation], None] = lambda operation: None


class Eraser:
    """Takes memories out of the record store and of everything that was made of them."""

    def __init__(self, store: Erasing, register: Register, around: Surroundings) -> None:
        self._store, self._register, self._around = store, register, around

    async def meant(self, tenant: str, what: Meant) -> list[tuple[UUID, Scope]]:
        """See `Erasing`."""
        return await self._store.meant(tenant, what)

    async def erased(self, tenant: str) -> Collection[UUID]:
        """The ids of everything that was ever erased here."""
        return (await anyio.to_thread.run_sync(self._register.read)).get(tenant, {})

    async def erase(self, tenant: str, memories: Sequence[tuple[UUID, Scope]], actor: Provenance, now: datetime) -> Erased:
        """Take memories away for good.

        Written down first: after a crash at any point they go when the memory is next opened.

        Raises:
            TierError: The store is away or cannot be written.
        """
        ids = [memory_id for memory_id, _ in memories]
        wanted = probes(await self._store.texts(tenant, _sample(ids)))
        await anyio.to_thread.run_sync(self._register.add, tenant, ids)
        operations, away = await self._take_out(tenant, memories, actor, now, "erase")
        copies, closed = await anyio.to_thread.run_sync(self._around.clean_copies, tenant, ids, now)
        scoured = await self._store.scour(compact=len(ids) >= BULK)
        proof = await self._prove(tenant, ids, wanted)
        if proof.files and not proof.holds:  # some page was moved as a whole, or the text index kept a word
            scoured = await self._store.scour(compact=True)
            proof = await self._prove(tenant, ids, wanted)
        log.info("memories_erased", count=len(ids), away=list(away), proven=proof.holds)
        return Erased(operations, proof, away, copies, closed, scoured)

    async def purge(self, tenant: str, forgotten_before: datetime, actor: Provenance, now: datetime) -> list[Operation]:
        """Empty the trash of what was forgotten before a moment. Unlike an erasure it is not written down: an older copy has it back."""
        memories = await self._store.meant(tenant, Meant(forgotten_before=forgotten_before))
        operations, _ = await self._take_out(tenant, memories, actor, now, "purge")
        if operations:
            await self._store.scour(compact=len(memories) >= BULK)
            log.info("trash_emptied", count=len(memories))
        return operations

    async def replay(self, now: datetime) -> int:
        """Erase again what an older copy of the store has brought back, and finish what was broken off; how many there were."""
        again = 0
        for tenant, ids in (await anyio.to_thread.run_sync(self._register.read)).items():
            listed = iter(ids)
            while batch := tuple(islice(listed, _REPLAYED_AT_ONCE)):
                back = await self._store.meant(tenant, Meant(ids=batch))
                if back:
                    await self._take_out(tenant, back, ERASER, now, "erase")
                    again += len(back)
        if again or await self._store.scouring_owed():
            await self._store.scour(compact=again > 0)
            log.warning("erased_again", count=again)
        return again

    async def _take_out(
        self, tenant: str, memories: Sequence[tuple[UUID, Scope]], actor: Provenance, now: datetime, action: EraseAction
    ) -> tuple[list[Operation], list[str]]:
        if not memories:
            return [], []
        operations = await self._store.erase(tenant, [memory_id for memory_id, _ in memories], actor, now, action=action)
        for operation in operations:
            self._around.tell(operation)
        by_scope: dict[Scope, list[UUID]] = {}
        for memory_id, scope in memories:
            by_scope.setdefault(scope, []).append(memory_id)
        away = []
        epochs = await self._store.epochs()
        for name, tier in self._around.tiers.items():
            try:
                for scope, ids in by_scope.items():
                    for epoch in epochs:  # also those that nobody carries anything to any more
                        await tier.delete(scope, ids, epoch)
            except TierError as error:
                log.warning("tier_not_told_of_erasure", tier=name, error=type(error).__name__)
                away.append(name)
        self._around.drop(by_scope)
        return operations, away

    async def _prove(self, tenant: str, ids: Sequence[UUID], probes: "Probes") -> Proof:
        """Ask the store for rows, and look through its files, where there are any, for what no other memory holds."""
        strings = [*probes.pieces, *probes.words]
        tables: dict[str, Sequence[str]] = dict.fromkeys(await self._store.remains(tenant, ids), ())
        still = set(await self._store.standing(tenant, strings)) if strings else set()
        if self._around.folder is None:
            return Proof(len(strings), 0, tables, len(still))
        wanted = [string for string in strings if string not in still]
        files, found = await anyio.to_thread.run_sync(search_files, self._around.folder, wanted, _LEFT_OUT)
        for word in probes.words:  # which stand in logs and settings, too, whoever said them
            found[word] = [path for path in found.get(word, ()) if Path(path).name.startswith(self._around.store_files)]
        return Proof(len(strings), files, {**tables, **{string: paths for string, paths in found.items() if paths}}, len(still))


@dataclass(frozen=True, slots=True)
class Trash:
    """What was forgotten, until its time is over.

    Attributes:
        keep_days: For so long it can be brought back; 0: for ever.
    """

    eraser: Eraser
    keep_days: float

    async def due(self, tenant: str, now: datetime) -> int:
        """How many memories `empty` would take away."""
        what = Meant(forgotten_before=now - timedelta(days=self.keep_days))
        return len(await self.eraser.meant(tenant, what)) if self.keep_days else 0

    async def empty(self, tenant: str, actor: Provenance, now: datetime) -> list[Operation]:
        """Take away for good what was forgotten longer ago; the entries of the log."""
        return await self.eraser.purge(tenant, now - timedelta(days=self.keep_days), actor, now) if self.keep_days else []


@dataclass(frozen=True, slots=True)
class Probes:
    """What to look for: pieces of texts as they are stored, and their words as the text index has them."""

    pieces: Sequence[str] = ()
    words: Sequence[str] = ()


def probes(texts: Sequence[str]) -> Probes:
    """Some from each text before more from any, so that a bound on all leaves none out while there is room."""
    return Probes(_in_turn([_pieces(text) for text in texts]), _in_turn([_words(text) for text in texts]))


def _in_turn(lists: Sequence[Sequence[str]]) -> list[str]:
    chosen: dict[str, None] = {}
    for rank in range(max(map(len, lists), default=0)):
        chosen.update(dict.fromkeys(each[rank] for each in lists if rank < len(each)))
    return list(chosen)[:MOST_STRINGS]


def _pieces(text: str) -> list[str]:
    """The beginning, the end and the middle of a text; of a short one all."""
    starts = (0, max(len(text) - PIECE, 0), max(len(text) - PIECE, 0) // 2)
    return [piece for piece in dict.fromkeys(text[start : start + PIECE] for start in starts) if len(piece) >= SHORTEST]


def _words(text: str) -> list[str]:
    """Its longest words, folded: those are its own more often than others'."""
    found = [word for word in dict.fromkeys(words.index_text(text[:10_000]).split()) if len(word) >= SHORTEST + 2]
    return sorted(found, key=len, reverse=True)[:3]


def _sample(ids: Sequence[UUID]) -> list[UUID]:
    step = max(1, len(ids) // MOST_TEXTS)
    return list(ids[::step][:MOST_TEXTS])
