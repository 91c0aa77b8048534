"""What is left of each one's share: kept by a process for itself, or by several workers together."""

import os
from collections import OrderedDict
from hashlib import blake2b
from multiprocessing import get_context
from typing import Protocol

_MOST = 10_000
_ROWS = 1 << 14
_PROBED = 8


class Balances(Protocol):
    """A balance for each of many, and the moment at which it was struck."""

    def get(self, who: str) -> tuple[float, float] | None:
        """The balance, and the moment; None: nothing is known, so that the share is full."""

    def put(self, who: str, left: float, since: float) -> None:
        """Note it; that of one who has been quiet for long makes room, being full by then or nearly."""


class OwnBalances:
    """Of one process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def get(self, who: str) -> tuple[float, float] | None:
        """See `Balances`."""
        return self._kept.get(who)

    def put(self, who: str, left: float, since: float) -> None:
        """See `Balances`."""
        self._kept[who] = (left, since)
        self._kept.move_to_end(who)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


class SharedBalances:
    """A table in memory that a process shares with those it starts: handed to them as an argument, and no other way.

    There is no lock, which a worker that dies could take along: of two that write at the same instant one goes
    uncounted. Moments have to be of a clock that all processes share, as `time.monotonic` is.

    A row is the mark of whom it is of, the balance, the moment. One is looked for among the few rows behind its place.
    """

    def __init__(self) -> None:
        self._cells = get_context("spawn").RawArray("d", 3 * (_ROWS + _PROBED))
        self._key = os.urandom(16)  # else it could be chosen whose row is driven out

    def get(self, who: str) -> tuple[float, float] | None:
        """See `Balances`."""
        cell, mark = self._find(who)
        return (self._cells[cell + 1], self._cells[cell + 2]) if self._cells[cell] == mark else None

    def put(self, who: str, left: float, since: float) -> None:
        """See `Balances`."""
        cell, mark = self._find(who)
        self._cells[cell + 1], self._cells[cell + 2], self._cells[cell] = left, since, mark

    def _find(self, who: str) -> tuple[int, float]:
        """Its row, or else the one that has been quiet for longest."""
        number = int.from_bytes(blake2b(who.encode(errors="replace"), key=self._key, digest_size=8).digest())
        mark = float(1 + (number >> 12))  # no empty row's, and exact
        cells = range(3 * (number % _ROWS), 3 * (number % _ROWS + _PROBED), 3)
        own = next((cell for cell in cells if self._cells[cell] == mark), None)
        return (min(cells, key=lambda cell: self._cells[cell + 2]) if own is None else own), mark
