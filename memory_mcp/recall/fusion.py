"""One order out of several searches: pure functions over arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts, in standard deviations of its own; 0 switches it off."""

    dense: float = 1.0
    lexical: float = 0.3
    importance: float = 0.1


def standardised(scores: Scores) -> Scores:
    """Scores as standard deviations from their mean, so that signals of different scales can be added.

    Args:
        scores: (n,) any scale; NaN where a search did not return the candidate.

    Returns:
        (n,) with mean 0 and deviation 1 over what was returned; what was not stands as low as the lowest
        that was. All 0 where nothing was returned or all scores are equal.
    """
    known = ~np.isnan(scores)
    if not known.any():
        return np.zeros_like(scores)
    filled = np.where(known, scores, scores[known].min())
    deviation = scores[known].std()
    if deviation < 1e-9:
        return np.zeros_like(scores)
    return np.asarray((filled - scores[known].mean()) / deviation)


def fuse(similarity: Scores, text_score: Scores, weights: Weights) -> dict[str, Scores]:
    """Each signal's weighted part; their sum orders the candidates.

    Args:
        similarity: (n,) cosine in [-1, 1], NaN where the vector search did not return the candidate.
        text_score: (n,) BM25 >= 0, NaN where full text did not; counted as 0, which is what it then is.

    Source:
        Standardised score combination after Bruch, Gai & Ingber, "An Analysis of Fusion Functions for
        Hybrid Retrieval", TOIS 2023: a convex sum of scaled scores beats reciprocal rank fusion.
    """
    return {
        "dense": weights.dense * standardised(similarity),
        "lexical": weights.lexical * standardised(np.nan_to_num(text_score, nan=0.0)),
    }
