"""How sure an answer is: for each memory a score that means the same in every store and for every model. Pure.

A cosine alone says little: models spread theirs differently, and of many unrelated memories the best looks better than
of few. So a similarity is measured from what unrelated questions score in the same store (`probes`, against a sample of
it; with few memories drawn towards what the model gives unrelated texts), in the model's own distance between unrelated
and related texts. From that is taken what chance gives: the closest of n unrelated passages is expected some
sqrt(2 ln n) deviations above their mean, and a long memory is as many passages as it has. Together with the question's
words that stand in the memory, and with the names that stand nowhere (`naming`), this goes through a logistic function.

To a model that was taught English all that is said in another language looks alike: two German texts about nothing in
common have a cosine of .31, two Korean ones of .54. So a question in another language is measured against what is not in
English by what the model gives unrelated and related texts of its language, and meaning counts only as far as it tells
these apart; for the rest the words decide.

Fitted by ridge regression on the best hit of each question, half of them about what was stored, half about other
subjects, each set and each size of store counting alike: chats, whole sessions of them, code and notes, of 5 to 700
memories (passages: to 1,000). An answer that is lost counts as two that nobody asked for. Then drawn by hand, within what
the sets cannot tell apart: names to count less, since questions in chats hold more of them than elsewhere. The deviation in
the single store was tried instead of a constant one, and other models, made by squeezing or roughening the vectors, then
kept the threshold less well.

Source:
    Scores against what chance gives: Arampatzis & Kamps, "A Signal-to-Noise Approach to Score Normalization", CIKM 2009.
    Logistic calibration: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    Largest of n: Cramér, "Mathematical Methods of Statistics", 1946, section 28.6.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix, Verdict
from memory_mcp.recall.signals import USUAL_TERMS
from memory_mcp.text.languages import ENGLISH, language_told

Scores = NDArray[np.float64]

PRIOR_ROWS = 30
"""As how many memories the model's own figures count."""

ABOVE, CHANCE, WORDS, STRANGE, OFFSET = 6.2, 1.75, 5.7, 2.5, 0.1
"""Log odds for: as much above unrelated as related texts are; one of the deviations that chance gives, taken off; all the
words of a question of `USUAL_TERMS`; all its names spoken of nowhere, taken off; and to begin with."""
ONLY_WORDS, ONLY_WORDS_CHANCE, ONLY_WORDS_OFFSET = 9.3, 1.6, 1.9
"""Likewise where there is no vector."""
MOST_TERMS = 4 * USUAL_TERMS
"""From so many words on, what counts is the share alone."""

LEAST_SCALE = 0.01
"""A model whose questions and answers are closer to others than this cannot tell them apart."""

STRONG, WEAK = 0.85, 0.3
"""Lowest best score for which an answer is called so."""


@dataclass(frozen=True, slots=True)
class ModelScale:
    """Mean cosine a model gives unrelated texts, and a question and its answer; and the deviation among the unrelated."""

    unrelated: float
    related: float
    deviation: float

    @property
    def separation(self) -> float:
        """Deviations between unrelated and related."""
        return max(self.related - self.unrelated, 0.0) / max(self.deviation, LEAST_SCALE)


Scales = Mapping[str, ModelScale]
"""By ISO 639-1 codes; that of English is for texts in English and in another language, too."""

MINILM = ModelScale(unrelated=0.0401, related=0.5370, deviation=0.0736)
MINILM_SCALES: Scales = {
    ENGLISH: MINILM,
    "de": ModelScale(0.314, 0.494, 0.071),
    "fr": ModelScale(0.423, 0.563, 0.102),
    "es": ModelScale(0.438, 0.556, 0.098),
    "it": ModelScale(0.413, 0.555, 0.112),
    "pt": ModelScale(0.404, 0.574, 0.104),
    "nl": ModelScale(0.395, 0.520, 0.086),
    "sv": ModelScale(0.359, 0.443, 0.109),
    "da": ModelScale(0.411, 0.528, 0.121),
    "fi": ModelScale(0.445, 0.475, 0.091),
    "pl": ModelScale(0.515, 0.554, 0.128),
    "cs": ModelScale(0.389, 0.519, 0.088),
    "hr": ModelScale(0.445, 0.513, 0.095),
    "ro": ModelScale(0.358, 0.499, 0.088),
    "hu": ModelScale(0.398, 0.430, 0.114),
    "tr": ModelScale(0.505, 0.560, 0.174),
    "el": ModelScale(0.712, 0.728, 0.103),
    "ru": ModelScale(0.518, 0.580, 0.092),
    "uk": ModelScale(0.587, 0.616, 0.106),
    "ar": ModelScale(0.610, 0.612, 0.097),
    "fa": ModelScale(0.710, 0.739, 0.100),
    "he": ModelScale(0.422, 0.510, 0.109),
    "hi": ModelScale(0.680, 0.736, 0.105),
    "id": ModelScale(0.408, 0.480, 0.093),
    "vi": ModelScale(0.475, 0.519, 0.103),
    "th": ModelScale(0.775, 0.775, 0.246),
    "zh": ModelScale(0.485, 0.587, 0.097),
    "ja": ModelScale(0.548, 0.605, 0.075),
    "ko": ModelScale(0.542, 0.553, 0.165),
}
"""all-MiniLM-L6-v2, by `model_scale`."""


@dataclass(frozen=True, slots=True)
class Null:
    """What unrelated questions score on average in a store of n memories."""

    mean: float
    n: int

    def chance(self, passages: Scores) -> Scores:
        """(k,) deviations above the mean at which the closest is expected of n unrelated memories, of (k,) passages each."""
        return np.asarray(np.sqrt(2 * np.log(np.maximum(self.n * passages, 2))), np.float64)


def model_scale(questions: Matrix, answers: Matrix) -> ModelScale:
    """From the (p, d) unit rows of the probes' questions and answers."""
    similarity = np.asarray(questions @ answers.T, dtype=np.float64)
    own = np.eye(len(similarity), dtype=bool)
    return ModelScale(float(similarity[~own].mean()), float(similarity[own].mean()), float(similarity[~own].std()))


def telling(scales: Scales, language: str) -> float:
    """How far a model tells texts of a language apart, in [0, 1]: 1 as well as those in English, or nobody has measured it."""
    own, english = scales.get(language), scales[ENGLISH]
    return 1.0 if own is None else min(1.0, own.separation / max(english.separation, LEAST_SCALE))


def store_null(model: ModelScale, mean: float, sampled: int, n: int) -> Null:
    """What unrelated questions score in a store of n memories, drawn towards what the model gives unrelated texts.

    Args:
        mean: Cosine of the probe questions to an even sample of `sampled` memories.
    """
    return Null((sampled * mean + PRIOR_ROWS * model.unrelated) / (sampled + PRIOR_ROWS), n)


def matched(terms: Set[object], standing: Set[object]) -> float:
    """How much it tells that these of the question's terms stand in a memory, its tags and metadata values included, in [0, 2].

    It is their share in a question of `USUAL_TERMS` words, and grows with the root of their number as chance does: the
    only word of a question is often there by accident, three words of six hardly ever.
    """
    if not terms:
        return 0.0
    return len(terms & standing) / len(terms) * math.sqrt(min(len(terms), MOST_TERMS) / USUAL_TERMS)


def relevance(
    similarity: Scores, words: Scores, null: Null, model: ModelScale, passages: Scores, strange: float = 0.0, meaning: float = 1.0
) -> Scores:
    """(k,) how likely each memory answers the question, in (0, 1); rises with similarity and words.

    Args:
        similarity: (k,) cosine; NaN where there is no vector.
        words: (k,) `matched`.
        null: Of the whole scope that was searched.
        passages: (k,) how many each memory has; the best of them was taken.
        strange: Share of the question's names that nothing here speaks of (`naming.strange`).
        meaning: How far similarity counts, in [0, 1]; with 0 only words do (`telling`). Its unit then grows with the root, half way
            from the distance between unrelated and related texts to the deviation among unrelated ones.
    """
    above = meaning**0.5 * (similarity - null.mean) / max(model.related - model.unrelated, LEAST_SCALE)
    chance = null.chance(passages)
    by_both = ABOVE * above + WORDS * words - CHANCE * chance + OFFSET
    by_words = ONLY_WORDS * words - ONLY_WORDS_CHANCE * chance + ONLY_WORDS_OFFSET
    odds = np.where(np.isnan(similarity), by_words, meaning * by_both + (1 - meaning) * by_words) - STRANGE * strange
    return np.asarray(0.5 + 0.5 * np.tanh(odds / 2), dtype=np.float64)  # never overflows


def relevance_between(
    question: str,
    texts: Sequence[str],
    similarity: Scores,
    words: Scores,
    null: Null,
    scales: Scales,
    passages: Scores,
    strange: float = 0.0,
) -> Scores:
    """(k,) `relevance` of these texts to a question, by the scale of its language where neither is in English.

    What nothing tells the language of, such as names or code, may be in the other's or in English, and is no better than both.

    Args:
        null: Of the store, for English. For another language, of which a store may hold little, it is the model's own.
    """
    scores = relevance(similarity, words, null, scales[ENGLISH], passages, strange)
    asked = language_told(question)
    if asked == ENGLISH:
        return scores
    spoken = [language_told(text) for text in texts]
    for language in {asked or one for one in spoken} & scales.keys() - {ENGLISH}:
        own = scales[language]
        foreign = relevance(similarity, words, Null(own.unrelated, null.n), own, passages, strange, telling(scales, language))
        told = np.array([asked != "" and one not in ("", ENGLISH) for one in spoken])
        perhaps = np.array([one == "" if asked else one == language for one in spoken])
        scores = np.where(told, foreign, np.where(perhaps, np.minimum(scores, foreign), scores))
    return scores


def meaning_the_same(cosine: float, scales: Scales, language: str) -> float:
    """What in a language means what a cosine means in English: it lies as far on the way from unrelated to equal texts."""
    english, own = scales[ENGLISH].unrelated, scales.get(language, scales[ENGLISH]).unrelated
    return own + (cosine - english) * (1 - own) / (1 - english)


def verdict(best: float | None) -> Verdict:
    """One word for an answer whose best memory has this relevance; None where there is no memory."""
    if best is None or best < WEAK:
        return "none"
    return "strong" if best >= STRONG else "weak"


def nearly(score: float) -> bool:
    """Whether a memory lies just below the line: half as likely as would do."""
    return WEAK / 2 <= score < WEAK
