"""What Qdrant holds, how far, and what becomes of it when something goes wrong; in Qdrant's own code without a server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import numpy as np
import pytest
from brute_force import Point, as_points, closest, unit_rows
from pydantic import ValidationError
from qdrant_client import models
from qdrants import IN_MEMORY, ON_WIRE, SERVER, hold, on_a_server, on_server, opened

from memory_mcp.errors import ScopeNotCoveredError, TierUnavailableError
from memory_mcp.models import NEVER, Delta, Filter, Scope
from memory_mcp.tiers.qdrant import layout
from memory_mcp.tiers.qdrant.connection import Connection
from memory_mcp.tiers.qdrant.index import QdrantIndex
from memory_mcp.tiers.qdrant.opening import open_qdrant
from memory_mcp.tiers.qdrant.settings import QdrantSettings

SCOPE, OTHER = Scope("local", "a"), Scope("stranger", "a")
EPOCH, DIMENSION = "model@1/8", 8
ANYTHING = Filter()
SETTINGS = [
    pytest.param(IN_MEMORY, id="folder"),
    pytest.param(ON_WIRE, id="wire"),
    pytest.param(on_server(), id="server", marks=on_a_server),
]
everywhere = pytest.mark.parametrize("settings", SETTINGS)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def points(rng: np.random.Generator, ids: Sequence[int], passages: int = 1) -> list[Point]:
    return [Point(UUID(int=number), row) for number in ids for row in unit_rows(rng, passages, DIMENSION)]


def delta(rows: Sequence[Point], revision: int, removed: Sequence[int] = (), *, whole: bool = False) -> Delta:
    return Delta(as_points(rows, DIMENSION), [UUID(int=number) for number in removed], revision, whole)


async def found(index: QdrantIndex, scope: Scope = SCOPE) -> set[int]:
    (hits,) = await index.search(scope, np.eye(DIMENSION, dtype=np.float32)[:1], ANYTHING, limit=100, epoch=EPOCH)
    return {hit.id.int for hit in hits}


@everywhere
async def test_the_mark_follows_what_was_carried(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, _):
        marks = [await index.covers(SCOPE, EPOCH)]
        for change in (delta(points(rng, [1, 2]), 5, whole=True), delta(points(rng, [3]), 9, [1]), delta([], 2**50)):
            await index.apply(SCOPE, change, EPOCH)
            marks.append(await index.covers(SCOPE, EPOCH))

        assert marks == [None, 5, 9, 2**50]
        assert await index.covers(OTHER, EPOCH) is None
        assert await index.covers(SCOPE, "another epoch") is None
        assert await found(index) == {2, 3}


@everywhere
async def test_what_came_back_empty_takes_no_change_of_what_it_held(settings: QdrantSettings, rng: np.random.Generator) -> None:
    """Else its mark would say that it holds what was lost with the collection."""
    async with opened(settings) as (index, connection):
        await index.apply(SCOPE, delta(points(rng, [1, 2]), 5, whole=True), EPOCH)
        known = await index.find(EPOCH)
        assert known
        await (await connection.client()).delete_collection(known.name)
        with pytest.raises(TierUnavailableError):
            await index.apply(SCOPE, delta(points(rng, [3]), 9), EPOCH)

        assert await index.covers(SCOPE, EPOCH) is None
        await index.apply(SCOPE, delta(points(rng, [1, 2, 3]), 9, whole=True), EPOCH)
        assert await found(index) == {1, 2, 3}


@everywhere
async def test_a_whole_delta_takes_the_place_of_everything(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, _):
        await index.apply(SCOPE, delta(points(rng, [1, 2, 3]), 50, whole=True), EPOCH)
        await index.apply(OTHER, delta(points(rng, [7]), 50, whole=True), EPOCH)
        await index.apply(SCOPE, delta(points(rng, [3, 4]), 7, whole=True), EPOCH)

        assert (await found(index), await index.covers(SCOPE, EPOCH)) == ({3, 4}, 7)
        assert (await found(index, OTHER), await index.covers(OTHER, EPOCH)) == ({7}, 50)


@everywhere
async def test_what_is_known_as_of_later_is_not_overwritten_by_a_slower_carrier(settings: QdrantSettings, rng: np.random.Generator) -> None:
    earlier, later = points(rng, [1], 3), points(rng, [1], 2)
    async with opened(settings) as (index, _):
        await index.apply(SCOPE, delta([], 1, whole=True), EPOCH)
        await index.apply(SCOPE, delta(later, 20, whole=True), EPOCH)
        await index.apply(SCOPE, delta(earlier[:2], 10, [2]), EPOCH)
        compared = await index.compare(SCOPE, later[0].vector[None], [UUID(int=1)], EPOCH)
        await index.apply(SCOPE, delta([], 15, [1]), EPOCH)

        assert compared.similarity[0, 0] == pytest.approx(1, abs=1e-5)
        assert await index.held(SCOPE, EPOCH) == {UUID(int=1): 2}
        await index.apply(SCOPE, delta([], 25, [1]), EPOCH)
        assert await index.held(SCOPE, EPOCH) == {}


@everywhere
async def test_a_text_that_became_shorter_loses_its_last_passages(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, _):
        for passages, revision in ((4, 1), (700, 2), (2, 3), (2, 3)):
            await index.apply(SCOPE, delta([*points(rng, [1], passages), *points(rng, [2])], revision, whole=revision == 1), EPOCH)
            assert await index.held(SCOPE, EPOCH) == {UUID(int=1): passages, UUID(int=2): 1}


@everywhere
async def test_the_same_id_in_another_scope_is_another_memory(settings: QdrantSettings, rng: np.random.Generator) -> None:
    mine, theirs = points(rng, [1]), points(rng, [1])
    async with opened(settings) as (index, _):
        await index.apply(SCOPE, delta(mine, 1, whole=True), EPOCH)
        await index.apply(OTHER, delta(theirs, 1, whole=True), EPOCH)
        ((hit,),) = await index.search(SCOPE, mine[0].vector[None], ANYTHING, limit=5, epoch=EPOCH)
        await index.apply(OTHER, delta([], 2, [1]), EPOCH)

        assert hit.score == pytest.approx(1, abs=1e-5)
        assert (await found(index), await found(index, OTHER)) == ({1}, set())


@everywhere
async def test_two_stores_share_a_server_and_nothing_else(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, connection):
        other = QdrantIndex(connection, settings, uuid4().hex)
        await index.apply(SCOPE, delta(points(rng, [1]), 1, whole=True), EPOCH)
        await other.apply(SCOPE, delta(points(rng, [2]), 8, whole=True), EPOCH)

        assert (await found(index), await found(other)) == ({1}, {2})
        assert (await index.covers(SCOPE, EPOCH), await other.covers(SCOPE, EPOCH)) == (1, 8)


@everywhere
async def test_what_is_left_out_makes_room_for_others(settings: QdrantSettings, rng: np.random.Generator) -> None:
    rows = points(rng, range(400))
    asked = unit_rows(rng, 2, DIMENSION)
    async with opened(settings) as (index, _):
        await index.apply(SCOPE, delta(rows, 1, whole=True), EPOCH)
        without = {hit.id for vector in asked for hit in closest(rows, vector, 150)}
        answers = await index.search(SCOPE, asked, ANYTHING, limit=20, epoch=EPOCH, without=without)
        compared = await index.compare(SCOPE, asked, [rows[0].id], EPOCH, without={rows[0].id})

    for vector, hits in zip(asked, answers, strict=True):
        expected = closest([row for row in rows if row.id not in without], vector, 20)
        assert [hit.id for hit in hits] == [hit.id for hit in expected]
    assert np.isnan(compared.similarity).all()
    assert len(compared.sample) == 399


@everywhere
async def test_a_large_scope_is_sampled_a_small_one_taken_whole(settings: QdrantSettings, rng: np.random.Generator) -> None:
    rows = points(rng, range(1300))
    asked = unit_rows(rng, 1, DIMENSION)
    async with opened(settings) as (index, _):
        await index.apply(SCOPE, delta(rows[:900], 1, whole=True), EPOCH)
        small = (await index.compare(SCOPE, asked, [], EPOCH)).sample
        await index.apply(SCOPE, delta(rows[900:], 2), EPOCH)
        large = (await index.compare(SCOPE, asked, [], EPOCH)).sample

    truth = np.array([row.vector for row in rows]) @ asked[0]
    assert np.sort(small[:, 0]) == pytest.approx(np.sort(truth[:900]), abs=1e-5)
    assert large.shape == (1000, 1)
    assert large.mean() == pytest.approx(truth.mean(), abs=0.05)


@everywhere
async def test_an_index_is_built_beside_itself_while_it_is_searched(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, _):
        await index.apply(SCOPE, delta(points(rng, [1, 2]), 5, whole=True), EPOCH)
        await index.beside().apply(SCOPE, delta(points(rng, [2, 3]), 6, whole=True), EPOCH)

        assert (await found(index), await index.covers(SCOPE, EPOCH)) == ({1, 2}, 5)
        assert await index.beside().covers(SCOPE, EPOCH) == 6
        await index.finish(EPOCH)
        assert await found(index) == {2, 3}  # who knew the former one finds the new one
        assert await index.covers(SCOPE, EPOCH) == 6
        assert await index.beside().covers(SCOPE, EPOCH) is None
        await index.finish(EPOCH)
        assert await found(index) == {2, 3}


@everywhere
async def test_nothing_is_left_of_an_index_that_was_replaced(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, connection):
        for revision in (1, 2, 3):
            await index.beside().apply(SCOPE, delta(points(rng, [revision]), revision, whole=True), EPOCH)
            await index.finish(EPOCH)
        client = await connection.client()
        await client.create_collection(
            f"{index.alias(EPOCH)}-orphan", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT)
        )
        await index.finish(EPOCH)

        assert len([c for c in (await client.get_collections()).collections if c.name.startswith(index.alias(EPOCH))]) == 1
        assert [a for a in (await client.get_aliases()).aliases if a.alias_name.endswith("-next")] == []


@everywhere
async def test_a_collection_that_is_gone_is_missed_at_once_and_made_again(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, connection):
        await index.apply(SCOPE, delta(points(rng, [1]), 5, whole=True), EPOCH)
        known = await index.find(EPOCH)
        assert known
        await (await connection.client()).delete_collection(known.name)

        with pytest.raises((ScopeNotCoveredError, TierUnavailableError)):
            await found(index)
        assert await index.covers(SCOPE, EPOCH) is None
        await index.apply(SCOPE, delta(points(rng, [1, 2]), 6, whole=True), EPOCH)
        assert (await found(index), await index.covers(SCOPE, EPOCH)) == ({1, 2}, 6)


@everywhere
@pytest.mark.parametrize(
    "vectors",
    [
        models.VectorParams(size=DIMENSION + 1, distance=models.Distance.DOT),
        models.VectorParams(size=DIMENSION, distance=models.Distance.EUCLID),
        {"text": models.VectorParams(size=DIMENSION, distance=models.Distance.DOT)},
    ],
    ids=["dimension", "distance", "names"],
)
async def test_a_collection_that_will_not_do_is_left_alone_until_it_is_made_anew(
    settings: QdrantSettings, rng: np.random.Generator, vectors: Any
) -> None:
    async with opened(settings) as (index, connection):
        client = await connection.client()
        await client.create_collection("memory-mcp-test-stranger", vectors_config=vectors)
        create = models.CreateAlias(collection_name="memory-mcp-test-stranger", alias_name=index.alias(EPOCH))
        await client.update_collection_aliases([models.CreateAliasOperation(create_alias=create)])

        assert await index.covers(SCOPE, EPOCH) is None
        with pytest.raises(ScopeNotCoveredError):
            await found(index)
        await index.apply(SCOPE, delta(points(rng, [1]), 5, whole=True), EPOCH)
        assert (await found(index), await index.covers(SCOPE, EPOCH)) == ({1}, 5)


@pytest.mark.parametrize("settings", SETTINGS[1:])
async def test_an_index_that_was_lost_makes_the_collection_unusable(settings: QdrantSettings, rng: np.random.Generator) -> None:
    async with opened(settings) as (index, connection):
        await index.apply(SCOPE, delta(points(rng, [1]), 1, whole=True), EPOCH)
        known = await index.find(EPOCH)
        assert known
        await (await connection.client()).delete_payload_index(known.name, "kind", wait=True)
        fresh = QdrantIndex(connection, settings, index._identity)
        seen = await fresh.find(EPOCH)

        assert seen
        assert seen.faults == ("the index of kind is missing",)
        assert await fresh.covers(SCOPE, EPOCH) is None


class Cut:
    """A client whose connection is cut at one of its calls, before or after the server carried it out."""

    def __init__(self, client: Any, at: int, *, after: bool) -> None:
        self.client, self.left, self.after = client, at, after

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **given: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise ConnectionError
            result = await getattr(self.client, name)(*args, **given)
            if self.left == 0:
                raise ConnectionError
            return result

        return call


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 16))
async def test_cut_anywhere_the_mark_never_says_more_than_is_held(rng: np.random.Generator, at: int, after: bool) -> None:
    """Carrying is repeated from the mark, and ends where it would have without the cut."""
    first, second = points(rng, [1, 2, 3], 2), [*points(rng, [2], 1), *points(rng, [4], 3)]
    changes = [delta(first, 10, whole=True), delta(second, 20, [3])]
    held = {None: {}, 10: {1: 2, 2: 2, 3: 2}, 20: {1: 2, 2: 1, 4: 3}}
    async with opened(IN_MEMORY) as (index, connection):
        client = await connection.client()
        cut = connection._client = cast(Any, Cut(client, at, after=after))
        for change in changes:
            try:
                await index.apply(SCOPE, change, EPOCH)
            except TierUnavailableError:
                break
        connection._client = client
        mark = await index.covers(SCOPE, EPOCH)
        there = {memory_id.int: count for memory_id, count in (await index.held(SCOPE, EPOCH)).items()}
        if mark is not None:
            missing = {number for number, count in held[mark].items() if there.get(number, 0) < count}
            assert missing <= {2, 3}  # which the second change was about
        for change in changes[0 if mark is None else 1 :]:
            await index.apply(SCOPE, change, EPOCH)

        assert {memory_id.int: count for memory_id, count in (await index.held(SCOPE, EPOCH)).items()} == held[20]
        assert await index.covers(SCOPE, EPOCH) == 20
    assert cut.left <= 0 or at > 12


async def test_a_folder_keeps_everything_for_the_next_process(tmp_path: Path, rng: np.random.Generator) -> None:
    settings = QdrantSettings(path="vectors")
    async with open_qdrant(settings, tmp_path, "store") as (index, connection):
        await index.apply(SCOPE, delta(points(rng, [1, 2], 2), 5, whole=True), EPOCH)
        assert connection.transport == "folder"
        async with open_qdrant(settings, tmp_path, "store") as (twin, its_connection):
            with pytest.raises(TierUnavailableError, match="Another process"):
                await twin.covers(SCOPE, EPOCH)
            assert "Another process" in its_connection.trouble
    async with open_qdrant(settings, tmp_path, "store") as (index, _):
        assert (await found(index), await index.covers(SCOPE, EPOCH)) == ({1, 2}, 5)


async def test_where_nobody_listens_it_says_so_soon() -> None:
    connection = Connection(QdrantSettings(url="http://127.0.0.1:9", grpc_port=9))
    index = QdrantIndex(connection, QdrantSettings(url="http://127.0.0.1:9"), "store")
    with pytest.raises(TierUnavailableError, match="cannot be reached"):
        await index.covers(SCOPE, EPOCH)

    assert connection.trouble
    await connection.close()


def test_fields_are_indexed_before_anything_is_stored() -> None:
    rows = layout.structs(SCOPE, as_points([Point(UUID(int=1), np.ones(2, np.float32), tags=("a", "b"), when=5)]), 7)
    payload = rows[0].payload

    assert payload
    assert set(layout.INDEXES) == set(payload) - {"passages"}
    assert next(iter(layout.INDEXES)) == "scope"
    assert payload["expires"] == NEVER
    assert layout.mark(SCOPE, 1, 2).payload == {"of": '["local", "a"]', "held": 1}


@pytest.mark.parametrize("text", ['a"b', "a\\b", '","', "ä", "\u2028", "a/b", ""])
def test_scopes_of_odd_names_are_told_apart(text: str) -> None:
    names = {layout.scope_name(scope) for scope in (Scope("t", text), Scope(text, "t"), Scope("t" + text, ""), Scope("t", ""))}

    assert len(names) == len({Scope("t", text), Scope(text, "t"), Scope("t" + text, ""), Scope("t", "")})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"url": "https://a", "path": "b"}, "exclude each other"),
        ({"url": "localhost:6333"}, "scheme and host"),
        ({"url": "https://me:secret@host"}, "a secret goes into api_key"),
        ({"path": "b", "api_key": "k"}, "belongs to a server"),
        ({"url": "https://a", "write_consistency": 2}, "replicas"),
        ({"url": "https://a", "quantization": "int4"}, "int8"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence) as refused:
        QdrantSettings(**wrong)

    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize("quantization", ["none", "int8", "binary"])
def test_a_collection_is_made_as_the_settings_say(quantization: Any) -> None:
    settings = QdrantSettings(
        url="https://a",
        hnsw_m=32,
        hnsw_ef_construct=300,
        quantization=quantization,
        on_disk=True,
        shards=3,
        replicas=2,
        write_consistency=2,
    )
    made = models.CreateCollection(
        **{("vectors" if key == "vectors_config" else key): value for key, value in layout.creation(settings, 384).items()}
    )
    params = layout.searching(settings)

    assert isinstance(made.vectors, models.VectorParams)
    assert (made.vectors.size, made.vectors.on_disk, made.vectors.distance) == (384, True, models.Distance.DOT)
    assert (made.shard_number, made.replication_factor, made.write_consistency_factor) == (3, 2, 2)
    assert made.hnsw_config
    assert (made.hnsw_config.m, made.hnsw_config.ef_construct, made.hnsw_config.payload_m) == (32, 300, 32)
    assert (made.quantization_config is None) == (quantization == "none")
    assert params
    assert params.hnsw_ef == 128
    assert (params.quantization is None) == (quantization == "none")


@on_a_server
class TestOnAServer:
    """What only a server has: indexes, a graph, quantisation."""

    @pytest.mark.parametrize("quantization", ["none", "int8"])
    @pytest.mark.parametrize("share", [1.0, 0.1, 0.01])
    async def test_the_graph_finds_what_comparing_everything_finds(self, rng: np.random.Generator, quantization: Any, share: float) -> None:
        n, dimension, k = 20_000, 64, 10
        rows = unit_rows(rng, n, dimension)
        passing = rng.random(n) < share
        everything = [Point(UUID(int=i), rows[i], kind="fact" if passing[i] else "event") for i in range(n)]
        asked = unit_rows(rng, 50, dimension)
        async with opened(on_server(quantization=quantization)) as (index, _):
            await index.apply(SCOPE, Delta(as_points(everything), [], 1, whole=True), EPOCH)
            answers = await index.search(SCOPE, asked, Filter(kinds=frozenset({"fact"})), limit=k, epoch=EPOCH)

        truth = np.where(passing, asked @ rows.T, -2)
        best = np.argsort(-truth, axis=1)[:, :k]
        hits = sum(len({hit.id.int for hit in found} & set(row)) for found, row in zip(answers, best.tolist(), strict=True))
        assert hits / best.size >= 0.98

    async def test_http_serves_where_grpc_does_not(self) -> None:
        settings = QdrantSettings(url=SERVER, grpc_port=9, prefix="memory-mcp-test")
        async with opened(settings) as (index, connection):
            await hold(index, SCOPE, EPOCH, DIMENSION, 3)

            assert (await index.covers(SCOPE, EPOCH), connection.transport) == (3, "http")
