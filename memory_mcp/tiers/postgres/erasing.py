"""What is to be gone for good: found, and taken out of every table.

Of a memory its id stays, in a row without anything else: so derived tiers hear of the change as of any other, the log goes
on to verify, and the salt that its digests there were keyed with is gone.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from memory_mcp.clock import to_micros
from memory_mcp.models import EraseAction, Meant, Operation, Provenance, Scope
from memory_mcp.text.entities import texts_in
from memory_mcp.tiers.postgres import journal, log
from memory_mcp.tiers.postgres.journal import Derived
from memory_mcp.tiers.postgres.rows import ERASED, actor_row
from memory_mcp.tiers.postgres.session import Transaction

_NAMED = """EXISTS (
    SELECT FROM jsonb_path_query({}::jsonb, 'strict $.** ? (@.type() == "string")') t, regexp_split_to_table(t #>> '{{}}', '[|,;]') part
    WHERE lower(%(person)s) IN (lower(t #>> '{{}}'), lower(btrim(part, E' \\t\\n\\r'))))"""
"""As `entities.names_in` reads it."""
_PERSON = f"""(lower(m.actor[2]) = lower(%(person)s) OR {_NAMED.format("m.metadata")}
    OR EXISTS (SELECT FROM versions v WHERE v.tenant = m.tenant AND v.memory = m.id AND {_NAMED.format("(v.form -> 'metadata')")}))"""
_NOTHING_LEFT = (
    "content = '', kind = 'fact', domain = 'general', tags = '{}', metadata = '{}', key = '', session_id = '', importance = 0, "
    "confidence = 0, short_term = false, created = %(now)s, updated = %(now)s, occurred = NULL, valid_from = %(now)s, valid_to = NULL, "
    "expires = NULL, superseded_by = NULL, forgotten = %(now)s, fingerprint = '', salt = ''"
)


async def meant(tx: Transaction, what: Meant) -> list[tuple[UUID, Scope]]:
    """`Erasing.meant`."""
    conditions = {
        "m.id = ANY(%(ids)s)": bool(what.ids),
        "s.namespace = %(namespace)s": bool(what.namespace),
        "m.forgotten < %(before)s": what.forgotten_before is not None,
        _PERSON: bool(what.person),
    }
    chosen = [condition for condition, given in conditions.items() if given]
    if not chosen and not what.everything:
        return []
    before = what.forgotten_before
    values = {
        "ids": list(what.ids),
        "namespace": what.namespace,
        "before": 0 if before is None else to_micros(before),
        "person": what.person,
    }
    rows = await tx.rows(
        f"""SELECT m.id, s.namespace FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope
            WHERE NOT {ERASED} {"".join(f" AND {condition}" for condition in chosen)} ORDER BY s.number, m.id""",
        values,
    )
    return [(row[0], Scope(tx.tenant, row[1])) for row in rows]


async def texts(tx: Transaction, ids: Sequence[UUID]) -> list[str]:
    """`Erasing.texts`."""
    rows = await tx.rows(
        """SELECT content, key, tags, metadata FROM memories WHERE id = ANY(%(ids)s)
           UNION ALL SELECT content, '', ARRAY(SELECT json_array_elements_text(form -> 'tags')), form -> 'metadata'
           FROM versions WHERE memory = ANY(%(ids)s)""",
        {"ids": list(ids)},
    )
    found: dict[str, None] = {}
    for content, key, tags, metadata in rows:
        said = texts_in(metadata)
        found.update(dict.fromkeys(text for text in (content, key, *tags, *said) if text))
    return list(found)


async def erase(
    tx: Transaction, derived: Derived, ids: Sequence[UUID], actor: Provenance, now: datetime, action: EraseAction
) -> list[Operation]:
    """`Erasing.erase`."""
    await log.lock_tenant(tx)
    rows = await tx.rows(
        f"""SELECT m.id, s.namespace FROM memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope
            WHERE m.id = ANY(%(ids)s) AND NOT {ERASED} ORDER BY s.number, m.id""",
        {"ids": list(ids)},
    )
    by_namespace: dict[str, list[UUID]] = {}
    for memory_id, namespace in rows:
        by_namespace.setdefault(namespace, []).append(memory_id)
    done = []
    for namespace, memories in by_namespace.items():
        head = await log.lock_tenant(tx)
        values = {"ids": memories, "now": to_micros(now), "actor": actor_row(actor), "operation": head.number}
        for table in ("versions", "vectors", "uses", "outcomes", "outbox"):
            mine = "" if table != "outbox" else " AND tenant = %(tenant)s"  # it lies outside of row-level security
            await tx.run(f"DELETE FROM {table} WHERE memory = ANY(%(ids)s){mine}", {**values, "tenant": tx.tenant})
        await tx.run(
            f"UPDATE memories SET {_NOTHING_LEFT}, actor = %(actor)s, operation = %(operation)s WHERE id = ANY(%(ids)s)",
            values,
        )
        receipts = {"hexes": [memory_id.hex for memory_id in memories]}  # each has a digest by which a guess could be confirmed
        await tx.run("DELETE FROM idempotency WHERE receipt ->> 0 = ANY(%(hexes)s)", receipts)
        if action == "erase":  # what was asked there may say what they said
            home = {"namespace": namespace}
            await tx.run("DELETE FROM questions WHERE scope IN (SELECT number FROM scopes WHERE namespace = %(namespace)s)", home)
        await journal.mark_changed(tx, memories)
        await derived.touch(tx, memories)
        subjects = b"".join(memory_id.bytes + bytes(log.DIGEST_BYTES) for memory_id in memories)
        done.append(await log.append(tx, head, Scope(tx.tenant, namespace), action, subjects, actor, now))
    return done


async def standing(tx: Transaction, strings: Sequence[str]) -> list[str]:
    """`Erasing.standing`."""
    rows = await tx.rows(
        """SELECT said FROM unnest(%(strings)s::text[]) WITH ORDINALITY u (said, n)
           WHERE EXISTS (SELECT FROM memories m
                         WHERE position(said IN concat_ws(E'\\n', m.content, m.key, m.session_id, m.tags::text, m.metadata::text)) > 0
                            OR position(said IN lower(m.content)) > 0)
              OR EXISTS (SELECT FROM versions v WHERE position(said IN concat_ws(E'\\n', v.content, v.form::text)) > 0)
              OR EXISTS (SELECT FROM questions q WHERE position(said IN q.text) > 0)
              OR EXISTS (SELECT FROM words w WHERE position(said IN w.words::text) > 0)
              OR EXISTS (SELECT FROM mentions x WHERE position(said IN x.name) > 0 OR position(said IN x.key) > 0)
              OR EXISTS (SELECT FROM relations r WHERE position(said IN concat_ws(E'\n', r.subject, r.object, r.statement)) > 0)
              OR EXISTS (SELECT FROM operations o WHERE position(said IN concat_ws(E'\\n', o.actor::text, o.origin::text, o.details)) > 0)
              OR EXISTS (SELECT FROM scopes s WHERE position(said IN s.namespace) > 0) ORDER BY n""",
        {"strings": list(strings)},
    )
    return [row[0] for row in rows]


async def remains(tx: Transaction, ids: Sequence[UUID]) -> list[str]:
    """`Erasing.remains`."""
    values = {"ids": list(ids)}
    empty = "m.content = '' AND m.tags = '{}' AND m.metadata::text = '{}' AND m.key = '' AND m.session_id = '' AND m.fingerprint = ''"
    left = await tx.row(f"SELECT FROM memories m WHERE m.id = ANY(%(ids)s) AND NOT ({ERASED} AND {empty}) LIMIT 1", values)
    found = ["memories"] if left is not None else []
    for table in ("versions", "vectors", "uses", "outcomes", "words", "mentions", "relations"):
        if await tx.row(f"SELECT FROM {table} WHERE memory = ANY(%(ids)s) LIMIT 1", values) is not None:
            found.append(table)
    return found


async def epochs(tx: Transaction) -> list[str]:
    """`Erasing.epochs`."""
    return [row[0] for row in await tx.rows("SELECT name FROM epochs ORDER BY number")]
