"""How sure an answer is: for each memory a score that means the same in every store and for every model. Pure.

A cosine alone says little: models spread theirs differently, and of many unrelated memories the best looks better than
of few. So a similarity is measured from what unrelated questions score in the same store (`probes`, against a sample of
it; with few memories drawn towards what the model gives unrelated texts), in the model's own distance between unrelated
and related texts. From that is taken what chance gives: the closest of n unrelated memories is expected some
sqrt(2 ln n) deviations above their mean. Together with the share of the question's words that stand in the memory this
goes through a logistic function.

Fitted by ridge regression on the best hit of each question, half of them about what was stored, half about other
subjects, each store counting alike: chats, code and notes, of 5 to 12,000 memories. At 0.5 a best hit is as frequent in
one half as in the other. The deviation in the single store was tried instead of a constant one, and other models, made
by squeezing or roughening the vectors, then kept the threshold less well.

Source:
    Scores against what chance gives: Arampatzis & Kamps, "A Signal-to-Noise Approach to Score Normalization", CIKM 2009.
    Logistic calibration: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    Largest of n: Cramér, "Mathematical Methods of Statistics", 1946, section 28.6.
"""

import math
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix, Verdict

Scores = NDArray[np.float64]

PRIOR_ROWS = 30
"""As how many memories the model's own figures count."""

ABOVE, CHANCE, COVERAGE, OFFSET = 8.91, 1.75, 8.13, -2.20
"""Log odds for: as much above unrelated as related texts are; one of the deviations that chance gives, taken off; all the
question's words present; and to begin with."""
WORDS_COVERAGE, WORDS_CHANCE, WORDS_OFFSET = 13.5, 1.38, 0.11
"""Likewise where there is no vector."""

LEAST_SCALE = 0.01
"""A model whose questions and answers are closer to others than this cannot tell them apart."""

STRONG, WEAK = 0.9, 0.35
"""Lowest best score for which an answer is called so."""


@dataclass(frozen=True, slots=True)
class ModelScale:
    """Mean cosine a model gives unrelated texts, and a question and its answer."""

    unrelated: float
    related: float


MINILM = ModelScale(unrelated=0.0401, related=0.5370)
"""all-MiniLM-L6-v2, by `model_scale`."""


@dataclass(frozen=True, slots=True)
class Null:
    """What unrelated questions score on average in a store of n memories."""

    mean: float
    n: int

    @property
    def chance(self) -> float:
        """Deviations above the mean at which the closest of n unrelated memories is expected."""
        return math.sqrt(2 * math.log(max(self.n, 2)))


def model_scale(questions: Matrix, answers: Matrix) -> ModelScale:
    """From the (p, d) unit rows of the probes' questions and answers."""
    similarity = np.asarray(questions @ answers.T, dtype=np.float64)
    own = np.eye(len(similarity), dtype=bool)
    return ModelScale(float(similarity[~own].mean()), float(similarity[own].mean()))


def store_null(model: ModelScale, mean: float, sampled: int, n: int) -> Null:
    """What unrelated questions score in a store of n memories, drawn towards what the model gives unrelated texts.

    Args:
        mean: Cosine of the probe questions to an even sample of `sampled` memories.
    """
    return Null((sampled * mean + PRIOR_ROWS * model.unrelated) / (sampled + PRIOR_ROWS), n)


def coverage(terms: Set[object], standing: Set[object]) -> float:
    """Share of the question's terms that stand in a memory, its tags and metadata values included, in [0, 1]."""
    return len(terms & standing) / len(terms) if terms else 0.0


def relevance(similarity: Scores, covered: Scores, null: Null, model: ModelScale) -> Scores:
    """(k,) how likely each memory answers the question, in (0, 1); rises with both.

    Args:
        similarity: (k,) cosine; NaN where there is no vector.
        covered: (k,) `coverage`.
        null: Of the whole scope that was searched.
    """
    above = (similarity - null.mean) / max(model.related - model.unrelated, LEAST_SCALE)
    by_both = ABOVE * above + COVERAGE * covered - CHANCE * null.chance + OFFSET
    by_words = WORDS_COVERAGE * covered - WORDS_CHANCE * null.chance + WORDS_OFFSET
    return np.asarray(0.5 + 0.5 * np.tanh(np.where(np.isnan(similarity), by_words, by_both) / 2), dtype=np.float64)  # never overflows


def verdict(best: float | None) -> Verdict:
    """One word for an answer whose best memory has this relevance; None where there is no memory."""
    if best is None or best < WEAK:
        return "none"
    return "strong" if best >= STRONG else "weak"


def nearly(score: float) -> bool:
    """Whether a memory lies just below the line: half as likely as would do."""
    return WEAK / 2 <= score < WEAK
