"""The approximate index of vectors: when it is used, and what it finds."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from postgres_server import OWNER, Databases, server
from record_stores import ANYTHING, DIMENSION, EPOCH, HOME, add, vector

from memory_mcp.models import Filter
from memory_mcp.tiers.postgres import schema
from memory_mcp.tiers.postgres.session import Transaction
from memory_mcp.tiers.postgres.store import PostgresStore

LARGE, SMALL, SMALL_TENANTS = 6_000, 20, 60
QUERIES = np.array([vector(f"question {n}") for n in range(20)])
EXACT_ROWS = 1_000

COPIES = """
INSERT INTO memories (tenant, id, scope, content, kind, domain, tags, metadata, key, session_id, importance, confidence, short_term,
                      created, updated, valid_from, fingerprint, salt, actor, change, operation)
SELECT s.tenant, ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid, s.number, m.content, m.kind, m.domain,
       array_remove(ARRAY[CASE WHEN g %% 10 = 3 THEN 'often' END, CASE WHEN g %% 100 = 7 THEN 'seldom' END], NULL), m.metadata, m.key,
       m.session_id, m.importance, m.confidence, m.short_term, m.created, m.updated, m.valid_from,
       decode(lpad(to_hex(g), 24, '0'), 'hex'), m.salt, m.actor, m.change, m.operation
FROM memories m, scopes s, generate_series(1, CASE WHEN s.tenant = %(home)s THEN %(large)s ELSE %(small)s END) g;
"""
VECTORS = """
INSERT INTO vectors (tenant, memory, passage, scope, epoch, live, kind, domain, tags, at, expires, vector)
SELECT m.tenant, m.id, 0, m.scope, v.epoch, true, m.kind, m.domain, m.tags, v.at, NULL,
       l2_normalize(ARRAY(SELECT random() - 0.5 + 0 * length(m.id::text) FROM generate_series(1, %(dimension)s))::halfvec)
FROM memories m, vectors v WHERE NOT EXISTS (SELECT FROM vectors o WHERE o.tenant = m.tenant AND o.memory = m.id);
"""
"""Copies of the one memory there is, for each scope, with vectors of their own."""


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    made = Databases(tmp_path)
    yield made
    made.drop()


@asynccontextmanager
async def many_tenants(databases: Databases) -> AsyncIterator[PostgresStore]:
    """A large scope beside many small ones, and the index."""
    async with databases.open(hnsw=True, exact_rows=EXACT_ROWS) as store:
        await add(store, "the first")
        with server().connect(databases.make()) as admin:
            admin.execute(f"SET search_path = {schema.PATH}")
            admin.execute("SELECT setseed(0.5)")
            tenants = {"tenants": [f"small{n}" for n in range(SMALL_TENANTS)]}
            admin.execute("INSERT INTO tenants (name) SELECT unnest(%(tenants)s::text[])", tenants)
            admin.execute("INSERT INTO scopes (tenant, namespace, revision) SELECT unnest(%(tenants)s::text[]), 'home', 1", tenants)
            admin.execute(COPIES, {"home": HOME.tenant, "large": LARGE, "small": SMALL})
            admin.execute(VECTORS, {"dimension": DIMENSION})
        assert await schema.index_vectors(server().dsn(databases.make(), OWNER), wanted=True)
        with server().connect(databases.make()) as admin:
            admin.execute("VACUUM ANALYZE")
        yield store


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How the server carried out each search by vectors."""
    seen: list[str] = []
    ask = Transaction.rows

    async def rows(self: Transaction, sql: str, values: Any = None, *, binary: bool = False) -> Any:
        if "ORDER BY" in sql and "<=>" in sql:
            seen.append("\n".join(row[0] for row in await ask(self, f"EXPLAIN {sql}", values)))
        return await ask(self, sql, values, binary=binary)

    monkeypatch.setattr(Transaction, "rows", rows)
    return seen


async def test_a_large_scope_among_many_small_ones_is_searched_through_the_index(databases: Databases, plans: list[str]) -> None:
    async with many_tenants(databases) as store:
        for query in QUERIES:  # often enough that the server might settle for one plan for all
            await store.search(HOME, query[None], ANYTHING, limit=10, epoch=EPOCH)

        assert len(plans) == len(QUERIES)
        assert all("Index Scan using vectors_hnsw" in plan for plan in plans)


@pytest.mark.parametrize("where", [ANYTHING, Filter(tags=frozenset({"often"})), Filter(tags=frozenset({"seldom"}))])
async def test_the_index_finds_the_closest_under_any_filter(databases: Databases, plans: list[str], where: Filter) -> None:
    """Without scans that go on until enough rows pass, a filter that 1 % pass leaves a twentieth of what is there."""
    with server().connect("postgres") as admin:
        admin.execute(f"ALTER DATABASE {databases.make()} SET enable_sort = off".encode())  # else the server may do without it
    async with many_tenants(databases) as store:
        answers = await store.search(HOME, QUERIES, where, limit=10, epoch=EPOCH)
        points = (await store.vector_changes(HOME, 0, EPOCH)).points
        passing = [row for row, tags in enumerate(points.tags) if where.tags <= set(tags)]
        best = np.argsort(-(QUERIES @ points.vectors[passing].T), axis=1)[:, :10]
        found = [{hit.id for hit in hits} & {points.ids[passing[row]] for row in rows} for hits, rows in zip(answers, best, strict=True)]

        assert all("Index Scan using vectors_hnsw" in plan for plan in plans)
        assert sum(map(len, found)) / best.size >= 0.98
