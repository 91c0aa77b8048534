"""What a namespace has come to: what grew, what keeps failing, what was decided without an outcome, what nobody could answer. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from uuid import UUID

from memory_mcp.knowledge.solutions import error_mark, solved_marks
from memory_mcp.models import Asked, Memory, Tally

CONFIDENCE = "confidence"
"""Metadata of a decision: how sure whoever took it was, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of decisions with a stated confidence and an outcome.

    Attributes:
        stated: The mean confidence.
        worked: The share that worked.
        brier: The mean squared distance of confidence and outcome: 0 is perfect, 0.25 is what a constant half gets.

    Source:
        Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78, 1950.
    """

    decisions: int
    stated: float
    worked: float
    brier: float


@dataclass(frozen=True, slots=True)
class Insights:
    """What is worth knowing of a namespace and a period, each list the most telling first.

    Attributes:
        grew: New memories by kind.
        recurring: Errors that came again, and how often they were seen in all.
        unsolved: Errors without a solution that has not only failed.
        undecided: Decisions without an outcome.
        unused_rules: Rules that were no answer yet.
        most_recalled: What was an answer most often.
        frequent: Questions asked more than once.
        unanswered: Questions that found nothing each time.
    """

    grew: Mapping[str, int]
    recurring: Sequence[tuple[Memory, int]]
    unsolved: Sequence[Memory]
    undecided: Sequence[Memory]
    calibration: Calibration | None
    unused_rules: Sequence[Memory]
    most_recalled: Sequence[Memory]
    frequent: Sequence[Asked]
    unanswered: Sequence[Asked]


def insights(memories: Sequence[Memory], tallies: Mapping[UUID, Tally], asked: Sequence[Asked], since: datetime) -> Insights:
    """Of live memories, whatever their age, what has become of them, and what was asked since.

    Args:
        memories: Newest first.
        since: When the period began, for `grew`.
    """
    errors = [memory for memory in memories if memory.kind == "error"]
    decisions = [memory for memory in memories if memory.kind == "decision"]
    again = [(memory, 1 + tallies[memory.id].bad) for memory in errors if memory.id in tallies and tallies[memory.id].bad]
    solved = solved_marks((memory for memory in memories if memory.kind == "procedure"), tallies)
    return Insights(
        grew=dict(Counter(memory.kind for memory in memories if memory.created_at >= since).most_common()),
        recurring=sorted(again, key=lambda pair: -pair[1]),
        unsolved=[memory for memory in errors if error_mark(memory) and error_mark(memory) not in solved],
        undecided=[memory for memory in decisions if memory.id not in tallies],
        calibration=calibration(decisions, tallies),
        unused_rules=[memory for memory in memories if memory.kind == "rule" and not memory.recalled_count],
        most_recalled=sorted((memory for memory in memories if memory.recalled_count), key=lambda memory: -memory.recalled_count),
        frequent=sorted((one for one in asked if one.times > 1), key=lambda one: -one.times),
        unanswered=sorted((one for one in asked if one.unanswered == one.times), key=lambda one: -one.times),
    )


def calibration(decisions: Sequence[Memory], tallies: Mapping[UUID, Tally]) -> Calibration | None:
    """How stated confidence and outcomes agree; None while there is nothing to compare. Of several outcomes their share counts."""
    pairs = []
    for memory in decisions:
        stated, tally = memory.metadata.get(CONFIDENCE), tallies.get(memory.id)
        if tally is not None and isinstance(stated, (int, float)) and not isinstance(stated, bool) and 0 <= stated <= 1:
            pairs.append((float(stated), tally.good / (tally.good + tally.bad)))
    if not pairs:
        return None
    stated, worked = [said for said, _ in pairs], [share for _, share in pairs]
    return Calibration(len(pairs), fmean(stated), fmean(worked), fmean((said - share) ** 2 for said, share in pairs))
