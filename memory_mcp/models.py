"""The values that travel between the rooms: frozen, without behaviour beyond what their fields say.

Standard library only (and NumPy's types), so that an index can be tested where nothing else is installed.
Times are aware datetimes in UTC; vectors are unit rows of float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from memory_mcp.access import EVERYTHING, Access, Role
from memory_mcp.audit.entries import Origin
from memory_mcp.text.entities import Statement
from memory_mcp.text.passages import BEGINNING, Passage

if TYPE_CHECKING:  # a handshake does not wait for NumPy
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    """(n, d) or (d,) float32; each row a unit vector."""

KINDS = ("fact", "event", "chat", "decision", "insight", "context", "rule", "procedure", "error")
DOMAINS = ("coding", "business", "general")
RETENTIONS = ("short_term", "long_term")
EPISODIC_KINDS = frozenset({"chat", "event"})
"""Kinds whose same words at another time are another memory."""

GLOBAL_NAMESPACE = "global"
Visibility = Literal["private", "shared"]


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """What a memory belongs to, and what no search leaves."""

    tenant: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who wrote a memory, stamped by the server; empty where unknown.

    Attributes:
        origin: For the log alone: it is not kept with memories, and makes nobody another one.
    """

    client: str = ""
    user: str = ""
    agent: str = ""
    source: str = "conversation"
    origin: Origin = field(default=Origin(), compare=False)


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory as the record store holds it.

    Attributes:
        valid_from: Since when it is true: given, else `occurred_at`, else `created_at`.
        valid_to: Until when it was true; None while it still is.
        operation: The entry of the log that made its present form.
        recalled_count: How often it was an answer; counted beside the memory, moves no revision.
        worked, failed: How often it was told to have worked or not, likewise; of an error, `failed` is how often it came again.
    """

    id: UUID
    scope: Scope
    content: str
    created_at: datetime
    updated_at: datetime
    valid_from: datetime
    kind: str = "fact"
    domain: str = "general"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    session_id: str = ""
    importance: float = 0.5
    confidence: float = 1.0
    retention: str = "long_term"
    occurred_at: datetime | None = None
    valid_to: datetime | None = None
    expires_at: datetime | None = None
    superseded_by: UUID | None = None
    forgotten_at: datetime | None = None
    provenance: Provenance = Provenance()
    recalled_count: int = 0
    last_recalled_at: datetime | None = None
    worked: int = 0
    failed: int = 0
    operation: int = field(default=0, compare=False)

    @property
    def when(self) -> datetime:
        """The time a person would give it: when it happened, else when it was stored."""
        return self.occurred_at or self.created_at


@dataclass(frozen=True, slots=True)
class Draft:
    """A memory about to be stored, checked and complete but for its vector.

    Attributes:
        fingerprint: 12 bytes that are equal for the same text (see `remember.drafts`).
        supersedes: Memories that this one replaces.
        created: When it was stored first, elsewhere; None: it is new.
        idempotency_key: Empty, or a name under which repeating the call returns the first receipt.
        request_digest: With an idempotency key 16 bytes over everything the caller gave, to tell a repetition from a clash.
    """

    id: UUID
    scope: Scope
    content: str
    fingerprint: bytes
    now: datetime
    kind: str = "fact"
    domain: str = "general"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    session_id: str = ""
    importance: float = 0.5
    confidence: float = 1.0
    retention: str = "long_term"
    occurred_at: datetime | None = None
    valid_from: datetime | None = None
    expires_at: datetime | None = None
    supersedes: tuple[UUID, ...] = ()
    provenance: Provenance = Provenance()
    created: datetime | None = None
    idempotency_key: str = ""
    request_digest: bytes = b""

    @property
    def dated(self) -> datetime | None:
        """Since when it is true, where that was told; what was carried here from elsewhere is dated by when it was stored there."""
        return self.valid_from or self.occurred_at or self.created


@dataclass(frozen=True, slots=True)
class Embedding:
    """The (p, d) vectors of a text's p passages, in their order, and the epoch (model, revision, dimension) to compare them within."""

    vectors: "Matrix"
    epoch: str


AddStatus = Literal["stored", "already_known", "superseded"]


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a draft. `superseded` means stored, in place of `replaced`.

    Attributes:
        superseded_by: Where it was stored as a past value: the current one of its key, which is dated later.
    """

    id: UUID
    status: AddStatus
    operation: int | None
    replaced: tuple[UUID, ...] = ()
    embedded: bool = False
    superseded_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What to alter in a memory; None leaves a field as it is.

    Attributes:
        lasting: Whether it is from now on kept for the long term, and expires no more.
        relations: What its metadata is to state besides, in place of what it states of the same relations.
    """

    content: str | None = None
    fingerprint: bytes | None = None
    tags: tuple[str, ...] | None = None
    metadata: Mapping[str, Any] | None = None
    importance: float | None = None
    expires_at: datetime | None = None
    embedding: Embedding | None = None
    lasting: bool = False
    relations: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """What a candidate must satisfy; applied before the closest are chosen, in every tier.

    Attributes:
        kinds: Any of these; empty: any kind.
        domains: Any of these; empty: any domain.
        tags: All of these.
        since: Happened (`Memory.when`) at this time or later.
        until: Happened before this time.
        now: What expired at or before this time is out; None: nothing is.
    """

    kinds: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A candidate. Higher is closer; cosine in [-1, 1] from an index, BM25 >= 0 from full text.

    Attributes:
        passage: The number of the text's passage that is closest, from 0; see `passages`.
    """

    id: UUID
    score: float
    passage: int = 0


@dataclass(frozen=True, slots=True)
class Points:
    """n indexed passages, by columns; those of one memory have its id and stand in the order of the text.

    Attributes:
        vectors: (n, d) float32 unit rows.
        when: (n,) int64, microseconds since 1970 UTC of `Memory.when`.
        expires: (n,) int64, microseconds since 1970 UTC; `NEVER` where it does not expire.
    """

    ids: Sequence[UUID]
    vectors: "Matrix"
    kinds: Sequence[str]
    domains: Sequence[str]
    tags: Sequence[tuple[str, ...]]
    when: "NDArray[np.int64]"
    expires: "NDArray[np.int64]"

    def __len__(self) -> int:
        return len(self.ids)


NEVER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Delta:
    """How a scope's vectors changed since a revision, up to `revision`.

    Attributes:
        whole: True where `points` is everything and what is not in it is gone.
    """

    points: Points
    removed: Sequence[UUID]
    revision: int
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """How a scope's live memories changed since a revision, up to `revision`; `whole` as in a `Delta`."""

    memories: Sequence[Memory]
    removed: Sequence[UUID]
    revision: int
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """A past form of a memory; `replaced_at` is when it ceased to be the present one.

    Or, with `n` 0, another memory that one took the place of; `replaced_at` is then until when it was true.
    """

    n: int
    memory: Memory
    replaced_at: datetime
    operation: int


@dataclass(frozen=True, slots=True)
class Operation:
    """An entry of the log: who did what when, to which memories, never their text; numbered from 1.

    Attributes:
        scope: Its namespace is empty where no single one is concerned.
        details: What else there is to say, in names and numbers.
    """

    number: int
    scope: Scope
    at: datetime
    action: str
    subjects: tuple[UUID, ...]
    actor: Provenance
    undoes: int | None = None
    undone_by: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Denied:
    """A call that was refused, for the log.

    Attributes:
        what: The tool, or what else was asked for.
        why: In a word or two, the same for the same reason.
        namespace: That was asked for, if it is the reason.
    """

    tenant: str
    actor: Provenance
    what: str
    why: str
    namespace: str = ""


EraseAction = Literal["erase", "purge"]
"""What took a memory away for good: somebody's wish, or the end of its time in the trash."""


@dataclass(frozen=True, slots=True)
class Meant:
    """Which memories are to be gone for good, whether live, superseded or forgotten: all that is given holds of each.

    Attributes:
        person: Written by this user, or with this name as a value of the metadata (`speaker` and the like), now or earlier.
        everything: The whole tenant; without it something else has to be given.
    """

    ids: tuple[UUID, ...] = ()
    person: str = ""
    namespace: str = ""
    forgotten_before: datetime | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A claimed entry of the outbox: this memory is to be carried to that tier."""

    number: int
    tier: str
    scope: Scope
    memory_id: UUID
    attempts: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of a memory each time it was put to use; of an error, `bad` is how often it came again.

    Attributes:
        seconds: What the `timed` ones of the good ones took, together.
        last: When the latest outcome was told; None before the first.
    """

    good: int = 0
    bad: int = 0
    seconds: float = 0.0
    timed: int = 0
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was asked `times`, and how often nothing was found; `last` is when it was asked latest."""

    text: str
    times: int
    unanswered: int
    last: datetime


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What a record store holds for a tenant.

    Attributes:
        by_namespace, by_kind: Memories that are neither forgotten nor superseded, those that have expired among them.
        unembedded: Those whose vectors are still to be made.
    """

    by_namespace: Mapping[str, int]
    by_kind: Mapping[str, int]
    forgotten: int
    superseded: int
    unembedded: int
    operations: int
    bytes_on_disk: int


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a call is made: tenant and default namespace, who to stamp on what is written, and what is allowed.

    Attributes:
        visibility: What memories are where nothing is said: `private` to who stored them, or `shared` with their namespace.
        visibility_role: The least role that may say so with each memory.
        most_memories: As many as the tenant may have; 0: as many as there is room for.
    """

    tenant: str
    namespace: str
    provenance: Provenance = Provenance()
    access: Access = EVERYTHING
    visibility: Visibility = "shared"
    visibility_role: Role = Role.WRITER
    most_memories: int = 0


Verdict = Literal["strong", "weak", "none"]
"""How sure a whole answer is."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory as an answer.

    Attributes:
        score: How likely it answers the question, in [0, 1].
        parts: What each signal added to its place, for `explain`.
        alike: Memories further down that say the same; this one stands for them.
        passage: The part of the text that answers best; its beginning where nobody has looked.
    """

    memory: Memory
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)
    alike: tuple[UUID, ...] = ()
    passage: Passage = BEGINNING


def __getattr__(name: str) -> Any:
    """`Matrix` for those who import it at run time, by when NumPy is theirs to load (PEP 562)."""
    if name != "Matrix":
        raise AttributeError(name)
    import numpy  # noqa: PLC0415
    import numpy.typing  # noqa: PLC0415

    return numpy.typing.NDArray[numpy.float32]
