"""Finding: by words with BM25, and by vectors, exactly or through an index."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any
from uuid import UUID

import anyio
import numpy as np
from pgvector import HalfVector

from memory_mcp.contracts import Comparison
from memory_mcp.models import NEVER, Delta, Filter, Hit, Matrix, Points, Scope
from memory_mcp.tiers.postgres import reads
from memory_mcp.tiers.postgres.rows import conditions, from_sent
from memory_mcp.tiers.postgres.schema import index_name
from memory_mcp.tiers.postgres.session import Transaction
from memory_mcp.tiers.postgres.text import any_of, asked, scope_term

_CHUNK = 2_000
_LABEL_WEIGHT = 0.5
"""Of a word in tags, key or metadata, against one in the text itself."""
_K1, _B = 1.2, 0.75
_RANKED = 2_000
"""Memories that are ranked for their words, 20 microseconds each."""
_SPARE, _INDEX_SPARE = 2, 6
"""Times as many passages are asked for as memories are wanted."""
_SCOPE = "(SELECT number FROM scopes WHERE namespace = %(namespace)s)"
_EPOCH = "(SELECT number FROM epochs WHERE name = %(epoch)s)"


async def search_text(tx: Transaction, namespaces: Sequence[str], text: str, where: Filter, limit: int) -> list[Hit]:
    """`TextIndex.search_text`: BM25 over the memories that have one of the rarer words, if those are enough.

    Words that stand in very many memories say little, and what they alone bring up would all have to be ranked.
    """
    terms = asked(text)
    scopes = [row[0] for row in await tx.rows("SELECT number FROM scopes WHERE namespace = ANY(%(n)s)", {"n": list(namespaces)})]
    if not terms or not scopes:
        return []
    within = any_of([scope_term(number) for number in scopes])
    row = await tx.row(
        """SELECT counted_words(%(within)s::tsquery, %(terms)s::tsquery[]), count(*) FROM words WHERE scope = ANY(%(scopes)s)""",
        {"within": within, "terms": terms, "scopes": scopes},
    )
    assert row is not None
    counts, size = row
    more, values = conditions(where)
    values.update(within=within, terms=terms, rarities=[rarity(count, size) for count in counts], limit=limit)
    few = rarest(terms, counts, _RANKED)
    hits = await _ranked(tx, any_of(few), more, values)
    if len(hits) < limit and len(few) < len(terms):
        hits = await _ranked(tx, any_of(terms), more, values)
    return hits


def rarest(terms: Sequence[str], counts: Sequence[int], most: int) -> list[str]:
    """The terms from the rarest on that together stand in at most so many memories; one at least."""
    chosen: list[str] = []
    total = 0
    for count, term in sorted(zip(counts, terms, strict=True)):
        total += count
        if chosen and total > most:
            break
        chosen.append(term)
    return chosen


async def _ranked(tx: Transaction, any_term: str, more: str, values: dict[str, Any]) -> list[Hit]:
    """BM25, with the number of occurrences as `ts_rank` saturates it: 1 for one, 1.64 for many.

    Source:
        Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009.
    """
    join = "JOIN memories m ON m.id = f.memory" if more else "WHERE true"
    query = f"""
        WITH found AS MATERIALIZED (SELECT f.* FROM found_words(%(within)s::tsquery, %(any)s::tsquery) f {join}{more}),
        measured AS (SELECT memory, words, {_K1} * ({1 - _B} + {_B} * length / (avg(length) OVER ())::float8) AS norm FROM found)
        SELECT memory, (SELECT sum(rarity * seen * {_K1 + 1}::float8 / (seen + norm))
                        FROM unnest(%(terms)s::tsquery[], %(rarities)s::float8[]) a (term, rarity),
                             LATERAL (SELECT 1.644934 * ts_rank('{{0, 0, {_LABEL_WEIGHT}, 1}}', words, term)::float8 AS seen OFFSET 0) o
                        WHERE words @@ term) AS score
        FROM measured ORDER BY score DESC, memory LIMIT %(limit)s"""
    return [Hit(row[0], row[1]) for row in await tx.rows(query, {**values, "any": any_term})]


def rarity(count: int, size: int) -> float:
    """What a word that stands in `count` of so many memories says; next to nothing where it stands in most."""
    return max(log((size - count + 0.5) / (count + 0.5)), 1e-6)


async def vector_changes(tx: Transaction, scope: Scope, since: int, epoch: str, limit: int | None = None) -> Delta:
    """`VectorSource.vector_changes`."""
    now = await reads.revision(tx, scope.namespace)
    known = await tx.row("SELECT number, dimension FROM epochs WHERE name = %(epoch)s", {"epoch": epoch})
    whole = since == 0 or since > now or known is None
    if known is None or not now:
        return Delta(_points([], None), [], now, whole=True)
    values = {"namespace": scope.namespace, "epoch": known[0], "since": 0 if whole else since, "until": now}
    if limit is not None:
        query = f"SELECT change FROM memories m WHERE m.scope = {_SCOPE} AND m.change > %(since)s ORDER BY change LIMIT 1 OFFSET %(skip)s"
        values["until"] = now = await tx.value(query, {**values, "skip": limit - 1}) or now
    query = f"""SELECT v.memory, halfvec_send(v.vector), v.kind, v.domain, v.tags, v.at, v.expires FROM vectors v
                JOIN memories m ON m.tenant = v.tenant AND m.id = v.memory
                WHERE v.scope = {_SCOPE} AND v.epoch = %(epoch)s AND v.live AND m.change > %(since)s AND m.change <= %(until)s
                ORDER BY v.memory, v.passage"""
    if whole and limit is None:  # the vectors alone tell everything
        query = f"""SELECT v.memory, halfvec_send(v.vector), v.kind, v.domain, v.tags, v.at, v.expires FROM vectors v
                    WHERE v.scope = {_SCOPE} AND v.epoch = %(epoch)s AND v.live ORDER BY v.memory, v.passage"""
    found: list[Any] = []
    async for rows in tx.stream(query, values, size=_CHUNK, binary=True):
        found += rows
    removed: list[UUID] = []
    if not whole:
        query = f"""SELECT m.id FROM memories m WHERE m.scope = {_SCOPE} AND m.change > %(since)s AND m.change <= %(until)s
                    AND NOT EXISTS (
                        SELECT FROM vectors v WHERE v.tenant = m.tenant AND v.memory = m.id AND v.epoch = %(epoch)s AND v.live)"""
        removed = [row[0] for row in await tx.rows(query, values)]
    return Delta(await anyio.to_thread.run_sync(_points, found, known[1]), removed, now, whole)


def _points(rows: Sequence[Sequence[Any]], dimension: int | None) -> Points:
    ids, sent, kinds, domains, tags, when, expires = zip(*rows, strict=True) if rows else ((),) * 7
    return Points(
        ids=list(ids),
        vectors=from_sent(sent, dimension) if dimension else np.empty((0, 0), np.float32),
        kinds=kinds,
        domains=domains,
        tags=[tuple(each) for each in tags],
        when=np.array(when, dtype=np.int64),
        expires=np.array([NEVER if moment is None else moment for moment in expires], dtype=np.int64),
    )


async def compare(tx: Transaction, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str) -> Comparison:
    """`VectorSource.compare`."""
    query = f"""SELECT v.memory, halfvec_send(v.vector) FROM vectors v
                WHERE v.memory = ANY(%(ids)s) AND v.scope = {_SCOPE} AND v.epoch = {_EPOCH} ORDER BY v.memory, v.passage"""
    rows = await tx.rows(query, {"ids": list(ids), "namespace": scope.namespace, "epoch": epoch}, binary=True)
    passages: dict[UUID, list[bytes]] = {}
    for memory, sent in rows:
        passages.setdefault(memory, []).append(sent)
    q, d = vectors.shape
    similarity = np.full((len(ids), q), np.nan, np.float32)
    closest = np.zeros(len(ids), np.intp)
    for row, memory_id in enumerate(ids):
        if memory_id in passages:
            scores = from_sent(passages[memory_id], d) @ vectors.T
            similarity[row], closest[row] = scores.max(0), scores[:, 0].argmax()
    return Comparison(similarity, closest, np.empty((0, q), np.float32))


@dataclass(frozen=True, slots=True)
class Approximate:
    """When to search through the epoch's approximate index, if there is one.

    Attributes:
        exact_rows: In scopes of more vectors.
        large: Scopes by tenant and number, with the epoch, that were found to be: they are not counted again, which takes
            as long as a search. One that shrinks afterwards is searched through the index all the same.
    """

    exact_rows: int
    large: set[tuple[str, int, int]] = field(default_factory=set)


async def search(
    tx: Transaction, scope: Scope, vectors: Matrix, where: Filter, limit: int, epoch: str, approximate: Approximate | None = None
) -> list[list[Hit]]:
    """`VectorIndex.search`; exact where nothing else is said."""
    query = "SELECT e.number, e.dimension, s.number FROM epochs e, scopes s WHERE e.name = %(epoch)s AND s.namespace = %(namespace)s"
    known = await tx.row(query, {"epoch": epoch, "namespace": scope.namespace})
    if known is None or known[1] != vectors.shape[1] or limit < 1:
        return [[] for _ in vectors]
    number, dimension, home = known
    more, values = conditions(where, "v", "v.at")
    values.update(scope=home, epoch=number)
    by_index = approximate is not None and await _prepared(tx, home, number, approximate)
    answers: list[list[Hit]] = []
    for vector in vectors:
        asked = {**values, "vector": HalfVector(vector)}
        hits: list[Hit] = []
        if by_index:
            # the epoch stands in the text, since the index is one of that epoch alone; and the scope, since the server takes
            # one that it does not know yet for one of many small ones, and the index for not worth while
            cast = f"(v.vector::halfvec({dimension})) <=> %(vector)b::halfvec({dimension})"
            hits = await _closest(tx, cast, f"v.scope = {home} AND v.live{more} AND v.epoch = {number}", asked, limit, ties=False)
        if len(hits) < limit:  # also where the index gave up on a filter that little passes
            passing = f"v.scope = %(scope)s AND v.live{more} AND v.epoch = %(epoch)s"
            hits = await _closest(tx, "v.vector <=> %(vector)b", passing, asked, limit, ties=True)
        answers.append(hits)
    return answers


async def _closest(tx: Transaction, distance: str, passing: str, values: dict[str, Any], limit: int, *, ties: bool) -> list[Hit]:
    """Passages closest first until they are of `limit` memories, each memory by its first."""
    order = f"{distance}, v.memory, v.passage" if ties else distance
    # an index hands out what it met first: under a filter some of the closest come late
    spare = _SPARE if ties else _INDEX_SPARE
    query = f"SELECT v.memory, 1 - ({distance}), v.passage FROM vectors v WHERE {passing} ORDER BY {order} LIMIT "
    asked_for = limit
    while True:
        asked_for = asked_for * spare + 10 * spare
        rows = await tx.rows(f"{query}{asked_for}", values)  # in the text: a plan for any number would not use the index
        best: dict[UUID, Hit] = {}
        for memory, score, passage in rows:
            best.setdefault(memory, Hit(memory, min(1.0, max(-1.0, score)), passage))
        if len(best) >= limit or len(rows) < asked_for:
            break
    return sorted(best.values(), key=lambda hit: (-hit.score, hit.id.bytes))[:limit]


async def _prepared(tx: Transaction, home: int, epoch: int, approximate: Approximate) -> bool:
    """Whether the scope is large and the epoch's index there; if so, this transaction searches it until enough rows pass."""
    if not await has_index(tx, epoch):
        return False
    known = (tx.tenant, home, epoch)
    if known not in approximate.large:
        query = "SELECT count(*) FROM (SELECT FROM vectors WHERE scope = %(scope)s AND epoch = %(epoch)s AND live LIMIT %(most)s) few"
        most = approximate.exact_rows + 1
        if await tx.value(query, {"scope": home, "epoch": epoch, "most": most}) < most:
            return False
        approximate.large.add(known)
    await tx.run(
        """SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', '200', true),
                  set_config('hnsw.max_scan_tuples', '200000', true), set_config('hnsw.scan_mem_multiplier', '4', true)"""
    )
    return True


async def has_index(tx: Transaction, epoch: int) -> bool:
    """Whether the approximate index of an epoch's vectors is there, and whole."""
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%(name)s)"
    return bool(await tx.value(query, {"name": index_name(epoch)}))
