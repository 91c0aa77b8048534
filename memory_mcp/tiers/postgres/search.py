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
from memory_mcp.tiers.postgres.text import any_of, asked

_CHUNK = 2_000
_LABEL_WEIGHT = 0.5
"""Of a word in tags, key or metadata, against one in the text itself."""
_K1, _B = 1.2, 0.75
_RANKED = 2_000
"""Memories that are ranked for their words, 20 microseconds each."""
_SPARE, _INDEX_SPARE = 2, 6
"""Times as many passages are asked for as memories are wanted."""
_EPOCH = "(SELECT number FROM epochs WHERE name = %(epoch)s)"


async def search_text(tx: Transaction, namespaces: Sequence[str], text: str, where: Filter, limit: int) -> list[Hit]:
    """`TextIndex.search_text`: BM25 over the memories that have one of the rarer words, if those are enough.

    Words that stand in very many memories say little, and what they alone bring up would all have to be ranked.
    """
    terms = asked(text)
    if not terms:
        return []
    row = await tx.row(  # `@` and a scope's number: the word that stands in every memory of it, and in no text
        """SELECT s.within, counted_words(s.within::tsquery, %(terms)s::tsquery[]),
                  (SELECT count(*) FROM words WHERE scope = ANY(s.numbers))
           FROM (SELECT array_agg(number) AS numbers, string_agg(quote_literal('@' || number), ' | ') AS within
                 FROM scopes WHERE namespace = ANY(%(namespaces)s)) s WHERE s.within IS NOT NULL""",
        {"namespaces": list(namespaces), "terms": terms},
    )
    if row is None:
        return []
    within, counts, size = row
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
    """`VectorSource.vector_changes`; one round trip, unless there are very many."""
    values: dict[str, Any] = {"namespace": scope.namespace, "epoch": epoch, "since": since}
    upto = reads.end_of_page(values, limit)
    within = f"m.change > %(since)s AND m.change <= ({upto})"
    # of a whole scope the vectors alone tell everything
    join = f"JOIN memories m ON m.tenant = v.tenant AND m.id = v.memory AND {within}" if since or limit is not None else ""
    passages = f"""SELECT v.memory, halfvec_send(v.vector), v.kind, v.domain, v.tags, v.at, v.expires FROM vectors v {join}
                   WHERE v.scope = {reads.ONE_SCOPE} AND v.epoch = {_EPOCH} AND v.live ORDER BY v.memory, v.passage"""
    vanished = f"""SELECT m.id FROM memories m WHERE m.scope = {reads.ONE_SCOPE} AND {within} AND NOT EXISTS (
                       SELECT FROM vectors v WHERE v.tenant = m.tenant AND v.memory = m.id AND v.epoch = {_EPOCH} AND v.live)"""
    async with tx.together():
        epochs = await tx.later("SELECT number, dimension FROM epochs WHERE name = %(epoch)s", values)
        revision = await tx.later(reads.REVISION, values)
        last = await tx.later(upto, values)
        pages = await tx.open_stream(passages, values, size=_CHUNK, binary=True)
        gone = await tx.later(vanished, values) if since else None
    known, now = await epochs.fetchone(), await reads.number_of(revision)
    if since > now:  # somebody put an older copy of the store in place
        return await vector_changes(tx, scope, 0, epoch, limit)
    if known is None:
        return Delta(_points([], None), [], now, whole=True)
    found = [row async for rows in pages for row in rows]
    removed = [row[0] for row in await gone.fetchall()] if gone is not None else []
    points = await anyio.to_thread.run_sync(_points, found, known[1])
    return Delta(points, removed, await reads.number_of(last), whole=not since)


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
                WHERE v.memory = ANY(%(ids)s) AND v.scope = {reads.ONE_SCOPE} AND v.epoch = {_EPOCH} ORDER BY v.memory, v.passage"""
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
    more, values = conditions(where, "v", "v.at")
    d = vectors.shape[1]
    values.update(namespace=scope.namespace, epoch=epoch, dimension=d)
    of_epoch = "(SELECT number FROM epochs WHERE name = %(epoch)s AND dimension = %(dimension)s)"
    exactly = f"v.scope = {reads.ONE_SCOPE} AND v.live{more} AND v.epoch = {of_epoch}"
    index = None if approximate is None else await _prepared(tx, scope, epoch, d, approximate)
    answers: list[list[Hit]] = []
    for vector in vectors:
        asked = {**values, "vector": HalfVector(vector)}
        hits: list[Hit] = []
        if index is not None:
            # the epoch stands in the text, since the index is one of that epoch alone; and the scope, since the server takes
            # one that it does not know yet for one of many small ones, and the index for not worth while
            home, number = index
            cast = f"(v.vector::halfvec({d})) <=> %(vector)b::halfvec({d})"
            hits = await _closest(tx, cast, f"v.scope = {home} AND v.live{more} AND v.epoch = {number}", asked, limit, ties=False)
        if len(hits) < limit:  # also where the index gave up on a filter that little passes
            hits = await _closest(tx, "v.vector <=> %(vector)b", exactly, asked, limit, ties=True)
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


async def _prepared(tx: Transaction, scope: Scope, epoch: str, dimension: int, approximate: Approximate) -> tuple[int, int] | None:
    """The scope's number and the epoch's, if the scope is large and the epoch's index there; this transaction then searches through it."""
    query = """SELECT s.number, e.number FROM epochs e, scopes s
               WHERE e.name = %(epoch)s AND e.dimension = %(dimension)s AND s.namespace = %(namespace)s"""
    known = await tx.row(query, {"epoch": epoch, "dimension": dimension, "namespace": scope.namespace})
    if known is None or not await has_index(tx, known[1]):
        return None
    home, number = known
    if (tx.tenant, home, number) not in approximate.large:
        query = "SELECT count(*) FROM (SELECT FROM vectors WHERE scope = %(scope)s AND epoch = %(epoch)s AND live LIMIT %(most)s) few"
        most = approximate.exact_rows + 1
        if await tx.value(query, {"scope": home, "epoch": number, "most": most}) < most:
            return None
        approximate.large.add((tx.tenant, home, number))
    await tx.run(
        """SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', '200', true),
                  set_config('hnsw.max_scan_tuples', '200000', true), set_config('hnsw.scan_mem_multiplier', '4', true)"""
    )
    return home, number


async def has_index(tx: Transaction, epoch: int) -> bool:
    """Whether the approximate index of an epoch's vectors is there, and whole."""
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%(name)s)"
    return bool(await tx.value(query, {"name": index_name(epoch)}))
