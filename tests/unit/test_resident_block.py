import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from uuid import UUID

import numpy as np
import pytest
from brute_force import Point, as_points, by_memory, closest, moment, passes, unit_rows
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memory_mcp.errors import TierError
from memory_mcp.models import NEVER, Filter, Hit, Matrix
from memory_mcp.tiers.resident import quantized, scan
from memory_mcp.tiers.resident.block import Block

ANYTHING = Filter()
KINDS, DOMAINS, TAGS = ("fact", "event", "rule"), ("coding", "general"), ("a", "b", "c")

# Few directions, whose products float32 holds exactly: ties are frequent, and real ones.
corners = st.lists(st.sampled_from([-0.5, 0.5]), min_size=4, max_size=4)
axes = st.integers(0, 3).map(lambda i: [float(i == j) for j in range(4)])
vectors = st.one_of(corners, axes).map(lambda numbers: np.array(numbers, np.float32))
few_ids = st.integers(0, 30).map(lambda number: UUID(int=number * 2**62 + 5))
times = st.integers(0, 5)
tags = st.lists(st.sampled_from(TAGS), max_size=3).map(tuple)
points = st.builds(Point, few_ids, vectors, st.sampled_from(KINDS), st.sampled_from(DOMAINS), tags, times, st.one_of(st.just(NEVER), times))
batches = st.lists(points, max_size=12).map(
    lambda batch: [replace(one, vector=point.vector) for point in batch for one in [next(p for p in batch if p.id == point.id)]]
)
"""Several points of one id are passages of one memory, so that they have everything but the vector in common."""
moments = st.none() | times.map(moment)
filters = st.builds(
    Filter,
    kinds=st.frozensets(st.sampled_from(KINDS), max_size=2),
    domains=st.frozensets(st.sampled_from(DOMAINS), max_size=1),
    tags=st.frozensets(st.sampled_from(TAGS), max_size=2),
    since=moments,
    until=moments,
    now=moments,
)


class BlockAgainstBruteForce(RuleBasedStateMachine):
    """Whatever is done to a block, it answers as a plain dictionary of points would."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.points: dict[UUID, list[Point]] = {}

    @rule(batch=batches)
    def upsert(self, batch: list[Point]) -> None:
        self.block.upsert(as_points(batch, dimension=4))
        self.points.update(by_memory(batch))

    @rule(ids=st.lists(few_ids, max_size=8))
    def delete(self, ids: list[UUID]) -> None:
        self.block.delete(ids)
        for memory_id in ids:
            self.points.pop(memory_id, None)

    @rule(batch=batches, ids=st.lists(few_ids, max_size=6))
    def apply(self, batch: list[Point], ids: list[UUID]) -> None:
        self.block.apply(as_points(batch, dimension=4), ids)
        for memory_id in ids:
            self.points.pop(memory_id, None)
        self.points.update(by_memory(batch))

    @rule(queries=st.lists(vectors, min_size=1, max_size=8), where=filters, limit=st.integers(1, 40))
    def search(self, queries: list[Matrix], where: Filter, limit: int) -> None:
        passing = [point for passages in self.points.values() for point in passages if passes(point, where)]

        assert self.block.search(np.array(queries), where, limit) == [closest(passing, query, limit) for query in queries]

    @rule(queries=st.lists(vectors, min_size=1, max_size=3), ids=st.lists(few_ids, max_size=10))
    def compare(self, queries: list[Matrix], ids: list[UUID]) -> None:
        compared = self.block.compare(np.array(queries, np.float32), ids, 10_000)

        for memory_id, similarity, passage in zip(ids, compared.similarity, compared.passage, strict=True):
            best = [closest(self.points.get(memory_id, []), query, 1) for query in queries]
            assert [None if np.isnan(score) else score for score in similarity] == [hits[0].score if hits else None for hits in best]
            assert passage == (best[0][0].passage if best[0] else 0)
        assert len(compared.sample) == sum(map(len, self.points.values()))

    @invariant()
    def counts(self) -> None:
        assert len(self.block) == len(self.points)


TestBlockAgainstBruteForce = BlockAgainstBruteForce.TestCase
TestBlockAgainstBruteForce.settings = settings(max_examples=80, stateful_step_count=25)


def numbered(rows: Matrix, *, first: int = 0, kind: str = "fact") -> list[Point]:
    return [Point(UUID(int=first + i), row, kind=kind) for i, row in enumerate(rows)]


def ids_of(hits: Sequence[Hit]) -> list[UUID]:
    return [hit.id for hit in hits]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test by the rows themselves, as in a small block, and with a first look at them in bytes, as in a large one."""
    if metafunc.cls is None:
        metafunc.fixturenames.append("least_rows")
        metafunc.parametrize("least_rows", [quantized.LEAST_ROWS, 0] if quantized.is_available() else [quantized.LEAST_ROWS], indirect=True)


@pytest.fixture
def least_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "LEAST_ROWS", request.param)
    monkeypatch.setattr(quantized, "MOST_SHARE", quantized.MOST_SHARE if request.param else 100.0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("queries", [1, scan.PRODUCT_QUERIES - 1, scan.PRODUCT_QUERIES, 40])
@pytest.mark.parametrize("share", [1.0, 0.6, 0.1])
def test_many_rows_in_several_parts(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, queries: int, share: float) -> None:
    """Every way through a scan (one or many queries, all, barred or gathered rows, several parts) finds the same."""
    monkeypatch.setattr(scan, "SCORES_HELD", 1000)
    monkeypatch.setattr(scan, "CHUNK_ROWS", 70)
    rows, asked = unit_rows(rng, 2500, 24), unit_rows(rng, queries, 24)
    chosen = rng.random(len(rows)) < share
    points = [Point(UUID(int=i), row, kind="rule" if chosen[i] else "fact") for i, row in enumerate(rows)]
    answers = Block(as_points(points)).search(asked, Filter(kinds=frozenset({"rule"})), 7)

    exact = asked.astype(np.float64) @ rows.astype(np.float64).T
    exact[:, ~chosen] = -np.inf
    for hits, scores in zip(answers, exact, strict=True):
        assert [hit.id.int for hit in hits] == np.argsort(-scores, kind="stable")[:7].tolist()
        assert np.allclose([hit.score for hit in hits], np.sort(scores)[::-1][:7], atol=1e-6)


def test_a_score_does_not_depend_on_the_number_of_queries(rng: np.random.Generator) -> None:
    rows = unit_rows(rng, 1000, 48)
    block = Block(as_points(numbered(rows)))

    together = block.search(rows[:20], ANYTHING, 5)
    assert together == [block.search(row[None], ANYTHING, 5)[0] for row in rows[:20]]


def test_rows_that_are_all_the_same_are_ordered_by_id() -> None:
    """Ties that fill far more than the opened blocks, and rows whose score rounds beyond 1."""
    row = np.full(7, 7**-0.5, np.float32)
    block = Block(as_points(numbered(np.tile(row, (3000, 1)))))

    for asked in (row[None], np.tile(row, (9, 1))):
        for hits in block.search(asked, ANYTHING, 5):
            assert ids_of(hits) == [UUID(int=i) for i in range(5)]
            assert all(hit.score <= 1.0 for hit in hits)


@pytest.mark.parametrize("queries", [1, 12])
def test_scores_that_differ_by_roundings_only(rng: np.random.Generator, queries: int) -> None:
    """A product rounds otherwise than a dot product, and clipping makes ties; neither moves the order."""
    base, elsewhere = unit_rows(rng, 2, 384)
    rows = base + rng.integers(-3, 4, (4000, 384)).astype(np.float32) * np.float32(2e-9)
    asked = np.stack([base, elsewhere] * queries)[:queries]
    answers = Block(as_points(numbered(rows))).search(asked, ANYTHING, 10)

    for query, hits in zip(asked, answers, strict=True):
        scores = np.clip(np.vecdot(rows, query), -1, 1)
        assert [hit.id.int for hit in hits] == np.argsort(-scores, kind="stable")[:10].tolist()


def test_freed_slots_are_used_again_and_room_is_bounded(rng: np.random.Generator) -> None:
    block = Block(as_points(numbered(unit_rows(rng, 100, 8))))
    nbytes = block.nbytes
    for generation in range(1, 20):
        block.delete([UUID(int=(generation - 1) * 100 + i) for i in range(100)])
        block.upsert(as_points(numbered(unit_rows(rng, 100, 8), first=generation * 100)))
        block.upsert(as_points(numbered(unit_rows(rng, 100, 8), first=generation * 100)))

    assert len(block) == 100
    assert block.nbytes == nbytes


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_vectors_that_are_not_finite_are_refused_and_nothing_is_changed(bad: float) -> None:
    axis = np.eye(4, dtype=np.float32)
    wild = axis[1].copy()
    wild[2] = bad
    block = Block(as_points(numbered(axis)))
    before = block.search(axis, ANYTHING, 9)

    with pytest.raises(TierError, match="not finite"):
        block.apply(as_points([Point(UUID(int=50), axis[0]), Point(UUID(int=0), wild)]), [UUID(int=1)])
    with pytest.raises(TierError, match="not finite"):
        block.search(wild[None], ANYTHING, 9)
    assert block.search(axis, ANYTHING, 9) == before


def test_a_wrong_dimension_is_refused_and_nothing_is_changed() -> None:
    axis = np.eye(4, dtype=np.float32)
    block = Block(as_points(numbered(axis)))
    before = block.search(axis, ANYTHING, 9)

    with pytest.raises(TierError, match=r"of 5 numbers .* of 4"):
        block.apply(as_points([Point(UUID(int=50), np.eye(5, dtype=np.float32)[0])]), [UUID(int=1)])
    with pytest.raises(TierError, match=r"of 3 numbers .* of 4"):
        block.search(np.eye(3, dtype=np.float32), ANYTHING, 9)
    with pytest.raises(TierError, match="rows of one matrix"):
        block.search(axis[0], ANYTHING, 9)
    assert block.search(axis, ANYTHING, 9) == before


def test_columns_of_different_length_are_refused() -> None:
    points = as_points(numbered(np.eye(4, dtype=np.float32)))
    torn = type(points)(points.ids, points.vectors[:3], points.kinds, points.domains, points.tags, points.when, points.expires)

    with pytest.raises(TierError, match="differ in length"):
        Block(torn)


@pytest.mark.parametrize("limit", [0, -1])
def test_asking_for_nothing_gives_nothing(limit: int) -> None:
    block = Block(as_points(numbered(np.eye(4, dtype=np.float32))))

    assert block.search(np.eye(4, dtype=np.float32)[:2], ANYTHING, limit) == [[], []]
    assert block.search(np.empty((0, 4), np.float32), ANYTHING, 5) == []


def test_a_block_needs_numpy_and_nothing_else() -> None:
    """So that it can be tested and measured on a machine that has only that."""
    absent = "import sys; sys.modules.update(dict.fromkeys(('anyio', 'apsw', 'mcp', 'numkong', 'pydantic', 'structlog')))"
    finished = subprocess.run([sys.executable, "-c", f"{absent}; import memory_mcp.tiers.resident.block"], check=False, timeout=30)

    assert finished.returncode == 0


def test_a_running_search_sees_one_moment(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """Rows replaced, removed and added while it reads do not show, not even in slots that were freed meanwhile."""
    started, go_on = Event(), Event()
    scanned = scan.closest

    def slowly(view: scan.View, queries: Matrix, limit: int) -> list[list[Hit]]:
        started.set()
        assert go_on.wait(5)
        return scanned(view, queries, limit)

    rows = unit_rows(rng, 50, 8)
    block = Block(as_points(numbered(rows)))
    expected = block.search(rows[:2], ANYTHING, 50)
    monkeypatch.setattr("memory_mcp.tiers.resident.block.closest", slowly)
    with ThreadPoolExecutor() as pool:
        search = pool.submit(block.search, rows[:2], ANYTHING, 50)
        assert started.wait(5)
        block.delete([UUID(int=i) for i in range(25)])
        block.upsert(as_points(numbered(unit_rows(rng, 25, 8), first=25)))
        block.upsert(as_points(numbered(unit_rows(rng, 200, 8), first=1000)))
        go_on.set()
        found = search.result(5)
    nbytes = block.nbytes
    block.upsert(as_points(numbered(unit_rows(rng, 100, 8), first=2000)))

    assert found == expected
    assert len(block) == 325
    assert block.nbytes == nbytes, "what rested during the search is free again"


def test_searches_and_changes_side_by_side(rng: np.random.Generator) -> None:
    """Each row says by its direction which id it has; no search ever finds one that does not match."""
    directions = unit_rows(rng, 64, 16)
    block = Block(as_points(numbered(directions)))

    def change(seed: int) -> None:
        chooser = np.random.default_rng(seed)
        for _ in range(60):
            chosen = chooser.permutation(64)[:20]
            block.delete([UUID(int=int(i)) for i in chosen[:10]])
            block.upsert(as_points([Point(UUID(int=int(i)), directions[i]) for i in chosen]))

    def look(first: int) -> None:
        for _ in range(60):
            for i, hits in enumerate(block.search(directions[first : first + 8], ANYTHING, 64), start=first):
                assert len(set(ids_of(hits))) == len(hits)
                assert all(hit.score == pytest.approx(directions[hit.id.int] @ directions[i], abs=1e-5) for hit in hits)

    with ThreadPoolExecutor(6) as pool:
        for work in [pool.submit(change, 1), pool.submit(change, 2), *(pool.submit(look, first) for first in (0, 8, 16))]:
            work.result(30)
