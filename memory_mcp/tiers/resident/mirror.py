"""What a block needs of a copy of its rows: it proposes, the block decides."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix

Proposed = Sequence[NDArray[np.intp] | None]
"""For each query the slots of its candidates, in any order; None for one that has to be looked for without this copy."""


class Proposer(Protocol):
    """The rows of one block, by slot, in less precision or in another memory."""

    def propose(self, passing: NDArray[np.bool_], survivors: int, queries: Matrix, limit: int) -> Proposed | None:
        """A superset of the `limit` closest rows for each of (q, d) queries.

        Each is one of the passing slots, and every passing row is among them that has one of the `limit` best float32
        dot products, however they are summed, those that tie with the last included. None: nothing can be said.

        Args:
            passing: (n,) which of the first n slots may be found; the same object only for the same slots.
            survivors: How many of them there are, at least 1.
            limit: At least 1.
        """


class Mirror(Proposer, Protocol):
    """A copy on another device.

    It never raises: what fails on the way makes it answer None, and the block reads its own rows.
    """

    def reserve(self, rows: int) -> None:
        """Make room for this many slots."""

    def put(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
        """Copy (n, d) rows into their slots now."""

    def note(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
        """Remember to do so before the next search: quick, so that a write waits for no device."""
