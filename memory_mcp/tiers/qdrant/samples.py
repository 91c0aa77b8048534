"""Samples of scopes, kept for a while: they calibrate every answer, and weigh a megabyte and a half each."""

import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import Matrix, Scope

SAMPLED = 1000
_KEPT = 32
_SECONDS, _PARTIAL_SECONDS = 5.0, 300.0
"""Other processes may write: to a small scope, of which the sample is all there is, at once; a large one hardly changes by it."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """(s, d) passages of a scope, and the memories that they belong to.

    Attributes:
        partial: Whether there are more than these.
    """

    ids: Sequence[UUID]
    rows: Matrix
    partial: bool

    def similarity(self, vectors: Matrix, without: Collection[UUID]) -> NDArray[np.float32]:
        """(s, q) to (q, d) vectors, without the passages of these memories."""
        rows = self.rows
        if without:
            left = [row for row, memory_id in enumerate(self.ids) if memory_id not in without]
            rows = rows[left]
        if not len(rows):
            return np.empty((0, len(vectors)), np.float32)
        similarity: NDArray[np.float32] = np.clip(rows @ np.asarray(vectors, np.float32).T, -1.0, 1.0)
        return similarity


class Samples:
    """The latest sample of some scopes, least recently used ones dropped."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, Scope], tuple[float, Sample]] = OrderedDict()

    def get(self, collection: str, scope: Scope) -> Sample | None:
        """The sample, if it is recent enough."""
        kept = self._kept.get((collection, scope))
        if kept is None or time.monotonic() > kept[0]:
            return None
        self._kept.move_to_end((collection, scope))
        return kept[1]

    def keep(self, collection: str, scope: Scope, sample: Sample) -> Sample:
        """Keep it for a while."""
        until = time.monotonic() + (_PARTIAL_SECONDS if sample.partial else _SECONDS)
        self._kept[collection, scope] = (until, sample)
        self._kept.move_to_end((collection, scope))
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return sample

    def forget(self, collection: str, scope: Scope) -> None:
        """The scope was written to: a sample that is all of it is out of date."""
        kept = self._kept.get((collection, scope))
        if kept is not None and not kept[1].partial:
            del self._kept[collection, scope]
