"""Where the next page of an answer begins, whatever was written or forgotten since the one before. Pure.

In the order of time a page begins behind a memory, be that there or gone. A ranking has no such places, since every write
may move all of it: there a page is what the ranking now holds and earlier pages have not told.
"""

import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

from memory_mcp.models import Recalled

KEPT = 200
"""So many of the hits told last are known again by themselves, those before them by their number alone."""
MARK_LENGTH = 3
_DIGITS = string.ascii_letters + string.digits + "-_"


class Behind(NamedTuple):
    """In the order of time, newest first and equal ones by id: behind the memory that has, or had, these."""

    when: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Told:
    """What earlier pages have told of a ranking.

    Attributes:
        earlier: How many hits before those with marks.
        marks: Of the last `KEPT` hits at most, one behind the other, in their order (`mark`).
    """

    earlier: int = 0
    marks: str = ""

    @property
    def count(self) -> int:
        """How many hits."""
        return self.earlier + len(self.marks) // MARK_LENGTH

    def rest(self, ranking: Iterable[Recalled]) -> list[Recalled]:
        """Those that are not told yet, nor say the same as one that is.

        A mark is used up by the first hit that has it. So where nothing has changed two that share one do no harm: each is
        met by the very hit it was made of. Where something has, a hit may be taken for one that is gone or has moved down
        behind it, for each of these by a chance of 1 in 262,144.
        """
        marks = Counter(self.marks[start : start + MARK_LENGTH] for start in range(0, len(self.marks), MARK_LENGTH))
        earlier, rest = self.earlier, list[Recalled]()
        for hit in ranking:
            known = next((each for each in map(mark, (hit.memory.id, *hit.alike)) if marks[each]), None) if marks else None
            if known is not None:
                marks[known] -= 1
            elif earlier:
                earlier -= 1
            else:
                rest.append(hit)
        return rest

    def and_these(self, shown: Iterable[Recalled]) -> "Told":
        """What has been told when these have been, too."""
        marks = self.marks + "".join(mark(hit.memory.id) for hit in shown)
        kept = marks[-KEPT * MARK_LENGTH :]
        return Told(self.earlier + (len(marks) - len(kept)) // MARK_LENGTH, kept)


Page = Told | Behind
NOTHING = Told()
"""Before the first page."""


def mark(memory_id: UUID) -> str:
    """By which a hit is known again: `MARK_LENGTH` of 64 letters, the same for one in 262,144 others."""
    number = crc32(memory_id.bytes)
    return "".join(_DIGITS[number >> 6 * place & 63] for place in range(MARK_LENGTH))
