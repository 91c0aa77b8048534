"""What every vector index owes its callers, whichever engine answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from importlib.metadata import entry_points
from uuid import UUID

import anyio
import foreign_tiers
import numpy as np
import pytest
from brute_force import BruteForce, Point, Records, as_points, as_rows, closest, moment, passes, unit_rows
from qdrants import IN_MEMORY, ON_WIRE, hold, on_a_server, on_server, opened

from memory_mcp.contracts import VectorIndex
from memory_mcp.models import NEVER, Filter, Hit, Points, Scope
from memory_mcp.tiers.qdrant.settings import QdrantSettings
from memory_mcp.tiers.resident.index import ResidentIndex

SCOPE, OTHER_SCOPE = Scope("local", "a"), Scope("local", "b")
EPOCH, OTHER_EPOCH = "model@1/16", "model@2/16"
DIMENSION = 16
ANYTHING = Filter()

FILTERS = {
    "one_kind": Filter(kinds=frozenset({"event"})),
    "any_of_some_kinds": Filter(kinds=frozenset({"event", "rule", "chat"})),
    "unknown_kind": Filter(kinds=frozenset({"chat"})),
    "domain": Filter(domains=frozenset({"coding"})),
    "rare_tag": Filter(tags=frozenset({"seldom"})),
    "all_of_two_tags": Filter(tags=frozenset({"often", "third"})),
    "unknown_tag": Filter(tags=frozenset({"often", "never"})),
    "since": Filter(since=moment(100_000)),
    "until": Filter(until=moment(100_000)),
    "one_moment": Filter(since=moment(100_000), until=moment(101_000)),
    "not_expired": Filter(now=moment(400_000)),
    "everything_at_once": Filter(kinds=frozenset({"fact"}), tags=frozenset({"often"}), since=moment(90_000), now=moment(300_000)),
}

OpenIndex = Callable[[], AbstractAsyncContextManager[VectorIndex]]


@asynccontextmanager
async def open_brute_force() -> AsyncIterator[VectorIndex]:
    yield BruteForce()


@asynccontextmanager
async def open_resident() -> AsyncIterator[VectorIndex]:
    yield ResidentIndex(Records(), anyio.CapacityLimiter(2))


def open_in_qdrant(settings: QdrantSettings) -> OpenIndex:
    @asynccontextmanager
    async def open_index() -> AsyncIterator[VectorIndex]:
        async with opened(settings) as (index, _):
            for scope in (SCOPE, OTHER_SCOPE):
                await hold(index, scope, EPOCH, DIMENSION)
            yield index

    return open_index


@asynccontextmanager
async def open_of_another_package() -> AsyncIterator[VectorIndex]:
    with foreign_tiers.installed() as folder:
        (entry,) = entry_points(group="memory_mcp.tiers", name=foreign_tiers.NAME)
        async with entry.load()({"folder": str(folder / "vectors")}, Records()) as index:
            yield index


OPENERS: dict[str, OpenIndex] = {
    "brute_force": open_brute_force,
    "resident": open_resident,
    "another_package": open_of_another_package,
    "qdrant_folder": open_in_qdrant(IN_MEMORY),
    "qdrant_wire": open_in_qdrant(ON_WIRE),
    "qdrant_grpc": open_in_qdrant(on_server()),
    "qdrant_http": open_in_qdrant(on_server(prefer_grpc=False)),
}
ON_SERVERS = {"qdrant_grpc", "qdrant_http"}


@pytest.fixture(params=[pytest.param(name, marks=[on_a_server] if name in ON_SERVERS else []) for name in OPENERS])
def open_index(request: pytest.FixtureRequest) -> OpenIndex:
    """An opener, for the test to open; inside it every scope and epoch used here has been asked for once."""
    opener = OPENERS[request.param]

    @asynccontextmanager
    async def asked_once() -> AsyncIterator[VectorIndex]:
        async with opener() as index:
            for scope in (SCOPE, OTHER_SCOPE):
                assert await index.covers(scope, EPOCH) is not None
            yield index

    return asked_once


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def some_points(rng: np.random.Generator, n: int, *, first: int = 0) -> Points:
    """Points whose kinds, domains, tags, times and ends all differ from row to row."""
    ids = [UUID(int=int(number)) for number in first + rng.permutation(n)]
    vectors = unit_rows(rng, n, DIMENSION)
    return as_points(
        [
            Point(
                id=memory_id,
                vector=vectors[i],
                kind=("fact", "event", "rule")[i % 3],
                domain=("coding", "general")[i % 2],
                tags=tuple(tag for tag, every in (("often", 2), ("seldom", 40), ("third", 3)) if i % every == 0),
                when=i * 1000,
                expires=NEVER if i % 4 else i * 2000,
            )
            for i, memory_id in enumerate(ids)
        ]
    )


def assert_same(found: list[Hit], expected: list[Hit]) -> None:
    """The same hits in the same order with the same scores, as far as float32 tells scores apart."""
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert np.allclose([hit.score for hit in found], [hit.score for hit in expected], atol=1e-5)


@pytest.mark.parametrize("queries", [1, 3, 20])
async def test_search_agrees_with_comparing_every_vector(open_index: OpenIndex, rng: np.random.Generator, queries: int) -> None:
    points, asked = some_points(rng, 700), unit_rows(rng, queries, DIMENSION)
    async with open_index() as index:
        await index.upsert(SCOPE, points, EPOCH)
        answers = await index.search(SCOPE, asked, ANYTHING, limit=10, epoch=EPOCH)

    assert len(answers) == queries
    for vector, hits in zip(asked, answers, strict=True):
        assert_same(hits, closest(as_rows(points), vector, 10))


@pytest.mark.parametrize("where", FILTERS.values(), ids=FILTERS)
async def test_a_filter_is_a_condition_of_the_search(open_index: OpenIndex, rng: np.random.Generator, where: Filter) -> None:
    """As many as asked for come back, if so many pass: the filter is not laid over a finished answer."""
    points, asked = some_points(rng, 600), unit_rows(rng, 2, DIMENSION)
    async with open_index() as index:
        await index.upsert(SCOPE, points, EPOCH)
        answers = await index.search(SCOPE, asked, where, limit=12, epoch=EPOCH)

    passing = [point for point in as_rows(points) if passes(point, where)]
    for vector, hits in zip(asked, answers, strict=True):
        assert_same(hits, closest(passing, vector, 12))


@pytest.mark.parametrize("where", [ANYTHING, FILTERS["rare_tag"]], ids=["anything", "few"])
async def test_a_memory_is_found_once_by_its_best_passage(open_index: OpenIndex, rng: np.random.Generator, where: Filter) -> None:
    """Also where the passages of one memory outnumber everything that is asked for."""
    points = as_rows(some_points(rng, 80))
    chatty = [replace(points[0], vector=row) for row in unit_rows(rng, 300, DIMENSION)]
    passages = [*points[1:40], *chatty, *points[40:], *(replace(points[-1], vector=row) for row in unit_rows(rng, 3, DIMENSION))]
    asked = unit_rows(rng, 8, DIMENSION)
    async with open_index() as index:
        await index.upsert(SCOPE, as_points(passages), EPOCH)
        answers = await index.search(SCOPE, asked, where, limit=20, epoch=EPOCH)
        compared = await index.compare(SCOPE, asked, [points[0].id, points[5].id], EPOCH)
        await index.upsert(SCOPE, as_points([points[0]]), EPOCH)
        (shorter,) = await index.search(SCOPE, asked[:1], ANYTHING, limit=100, epoch=EPOCH)

    passing = [point for point in passages if passes(point, where)]
    for vector, hits in zip(asked, answers, strict=True):
        expected = closest(passing, vector, 20)
        assert_same(hits, expected)
        assert [hit.passage for hit in hits] == [hit.passage for hit in expected]
    (best,) = closest(chatty, asked[0], 1)
    assert compared.similarity[0, 0] == pytest.approx(best.score, abs=1e-5)
    assert compared.passage.tolist() == [best.passage, 0]
    assert_same(shorter, closest([point for point in passages if point.id != points[0].id] + [points[0]], asked[0], 100))


async def test_equal_scores_are_ordered_by_id(open_index: OpenIndex) -> None:
    axis = np.eye(DIMENSION, dtype=np.float32)
    numbers = [9, 2**127 + 1, 3, 2**64, 2**64 - 1, 1, 5]
    async with open_index() as index:
        await index.upsert(SCOPE, as_points([Point(UUID(int=number), axis[0]) for number in numbers]), EPOCH)
        ((*first,), (*second,)) = await index.search(SCOPE, axis[:2], ANYTHING, limit=5, epoch=EPOCH)

    expected = [UUID(int=number) for number in sorted(numbers)[:5]]
    assert [hit.id for hit in first] == [hit.id for hit in second] == expected
    assert {hit.score for hit in first} == {1.0}
    assert {hit.score for hit in second} == {0.0}


async def test_upsert_replaces_and_repeating_it_changes_nothing(open_index: OpenIndex, rng: np.random.Generator) -> None:
    points = some_points(rng, 50)
    before = as_rows(points)[0]
    after = Point(before.id, -before.vector, kind="decision", tags=("new",))
    async with open_index() as index:
        for batch in (points, as_points([after]), as_points([after])):
            await index.upsert(SCOPE, batch, EPOCH)
        (hits,) = await index.search(SCOPE, after.vector[None], ANYTHING, limit=100, epoch=EPOCH)
        (former,) = await index.search(SCOPE, after.vector[None], Filter(kinds=frozenset({"fact"})), limit=100, epoch=EPOCH)
        (latter,) = await index.search(SCOPE, after.vector[None], Filter(tags=frozenset({"new"})), limit=100, epoch=EPOCH)

    assert len(hits) == 50
    assert hits[0].id == after.id
    assert after.id not in {hit.id for hit in former}
    assert [hit.id for hit in latter] == [after.id]


async def test_deleted_points_are_gone_and_unknown_ids_are_no_error(open_index: OpenIndex, rng: np.random.Generator) -> None:
    points = some_points(rng, 40)
    gone, left = points.ids[:15], set(points.ids[15:])
    async with open_index() as index:
        await index.upsert(SCOPE, points, EPOCH)
        await index.delete(SCOPE, [*gone, UUID(int=10**9)], EPOCH)
        await index.delete(SCOPE, gone, EPOCH)
        (hits,) = await index.search(SCOPE, points.vectors[:1], ANYTHING, limit=100, epoch=EPOCH)
        (tagged,) = await index.search(SCOPE, points.vectors[:1], Filter(tags=frozenset({"often"})), limit=100, epoch=EPOCH)

    assert {hit.id for hit in hits} == left
    assert {hit.id for hit in tagged} <= left


async def test_a_search_stays_in_its_scope(open_index: OpenIndex, rng: np.random.Generator) -> None:
    mine, theirs = some_points(rng, 20), some_points(rng, 20, first=100)
    async with open_index() as index:
        await index.upsert(SCOPE, mine, EPOCH)
        await index.upsert(OTHER_SCOPE, theirs, EPOCH)
        await index.delete(OTHER_SCOPE, mine.ids, EPOCH)
        (hits,) = await index.search(SCOPE, theirs.vectors[:1], ANYTHING, limit=100, epoch=EPOCH)

    assert {hit.id for hit in hits} == set(mine.ids)


async def test_epochs_never_mix(open_index: OpenIndex, rng: np.random.Generator) -> None:
    """Neither a search nor a write in another epoch meets the vectors of this one."""
    points = some_points(rng, 20)
    async with open_index() as index:
        await index.upsert(SCOPE, points, EPOCH)
        await index.delete(SCOPE, points.ids, OTHER_EPOCH)
        (here,) = await index.search(SCOPE, points.vectors[:1], ANYTHING, limit=100, epoch=EPOCH)
        (there,) = await index.search(SCOPE, points.vectors[:1], ANYTHING, limit=100, epoch=OTHER_EPOCH)

    assert {hit.id for hit in here} == set(points.ids)
    assert there == []


async def test_the_limit_may_exceed_what_there_is(open_index: OpenIndex, rng: np.random.Generator) -> None:
    points = some_points(rng, 5)
    async with open_index() as index:
        (nothing,) = await index.search(SCOPE, points.vectors[:1], ANYTHING, limit=10, epoch=EPOCH)
        await index.upsert(SCOPE, points, EPOCH)
        (hits,) = await index.search(SCOPE, points.vectors[:1], ANYTHING, limit=1000, epoch=EPOCH)

    assert nothing == []
    assert_same(hits, closest(as_rows(points), points.vectors[0], 5))


async def test_scores_are_cosines(open_index: OpenIndex, rng: np.random.Generator) -> None:
    points = some_points(rng, 100)
    async with open_index() as index:
        await index.upsert(SCOPE, points, EPOCH)
        answers = await index.search(SCOPE, points.vectors, ANYTHING, limit=100, epoch=EPOCH)

    scores = np.array([[hit.score for hit in hits] for hits in answers])
    assert scores.min() >= -1.0
    assert scores.max() <= 1.0
    assert [hits[0].id for hits in answers] == list(points.ids)


async def test_comparing_single_memories_agrees_with_a_search(open_index: OpenIndex, rng: np.random.Generator) -> None:
    points, asked = some_points(rng, 50), unit_rows(rng, 2, DIMENSION)
    async with open_index() as index:
        await index.upsert(SCOPE, points, EPOCH)
        ((*hits,),) = await index.search(SCOPE, asked[:1], ANYTHING, limit=50, epoch=EPOCH)
        wanted = [hits[3].id, UUID(int=10**30), hits[40].id, hits[3].id]
        compared = await index.compare(SCOPE, asked, wanted, EPOCH)

    assert compared.similarity.shape == (4, 2)
    assert compared.similarity[:, 0].tolist() == pytest.approx([hits[3].score, np.nan, hits[40].score, hits[3].score], nan_ok=True)
    assert np.isnan(compared.similarity[1]).all()


async def test_a_sample_is_of_the_scope_and_all_of_a_small_one(open_index: OpenIndex, rng: np.random.Generator) -> None:
    points, asked = some_points(rng, 60), unit_rows(rng, 2, DIMENSION)
    async with open_index() as index:
        await index.upsert(SCOPE, points, EPOCH)
        sample = (await index.compare(SCOPE, asked, [], EPOCH)).sample
        elsewhere = await index.compare(Scope("local", "elsewhere"), asked, [points.ids[0]], EPOCH)

    assert np.sort(sample, axis=0) == pytest.approx(np.sort(points.vectors @ asked.T, axis=0), abs=1e-5)
    assert elsewhere.sample.shape == (0, 2)
    assert np.isnan(elsewhere.similarity).all()
