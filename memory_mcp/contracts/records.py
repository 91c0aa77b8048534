"""The record store: the truth, and what is kept beside it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from memory_mcp.audit.chain import Chain
from memory_mcp.audit.entries import EVERY_ENTRY, LogFilter
from memory_mcp.models import (
    Added,
    Asked,
    Changes,
    Draft,
    Embedding,
    Filter,
    Matrix,
    Memory,
    Note,
    Operation,
    Provenance,
    Scope,
    StoreCounts,
    Tally,
    Version,
)


class RecordStore(Protocol):
    """The truth: memories, their past forms, and the revision of every scope.

    Every write is one transaction holding the rows, their text index, their vector, the operation,
    the outbox notes and the scope's new revision; when a method returns, it is durable.
    """

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        """The revision of each scope, 0 for one never written; a few microseconds.

        It grows with every write by a random stride, at least 1: two stores, or a store and its older copy that was put
        back, do not meet in the same numbers. So what is kept outside of the store under a revision belongs to one
        history of one store.
        """

    async def scopes(self, tenant: str) -> list[Scope]:
        """Every scope of the tenant that was ever written to."""

    async def add(self, draft: Draft, embedding: Embedding | None, *, within: Sequence[Scope]) -> Added:
        """Store a draft, unless a live memory of its fingerprint is there, under its key or, if it has none, any: `already_known`.

        A live memory of the same key, and those that the draft supersedes (looked for `within` these scopes), end here. But of
        two values of a key that both came with a date (`occurred_at` or `valid_from`) the later dated is the current one: one
        told late is stored as past, true until the next began. Without an embedding a note for the tier "embed" goes along.

        Raises:
            MemoryNotFoundError: A superseded id is not a live memory of those scopes.
            ConflictError: The idempotency key was used for another request.
        """

    async def add_many(self, drafts: Sequence[Draft]) -> list[Added]:
        """Store drafts without vectors, each as `add` does, as one operation `import`; its number stands in every `Added` that is new.

        All are of one scope and provenance, supersede nothing by id, and no two have the same fingerprint or key. One that was
        carried here before under its key, with its text and its `created`, is known, whatever became of it but the trash.
        """

    async def revise(self, scopes: Sequence[Scope], memory_id: UUID, changes: Changes, actor: Provenance, now: datetime) -> Operation:
        """Change a live memory in place; its past form becomes a version.

        Raises:
            MemoryNotFoundError: No live memory of that id in the scopes.
            ConflictError: A live memory of the scope has the new text already.
        """

    async def forget(self, scopes: Sequence[Scope], ids: Sequence[UUID], actor: Provenance, now: datetime) -> Operation:
        """Take memories out of every answer, keeping them for `undo`; all of them or none.

        Raises:
            MemoryNotFoundError: One of the ids is not a live memory of one of the scopes.
        """

    async def undo(self, scope: Scope, operation: int | None, actor: Provenance, now: datetime, *, count: int = 1) -> list[Operation]:
        """Reverse an operation of the scope; None: the `count` newest not undone ones of the actor's client and user, all or none.

        What an operation made is forgotten, what it changed gets its former form back; what was erased since stays away.
        The imports of a scope by one agent count as one operation, whichever of them is named; what was changed since is left as
        it is by undoing them.

        Returns:
            The operations that did it, the newest of what was undone first.

        Raises:
            RequestError: There is no such operation, or too few; or it is undone already, or nothing is left of what it changed.
            ConflictError: A later operation changed the same memories; its id is named.
        """

    async def get_many(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> list[Memory]:
        """The memories of these ids that are in the scopes and not forgotten, in the order asked for."""

    async def newest(
        self, scopes: Sequence[Scope], where: Filter, *, limit: int, after: tuple[datetime, UUID] | None = None
    ) -> list[Memory]:
        """Live memories, newest `when` first, equal ones by id.

        Args:
            after: `when` and id of the one before the first, which need not be there any more.
        """

    async def history(self, scopes: Sequence[Scope], memory_id: UUID) -> list[Version]:
        """The past forms of a memory, oldest first; empty if it never changed."""

    async def replaced(self, scopes: Sequence[Scope], memory_id: UUID, *, limit: int) -> list[Version]:
        """What a memory took the place of, directly or through others: the newest `limit`, the earliest ended first; none forgotten."""

    async def as_of(
        self, scopes: Sequence[Scope], where: Filter, moment: datetime, vector: Matrix | None, words: str, *, limit: int
    ) -> list[tuple[Memory, float]]:
        """What was true at `moment`, in the form it then had, closest first, with a score in [0, 1]."""

    async def count_uses(self, tenant: str, times: Mapping[UUID, int], now: datetime) -> None:
        """Note how many times these memories of the tenant were an answer; moves no revision."""

    async def counts(self, tenant: str, namespaces: Collection[str] | None = None) -> StoreCounts:
        """How much of what there is, in these namespaces; None: in all of the tenant's."""

    async def check(self) -> list[str]:
        """Every fault a full look at the store finds, in sentences; empty when it is healthy."""


class OperationLog(Protocol):
    """The append-only log of changes and refused calls, each entry hashed together with the one before it."""

    async def entries(self, tenant: str, numbers: Collection[int]) -> dict[int, Operation]:
        """The entries of these numbers that are the tenant's."""

    async def operations(self, tenant: str, *, limit: int, before: int | None = None, where: LogFilter = EVERY_ENTRY) -> list[Operation]:
        """Entries, newest first."""

    async def record(self, tenant: str, action: str, actor: Provenance, now: datetime, details: Mapping[str, Any]) -> Operation:
        """Add an entry on something that changes no memory, be it that somebody was refused.

        Args:
            tenant: `SERVER` where it concerns none.
            details: Names and numbers, small; never a text of a memory.
        """

    async def prune(self, tenant: str, before: datetime, actor: Provenance, now: datetime) -> int:
        """Take away entries of a tenant from before then, but for those that `undo` may still need; how many.

        The chain still verifies: an entry is added that vouches for the gaps. What is younger than a day stays in any case.
        """

    async def chains(self, wanted: int = 0) -> list[Chain]:
        """Follow every log there is from end to end: one, or one for each tenant.

        Args:
            wanted: A number of an entry whose hash is to be told.
        """

    async def verify_chain(self) -> int | None:
        """The first entry that does not follow from the one before it; None when all do."""


class Outbox(Protocol):
    """What is still to be carried to a derived tier, claimed under a lease."""

    async def claim(self, tier: str, *, limit: int, lease_seconds: float) -> list[Note]:
        """Due notes, oldest first, that nobody else gets until the lease ends."""

    async def settle(self, notes: Sequence[Note]) -> None:
        """The notes are carried out: drop them."""

    async def postpone(self, notes: Sequence[Note], delay_seconds: float) -> None:
        """The notes failed: give them back, due after the delay, with one more attempt counted."""

    async def notes(self) -> Mapping[str, int]:
        """How many notes wait for each tier, of all tenants, those under a lease among them; a tier without any is left out."""

    async def keep_tiers(self, tiers: Collection[str]) -> None:
        """Drop the notes of all tiers but these, "embed" and "mentions": nobody will carry them."""


class Origin(Protocol):
    """What a derived tier that outlives the process has to know about the record store that it was filled from."""

    async def identity(self) -> str:
        """Names this store, and its one course of revisions: another name in another store, and after a restore."""

    async def active_epoch(self) -> str | None:
        """The epoch that new vectors are made in; None before the first."""

    async def tenants(self) -> list[str]:
        """Every tenant that ever wrote."""


QUESTIONS_KEPT = 1_000
"""Of each scope, those asked last."""


class Experience(Protocol):
    """What became of memories in use, and what was asked: beside the memories, entering no log."""

    async def report(self, scopes: Sequence[Scope], memory_id: UUID, *, good: bool, seconds: float | None, now: datetime) -> Tally:
        """Count one more outcome of a memory; all that were told, then. It moves the scope's revision, for answers tell of outcomes.

        Args:
            seconds: How long it took, for a good one; None: not told.

        Raises:
            MemoryNotFoundError: There is no such memory in the scopes, or it is forgotten.
        """

    async def tallies(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> dict[UUID, Tally]:
        """Of those memories in the scopes of which an outcome was ever told."""

    async def count_questions(self, scope: Scope, asked: Sequence[Asked]) -> None:
        """Add to what was asked; the scope's `QUESTIONS_KEPT` latest are kept. A scope never written to keeps none."""

    async def questions(self, scopes: Sequence[Scope], since: datetime) -> list[Asked]:
        """What was asked since then, the latest first, each text once."""
