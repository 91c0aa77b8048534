"""What speaks for a memory as the answer to a question: one part a signal, all in one unit, added up. Pure, over arrays.

The unit is one standard deviation of the question's similarity to the memories of its store. Arrays are aligned by row:
n memories, either the whole scope or the candidates of one that is too large to be looked at whole; the figures a part
needs of the store (`Moments`) are then estimated from a sample.

Measured weights and what each is worth: see `tests/benchmarks/README.md`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from memory_mcp.config import WeightSettings

Scores = NDArray[np.floating]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bits = NDArray[np.uint64]
Rows = NDArray[np.intp]
Term = TypeVar("Term", str, int)
"""A word, or its key."""

PRIOR_DEVIATION, PRIOR_ROWS = 0.1, 30
"""Of cosine over a store (MiniLM: 0.088 to 0.12 over chats, code and notes), and as how many memories that counts."""

USUAL_TERMS = 4
"""Words of a question, stop words out, for which `WeightSettings.lexical` is meant; the noise of a sum of n grows with its root."""

SAID_BEFORE = (1.0, 0.7)
"""How much a word counts as said here that was said one place before in the session, and two places. What comes after says nothing."""

HALF_AS_NEW_DAYS = 90.0
"""In so long what newness counts falls by half."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and deviation of the similarity of a question to the memories of a store."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Pairs of rows that stand one and two places apart in a session: (p,) the earlier ones, (p,) the later ones."""

    first: tuple[Rows, Rows]
    second: tuple[Rows, Rows]


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of n memories in view of one question, by row.

    Attributes:
        similarity: (n,) cosine to the question's topic; NaN where the memory has no vector yet.
        lexical: (n,) BM25, 0 where no word matches.
        covered: (n,) share of the question's words that stands in the memory or just before it, in [0, 1] (`covered`).
        kinds: (n,) share of what the question's words tell that only a kind of them tells there, in [0, 1].
        of_an_occasion: Whether the question is about one thing that happened (`wanted.asks_of_an_occasion`).
        of_the_present: Whether the question wants what is so now (`wanted.asks_of_the_present`).
        session: (n,) code of the session, -1 where there is none.
        near: Who stands beside whom in a session (`neighbours`).
        session_lexical: (m,) BM25 of each session's whole text, by code.
        time: (n,) how well the memory's time fits what the question names, in [0, 1] (`timewords.time_preference`).
        dated: (n,) whether the question asks when, and the memory states a time (`wanted.asks_when`, `timewords.states_time`).
        asking: (n,) whether the text ends with a question mark.
        specific: (n,) whether the memory is an utterance that names or counts something (`words.names_something`).
        named: (n,) how clearly the question names a tag or a metadata value, in [0, 1].
        importance: (n,) in [0, 1].
        age_days: (n,) since the memory's time, at least 0.
        related: (n,) how telling the entities are that the question names and the memory speaks of, in [0, 1].
    """

    similarity: Scores
    lexical: Scores
    covered: Scores
    kinds: Scores
    of_an_occasion: bool
    of_the_present: bool
    session: Codes
    near: Neighbours
    session_lexical: Scores
    time: Scores
    dated: Flags
    asking: Flags
    specific: Flags
    named: Scores
    importance: Scores
    age_days: Scores
    related: Scores


def moments(similarity: Scores) -> Moments:
    """Of all, or of a sample evenly taken; the deviation of a few is drawn towards what it usually is."""
    known = similarity[~np.isnan(similarity)]
    if not len(known):
        return Moments(0.0, PRIOR_DEVIATION)
    variance = (PRIOR_ROWS * PRIOR_DEVIATION**2 + len(known) * float(known.var())) / (PRIOR_ROWS + len(known))
    return Moments(float(known.mean()), variance**0.5)


def standardise(scores: Scores, mean: float, deviation: float) -> Scores:
    """(n,) in deviations from the mean; what is unknown (NaN) is the mean."""
    return np.asarray(np.nan_to_num((scores - mean) / deviation, nan=0.0))


def lexical_evidence(bm25: Scores, terms: int) -> Scores:
    """(n,) BM25 on one scale for short and long questions.

    It is not standardised: a sum of log-odds means the same in every store, while its deviation goes towards 0 with
    the share of memories that hold a rare word, so that in a large store one such word would outweigh all else.

    Args:
        terms: Words of the question, stop words out.

    Source:
        Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.
    """
    return np.asarray(bm25 * (USUAL_TERMS / max(terms, USUAL_TERMS / 2)) ** 0.5)


def neighbours(session: Codes, order: Codes) -> Neighbours:
    """Of (n,) session codes, -1 for none, and (n,) places; next are those next in `order` among the rows given.

    For a whole scope worth keeping until it changes: sorting 100,000 rows takes longer than all the rest.
    """
    rows = np.flatnonzero(session >= 0)
    rows = rows[np.lexsort((order[rows], session[rows]))]
    return Neighbours(_apart(rows, session, 1), _apart(rows, session, 2))


def _apart(rows: Rows, session: Codes, distance: int) -> tuple[Rows, Rows]:
    earlier, later = rows[:-distance], rows[distance:]
    same = session[earlier] == session[later]
    return earlier[same], later[same]


def neighbour_scores(scores: Scores, near: Neighbours, first: float, second: float) -> Scores:
    """(n,) what the memories beside each say for it: `first` x (s(i-1) + s(i+1)) + `second` x (s(i-2) + s(i+2))."""
    given = np.zeros_like(scores)
    for (before, after), weight in ((near.first, first), (near.second, second)):
        if weight:  # a row is at most once in each column, so that plain indexing adds
            given[after] += weight * scores[before]
            given[before] += weight * scores[after]
    return given


def reply_scores(scores: Scores, near: Neighbours, asking: Flags) -> Scores:
    """(n,) the score of the memory just before in the session where that is a question, else 0."""
    before, after = near.first
    carried = np.zeros_like(scores)
    carried[after] = scores[before] * asking[before]
    return carried


def rarity(frequency: Mapping[Term, int], terms: Sequence[Term], rows: int) -> tuple[float, ...]:
    """What each of a question's words tells, in nats, in a store of so many memories.

    Args:
        frequency: In how many of them each stands; none where it is missing.
    """
    return tuple(math.log1p((rows - frequency.get(term, 0) + 0.5) / (frequency.get(term, 0) + 0.5)) for term in terms)


def covered(standing: Bits, rarities: Sequence[float], near: Neighbours) -> Scores:
    """(n,) share of what the question's words tell that stands in each memory, or was said just before it in its session.

    A turn of a conversation, or a line of notes, leaves out what the lines before it have said. BM25 adds up what matches;
    this tells whether all of it is spoken of in one place.

    Args:
        standing: (n,) bit i is set where the i-th word stands in the memory.
        rarities: What each word tells (`rarity`).
    """
    telling = np.array(rarities)
    if not telling.sum() > 0:
        return np.zeros(len(standing))
    own = ((standing[:, None] >> np.arange(len(telling), dtype=np.uint64)) & np.uint64(1)).astype(np.float64)
    said = own.copy()
    for (before, after), share in zip((near.first, near.second), SAID_BEFORE, strict=True):
        said[after] = np.maximum(said[after], share * own[before])
    return np.asarray(said @ (telling / telling.sum()))


def session_scores(session: Codes, session_lexical: Scores) -> Scores:
    """(n,) how much more the memory's session speaks of the question than sessions do on average; 0 without a session."""
    over = np.append(session_lexical - session_lexical.mean() if len(session_lexical) else session_lexical, 0.0)
    return over[session]  # -1 is the last


def score_parts(columns: Columns, weights: WeightSettings, of_store: Moments, *, terms: int) -> dict[str, Scores]:
    """Each signal's weighted part, (n,) each; their sum orders the memories. Signals that are off are left out.

    Args:
        of_store: Of the similarity in the whole scope; see `moments`.
        terms: Words of the question, stop words out.
    """
    dense = weights.dense * standardise(columns.similarity, of_store.mean, of_store.deviation)
    lexical = weights.lexical * lexical_evidence(columns.lexical, terms)
    said = dense + lexical
    coverage = weights.coverage * columns.covered
    session = weights.session * lexical_evidence(session_scores(columns.session, columns.session_lexical), terms)
    before_the_latest = columns.age_days - columns.age_days.min(initial=np.inf)
    parts = {
        "dense": dense,
        "lexical": lexical,
        "coverage": coverage,
        "kind": weights.kind * columns.kinds,
        # what happened was told once, in its own words; what somebody likes or has is told all over
        "occasion": weights.occasion * columns.of_an_occasion * (coverage + session),
        "attribute": weights.attribute * columns.named,
        "session": session,
        "neighbour": neighbour_scores(said, columns.near, weights.neighbour, weights.second_neighbour),
        "reply": weights.reply * reply_scores(said, columns.near, columns.asking),
        "time": weights.time * columns.time,
        "dated": weights.dated * columns.dated,
        "asking": -weights.asking * columns.asking,
        "specific": weights.specific * columns.specific,
        "importance": weights.importance * (columns.importance - 0.5),
        "recency": weights.recency * 0.5 ** (columns.age_days / HALF_AS_NEW_DAYS),
        "latest": weights.latest * columns.of_the_present * 0.5 ** (before_the_latest / HALF_AS_NEW_DAYS),
        "entity": weights.entity * columns.related,
    }
    off = {name for name, weight in weights if weight == 0}
    if weights.second_neighbour:
        off.discard("neighbour")
    return {name: values for name, values in parts.items() if name not in off}


def total(parts: Mapping[str, Scores], rows: int) -> Scores:
    """(n,) the sum of the parts."""
    return np.asarray(np.sum([*parts.values(), np.zeros(rows)], axis=0), dtype=np.float64)
