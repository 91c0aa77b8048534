"""Which solution to try first: how alike its problem is, times what it achieves at the least. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from memory_mcp.knowledge.success import Success, success
from memory_mcp.models import Memory, Tally

ERROR_MARK = "error:"
"""A tag that begins so names the error that a memory reports, or solves."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Something that may help.

    Attributes:
        likeness: How likely it is for this problem, in [0, 1].
        same: Whether it was told as the solution of this very error.
    """

    memory: Memory
    likeness: float
    same: bool
    tally: Tally
    success: Success

    @property
    def seconds(self) -> float | None:
        """How long it takes on average; None where nobody told."""
        return self.tally.seconds / self.tally.timed if self.tally.timed else None


def ranked_solutions(found: Iterable[tuple[Memory, float, bool]], tallies: Mapping[UUID, Tally]) -> list[Solution]:
    """Best first, each memory once at its greatest likeness; of equal ones the quicker, then the newer.

    Args:
        found: Memories, how likely each is for the problem, and whether it was told for this very error.
    """
    best: dict[UUID, tuple[Memory, float, bool]] = {}
    for memory, likeness, same in found:
        before = best.get(memory.id)
        if before is None or (same, likeness) > (before[2], before[1]):
            best[memory.id] = memory, likeness, same
    solutions = []
    for memory, likeness, same in best.values():
        tally = tallies.get(memory.id, Tally())
        solutions.append(Solution(memory, likeness, same, tally, success(tally)))
    return sorted(solutions, key=_place)


def _place(solution: Solution) -> tuple[float, float, float]:
    seconds = float("inf") if solution.seconds is None else solution.seconds
    return -round(solution.likeness * solution.success.least, 6), seconds, -solution.memory.when.timestamp()


def error_mark(memory: Memory) -> str:
    """The tag that names the error a memory reports or solves; empty where there is none."""
    return mark_among(memory.tags)


def mark_among(tags: Iterable[str]) -> str:
    """The tag that names an error, among these; empty where there is none."""
    return next((tag for tag in tags if tag.startswith(ERROR_MARK)), "")


def solved_marks(told: Iterable[Memory], tallies: Mapping[UUID, Tally]) -> set[str]:
    """The errors that something was told for which has not only failed."""
    failed = {memory_id for memory_id, tally in tallies.items() if tally.bad and not tally.good}
    return {error_mark(memory) for memory in told if memory.id not in failed} - {""}
