"""One order out of several searches: pure functions over arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

DEVIATION = 0.1
"""One standard deviation of cosine, rounded: of the texts of a store to a question 0.06 to 0.09, with the answers more.

It is fixed rather than taken from the candidates: these are the closest of the store, so that the larger the store
is, the less they differ, and noise among them would be magnified.
"""

WEAKEST_BEST = 2.0
"""BM25 of one word that a quarter of a store holds; a best match by words below it is none to speak of."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts, in standard deviations of the similarity in meaning; 0 switches it off.

    Attributes:
        dense: One standard deviation of similarity.
        lexical: The best match by words; others in proportion.
        attribute: A tag or metadata value that the question names.
        importance: The distance between least and most important.
    """

    dense: float = 1.0
    lexical: float = 2.5
    attribute: float = 2.0
    importance: float = 0.1


def fuse(similarity: Scores, text_score: Scores, weights: Weights) -> dict[str, Scores]:
    """Each signal's weighted part, (n,) in standard deviations; their sum orders the candidates.

    Args:
        similarity: (n,) cosine in [-1, 1], NaN where the vector search did not return the candidate: it then is
            at most that of the farthest one returned, and counted as that. Unrelated texts lie around 0.
        text_score: (n,) BM25 >= 0, NaN where full text did not return the candidate; counted as 0, which is
            what it is unless there were too many.

    Source:
        A convex sum of scaled scores beats reciprocal rank fusion: Bruch, Gai & Ingber, "An Analysis of Fusion
        Functions for Hybrid Retrieval", TOIS 2023.
    """
    return {"dense": weights.dense * _deviations(similarity), "lexical": weights.lexical * _shares(text_score)}


def _deviations(similarity: Scores) -> Scores:
    known = ~np.isnan(similarity)
    if not known.any():
        return np.zeros_like(similarity)
    return np.asarray(np.where(known, similarity, similarity[known].min(initial=1.0)) / DEVIATION)


def _shares(text_score: Scores) -> Scores:
    filled = np.nan_to_num(text_score, nan=0.0)
    return np.asarray(filled / filled.max(initial=WEAKEST_BEST))
