"""What a recall gathers before it ranks: texts held whole, candidates with all that the signals need, and where these are kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from memory_mcp.models import Filter, Hit, Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a text index knows of k memories in view of one question, by row.

    Attributes:
        lexical: (k,) BM25 >= 0 of the question's words.
        standing: (k,) uint64, bit i is set where the i-th of the question's words stands in the memory or its labels.
        kinds: (k,) float64, what those of the words tell that stand there only by what is a kind of them, in nats, 0 and more.
        session: (k,) code of the session, -1 where there is none.
        order: (k,) place within the session.
        session_lexical: (m,) BM25 of each session's whole text, by code.
        when: (k,) int64, microseconds since 1970 UTC of `Memory.when`.
        asking: (k,) whether the text ends with a question mark.
        dated: (k,) whether the text states a time.
        specific: (k,) whether the memory is an utterance that names or counts something.
        named: (k,) how clearly the question names a tag or a metadata value, in [0, 1].
        importance: (k,) in [0, 1].
    """

    lexical: "NDArray[np.float64]"
    standing: "NDArray[np.uint64]"
    kinds: "NDArray[np.float64]"
    session: "NDArray[np.int64]"
    order: "NDArray[np.int64]"
    session_lexical: "NDArray[np.float64]"
    when: "NDArray[np.int64]"
    asking: "NDArray[np.bool_]"
    dated: "NDArray[np.bool_]"
    specific: "NDArray[np.bool_]"
    named: "NDArray[np.float64]"
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
        rarity: What each of the question's words tells, in nats, 0 and more (`signals.rarity`).
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
    rarity: tuple[float, ...]
    passage: Mapping[UUID, int] = field(default_factory=dict)
    related: Mapping[UUID, float] = field(default_factory=dict)
    whole: bool = True
    degraded: tuple[str, ...] = ()


class RecallCache(Protocol):
    """Candidates by question, shared by processes. A stamp that differs is a miss, so nothing here can be stale (rule R4).

    A key is `<tenant>/<digest>`.
    """

    async def lookup(self, key: str, stamp: str) -> Candidates | None:
        """What was stored under exactly this key and stamp, if it is still there.

        Raises:
            TierUnavailableError: Nobody can tell at the moment.
        """

    async def store(self, key: str, stamp: str, candidates: Candidates) -> None:
        """Keep it as long as there is room."""
