"""How the entries of a log hang together: each is hashed with the one before it. Pure.

    entry 1 ── entry 2 ── gap 3..7 ── entry 8 ── entry 9 (says: I vouch for the gap 3..7)

What was pruned leaves a gap: its numbers, and the hash of its last entry, from which the chain goes on. A later entry
vouches for all gaps there are, so that nobody can make one beside it.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

HASH_BYTES = 20
VOUCHES = "vouches"
"""In the details of an entry: the digest of all gaps there were when it was written."""


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Entries that are gone, `first` to `last`; `hash` is that of the last."""

    first: int
    last: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Chain:
    """What following a log from its first entry to its last has shown.

    Attributes:
        tenant: Whose it is; empty: one log holds everybody's.
        entries: How many there are, without those that were pruned.
        newest: The number of the newest, and `hash` its hash in hex: whoever keeps the two elsewhere can tell later whether the
            log was cut short or made anew.
        broken: The first entry that does not follow from what is before it; None when all do.
        why: What is wrong with it.
        asked: The hash of the number that was asked for, in hex; empty where it is not known (any more).
    """

    tenant: str
    entries: int = 0
    newest: int = 0
    hash: str = ""
    broken: int | None = None
    why: str = ""
    asked: str = ""


def entry_hash(entry: Sequence[Any], previous: bytes) -> bytes:
    """20 bytes over one entry of a log and the hash of the one before it; bytes count as their hex."""
    plain = [value.hex() if isinstance(value, bytes) else value for value in entry]
    told = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(previous + told.encode(), digest_size=HASH_BYTES).digest()


def joined(gaps: Iterable[Gap]) -> list[Gap]:
    """The same numbers in as few gaps as they make, in order; no number is in two of them."""
    found: list[Gap] = []
    for gap in sorted(gaps):
        if found and found[-1].last + 1 == gap.first:
            found[-1] = Gap(found[-1].first, gap.last, gap.hash)
        else:
            found.append(gap)
    return found


def vouched(gaps: Iterable[Gap]) -> str:
    """The digest by which an entry vouches for gaps, in hex; empty where there are none."""
    told = [[gap.first, gap.last, gap.hash.hex()] for gap in sorted(gaps)]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=HASH_BYTES).hexdigest() if told else ""


class Walk:
    """Follows a log, entry by entry.

    Args:
        gaps: Those that the store knows of.
        wanted: A number whose hash is asked for; 0: none.
    """

    def __init__(self, tenant: str, gaps: Sequence[Gap], wanted: int = 0) -> None:
        self._tenant, self._all, self._wanted = tenant, list(gaps), wanted
        self._gaps = {gap.first: gap for gap in gaps}
        self._previous, self._expected, self._entries = b"", 1, 0
        self._vouched, self._voucher = "", 0
        self._broken: tuple[int, str] | None = None
        self._asked = ""

    def take(self, number: int, entry: Sequence[Any], stored: bytes, details: str | None) -> bool:
        """The next entry in the order of numbers; whether it is worth going on.

        Args:
            entry: What its hash runs over.
        """
        self._pass_gaps()
        if 1 <= number < self._expected:
            self._broken = (number, "it is there, and said to be pruned")
        elif number != self._expected:
            self._broken = (self._expected, "it is missing")
        elif entry_hash(entry, self._previous) != stored:
            self._broken = (number, "it, or its place, was changed")
        else:
            self._entries += 1
            self._go_on(number, stored)
            told = json.loads(details).get(VOUCHES, "") if details and VOUCHES in details else ""
            if told:
                self._vouched, self._voucher = told, number
        return self._broken is None

    def end(self, newest: int) -> Chain:
        """What was found, when there are no more entries.

        Args:
            newest: Of what the store says elsewhere of its log, the highest number.
        """
        self._pass_gaps()
        broken, why = self._broken or self._wrong_as_a_whole(newest) or (None, "")
        return Chain(self._tenant, self._entries, self._expected - 1, self._previous.hex(), broken, why, self._asked)

    def _wrong_as_a_whole(self, newest: int) -> tuple[int, str] | None:
        if newest >= self._expected:
            return self._expected, "it is missing, and all after it"
        if self._gaps:
            return min(self._gaps), "it is said to be pruned, and there is no such place"
        if vouched(self._all) != self._vouched:
            first = self._voucher or min(gap.first for gap in self._all)
            return first, "entries were taken away that it does not vouch for"
        return None

    def _pass_gaps(self) -> None:
        while (gap := self._gaps.pop(self._expected, None)) is not None:
            self._go_on(gap.last, gap.hash)

    def _go_on(self, number: int, hashed: bytes) -> None:
        self._previous, self._expected = hashed, number + 1
        if number == self._wanted:
            self._asked = hashed.hex()
