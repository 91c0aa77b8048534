"""How sure an answer is: a score from 0 to 1 per memory, and one word for the whole."""

import math
from typing import Literal

Verdict = Literal["strong", "weak", "none"]

STRONG, WEAK = 0.6, 0.25
"""Lowest best score for which an answer is called so."""

_MIDDLE, _STEEPNESS = 0.34, 11.0
"""Of the cosine of MiniLM between a question and its answer: unrelated pairs lie near 0.08, answers near 0.5."""
_COVERAGE_WEIGHT = 2.0


def relevance(similarity: float | None, coverage: float) -> float:
    """How likely a memory answers the question, in (0, 1).

    Args:
        similarity: Cosine in [-1, 1]; None where the vector search did not see it.
        coverage: Share of the question's words that stand in the memory, in [0, 1].
    """
    if similarity is None:  # by words alone: half the words are no proof, all of them nearly are
        return 1.0 / (1.0 + math.exp(-6.0 * (coverage - 0.55)))
    return 1.0 / (1.0 + math.exp(-_STEEPNESS * (similarity - _MIDDLE) - _COVERAGE_WEIGHT * (coverage - 0.3)))


def verdict(best: float | None) -> Verdict:
    """One word for an answer whose best memory has this relevance; None where there is no memory."""
    if best is None or best < WEAK:
        return "none"
    return "strong" if best >= STRONG else "weak"
