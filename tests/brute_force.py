"""The plainest vector index there can be: every search looks at every point, one after the other, in float64.

It is the oracle of the contract tests, and an implementation that they run over.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.random import Generator

from memory_mcp.contracts import Comparison
from memory_mcp.errors import TierUnavailableError
from memory_mcp.models import NEVER, Delta, Filter, Hit, Matrix, Points, Scope


@dataclass(frozen=True)
class Point:
    """One passage of a memory as an index sees it; those of one memory share its id, and stand in order."""

    id: UUID
    vector: Matrix
    kind: str = "fact"
    domain: str = "general"
    tags: tuple[str, ...] = ()
    when: int = 0
    expires: int = NEVER


def as_points(points: Sequence[Point], dimension: int = 0) -> Points:
    """The same by columns."""
    return Points(
        ids=[point.id for point in points],
        vectors=np.array([point.vector for point in points], np.float32).reshape(len(points), -1 if points else dimension),
        kinds=[point.kind for point in points],
        domains=[point.domain for point in points],
        tags=[point.tags for point in points],
        when=np.array([point.when for point in points], np.int64),
        expires=np.array([point.expires for point in points], np.int64),
    )


def as_rows(points: Points) -> list[Point]:
    """The same one by one."""
    times = (points.when.tolist(), points.expires.tolist())
    columns = (points.ids, points.vectors, points.kinds, points.domains, points.tags, *times)
    return [Point(*row) for row in zip(*columns, strict=True)]


def moment(microseconds: int) -> datetime:
    """So many microseconds after 1970 began."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def unit_rows(rng: Generator, n: int, dimension: int) -> Matrix:
    """(n, d) directions, evenly spread."""
    rows = rng.standard_normal((n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def passes(point: Point, where: Filter) -> bool:
    """What `Filter` says, word by word."""
    return (
        (not where.kinds or point.kind in where.kinds)
        and (not where.domains or point.domain in where.domains)
        and where.tags <= set(point.tags)
        and (where.since is None or moment(point.when) >= where.since)
        and (where.until is None or moment(point.when) < where.until)
        and (where.now is None or point.expires == NEVER or moment(point.expires) > where.now)
    )


def similarity(left: Matrix, right: Matrix) -> float:
    """Cosine of two unit vectors."""
    return min(1.0, max(-1.0, float(np.dot(left.astype(np.float64), right.astype(np.float64)))))


class BruteForce:
    """A `VectorIndex`; it holds whatever it was given, under every scope and epoch apart."""

    def __init__(self) -> None:
        self._points: dict[tuple[Scope, str], dict[UUID, list[Point]]] = {}

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        return 0

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        self._points.setdefault((scope, epoch), {}).update(by_memory(as_rows(points)))

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        for memory_id in ids:
            self._points.get((scope, epoch), {}).pop(memory_id, None)

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        held = [point for points in self._points.get((scope, epoch), {}).values() for point in points if passes(point, where)]
        return [closest(held, vector, limit) for vector in vectors]

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        held = self._points.get((scope, epoch), {})
        nothing = Hit(UUID(int=0), np.nan)
        named = [[(closest(held.get(one, []), vector, 1) or [nothing])[0] for vector in vectors] for one in ids]
        sample = [[similarity(point.vector, vector) for vector in vectors] for points in held.values() for point in points]
        return Comparison(
            np.array([[hit.score for hit in hits] for hits in named], np.float32).reshape(-1, len(vectors)),
            np.array([hits[0].passage for hits in named], np.intp),
            np.array(sample, np.float32).reshape(-1, len(vectors)),
        )


def by_memory(points: Sequence[Point]) -> dict[UUID, list[Point]]:
    """The passages of each memory."""
    memories: dict[UUID, list[Point]] = {}
    for point in points:
        memories.setdefault(point.id, []).append(point)
    return memories


def closest(points: Sequence[Point], vector: Matrix, limit: int) -> list[Hit]:
    """The memories with the most similar passages first, equal ones by id."""
    best: list[Hit] = []
    for memory_id, passages in by_memory(points).items():
        scores = [similarity(passage.vector, vector) for passage in passages]
        best.append(Hit(memory_id, max(scores), scores.index(max(scores))))
    return sorted(best, key=lambda hit: (-hit.score, hit.id.bytes))[:limit]


class Records:
    """What a record store is to an index: scopes whose every change moves a revision."""

    def __init__(self) -> None:
        self._revisions: dict[Scope, int] = {}
        self._changes: dict[tuple[Scope, str], dict[UUID, tuple[int, list[Point]]]] = {}
        self.asked: list[tuple[Scope, int]] = []
        self.dimension = 8

    def write(self, scope: Scope, points: Sequence[Point], epoch: str, *, removed: Sequence[UUID] = ()) -> None:
        """One transaction."""
        self._revisions[scope] = revision = self._revisions.get(scope, 0) + 1
        changes = self._changes.setdefault((scope, epoch), {})
        changes.update({memory_id: (revision, []) for memory_id in removed})
        changes.update({memory_id: (revision, passages) for memory_id, passages in by_memory(points).items()})

    def replace(self, scope: Scope, points: Sequence[Point], epoch: str, *, revision: int) -> None:
        """Another store is restored in place of this one."""
        self._revisions[scope] = revision
        self._changes[scope, epoch] = {memory_id: (revision, passages) for memory_id, passages in by_memory(points).items()}

    async def identity(self) -> str:
        return "records"

    async def revisions(self, scopes: Sequence[Scope]) -> tuple[int, ...]:
        return tuple(self._revisions.get(scope, 0) for scope in scopes)

    async def vector_changes(self, scope: Scope, since: int, epoch: str, *, limit: int | None = None) -> Delta:
        self.asked.append((scope, since))
        changes = self._changes.get((scope, epoch), {})
        upto, present = self._revisions.get(scope, 0), since if since <= self._revisions.get(scope, 0) else 0
        revisions = sorted(revision for revision, _ in changes.values() if revision > present)
        if limit is not None and limit <= len(revisions):
            upto = revisions[limit - 1]
        newer = {memory_id: passages for memory_id, (revision, passages) in changes.items() if present < revision <= upto}
        points = as_points([passage for passages in newer.values() for passage in passages], self.dimension)
        removed = [memory_id for memory_id, passages in newer.items() if not passages] if present else []
        return Delta(points, removed, upto, whole=present == 0)

    def present(self, scope: Scope, epoch: str) -> list[Point]:
        """Every passage that is there now."""
        return [passage for _, passages in self._changes.get((scope, epoch), {}).values() for passage in passages]


class Exact:
    """The search of a record store that needs no index."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def search(self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str) -> list[list[Hit]]:
        return await (await self._now(scope, epoch)).search(scope, vectors, where, limit=limit, epoch=epoch)

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
        return await (await self._now(scope, epoch)).compare(scope, vectors, ids, epoch)

    async def _now(self, scope: Scope, epoch: str) -> BruteForce:
        index = BruteForce()
        await index.upsert(scope, as_points(self._records.present(scope, epoch), self._records.dimension), epoch)
        return index


class Carried(BruteForce):
    """A `CarriedIndex`."""

    def __init__(self) -> None:
        super().__init__()
        self._marks: dict[tuple[Scope, str], int] = {}

    def lose(self) -> None:
        """Everything, all at once."""
        self._points.clear()
        self._marks.clear()

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        return self._marks.get((scope, epoch))

    async def apply(self, scope: Scope, delta: Delta, epoch: str) -> None:
        if delta.whole:
            self._points.pop((scope, epoch), None)
        elif (scope, epoch) not in self._marks:
            raise TierUnavailableError("carried", "There is nothing to carry this out on.")
        await self.upsert(scope, delta.points, epoch)
        await self.delete(scope, delta.removed, epoch)
        self._marks[scope, epoch] = delta.revision

    async def search(
        self,
        scope: Scope,
        vectors: Matrix,
        where: Filter,
        *,
        limit: int,
        epoch: str,
        at: int | None = None,
        without: Collection[UUID] = (),
    ) -> list[list[Hit]]:
        answers = await super().search(scope, vectors, where, limit=limit + len(without), epoch=epoch)
        return [[hit for hit in hits if hit.id not in without][:limit] for hits in answers]

    async def compare(
        self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None, *, without: Collection[UUID] = ()
    ) -> Comparison:
        left = BruteForce()
        kept = [point for rows in self._points.get((scope, epoch), {}).values() for point in rows if point.id not in without]
        await left.upsert(scope, as_points(kept, vectors.shape[1]), epoch)
        return await left.compare(scope, vectors, ids, epoch)
