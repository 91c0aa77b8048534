"""What turns texts into vectors, one call at a time, and the one check every vector passes."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from memory_mcp.errors import TierError
from memory_mcp.models import Matrix


class Encoder(Protocol):
    """A loaded model. Blocks; is called from `callers` threads at a time."""

    @property
    def epoch(self) -> str:
        """`name@revision/dimension`; vectors of different epochs may not be compared."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def callers(self) -> int:
        """How many threads may call at once, and had better."""

    @property
    def run_texts(self) -> int:
        """How many texts a call is best given."""

    @property
    def run_tokens(self) -> int:
        """How many tokens, padding included, a call is best given (5 bytes counted as one)."""

    def encode(self, texts: Sequence[str]) -> Matrix:
        """(n, d) unit rows of n texts.

        Raises:
            TierUnavailableError: No text can be encoded for the moment.
            TierError: One of these texts cannot be encoded, or the model's answer is no vector.
        """

    def close(self) -> None:
        """Give back connections; the last call."""


def unit_rows(raw: NDArray[np.floating], count: int, dimension: int) -> Matrix:
    """The rows as unit vectors; a model whose answer has none is refused, whatever it gave.

    Raises:
        TierError: The shape is not (count, dimension), or a row is zero, infinite or not a number.
    """
    if raw.shape != (count, dimension):
        raise TierError("embedder", f"The embedding model gave a matrix of {raw.shape} for ({count}, {dimension}).")
    with np.errstate(over="ignore", invalid="ignore"):  # found out below
        rows = raw.astype(np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or not np.all(lengths > 1e-6):  # NaN or infinity in a row is one in its length
        raise TierError("embedder", "The embedding model gave a vector that is zero or not finite.")
    unit: Matrix = rows / lengths
    return unit
