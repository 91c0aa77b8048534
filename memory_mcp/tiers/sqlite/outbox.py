"""The notes of what is still to be carried to derived tiers, and the vectors that were owed."""

import os
import time
from collections.abc import Collection, Sequence
from uuid import UUID

import apsw

from memory_mcp.models import Embedding, Note, Scope
from memory_mcp.tiers.sqlite import journal
from memory_mcp.tiers.sqlite.query import all_rows, first, value
from memory_mcp.tiers.sqlite.rows import LIVE
from memory_mcp.tiers.sqlite.writes import epoch_number, is_active, put_vector

_NEVER_SO_LATE = 900 * 1_000_000
"""No lease and no delay is so long: a note due later than that was put off before the clock was set back."""


def claim(db: apsw.Connection, tier: str, limit: int, lease_seconds: float) -> list[Note]:
    """`Outbox.claim`."""
    now = _now()
    rows = all_rows(
        db,
        """SELECT o.number, s.tenant, s.namespace, m.id, o.attempts FROM outbox o
           JOIN memories m ON m.number = o.memory JOIN scopes s ON s.number = m.scope
           WHERE o.tier = ? AND (o.due <= ? OR o.due > ?) ORDER BY o.due, o.number LIMIT ?""",
        (tier, now, now + _NEVER_SO_LATE, limit),
    )
    db.executemany("UPDATE outbox SET due = ? WHERE number = ?", [(now + int(lease_seconds * 1e6), row[0]) for row in rows])
    return [Note(row[0], tier, Scope(row[1], row[2]), UUID(bytes=row[3]), row[4]) for row in rows]


def _now() -> int:
    # leases are read by other processes, so it cannot be this process's monotonic clock
    return time.time_ns() // 1_000


def settle(db: apsw.Connection, notes: Sequence[Note]) -> None:
    """`Outbox.settle`."""
    db.executemany("DELETE FROM outbox WHERE number = ?", [(note.number,) for note in notes])


def postpone(db: apsw.Connection, notes: Sequence[Note], delay_seconds: float) -> None:
    """`Outbox.postpone`."""
    due = _now() + int(delay_seconds * 1e6)
    db.executemany("UPDATE outbox SET due = ?, attempts = attempts + 1 WHERE number = ?", [(due, note.number) for note in notes])


def count(db: apsw.Connection) -> dict[str, int]:
    """`Outbox.notes`."""
    return dict(all_rows(db, "SELECT tier, count(*) FROM outbox GROUP BY tier"))


def keep_tiers(db: apsw.Connection, tiers: Collection[str]) -> None:
    """`Outbox.keep_tiers`."""
    kept = ["embed", "mentions", *tiers]
    db.execute(f"DELETE FROM outbox WHERE tier NOT IN ({', '.join('?' * len(kept))})", kept)


def make_identity(db: apsw.Connection) -> str:
    """`Origin.identity`, which a restore takes out of the file."""
    db.execute("INSERT OR IGNORE INTO secrets (name, value) VALUES ('identity', ?)", (os.urandom(16),))
    return bytes(value(db, "SELECT value FROM secrets WHERE name = 'identity'")).hex()


def contents(db: apsw.Connection, notes: Sequence[Note]) -> list[str | None]:
    """`VectorSource.contents`."""
    query = f"SELECT m.content FROM memories m JOIN outbox o ON o.memory = m.number WHERE o.number = ? AND {LIVE}"
    return [value(db, query, (note.number,)) for note in notes]


def settle_embeddings(db: apsw.Connection, derived: journal.Derived, notes: Sequence[Note], embeddings: Sequence[Embedding | None]) -> None:
    """`VectorSource.settle_embeddings`.

    What was overtaken is left to the next round: a note replaced because the text changed, and a vector
    of an epoch that is embedded with no more.
    """
    revisions: dict[int, int] = {}
    active = {embedding.epoch: is_active(db, embedding.epoch) for embedding in embeddings if embedding is not None}
    for note, embedding in zip(notes, embeddings, strict=True):
        row = first(db, "SELECT m.number, m.scope FROM outbox o JOIN memories m ON m.number = o.memory WHERE o.number = ?", (note.number,))
        if row is None:
            continue
        memory, scope = row
        if embedding is not None and not active[embedding.epoch]:
            continue
        db.execute("DELETE FROM outbox WHERE number = ?", (note.number,))
        if embedding is None:
            continue
        put_vector(db, memory, embedding)
        if scope not in revisions:
            revisions[scope] = journal.next_revision(db, scope)
        db.execute("UPDATE memories SET change = ? WHERE number = ?", (revisions[scope], memory))
        for tier in derived.tiers:
            journal.owe(db, tier, memory)


def adopt_epoch(db: apsw.Connection, epoch: str) -> int:
    """`VectorSource.adopt_epoch`."""
    number = epoch_number(db, epoch)
    db.execute("UPDATE epochs SET active = (number = ?) WHERE active <> (number = ?)", (number, number))
    if db.changes():
        db.execute(f"UPDATE scopes SET revision = {journal.LATER_REVISION}")
    db.execute(
        f"""INSERT OR IGNORE INTO outbox (tier, memory, due) SELECT 'embed', m.number, 0 FROM memories m
            WHERE {LIVE} AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.memory = m.number AND v.epoch = ?)""",
        (number,),
    )
    return db.changes()
