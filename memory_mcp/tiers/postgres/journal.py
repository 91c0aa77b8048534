"""What every write leaves behind in its transaction: revision, past forms, words, notes; each for many memories at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import anyio

from memory_mcp.clock import to_micros
from memory_mcp.errors import TierError
from memory_mcp.models import Embedding, Scope
from memory_mcp.text.words import labels_of
from memory_mcp.tiers.postgres import graph
from memory_mcp.tiers.postgres.faults import TIER
from memory_mcp.tiers.postgres.graph import Spoken
from memory_mcp.tiers.postgres.rows import LIVE, WHEN, halves
from memory_mcp.tiers.postgres.session import Row, Transaction
from memory_mcp.tiers.postgres.text import text_vector

FORM = (
    "kind domain tags metadata key session_id importance confidence short_term updated occurred valid_from valid_to expires "
    "superseded_by forgotten fingerprint operation"
).split()
"""Of a memory, what can change besides its text."""
_FORM = ", ".join(f"m.{name}" for name in FORM)

_BATCH = 500
"""Texts whose words are written in one round trip."""

Item = TypeVar("Item")

STRIDE = "(1 + floor(random() * 8388608)::bigint)"
"""By which a revision grows; see `RecordStore.revisions`."""

Words = tuple[str, int, Spoken]
"""A tsvector literal, how many words the text has, and what it speaks of."""


async def next_revision(tx: Transaction, scope: Scope) -> tuple[int, int]:
    """The scope's number, made at its first write, and its revision, which moves: whatever was derived from an older one is stale."""
    row = await tx.row(
        f"""INSERT INTO scopes (tenant, namespace, revision) VALUES (%(tenant)s, %(namespace)s, {STRIDE})
            ON CONFLICT (tenant, namespace) DO UPDATE SET revision = scopes.revision + {STRIDE} RETURNING number, revision""",
        {"tenant": scope.tenant, "namespace": scope.namespace},
    )
    assert row is not None
    return row[0], row[1]


async def mark_changed(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Move the revisions of these memories' scopes, and stamp the memories with them."""
    await tx.run(
        f"""WITH moved AS (UPDATE scopes SET revision = revision + {STRIDE}
                          WHERE number IN (SELECT scope FROM memories WHERE id = ANY(%(ids)s)) RETURNING tenant, number, revision)
           UPDATE memories m SET change = moved.revision FROM moved
           WHERE m.tenant = moved.tenant AND m.scope = moved.number AND m.id = ANY(%(ids)s)""",
        {"ids": list(ids)},
    )


async def keep_forms(tx: Transaction, ids: Sequence[UUID], operation: int, now: datetime, *, contents: Sequence[UUID] = ()) -> None:
    """Save the present forms of memories as versions that `operation` replaces; with text and vectors of those whose text changes."""
    await tx.run(
        f"""INSERT INTO versions (tenant, memory, n, operation, replaced, content, form, epoch, vectors)
            SELECT m.tenant, m.id, (SELECT coalesce(max(n), 0) + 1 FROM versions o WHERE o.tenant = m.tenant AND o.memory = m.id),
                   %(operation)s, %(now)s, CASE WHEN m.id = ANY(%(contents)s) THEN m.content END,
                   (SELECT row_to_json(form) FROM (SELECT {_FORM}) form),
                   CASE WHEN m.id = ANY(%(contents)s)
                        THEN (SELECT min(epoch) FROM vectors v WHERE v.tenant = m.tenant AND v.memory = m.id) END,
                   CASE WHEN m.id = ANY(%(contents)s)
                        THEN (SELECT array_agg(vector ORDER BY passage) FROM vectors v WHERE v.tenant = m.tenant AND v.memory = m.id) END
            FROM memories m WHERE m.id = ANY(%(ids)s)""",
        {"ids": list(ids), "operation": operation, "now": to_micros(now), "contents": list(contents)},
    )


async def restore_forms(tx: Transaction, ids: Sequence[UUID], operation: int) -> None:
    """Give memories back the forms that `operation` replaced, with texts and vectors where those changed."""
    values = {"ids": list(ids), "operation": operation}
    await tx.run(
        f"""UPDATE memories m SET ({", ".join(FORM)}) = (SELECT {", ".join(FORM)} FROM json_populate_record(NULL::memories, v.form)),
                   content = coalesce(v.content, m.content)
            FROM versions v WHERE v.tenant = m.tenant AND v.memory = m.id AND v.operation = %(operation)s AND m.id = ANY(%(ids)s)""",
        values,
    )
    past = "versions p WHERE p.operation = %(operation)s AND p.memory = ANY(%(ids)s) AND p.content IS NOT NULL"
    await tx.run(f"DELETE FROM vectors WHERE memory IN (SELECT memory FROM {past})", values)
    await tx.run(
        f"""INSERT INTO vectors (tenant, memory, passage, scope, epoch, live, kind, domain, tags, at, expires, vector)
            SELECT m.tenant, m.id, v.n - 1, m.scope, v.epoch, {LIVE}, m.kind, m.domain, m.tags, {WHEN}, m.expires, v.vector
            FROM (SELECT p.memory, p.epoch, a.vector, a.n FROM versions p, unnest(p.vectors) WITH ORDINALITY a (vector, n)
                  WHERE p.operation = %(operation)s AND p.memory = ANY(%(ids)s) AND p.content IS NOT NULL) v
            JOIN memories m ON m.id = v.memory""",
        values,
    )


@dataclass(frozen=True, slots=True)
class Epoch:
    """A model whose vectors can be compared; `dimension` None until there is one."""

    number: int
    active: bool
    dimension: int | None


EPOCH = "SELECT number, active, dimension FROM epochs WHERE name = %(epoch)s"


async def epoch_of(tx: Transaction, name: str, dimension: int | None = None) -> Epoch:
    """The epoch of a name; the first one ever is the active one until another is adopted.

    Raises:
        TierError: Its vectors are of another dimension.
    """
    row = await tx.row(EPOCH, {"epoch": name})
    if row is None or (dimension is not None and row[2] is None):
        # one at a time, so that there is one first
        await tx.run("SELECT pg_advisory_xact_lock(hashtext('memory_mcp.epochs'))")
        await tx.run(
            """INSERT INTO epochs (name, active, dimension) SELECT %(epoch)s, NOT EXISTS (SELECT FROM epochs), %(dimension)s
               ON CONFLICT (name) DO UPDATE SET dimension = coalesce(epochs.dimension, excluded.dimension)""",
            {"epoch": name, "dimension": dimension},
        )
        row = await tx.row(EPOCH, {"epoch": name})
        assert row is not None
    epoch = Epoch(*row)
    if dimension is not None and epoch.dimension != dimension:
        raise TierError(TIER, f"A vector of {dimension} numbers does not belong to {name}.")
    return epoch


async def put_vectors(tx: Transaction, memory: UUID, embedding: Embedding, epoch: Epoch, *, fresh: bool = False) -> None:
    """Set a memory's vectors, one a passage."""
    if not fresh:
        await tx.run("DELETE FROM vectors WHERE memory = %(memory)s", {"memory": memory})
    await tx.run(
        f"""INSERT INTO vectors (tenant, memory, passage, scope, epoch, live, kind, domain, tags, at, expires, vector)
            SELECT m.tenant, m.id, v.n - 1, m.scope, %(epoch)s, {LIVE}, m.kind, m.domain, m.tags, {WHEN}, m.expires, v.vector
            FROM memories m, unnest(%(vectors)b) WITH ORDINALITY v (vector, n) WHERE m.id = %(memory)s""",
        {"memory": memory, "epoch": epoch.number, "vectors": halves(embedding.vectors)},
    )


HAS_VECTOR = (
    """EXISTS (SELECT FROM vectors v JOIN epochs e ON e.number = v.epoch AND e.active WHERE v.tenant = m.tenant AND v.memory = m.id)"""
)


@dataclass(frozen=True, slots=True)
class Derived:
    """What is told of every change: derived tiers, by a note for each memory."""

    tiers: tuple[str, ...] = ()

    async def touch(self, tx: Transaction, ids: Sequence[UUID]) -> None:
        """Bring text index, graph and vectors level with the rows, and note the change for every tier that needs to hear of it."""
        live = await _words(tx, ids)
        await self._clear(tx, [memory_id for memory_id in ids if memory_id not in live], ids)
        for batch in batched(list(live.items()), _BATCH):
            async with tx.together():
                await self._set_words(tx, dict(batch))
        await self.owe(tx, ids)

    async def add(self, tx: Transaction, memory: UUID, words: Words, ended: Sequence[UUID], *, embedded: bool) -> None:
        """Likewise for a memory that has just been made, and those that it ended; nothing is waited for."""
        await self._set_words(tx, {memory: words})
        if ended:
            await self._clear(tx, ended, ended)
            await self.owe(tx, ended)
        if self.tiers or not embedded:
            await self._insert_notes(tx, [memory])

    async def _set_words(self, tx: Transaction, live: Mapping[UUID, Words]) -> None:
        await graph.put(tx, {memory_id: spoken for memory_id, (_, _, spoken) in live.items()})
        for memory_id, (literal, length, _) in live.items():
            await tx.run(
                """INSERT INTO words (tenant, memory, scope, length, words)
                   SELECT tenant, id, scope, %(length)s, array_to_tsvector(ARRAY['@' || scope]) || %(words)s::tsvector
                   FROM memories WHERE id = %(memory)s
                   ON CONFLICT (tenant, memory) DO UPDATE SET length = excluded.length, words = excluded.words""",
                {"memory": memory_id, "words": literal, "length": length},
            )

    async def _clear(self, tx: Transaction, gone: Sequence[UUID], ids: Sequence[UUID]) -> None:
        if gone:
            await tx.run("DELETE FROM words WHERE memory = ANY(%(ids)s)", {"ids": list(gone)})
        await graph.clear(tx, ids)
        await tx.run(
            f"""UPDATE vectors v SET live = ({LIVE}), tags = m.tags, expires = m.expires FROM memories m
                WHERE m.id = ANY(%(ids)s) AND v.tenant = m.tenant AND v.memory = m.id
                  AND (v.live, v.tags, v.expires) IS DISTINCT FROM (({LIVE}), m.tags, m.expires)""",
            {"ids": list(ids)},
        )

    async def owe(self, tx: Transaction, ids: Sequence[UUID]) -> None:
        """Replace the notes on memories, so that nobody settles the older ones."""
        await tx.run(
            """DELETE FROM outbox WHERE tenant = %(tenant)s AND memory = ANY(%(ids)s)
               AND tier = ANY(ARRAY['embed'] || %(tiers)s::text[])""",
            {"tenant": tx.tenant, "ids": list(ids), "tiers": list(self.tiers)},
        )
        await self._insert_notes(tx, ids)

    async def _insert_notes(self, tx: Transaction, ids: Sequence[UUID]) -> None:
        """For "embed" where a live memory has no vector, and for each derived tier."""
        await tx.run(
            f"""INSERT INTO outbox (tier, tenant, memory)
                SELECT t.tier, m.tenant, m.id FROM unnest(%(ids)s) WITH ORDINALITY i (id, n)
                JOIN memories m ON m.id = i.id, unnest(ARRAY['embed'] || %(tiers)s::text[]) t (tier)
                WHERE t.tier <> 'embed' OR ({LIVE} AND NOT {HAS_VECTOR}) ORDER BY i.n
                ON CONFLICT DO NOTHING""",
            {"ids": list(ids), "tiers": list(self.tiers)},
        )


async def _words(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, Words]:
    """Of those that are live."""
    query = f"SELECT m.id, m.content, m.tags, m.key, m.metadata FROM memories m WHERE m.id = ANY(%(ids)s) AND {LIVE}"
    return await anyio.to_thread.run_sync(_words_of_rows, await tx.rows(query, {"ids": list(ids)}))


def _words_of_rows(rows: Sequence[Row]) -> dict[UUID, Words]:
    return {row[0]: words_of(row[1], *row[2:]) for row in rows}


def words_of(content: str, tags: Sequence[str], key: str, metadata: Mapping[str, Any]) -> Words:
    """What is written of a memory beside its row, read from it."""
    return *text_vector(content, labels_of(tags, key, metadata)), Spoken.of(content, metadata)


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """In order, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))
