"""How sure an answer is: a score from 0 to 1 per memory, and one word for the whole.

The numbers were measured with MiniLM over conversations, code and notes. Of similarity plus weighted coverage, the best
memory has 0.45 to 1.0 where the answer is stored, 0.35 to 0.6 where it is stored in quite other words; for what was
never stored, 0.2 to 0.55 if the same kind of conversation is, and below 0.36 (in 97 of 100) if only other subjects are.
The first three overlap and are told apart by `strong` and `weak`; only the last is `none`.
"""

import math
from typing import Literal

Verdict = Literal["strong", "weak", "none"]

STRONG, WEAK = 0.7, 0.26
"""Lowest best score for which an answer is called so."""

COVERAGE = 0.3
"""What all of the question's words in a memory add to its similarity."""
MIDDLE, STEEPNESS = 0.47, 10.0
"""The sum that speaks as much for an answer as against it, and how fast that changes."""

WORDS_MIDDLE, WORDS_STEEPNESS = 0.6, 6.0
"""Of coverage alone: half the words are no proof, all of them nearly are."""


def relevance(similarity: float | None, coverage: float) -> float:
    """How likely a memory answers the question, in (0, 1); rises with both.

    Args:
        similarity: Cosine in [-1, 1]; None where the vector search did not see it.
        coverage: Share of the question's words that stand in the memory, in [0, 1].
    """
    if similarity is None:
        return _logistic(WORDS_STEEPNESS * (coverage - WORDS_MIDDLE))
    return _logistic(STEEPNESS * (similarity + COVERAGE * coverage - MIDDLE))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def verdict(best: float | None) -> Verdict:
    """One word for an answer whose best memory has this relevance; None where there is no memory."""
    if best is None or best < WEAK:
        return "none"
    return "strong" if best >= STRONG else "weak"
