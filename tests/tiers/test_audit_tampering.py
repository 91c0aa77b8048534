"""What somebody changes who has the store itself in hand, and not the program, is found, and the first broken entry is named."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from postgres_server import Databases, server
from record_stores import ACTOR, NOW, OpenStore, add, postgres_stores, sqlite_stores

from memory_mcp.audit.chain import entry_hash
from memory_mcp.audit.entries import Origin
from memory_mcp.models import Provenance
from memory_mcp.tiers.sqlite.database import FILE_NAME
from memory_mcp.tiers.sqlite.subjects import by_id

Outside = Callable[[str], int]
"""Carries out SQL beside every rule; how many rows it changed."""


def sqlite(folder: Path) -> tuple[OpenStore, Outside]:
    def outside(statements: str) -> int:
        connection = apsw.Connection(str(folder / "store" / FILE_NAME))
        connection.execute(statements)
        changed = connection.total_changes()
        connection.close()
        return changed

    return sqlite_stores(folder), outside


def postgres(folder: Path) -> tuple[OpenStore, Outside]:
    def outside(statements: str) -> int:
        with server().connect(Databases(folder).make(), "postgres") as admin:
            admin.execute("SET search_path TO memory_mcp, public")
            return sum(admin.execute(statement.encode()).rowcount for statement in statements.split("; "))

    return postgres_stores(folder), outside


OLD = datetime(2020, 1, 1, tzinfo=UTC)

TAMPERING = {
    "what was refused": ("UPDATE operations SET details = replace(details, 'role', 'none') WHERE number = 5", 5),
    "nothing said": ("UPDATE operations SET details = '' WHERE number = 5", 5),
    "as from before": ("UPDATE operations SET details = NULL, origin = NULL WHERE number = 5", 5),
    "from where": ("UPDATE operations SET origin = (SELECT origin FROM operations WHERE number = 4) WHERE number = 5", 5),
    "when": ("UPDATE operations SET at = at - 1 WHERE number = 6", 6),
    "one gone": ("DELETE FROM operations WHERE number = 5", 5),
    "several gone": ("DELETE FROM operations WHERE number IN (5, 7)", 5),
    "two swapped": (
        "UPDATE operations SET number = 99 WHERE number = 5; UPDATE operations SET number = 5 WHERE number = 6; "
        "UPDATE operations SET number = 6 WHERE number = 99",
        5,
    ),
    "the newest gone": ("DELETE FROM operations WHERE number = 8", 8),
    "the newest three gone": ("DELETE FROM operations WHERE number >= 6", 6),
    "all gone": ("DELETE FROM operations", 4),
    "a gap made": (
        "INSERT INTO pruned SELECT {tenant} 5, 5, hash FROM operations WHERE number = 5; DELETE FROM operations WHERE number = 5",
        8,  # the pruning that does not know of it
    ),
    "a gap made wider": (
        "UPDATE pruned SET last = 4, hash = (SELECT hash FROM operations WHERE number = 4) WHERE first = 1; "
        "DELETE FROM operations WHERE number = 4",
        8,
    ),
    "a gap filled": ("DELETE FROM pruned", 1),
    "a gap moved": ("UPDATE pruned SET last = last + 1", 4),
}
ANOTHER_ACT = (
    "INSERT INTO acts SELECT 9, c.scope, c.action, c.actor, {} FROM acts c JOIN operations o ON o.act = c.number WHERE o.number = 5; "
    "UPDATE operations SET act = 9{} WHERE number = 5"
)
IN_SQLITE = {
    "as from before": ANOTHER_ACT.format("NULL", ", details = NULL"),
    "from where": ANOTHER_ACT.format("(SELECT d.origin FROM acts d JOIN operations p ON p.act = d.number WHERE p.number = 4)", ""),
}
"""Where an origin stands beside the entries."""


@pytest.mark.parametrize("backend", [sqlite, postgres])
@pytest.mark.parametrize(("how", "first"), [(how, first) for how, (_, first) in TAMPERING.items()], ids=list(TAMPERING))
async def test_what_is_changed_from_outside_is_found(
    backend: Callable[[Path], tuple[OpenStore, Outside]], tmp_path: Path, how: str, first: int
) -> None:
    change = IN_SQLITE.get(how, TAMPERING[how][0]) if backend is sqlite else TAMPERING[how][0]
    open_store, outside = backend(tmp_path)
    async with open_store() as store:
        for _ in range(3):
            await store.record("local", "denied", ACTOR, OLD, {"tool": "forget"})
        await add(store, "a memory", provenance=Provenance(origin=Origin("203.0.113.7")))
        for tool in ("remember", "update", "forget"):
            await store.record("local", "denied", ACTOR, NOW, {"tool": tool, "why": "role"})
        assert await store.prune("local", NOW, ACTOR, NOW) == 3
        (sound,) = await store.chains()
    assert outside(change.format(tenant="'local'," if backend is postgres else "")) > 0
    async with open_store() as store:
        (found,) = await store.chains()

    assert (sound.entries, sound.newest, sound.broken) == (5, 8, None)
    assert found.broken == first, found
    assert found.why
    assert await broken(open_store) == first


async def broken(open_store: OpenStore) -> int | None:
    async with open_store() as store:
        return await store.verify_chain()


@pytest.mark.parametrize("backend", [sqlite, postgres])
async def test_a_log_that_was_cut_short_with_care_shows_by_what_somebody_noted(
    backend: Callable[[Path], tuple[OpenStore, Outside]], tmp_path: Path
) -> None:
    """Who makes the end, and everything that knows of it, as it was before, is found out by a hash that is kept elsewhere."""
    open_store, outside = backend(tmp_path)
    async with open_store() as store:
        for tool in ("remember", "update", "forget"):
            await store.record("local", "denied", ACTOR, NOW, {"tool": tool})
        (noted,) = await store.chains()
    knows = "log_head SET number" if backend is sqlite else "tenants SET operations"
    outside("DELETE FROM operations WHERE number = 3")
    outside(f"UPDATE {knows} = 2, hash = (SELECT hash FROM operations WHERE number = 2)")
    async with open_store() as store:
        (cut,) = await store.chains(wanted=noted.newest)
        await store.record("local", "denied", ACTOR, NOW, {"tool": "something else"})
        (anew,) = await store.chains(wanted=noted.newest)

    assert (noted.newest, cut.broken, cut.asked) == (3, None, "")  # by itself nothing of it shows
    assert anew.broken is None
    assert len(anew.asked) == 40
    assert anew.asked != noted.hash


async def test_entries_from_before_are_followed_as_they_were(tmp_path: Path) -> None:
    """Written by an older program, which knows nothing of origins or of where the newest entry is noted besides."""
    open_store, outside = sqlite(tmp_path)
    async with open_store() as store:
        await add(store, "one")
        await add(store, "two")
        (whole,) = await store.chains()
    # the second as the older program would have left it
    connection = apsw.Connection(str(tmp_path / "store" / FILE_NAME))
    rows = connection.execute(
        """SELECT o.number, scope, at, action, subjects, client, user, agent, source, undoes FROM operations o
           JOIN acts c ON c.number = o.act JOIN actors a ON a.number = c.actor ORDER BY o.number"""
    ).fetchall()
    previous = b""
    for row in rows:
        previous = entry_hash([*row[:4], by_id(connection, row[4]), *row[5:]], previous)
        connection.execute("UPDATE operations SET details = NULL, hash = ? WHERE number = ?", (previous, row[0]))
    connection.execute("UPDATE acts SET origin = NULL")
    connection.execute("UPDATE log_head SET number = 0, hash = x''")
    connection.close()
    async with open_store() as store:
        (former,) = await store.chains()
        await add(store, "three")
        await store.record("local", "denied", ACTOR, NOW, {})
        (after,) = await store.chains()

        assert (whole.newest, former.newest, former.broken) == (2, 2, None)
        assert (after.newest, after.broken) == (4, None)
        assert [entry.number for entry in await store.operations("local", limit=9)] == [4, 3, 2, 1]
    assert outside("UPDATE operations SET details = '' WHERE number = 1") == 1
    assert await broken(open_store) == 1
