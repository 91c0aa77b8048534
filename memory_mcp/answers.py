"""What is asked of the service and what it answers, before either has met a protocol."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from memory_mcp.knowledge.neighbourhood import Fact
from memory_mcp.knowledge.solutions import Solution
from memory_mcp.knowledge.success import Success
from memory_mcp.models import Added, Memory, Operation, Recalled, StoreCounts, Tally, Verdict
from memory_mcp.pages import NOTHING, Behind, Page, Told
from memory_mcp.text.entities import Entity, Statement


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a text: true when it is sent.

    Attributes:
        pending: In words, what is not done yet and will be done later by itself; empty when all is done.
        similar: Live memories of the namespace that say nearly the same.
        redacted: What was cut out before the text was stored, in words.
        echoes: Memories that the text only says back; nothing was stored.
        otherwise: Of a text that is known already, arguments that were given with it and that the memory does not have.
        near: Of the first memory of a namespace that was named, namespaces of a similar name, as in an `Answer`.
    """

    added: Added
    namespace: str
    similar: Sequence[Recalled] = ()
    pending: str = ""
    redacted: Sequence[str] = ()
    echoes: Sequence[UUID] = ()
    otherwise: Sequence[str] = ()
    near: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Revised:
    """How a memory was changed; `redacted` as in a `Receipt`.

    Attributes:
        memory: As it was before.
        operation: None: it was so already, and nothing was done.
    """

    memory: Memory
    operation: Operation | None
    redacted: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RecallRequest:
    """The arguments of `recall`, as given; an empty text means absent."""

    query: str = ""
    limit: int = 8
    kinds: Sequence[str] = ()
    tags: Sequence[str] = ()
    since: str = ""
    until: str = ""
    as_of: str = ""
    namespace: str = ""
    min_score: float = 0.0
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was recalled, best first.

    Attributes:
        told: Which better ones came before these; None: they are in the order of time.
        more: Whether there are worse ones after them.
        below: With `none`, how many lie just below the line.
        degraded: In words, what was missing while searching.
        empty: Whether nothing was ever stored in the namespace.
        near: With an empty one, namespaces of a similar name that hold something and are open to the caller.
        shown: What whoever passes it on has made of it, for when the same answer is given again.
    """

    hits: Sequence[Recalled]
    verdict: Verdict
    namespace: str
    told: Told | None = NOTHING
    more: bool = False
    below: int = 0
    degraded: Sequence[str] = ()
    empty: bool = False
    near: Sequence[str] = ()
    shown: dict[Hashable, object] = field(default_factory=dict, compare=False, repr=False)

    def behind(self, number: int) -> Page:
        """Where the next page begins when so many of the hits, at least one, have been shown."""
        if self.told is not None:
            return self.told.and_these(self.hits[:number])
        last = self.hits[number - 1].memory
        return Behind(last.when, last.id)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten, or with a `token` instead of an operation, what would be.

    Attributes:
        more: Whether more was meant than is forgotten at once.
    """

    namespace: str
    memories: Sequence[Memory]
    operation: Operation | None = None
    token: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """What is to be gone for good, as asked for: one of ids, a person, a namespace, or everything of the tenant."""

    ids: Sequence[str] = ()
    person: str = ""
    namespace: str = ""
    everything: bool = False


@dataclass(frozen=True, slots=True)
class ToErase:
    """What would be erased.

    Attributes:
        by_namespace: How many memories, live, superseded and forgotten ones, in each namespace.
        sample: Some of the live and superseded.
        mentions: Other memories whose text has the person's name in it; they stay, unless named by their ids.
        token: With it the same request erases; empty where nothing is meant.
    """

    by_namespace: Mapping[str, int]
    sample: Sequence[Memory]
    mentions: Sequence[Memory] = ()
    token: str = ""

    @property
    def count(self) -> int:
        """How many memories in all."""
        return sum(self.by_namespace.values())


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the memory is doing, for people and dashboards.

    Attributes:
        archived: How many of those that are counted by namespace and kind have expired or faded, and are no answer any more.
    """

    namespace: str
    counts: StoreCounts
    archived: int
    tiers: Mapping[str, Mapping[str, Any]]
    latency: Mapping[str, Mapping[str, float]]
    model: Mapping[str, Any]
    engine: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which memories a bulk `forget` means; an empty text means absent."""

    kinds: Sequence[str] = ()
    tags: Sequence[str] = ()
    before: str = ""

    def __bool__(self) -> bool:
        return bool(self.kinds or self.tags or self.before)


@dataclass(frozen=True, slots=True)
class BrowseRequest:
    """The arguments of `browse`, as given; an empty text means absent.

    Attributes:
        state: One of `states.STATES`, or `all`.
        after: See `Shelves.browse`.
    """

    state: str = "live"
    kinds: Sequence[str] = ()
    tags: Sequence[str] = ()
    since: str = ""
    until: str = ""
    namespace: str = ""
    limit: int = 20
    after: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class Browsed:
    """A page of what is kept, newest first.

    Attributes:
        more: Whether there are older ones.
    """

    memories: Sequence[Memory]
    namespace: str
    more: bool = False


@dataclass(frozen=True, slots=True)
class CarriedIn:
    """What became of the lines of an import.

    Attributes:
        known: Were there already.
        past: Were left out: superseded, forgotten or expired where they come from.
        erased: Were left out: they were erased here for good.
        operations: In each namespace the number by which all of it is undone.
    """

    stored: int = 0
    known: int = 0
    past: int = 0
    erased: int = 0
    operations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The arguments of `record_error`, as given; an empty text means absent.

    Attributes:
        error: Message, trace or both.
        solution: What helped.
        occurred_at: When it was met, and solved if it was.
    """

    error: str
    solution: str = ""
    tags: Sequence[str] = ()
    session_id: str = ""
    occurred_at: str = ""


@dataclass(frozen=True, slots=True)
class ErrorSeen:
    """What became of a reported error.

    Attributes:
        times: How often it was met, this time included.
        solutions: What was told for it before, and now.
    """

    receipt: Receipt
    times: int
    solutions: Sequence[Solution]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a memory has done so far."""

    memory: Memory
    tally: Tally
    success: Success


@dataclass(frozen=True, slots=True)
class Related:
    """What became of a stated relation: it was stored with a memory, changed there, or already known."""

    statement: Statement
    memory: UUID
    status: Literal["stored", "changed", "already_known"]
    operation: int | None = None


@dataclass(frozen=True, slots=True)
class Explored:
    """What surrounds an entity.

    Attributes:
        types: What it is said to be.
        aliases: What it is also called.
        facts: Nearest first.
        memories: That speak of it, newest first.
        others: Where it is no known entity, those whose names contain its name.
    """

    namespace: str
    name: str
    types: Sequence[str] = ()
    aliases: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    memories: Sequence[Memory] = ()
    others: Sequence[Entity] = ()
