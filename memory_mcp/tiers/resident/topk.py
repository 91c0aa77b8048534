"""The largest of many scores, exactly, for little more than one look at each."""

import numpy as np
from numpy.typing import NDArray

BLOCK_SCORES = 128
"""Scores behind one maximum: the maxima cost one vectorised read, and the opened blocks stay in cache."""


def largest(scores: NDArray[np.float32], limit: int, slack: float) -> NDArray[np.intp]:
    """Where the `limit` largest scores stand, with all that tie with the last of them or nearly do.

    Only blocks whose maximum reaches the limit-th largest maximum are opened: each of those maxima is a
    score, so no score below the least of them can be among the largest.

    Args:
        scores: (n,); -inf where a row must never be found.
        limit: At least 1; may exceed n.
        slack: A score this far below the limit-th largest is returned as well; 0 or more.

    Returns:
        Positions, ascending: at least min(limit, scores above -inf) of them, and more where scores are close.
    """
    maxima = np.maximum.reduceat(scores, np.arange(0, len(scores), BLOCK_SCORES))
    opened = np.flatnonzero(maxima >= _nth_largest(maxima, limit) - slack)
    inside: NDArray[np.intp] = (opened[:, None] * BLOCK_SCORES + np.arange(BLOCK_SCORES)).ravel()
    inside = inside[: np.searchsorted(inside, len(scores))]
    found = scores[inside]
    close = (found >= _nth_largest(found, limit) - slack) & (found > -np.inf)
    return np.compress(close, inside)


def _nth_largest(values: NDArray[np.float32], n: int) -> float:
    """The n-th largest value, counted from 1; -inf where there are not so many."""
    return float(np.partition(values, -n)[-n]) if n <= len(values) else -np.inf
