"""The notes of what is still to be carried to derived tiers, and the vectors that were owed."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from memory_mcp.models import Embedding, Note, Scope
from memory_mcp.tiers.postgres import journal, log
from memory_mcp.tiers.postgres.journal import Derived
from memory_mcp.tiers.postgres.rows import LIVE
from memory_mcp.tiers.postgres.session import Transaction

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The server's clock, which all programs share."""
_NEVER_SO_LATE = 900 * 1_000_000
"""No lease and no delay is so long: a note due later than that was put off before the clock was set back."""

Claimed = tuple[int, str, UUID, int]
"""A note's number, tenant, memory and attempts."""


async def claim(tx: Transaction, tier: str, limit: int, lease_seconds: float) -> list[Claimed]:
    """`Outbox.claim`, but for the namespaces, which lie with their tenants."""
    rows = await tx.rows(
        f"""WITH due AS (SELECT number, due FROM outbox WHERE tier = %(tier)s AND (due <= {_NOW} OR due > {_NOW} + {_NEVER_SO_LATE})
                         ORDER BY due, number LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            UPDATE outbox o SET due = {_NOW} + %(lease)s FROM due WHERE o.number = due.number
            RETURNING due.due, o.number, o.tenant, o.memory, o.attempts""",
        {"tier": tier, "limit": limit, "lease": int(lease_seconds * 1e6)},
    )
    return [(row[1], row[2], row[3], row[4]) for row in sorted(rows, key=lambda row: row[:2])]


async def namespaces(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Where a tenant's memories belong."""
    query = """SELECT m.id, s.namespace FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope
               WHERE m.id = ANY(%(ids)s)"""
    return dict(await tx.rows(query, {"ids": list(ids)}))


def notes(tier: str, claimed: Sequence[Claimed], homes: Mapping[tuple[str, UUID], str]) -> list[Note]:
    """What was claimed, as notes; one whose memory is gone meanwhile is none."""
    return [
        Note(number, tier, Scope(tenant, homes[tenant, memory]), memory, attempts)
        for number, tenant, memory, attempts in claimed
        if (tenant, memory) in homes
    ]


async def settle(tx: Transaction, settled: Sequence[Note]) -> None:
    """`Outbox.settle`."""
    await tx.run("DELETE FROM outbox WHERE number = ANY(%(numbers)s)", {"numbers": [note.number for note in settled]})


async def postpone(tx: Transaction, late: Sequence[Note], delay_seconds: float) -> None:
    """`Outbox.postpone`."""
    await tx.run(
        f"UPDATE outbox SET due = {_NOW} + %(delay)s, attempts = attempts + 1 WHERE number = ANY(%(numbers)s)",
        {"numbers": [note.number for note in late], "delay": int(delay_seconds * 1e6)},
    )


async def count(tx: Transaction) -> dict[str, int]:
    """`Outbox.notes`."""
    return dict(await tx.rows("SELECT tier, count(*) FROM outbox GROUP BY tier"))


async def keep_tiers(tx: Transaction, tiers: Collection[str]) -> None:
    """`Outbox.keep_tiers`."""
    await tx.run("DELETE FROM outbox WHERE tier <> ALL(%(kept)s)", {"kept": ["embed", "mentions", *tiers]})


async def contents(tx: Transaction, own: Sequence[Note]) -> dict[int, str]:
    """`VectorSource.contents` of one tenant, by the notes' numbers."""
    query = f"""SELECT o.number, m.content FROM outbox o JOIN memories m ON m.tenant = o.tenant AND m.id = o.memory
                WHERE o.number = ANY(%(numbers)s) AND {LIVE}"""
    return dict(await tx.rows(query, {"numbers": [note.number for note in own]}))


async def settle_embeddings(tx: Transaction, derived: Derived, own: Sequence[tuple[Note, Embedding | None]]) -> None:
    """`VectorSource.settle_embeddings` of one tenant.

    What was overtaken is left to the next round: a note replaced because the text changed, and a vector
    of an epoch that is embedded with no more.
    """
    await log.lock_tenant(tx)
    still = await tx.rows(
        """SELECT o.number, o.memory FROM outbox o JOIN memories m ON m.tenant = o.tenant AND m.id = o.memory
           WHERE o.number = ANY(%(numbers)s)""",
        {"numbers": [note.number for note, _ in own]},
    )
    memories: dict[int, UUID] = dict(still)
    done: list[int] = []
    embedded: list[UUID] = []
    for note, embedding in own:
        if note.number not in memories:
            continue
        if embedding is not None:
            epoch = await journal.epoch_of(tx, embedding.epoch, embedding.vectors.shape[1])
            if not epoch.active:
                continue
            await journal.put_vectors(tx, memories[note.number], embedding, epoch)
            embedded.append(memories[note.number])
        done.append(note.number)
    await tx.run("DELETE FROM outbox WHERE number = ANY(%(numbers)s)", {"numbers": done})
    if embedded:
        await journal.mark_changed(tx, embedded)
        await derived.owe(tx, embedded)


async def adopt_epoch(tx: Transaction, epoch: str) -> int:
    """`VectorSource.adopt_epoch`, for one tenant after the other."""
    number = (await journal.epoch_of(tx, epoch)).number
    switched = await tx.rows("UPDATE epochs SET active = (number = %(n)s) WHERE active <> (number = %(n)s) RETURNING number", {"n": number})
    noted = 0
    for (tenant,) in await tx.rows("SELECT name FROM tenants ORDER BY name"):
        await tx.become(tenant)
        if switched:
            await tx.run(f"UPDATE scopes SET revision = revision + {journal.STRIDE}")
        noted += await tx.value(
            f"""WITH owed AS (
                    INSERT INTO outbox (tier, tenant, memory) SELECT 'embed', m.tenant, m.id FROM memories m
                    WHERE {LIVE} AND NOT EXISTS (SELECT FROM vectors v WHERE v.tenant = m.tenant AND v.memory = m.id AND v.epoch = %(n)s)
                    ORDER BY m.id ON CONFLICT DO NOTHING RETURNING 1)
                SELECT count(*) FROM owed""",
            {"n": number},
        )
    return noted
