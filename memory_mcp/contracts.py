"""The seams, on one page: what the use cases need of a backend, and no more. (Two more: `Graph` in `graph`, `Gate` with its tokens.)

Backends match these protocols by shape. Any method may raise `TierUnavailableError`, and may then be
repeated; whatever a method is asked twice has the same effect as once. Every method stays inside the
scopes it is given: they are a condition of the search, never a sieve for its results.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

from memory_mcp.models import (
    Added,
    Asked,
    Changed,
    Changes,
    Delta,
    Draft,
    Embedding,
    Filter,
    Hit,
    Matrix,
    Memory,
    Note,
    Operation,
    Points,
    Provenance,
    Scope,
    StoreCounts,
    Tally,
    Version,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Clock = Callable[[], datetime]
"""Wall time, aware, UTC: a stamp, never an order (rule R18)."""


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

        Returns:
            The operations that did it, the newest of what was undone first.

        Raises:
            RequestError: There is no such operation, or too few; or it is undone already, or nothing is left of what it changed.
            ConflictError: A later operation changed the same memories; its id is named.
        """

    async def get_many(self, scopes: Sequence[Scope], ids: Sequence[UUID]) -> list[Memory]:
        """The memories of these ids that are in the scopes and not forgotten, in the order asked for."""

    async def newest(self, scopes: Sequence[Scope], where: Filter, *, limit: int, offset: int = 0) -> list[Memory]:
        """Live memories, newest `when` first, equal ones by id."""

    async def history(self, scopes: Sequence[Scope], memory_id: UUID) -> list[Version]:
        """The past forms of a memory, oldest first; empty if it never changed."""

    async def replaced(self, scopes: Sequence[Scope], memory_id: UUID, *, limit: int) -> list[Version]:
        """What a memory took the place of, directly or through others: the newest `limit`, the earliest ended first; none forgotten."""

    async def as_of(
        self, scopes: Sequence[Scope], where: Filter, moment: datetime, vector: Matrix | None, words: str, *, limit: int
    ) -> list[tuple[Memory, float]]:
        """What was true at `moment`, in the form it then had, closest first, with a score in [0, 1]."""

    async def count_uses(self, tenant: str, ids: Sequence[UUID], now: datetime) -> None:
        """Note that these memories of the tenant were an answer; moves no revision."""

    async def counts(self, tenant: str, namespaces: Collection[str] | None = None) -> StoreCounts:
        """How much of what there is, in these namespaces; None: in all of the tenant's."""

    async def check(self) -> list[str]:
        """Every fault a full look at the store finds, in sentences; empty when it is healthy."""


class TextIndex(Protocol):
    """Full text over the live memories, as durable and as fresh as the records themselves."""

    async def search_text(self, scopes: Sequence[Scope], text: str, where: Filter, *, limit: int) -> list[Hit]:
        """The best matches for any words of free text, best first, equal ones by id. Never a syntax error."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """How similar some vectors are to k memories that were named, and to others.

    Attributes:
        similarity: (k, q) cosine to the closest passage, NaN where a memory has no vector of the epoch.
        passage: (k,) the number of the passage that is closest to the first vector; 0 where there is none.
        sample: (s, q) of about a thousand passages of the scope, evenly taken, or of all if they are fewer.
    """

    similarity: "NDArray[np.float32]"
    passage: "NDArray[np.intp]"
    sample: "NDArray[np.float32]"


class VectorSource(Protocol):
    """Where vectors are durable, and derived indexes fill themselves from."""

    async def vector_changes(self, scope: Scope, since: int, epoch: str, *, limit: int | None = None) -> Delta:
        """What an index that holds the scope as of revision `since` has to change; 0: everything.

        Args:
            limit: About how many changed memories to tell of, at least 1: those that changed first, and with the last
                of them every other one of the same revision. `Delta.revision` is then that revision, and an index that
                has carried the delta out may ask on from there. None, or enough: all, and the scope's present revision.
        """

    async def changed(self, scope: Scope, since: int) -> Changed:
        """Likewise what an index of texts has to change."""

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
        """The similarity of (q, d) vectors to memories; without a sample, which would have to be read."""

    async def adopt_epoch(self, epoch: str) -> int:
        """Make `epoch` the one to embed with: every live memory without such a vector is noted for "embed".

        Returns:
            How many were newly noted.
        """

    async def settle_embeddings(self, notes: Sequence[Note], embeddings: Sequence[Embedding | None]) -> None:
        """Store the vectors that were owed and drop their notes; None: the memory is no longer there."""

    async def contents(self, notes: Sequence[Note]) -> list[str | None]:
        """The present text of each noted memory; None where it is no longer live."""


class Origin(Protocol):
    """What a derived tier that outlives the process has to know about the record store that it was filled from."""

    async def identity(self) -> str:
        """Names this store, and its one course of revisions: another name in another store, and after a restore."""

    async def active_epoch(self) -> str | None:
        """The epoch that new vectors are made in; None before the first."""

    async def tenants(self) -> list[str]:
        """Every tenant that ever wrote."""


class Outbox(Protocol):
    """What is still to be carried to a derived tier, claimed under a lease."""

    async def claim(self, tier: str, *, limit: int, lease_seconds: float) -> list[Note]:
        """Due notes, oldest first, that nobody else gets until the lease ends."""

    async def settle(self, notes: Sequence[Note]) -> None:
        """The notes are carried out: drop them."""

    async def postpone(self, notes: Sequence[Note], delay_seconds: float) -> None:
        """The notes failed: give them back, due after the delay, with one more attempt counted."""

    async def keep_tiers(self, tiers: Collection[str]) -> None:
        """Drop the notes of all tiers but these, "embed" and "mentions": nobody will carry them."""


class OperationLog(Protocol):
    """The append-only log of changes, each entry hashed together with the one before it."""

    async def operations(self, tenant: str, *, limit: int, before: int | None = None) -> list[Operation]:
        """Entries, newest first."""

    async def verify_chain(self) -> int | None:
        """The first entry that does not follow from the one before it; None when all do."""


QUESTIONS_KEPT = 1_000
"""Of each scope, those asked last."""


class Experience(Protocol):
    """What became of memories in use, and what was asked: beside the memories, moving no revision and entering no log."""

    async def report(self, scopes: Sequence[Scope], memory_id: UUID, *, good: bool, seconds: float | None, now: datetime) -> Tally:
        """Count one more outcome of a memory; all that were told, then.

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


class VectorIndex(Protocol):
    """Nearest-neighbour search over embeddings: derived data, rebuildable from the record store.

    Similarity is cosine, higher is closer. Vectors are unit rows of one dimension within an epoch.
    """

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        """The revision up to which every vector of the scope is held; None if it is not held whole."""

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        """Insert memories, or replace them with all their passages."""

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        """Remove; unknown ids are nothing to worry about."""

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        """For each of (q, d) query rows the `limit` closest memories that pass the filter, closest first, equal ones by id.

        A memory is as close as its closest passage, and is found once.

        Args:
            at: The scope's revision, where the caller has just read it: an index that is level with it need not ask.

        Raises:
            ScopeNotCoveredError: Not every vector of the scope is held, so that the answer might miss some.
        """

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """The similarity of (q, d) vectors to memories, and to a sample of all; raises as `search`."""


class CarriedIndex(VectorIndex, Protocol):
    """A `VectorIndex` that outlives the process and is brought level from outside, scope by scope.

    It searches what it holds; whether that is enough, whoever asks decides by `covers`.
    """

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        """The revision of the last delta that was carried out in full; None where none was, or it cannot be told."""

    async def apply(self, scope: Scope, delta: Delta, epoch: str) -> None:
        """Carry out what changed, and only when that is durable move what `covers` tells to `delta.revision`.

        A whole delta takes the place of everything held of the scope. What was held of a memory as of a later revision
        is kept. Repeating is harmless; of a call that failed any part may be done.
        """

    async def search(
        self,
        scope: Scope,
        vectors: Matrix,
        where: Filter,
        *,
        limit: int,
        epoch: str,
        at: int | None = None,
        without: Collection[UUID] = (),
    ) -> list[list[Hit]]:
        """See `VectorIndex.search`; `without` these memories."""

    async def compare(
        self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None, *, without: Collection[UUID] = ()
    ) -> Comparison:
        """See `VectorIndex.compare`; memories in `without` are no part of the sample either."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a text index knows of k memories in view of one question, by row.

    Attributes:
        lexical: (k,) BM25 >= 0 of the question's words.
        session: (k,) code of the session, -1 where there is none.
        order: (k,) place within the session.
        session_lexical: (m,) BM25 of each session's whole text, by code.
        when: (k,) int64, microseconds since 1970 UTC of `Memory.when`.
        asking: (k,) whether the text ends with a question mark.
        dated: (k,) whether the text states a time.
        named: (k,) whether the question names a tag or a metadata value.
        importance: (k,) in [0, 1].
    """

    lexical: "NDArray[np.float64]"
    session: "NDArray[np.int64]"
    order: "NDArray[np.int64]"
    session_lexical: "NDArray[np.float64]"
    when: "NDArray[np.int64]"
    asking: "NDArray[np.bool_]"
    dated: "NDArray[np.bool_]"
    named: "NDArray[np.bool_]"
    importance: "NDArray[np.float64]"


class Look(Protocol):
    """One scope's texts in view of one question, as of one moment."""

    @property
    def rows(self) -> int:
        """How many memories there are."""

    @property
    def frequency(self) -> Mapping[str, int]:
        """In how many of them each of the question's words stands."""

    @property
    def speakers(self) -> Collection[str]:
        """The words of names in memories that speak of themselves as `I`."""

    def best(self, where: Filter, limit: int) -> list[Hit]:
        """The best matches by words that pass the filter, best first, equal ones by id."""

    def around(self, ids: Sequence[UUID], where: Filter) -> list[UUID]:
        """Memories beside these in their sessions, and of the sessions that speak most of the question; without these."""

    def circumstances(self, ids: Sequence[UUID]) -> Circumstances:
        """What is known of these memories, in this order."""


class TextReader(Protocol):
    """Texts held whole: derived data, rebuilt from the record store."""

    async def look(self, scope: Scope, query: str, at: int | None = None) -> Look:
        """The scope in view of a question, as of now; `at` as in `VectorIndex.search`."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """k memories that a search brought up, in the order of scopes and ids, with what the signals need to order them.

    Attributes:
        similarity: (k,) cosine to the question; NaN where the memory has no vector.
        passage: Of long texts, the number of the passage that is closest to the question, where that is not the first.
        related: How telling the entities are that the question names and a memory speaks of, in (0, 1]; left out where there are none.
        around: Of the same memories; `session` counts through all scopes.
        mean, deviation: Of the question's similarity to the memories of its scopes.
        unrelated: What unrelated questions score there on average, over `sampled` memories; of no use where that is 0.
        rows: How many memories were searched.
        terms: Words of the question.
        whole: Whether every search was carried out as it should be; anything else is never cached.
        degraded: In words, what an answer misses by it.
    """

    ids: tuple[UUID, ...]
    similarity: "NDArray[np.float64]"
    around: Circumstances
    mean: float
    deviation: float
    unrelated: float
    sampled: int
    rows: int
    terms: int
    passage: Mapping[UUID, int] = field(default_factory=dict)
    related: Mapping[UUID, float] = field(default_factory=dict)
    whole: bool = True
    degraded: tuple[str, ...] = ()


class RecallCache(Protocol):
    """Candidates by question. A stamp that differs is a miss, so nothing here can be stale (rule R4).

    A key is `<tenant>/<digest>`.
    """

    async def lookup(self, key: str, stamp: str) -> Candidates | None:
        """What was stored under exactly this key and stamp, if it is still there."""

    async def store(self, key: str, stamp: str, candidates: Candidates) -> None:
        """Keep it as long as there is room."""


@dataclass(frozen=True, slots=True)
class EmbedderState:
    """For people: which model, and how it is doing.

    Attributes:
        phase: loading, ready, or broken (`detail` says why and what to do).
        epoch: None until ready.
    """

    model: str
    phase: Literal["loading", "ready", "broken"]
    epoch: str | None = None
    dimension: int | None = None
    detail: str = ""
    figures: Mapping[str, float] | None = None


class Embedder(Protocol):
    """Text to unit vectors."""

    @property
    def state(self) -> EmbedderState:
        """Never waits."""

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> tuple[Matrix, str]:
        """(n, d) vectors of n texts, and their epoch; urgent ones overtake those that wait.

        Raises:
            EmbedderNotReadyError: The model is loading or broken; never waits for it.
        """
