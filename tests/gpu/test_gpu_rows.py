"""What rows on a device propose, against comparing every row in float64; over emulated kernels, and over a GPU where there is one."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import numpy as np
import pytest
from brute_force import Point, as_points, unit_rows
from drivers import DRIVERS, driver_of
from emulation import EmulatedDriver
from numpy.typing import NDArray

from memory_mcp.models import Filter, Matrix
from memory_mcp.tiers.resident import gpu as gpu_module
from memory_mcp.tiers.resident import proposing
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.driver import DeviceFullError, DeviceLostError, Driver, Gpu
from memory_mcp.tiers.resident.gpu import GpuRows

ANYTHING = Filter()


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    return driver_of(request.param)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def rows_of(driver: Driver, vectors: Matrix) -> GpuRows:
    rows = GpuRows(Gpu(driver), vectors.shape[1])
    rows.put(np.arange(len(vectors)), vectors)
    return rows


def missing(rows: GpuRows, vectors: Matrix, passing: NDArray[np.bool_], queries: Matrix, limit: int) -> int:
    """How many of the true closest are not proposed; asserts that nothing is proposed that does not pass, or twice."""
    proposed = rows.propose(passing, int(passing.sum()), queries, limit)
    assert proposed is not None
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    scores[:, ~passing] = -np.inf
    lacking = 0
    for slots, row in zip(proposed, scores, strict=True):
        assert slots is not None
        assert len(set(slots.tolist())) == len(slots)
        assert passing[slots].all()
        lacking += len(set(np.argsort(-row)[: min(limit, int(passing.sum()))].tolist()) - set(slots.tolist()))
    return lacking


@pytest.mark.parametrize("dimension", [3, 16, 100, 384])
@pytest.mark.parametrize("queries", [1, 2, 3, 4, 9])
def test_the_closest_are_among_the_proposed(driver: Driver, rng: np.random.Generator, dimension: int, queries: int) -> None:
    """Scans and products, rows that fill lanes and chunks and rows that do not, with a mask and without."""
    vectors, asked = unit_rows(rng, 1500, dimension), unit_rows(rng, queries, dimension)
    rows = rows_of(driver, vectors)

    for share in (1.0, 0.5, 0.02):
        assert missing(rows, vectors, rng.random(len(vectors)) < share, asked, 10) == 0


def test_rows_are_looked_at_in_steps_first(driver: Driver, rng: np.random.Generator) -> None:
    """Enough rows for steps; those that pass stand in a pattern, and the closest stand together."""
    n = 40_000
    vectors, asked = unit_rows(rng, n, 8), unit_rows(rng, 6, 8)
    vectors[700:760] = asked[0] + rng.standard_normal((60, 8)).astype(np.float32) * np.float32(0.02)
    rows = rows_of(driver, vectors)

    assert proposing.step_for(n, 20) > 1
    for passing in (np.ones(n, np.bool_), np.arange(n) % 100 == 1, np.arange(n) < 900):
        for queries in (asked[:1], asked):
            assert missing(rows, vectors, passing, queries, 20) == 0


@pytest.mark.parametrize("limit", [1, 7, 100, proposing.MOST_LIMIT])
def test_limits(driver: Driver, rng: np.random.Generator, limit: int) -> None:
    vectors, asked = unit_rows(rng, 3000, 16), unit_rows(rng, 5, 16)
    rows = rows_of(driver, vectors)

    for queries in (asked[:1], asked):
        assert missing(rows, vectors, np.ones(len(vectors), np.bool_), queries, limit) == 0
    assert rows.propose(np.ones(len(vectors), np.bool_), len(vectors), asked, proposing.MOST_LIMIT + 1) is None


def test_products_in_several_chunks_and_queries_in_several_turns(
    driver: Driver, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposing, "SCORE_BYTES", 4 * 7 * 500)
    monkeypatch.setattr(gpu_module, "MOST_QUERIES", 7)
    vectors, asked = unit_rows(rng, 2300, 24), unit_rows(rng, 19, 24)

    assert missing(rows_of(driver, vectors), vectors, rng.random(2300) < 0.8, asked, 10) == 0


def test_without_a_library_for_products_many_queries_are_scanned(
    driver: Driver, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "multiplies", False)
    vectors, asked = unit_rows(rng, 500, 24), unit_rows(rng, 6, 24)

    assert missing(rows_of(driver, vectors), vectors, np.ones(500, np.bool_), asked, 10) == 0


def test_a_list_too_short_is_filled_again_from_a_better_bound(
    driver: Driver, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows looked at first do not pass, so everything is listed at first; the second scan knows better."""
    monkeypatch.setattr(proposing, "LISTED", 256)
    monkeypatch.setattr(proposing, "STEPS", (7,))
    monkeypatch.setattr(proposing, "step_for", lambda rows, limit: 7)
    vectors = unit_rows(rng, 3000, 16)
    passing = np.arange(3000) % 7 != 0

    assert missing(rows_of(driver, vectors), vectors, passing, vectors[:1], 10) == 0
    if isinstance(driver, EmulatedDriver):
        assert driver.launched.count("scan_1") == 2 * driver.launched.count("sample_1")


def test_a_query_with_too_many_equals_is_left_to_others(driver: Driver, rng: np.random.Generator) -> None:
    vectors = unit_rows(rng, 4000, 8)
    vectors[:3000] = vectors[0]
    proposed = rows_of(driver, vectors).propose(np.ones(4000, np.bool_), 4000, np.stack((vectors[0], -vectors[0])), 10)

    assert proposed is not None
    assert proposed[0] is None
    assert proposed[1] is not None


@pytest.mark.parametrize("queries", [1, 8])
def test_rows_that_halves_cannot_tell_apart_are_all_proposed(driver: Driver, rng: np.random.Generator, queries: int) -> None:
    """The closest in float32 may be any of them."""
    base = unit_rows(rng, 1, 64)
    vectors = np.concatenate((unit_rows(rng, 1000, 64), base + rng.standard_normal((40, 64)).astype(np.float32) * np.float32(1e-6)))
    asked = np.concatenate((base, unit_rows(rng, queries - 1, 64)))

    assert missing(rows_of(driver, vectors), vectors, np.ones(len(vectors), np.bool_), asked, 5) == 0


def test_what_halves_cannot_hold_is_left_to_others(driver: Driver) -> None:
    vectors = np.eye(8, dtype=np.float32)
    assert rows_of(driver, vectors * np.float32(1e6)).propose(np.ones(8, np.bool_), 8, vectors[:1], 3) is None

    rows = rows_of(driver, vectors)
    assert rows.propose(np.ones(8, np.bool_), 8, np.tile(vectors[:1] * np.float32(1e6), (9, 1)), 3) is None
    assert rows.propose(np.ones(8, np.bool_), 8, vectors[:1], 3) is not None


def test_rows_grow_by_segments_and_slots_are_written_again(driver: Driver, rng: np.random.Generator) -> None:
    vectors = unit_rows(rng, 5000, 16)
    rows = rows_of(driver, vectors[:1000])
    rows.note(np.arange(1000, 5000), vectors[1000:])
    assert missing(rows, vectors, np.ones(5000, np.bool_), vectors[:2], 10) == 0
    before = rows.nbytes

    again = rng.permutation(5000)[:700]
    vectors[again] = unit_rows(rng, 700, 16)
    rows.note(again, vectors[again])
    assert missing(rows, vectors, np.ones(5000, np.bool_), vectors[again[:2]], 10) == 0
    assert missing(rows, vectors, np.ones(5000, np.bool_), vectors[:9], 10) == 0
    assert rows.nbytes == before


def test_a_block_finds_the_same_with_a_mirror_and_without(driver: Driver, rng: np.random.Generator) -> None:
    """While it is attached, and after writes; scores and order to the last bit."""
    gpu = Gpu(driver)
    vectors, asked = unit_rows(rng, 1200, 48), unit_rows(rng, 7, 48)
    points = [Point(UUID(int=i), row, kind="rule" if i % 5 else "fact") for i, row in enumerate(vectors)]
    plain, mirrored = (Block(as_points(points[:1000])) for _ in range(2))
    mirrored.attach(GpuRows(gpu, 48))
    for block in (plain, mirrored):
        block.apply(as_points(points[900:]), [UUID(int=i) for i in range(100)])

    for where in (ANYTHING, Filter(kinds=frozenset({"fact"}))):
        for queries in (asked[:1], asked):
            assert mirrored.search(queries, where, 10) == plain.search(queries, where, 10)


def test_searches_and_changes_side_by_side(driver: Driver, rng: np.random.Generator) -> None:
    """Each row says by its direction which id it has, also while rows are copied to a mirror; no search finds one that does not match."""
    directions = unit_rows(rng, 32, 16)
    block = Block(as_points([Point(UUID(int=i), row) for i, row in enumerate(directions)]))
    gpu = Gpu(driver)

    def change() -> None:
        for _ in range(10):
            chosen = [Point(UUID(int=i), directions[i]) for i in range(0, 32, 3)]
            block.delete([point.id for point in chosen[:5]])
            block.upsert(as_points(chosen))

    def look(first: int) -> None:
        for _ in range(4):
            for i, hits in enumerate(block.search(directions[first : first + 6], ANYTHING, 32), start=first):
                assert len({hit.id for hit in hits}) == len(hits)
                assert all(hit.score == pytest.approx(directions[hit.id.int] @ directions[i], abs=1e-5) for hit in hits)

    with ThreadPoolExecutor(4) as pool:
        attached = pool.submit(lambda: [block.attach(GpuRows(gpu, 16)) for _ in range(3)])
        for work in [attached, pool.submit(change), pool.submit(look, 0), pool.submit(look, 12)]:
            work.result(60)


@pytest.mark.parametrize("fault", [DeviceFullError(), DeviceLostError("The GPU failed.")])
def test_a_fault_is_no_error_but_the_end_of_the_mirror(rng: np.random.Generator, fault: Exception) -> None:
    driver = driver_of("emulated")
    assert isinstance(driver, EmulatedDriver)
    said: list[str] = []
    gpu = Gpu(driver, on_full=lambda rows: said.append("full"), on_lost=said.append)
    vectors = unit_rows(rng, 300, 16)
    block, other = Block(), Block()
    for one in (block, other):
        one.upsert(as_points([Point(UUID(int=i), row) for i, row in enumerate(vectors)]))
        one.attach(GpuRows(gpu, 16))
    expected = block.search(vectors[:3], ANYTHING, 5)
    driver.fault = fault

    assert block.search(vectors[:3], ANYTHING, 5) == expected
    driver.fault, driver.launched = None, []
    assert other.search(vectors[:3], ANYTHING, 5) == expected
    assert block.search(vectors[:3], ANYTHING, 5) == expected
    if isinstance(fault, DeviceLostError):
        assert driver.launched == [], "a device that was lost is not asked again"
        assert said == ["The GPU failed."]
    else:
        assert driver.launched.count("choose") == 1, "the other block keeps its mirror"
        assert said == ["full"]


@pytest.mark.parametrize("queries", [1, 6])
def test_the_bound_comes_from_rows_that_pass(driver: Driver, rng: np.random.Generator, queries: int) -> None:
    """Those that do not are closer than any that does, in a segment that begins anywhere, and rows are looked at in steps first."""
    vectors, asked = unit_rows(rng, 30_000, 8), unit_rows(rng, queries, 8)
    rows = rows_of(driver, vectors[:11_000])
    rows.note(np.arange(11_000, 30_000), vectors[11_000:])
    passing = (vectors @ asked.T).max(axis=1) < 0.6

    assert missing(rows, vectors, passing, asked, 30) == 0


def test_the_rounding_of_queries_is_allowed_for(driver: Driver, rng: np.random.Generator) -> None:
    """Rows that halves hold exactly, and so many queries that rounding them moves some row out of the closest."""
    vectors = unit_rows(rng, 5000, 16).astype(np.float16).astype(np.float32)

    assert missing(rows_of(driver, vectors), vectors, np.ones(5000, np.bool_), unit_rows(rng, 250, 16), 10) == 0


def test_what_is_written_while_rows_are_copied_reaches_the_mirror(driver: Driver, rng: np.random.Generator) -> None:
    vectors = unit_rows(rng, 300, 16)
    block = Block(as_points([Point(UUID(int=i), row) for i, row in enumerate(vectors)]))

    class Slow(GpuRows):
        def put(self, slots: NDArray[np.intp], vectors: Matrix) -> None:
            super().put(slots, vectors)
            block.apply(as_points([Point(UUID(int=i), -row) for i, row in enumerate(vectors[:50])]), [UUID(int=60)])

    block.attach(Slow(Gpu(driver), 16))
    expected = Block(as_points([Point(UUID(int=i), -row if i < 50 else row) for i, row in enumerate(vectors) if i != 60]))

    assert block.search(-vectors[:3], ANYTHING, 9) == expected.search(-vectors[:3], ANYTHING, 9)
