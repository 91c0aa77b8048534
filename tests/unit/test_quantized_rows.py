"""A first look at rows in bytes: it must never leave out what is among the closest, and only be quick about it."""

import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from brute_force import Point, as_points, unit_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from test_resident_block import BlockAgainstBruteForce

from memory_mcp.models import Filter, Matrix
from memory_mcp.tiers.resident import block as block_module
from memory_mcp.tiers.resident import quantized, scan
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.quantized import QuantizedRows

DIMENSION = 384


class BlockInBytes(BlockAgainstBruteForce):
    """A block that takes the first look however few its rows are."""

    def __init__(self) -> None:
        super().__init__()
        self._usual = quantized.LEAST_ROWS, quantized.MOST_SHARE
        quantized.LEAST_ROWS, quantized.MOST_SHARE = 0, 100.0

    def teardown(self) -> None:
        quantized.LEAST_ROWS, quantized.MOST_SHARE = self._usual


TestBlockInBytes = BlockInBytes.TestCase
TestBlockInBytes.settings = settings(max_examples=60, deadline=None)


@pytest.fixture(autouse=True)
def _every_block(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quantized.is_available.cache_clear()
    assert quantized.is_available(), "NumKong is a dependency, and right on the machines of tests"
    monkeypatch.setattr(quantized, "LEAST_ROWS", 0)
    monkeypatch.setattr(quantized, "MOST_SHARE", 100.0)
    yield
    quantized.is_available.cache_clear()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def rows_of(vectors: Matrix) -> QuantizedRows:
    rows = QuantizedRows(len(vectors), vectors.shape[1])
    rows.put(np.arange(len(vectors)), vectors)
    return rows


def proposed(rows: QuantizedRows, queries: Matrix, limit: int, passing: np.ndarray | None = None) -> list[set[int] | None]:
    barred = np.ones(len(rows._steps), np.bool_) if passing is None else passing
    found = rows.propose(barred, int(barred.sum()), queries, limit)
    return [None] * len(queries) if found is None else [None if one is None else set(one.tolist()) for one in found]


@given(
    vectors=arrays.arrays(np.float32, (40, 6), elements=st.floats(-1, 1, width=32)),
    queries=arrays.arrays(np.float32, (4, 6), elements=st.floats(-1, 1, width=32)),
    limit=st.integers(1, 50),
)
@settings(max_examples=300, deadline=None)
def test_nothing_that_is_among_the_closest_is_left_out(vectors: Matrix, queries: Matrix, limit: int) -> None:
    """Of any rows, denormal, all alike or nearly: the exact ones, and what ties with the last of them."""
    for asked in (queries, queries[:1]):
        scores = asked.astype(np.float64) @ vectors.astype(np.float64).T
        for row, found in zip(scores, proposed(rows_of(vectors), asked, limit), strict=True):
            if found is not None:
                last = np.sort(row)[::-1][min(limit, len(row)) - 1]
                assert set(np.flatnonzero(row >= last).tolist()) <= found


def test_few_more_are_proposed_than_are_asked_for(rng: np.random.Generator) -> None:
    """Else the first look would be of no use: rows as a model gives them, each near one of some topics."""
    topics = unit_rows(rng, 50, DIMENSION)
    rows = topics[rng.integers(0, 50, 20_000)] + 0.08 * rng.standard_normal((20_000, DIMENSION), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = topics[:5] + np.float32(0.02)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)

    assert all(found is not None and 10 <= len(found) < 500 for found in proposed(rows_of(rows), queries, 10))


def test_only_passing_rows_are_proposed_and_a_small_share_is_left_to_others(rng: np.random.Generator) -> None:
    rows = rows_of(unit_rows(rng, 1000, DIMENSION))
    query = unit_rows(rng, 1, DIMENSION)
    half, few = np.arange(1000) % 2 == 0, np.arange(1000) % 20 == 0

    (found,) = proposed(rows, query, 30, half)
    assert found is not None
    assert all(half[list(found)])
    assert proposed(rows, query, 30, few) == [None]


def test_a_query_without_a_direction_is_left_to_others(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "MOST_SHARE", 0.5)
    vectors = unit_rows(rng, 100, 8)
    queries = np.stack([vectors[0], np.zeros(8, np.float32), vectors[1]])

    assert [found is None for found in proposed(rows_of(vectors), queries, 5)] == [False, True, False]


def test_a_block_of_long_and_short_rows_answers_alike(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One coarse row widens what is proposed, and changes no answer; nor does a machine without NumKong."""
    rows = unit_rows(rng, 3000, DIMENSION)
    rows[5] *= np.float32(1e3)
    rows[6] *= np.float32(1e-30)
    points = as_points([Point(UUID(int=i), row) for i, row in enumerate(rows)])
    queries = unit_rows(rng, 40, DIMENSION)
    with_bytes = Block(points)
    assert with_bytes._quantized is not None
    monkeypatch.setattr(block_module, "is_available", lambda: False)
    without = Block(points)
    assert without._quantized is None

    for asked in (queries[:1], queries[:2], queries):
        assert with_bytes.search(asked, Filter(), 20) == without.search(asked, Filter(), 20)
    assert without.nbytes < with_bytes.nbytes


def test_a_model_that_it_is_of_no_use_for_is_left_alone(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """All vectors alike but for little, as some models give them: bytes cannot tell them apart, and are tried ever more seldom."""
    monkeypatch.setattr(quantized, "MOST_SHARE", 0.1)
    rows = 0.02 * rng.standard_normal((2000, 64)).astype(np.float32)
    rows[:, 0] = 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    quantized_rows = rows_of(rows)
    looks = 0
    closest = quantized_rows._closest

    def counted(*given: Any) -> list[Any]:
        nonlocal looks
        looks += 1
        return closest(*given)

    quantized_rows._closest = counted  # type: ignore[method-assign]
    for _ in range(30):
        assert proposed(quantized_rows, rows[:1], 10) == [None]
    assert looks == 4, "the first, the third, the seventh and the fifteenth"

    told_apart = unit_rows(rng, 2000, 64)
    of_use = rows_of(told_apart)
    of_use._pause = 3
    assert proposed(of_use, told_apart[:1], 10) != [None]
    assert of_use._pause == 0
    assert proposed(of_use, told_apart[:1], 201) == [None], "so many are wanted that all may be read"


def test_rows_in_several_parts_and_chunks(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SCORES_HELD", 1000)
    monkeypatch.setattr(scan, "CHUNK_ROWS", 100)
    monkeypatch.setattr(quantized, "CHUNK_ROWS", 64)
    vectors, queries = unit_rows(rng, 1500, 24), unit_rows(rng, 9, 24)
    closest = np.argsort(-(queries.astype(np.float64) @ vectors.astype(np.float64).T), axis=1)[:, :12]

    for best, found in zip(closest, proposed(rows_of(vectors), queries, 12), strict=True):
        assert found is not None
        assert set(best.tolist()) <= found


def test_a_longer_copy_leaves_the_former_to_whoever_reads_it(rng: np.random.Generator) -> None:
    vectors, query = unit_rows(rng, 600, 16), unit_rows(rng, 1, 16)
    rows = rows_of(vectors[:300])
    before = proposed(rows, query, 5)
    longer = rows.grown(600, 16)
    longer.put(np.arange(600), vectors[::-1])

    assert proposed(rows, query, 5) == before
    assert proposed(longer, query, 5) == proposed(rows_of(vectors[::-1]), query, 5)


def test_wrong_products_are_noticed_and_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    right = quantized._products
    monkeypatch.setattr(quantized, "_products", lambda codes, asked: right(codes, asked) + (len(asked) > 1))
    quantized.is_available.cache_clear()

    with caplog.at_level(logging.WARNING, logger="memory_mcp.tiers.resident.quantized"):
        assert not quantized.is_available()
    assert "NumKong computes wrong products" in caplog.text


def test_a_machine_without_numkong_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantized, "numkong", None)
    quantized.is_available.cache_clear()

    assert not quantized.is_available()
