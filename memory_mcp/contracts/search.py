"""Search by words and by vectors: what the record store answers itself, and the indexes derived from it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from memory_mcp.models import Changed, Delta, Embedding, Filter, Hit, Matrix, Note, Points, Scope

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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

    async def changed(self, scope: Scope, since: int, *, limit: int | None = None) -> Changed:
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

        Raises:
            TierError: Among others, nothing is held that a delta which is not whole could be carried out on.
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
