"""The parts of the benchmarks that put real servers side by side, at a size that takes seconds."""

import pytest
from postgres_server import server

from tests.benchmarks import bench_cache, bench_http, bench_tiers
from tests.benchmarks.sets import OWN, read_sets
from tests.redis_servers import needs_redis


async def test_tiers_are_compared_and_find_what_they_should() -> None:
    tables = await bench_tiers.run(read_sets([OWN]), [200], questions=12, postgres=server)
    vectors, recall, words, costs = tables.values()
    everywhere = {"memory, NumPy", "SQLite, every vector", "Qdrant's code in this process", "pgvector, every vector", "pgvector, HNSW"}

    assert everywhere <= vectors.keys() == recall.keys()
    for name in everywhere:
        assert min(recall[name][what] for what in bench_tiers.FILTERS) >= bench_tiers.LEAST_RECALL
        assert 0 < vectors[name]["all, p50"] <= vectors[name]["all, p95"]
        assert costs[name]["s to build 1,000"] > 0
    assert words.keys() == {"memory, postings", "SQLite, FTS5", "PostgreSQL, tsvector"}
    assert all(row["bytes"] > 0 for name, row in costs.items() if "Qdrant" not in name)  # memory may have been there already


@needs_redis
async def test_what_the_caches_know_is_told_layer_by_layer() -> None:
    shares, rates, times = (await bench_cache.run(read_sets([OWN]), memories=30, reads=150)).values()
    names = ("without Redis, no writes", "with Redis, no writes", "with Redis, a write every 100")

    for name in names:
        assert sum(shares[f"{layer}, share of reads"][name] for layer in bench_cache.LAYERS) == pytest.approx(1)
    without, with_redis, written = names
    assert shares["candidates in Redis, share of reads"][without] == shares["embedding in Redis, share of reads"][without] == 0
    assert shares["candidates in Redis, share of reads"][with_redis] > 0
    assert shares["embedding in Redis, share of reads"][written] > 0
    assert rates["answer in the process"][written] < rates["answer in the process"][with_redis]
    assert times.keys() == set(bench_cache.LAYERS)


async def test_calls_over_http_are_counted_beside_a_trivial_tools() -> None:
    spent, rates, shares, p50, p95, *_ = (await bench_http.run(read_sets([OWN]), 30, clients=[2], rounds=1, calls=4)).values()

    assert shares[bench_http.TRIVIAL]["2 clients"] == 1
    assert {f"{name}, two workers" for name in (bench_http.KNOWN, bench_http.NEW, bench_http.STORED)} < rates.keys()
    assert all(0 < p50[name]["2 clients"] <= p95[name]["2 clients"] for name in rates)
    assert spent["- embed, in the engine"]["p50"] > 0
    assert spent[f"{bench_http.NEW}, over HTTP"]["p50"] > 0
