"""What filters ask about, by columns, one entry a slot."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.clock import to_micros
from memory_mcp.models import NEVER, Filter, Points

TAG_BYTES = 64
"""About what one tag of one row costs here: a set's entry, and its part of the tuple that remembers it."""

Scalar = TypeVar("Scalar", bound=np.generic)


def grown(column: NDArray[Scalar], capacity: int) -> NDArray[Scalar]:
    """A longer copy; the former array stays as it is for whoever still reads it."""
    longer = np.empty((capacity, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer


def halves_of(ids: Sequence[UUID]) -> NDArray[np.uint64]:
    """(n, 2): upper and lower 64 bits, so that comparing pairs is comparing the UUIDs' bytes."""
    joined = b"".join(memory_id.bytes for memory_id in ids)
    return np.frombuffer(joined, ">u8").reshape(-1, 2).astype(np.uint64)


class Columns:
    """Kinds and domains as codes, times as microseconds, and for each tag the slots that carry it."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._kinds = np.empty(0, np.int32)
        self._domains = np.empty(0, np.int32)
        self._when = np.empty(0, np.int64)
        self._expires = np.empty(0, np.int64)
        self._tags: list[tuple[str, ...]] = []
        self._tagged: dict[str, set[int]] = {}
        self._tag_count = 0
        self._soonest = NEVER

    @property
    def nbytes(self) -> int:
        """About how much memory this takes."""
        arrays = (self._kinds, self._domains, self._when, self._expires)
        return sum(array.nbytes for array in arrays) + 8 * len(self._tags) + TAG_BYTES * self._tag_count

    def grow(self, capacity: int) -> None:
        """Make room for this many slots."""
        kinds, domains = grown(self._kinds, capacity), grown(self._domains, capacity)
        when, expires = grown(self._when, capacity), grown(self._expires, capacity)
        self._kinds, self._domains, self._when, self._expires = kinds, domains, when, expires
        self._tags.extend([()] * (capacity - len(self._tags)))

    def put(self, slots: NDArray[np.intp], points: Points) -> None:
        """Describe slots that are new, or were dropped before."""
        self._kinds[slots] = [self._code(kind) for kind in points.kinds]
        self._domains[slots] = [self._code(domain) for domain in points.domains]
        self._when[slots], self._expires[slots] = points.when, points.expires
        self._soonest = min(self._soonest, int(points.expires.min(initial=NEVER)))
        for slot, tags in zip(slots.tolist(), points.tags, strict=True):
            self._tags[slot] = tags
            for tag in tags:
                self._tagged.setdefault(tag, set()).add(slot)
            self._tag_count += len(tags)

    def drop(self, slots: Sequence[int]) -> None:
        """Forget which tags the slots carried; the rest is overwritten when they are used again."""
        for slot in slots:
            tags, self._tags[slot] = self._tags[slot], ()
            for tag in set(tags):
                self._tagged[tag].discard(slot)
                if not self._tagged[tag]:
                    del self._tagged[tag]
            self._tag_count -= len(tags)

    def plain(self, where: Filter) -> Filter:
        """The same filter for these slots, without the time of asking as long as nothing has expired."""
        if where.now is not None and to_micros(where.now) < self._soonest:
            return replace(where, now=None)
        return where

    def narrow(self, passing: NDArray[np.bool_], where: Filter) -> None:
        """Clear the flag of every slot that the filter keeps out; flags of the first n slots, changed in place."""
        n = len(passing)
        if where.kinds:
            passing &= self._any_of(self._kinds[:n], where.kinds)
        if where.domains:
            passing &= self._any_of(self._domains[:n], where.domains)
        if where.tags:
            passing &= self._carrying(where.tags, n)
        if where.since is not None:
            passing &= self._when[:n] >= to_micros(where.since)
        if where.until is not None:
            passing &= self._when[:n] < to_micros(where.until)
        if where.now is not None:
            passing &= self._expires[:n] > to_micros(where.now)

    def _code(self, word: str) -> int:
        return self._codes.setdefault(word, len(self._codes))

    def _any_of(self, column: NDArray[np.int32], words: Iterable[str]) -> NDArray[np.bool_]:
        matching = np.zeros(len(column), np.bool_)
        for code in (self._codes[word] for word in words if word in self._codes):
            matching |= column == code
        return matching

    def _carrying(self, tags: Iterable[str], n: int) -> NDArray[np.bool_]:
        fewest, *others = sorted((self._tagged.get(tag, set()) for tag in tags), key=len)
        slots = fewest.intersection(*others) if others else fewest
        matching = np.zeros(n, np.bool_)
        matching[np.fromiter(slots, np.intp, len(slots))] = True
        return matching
