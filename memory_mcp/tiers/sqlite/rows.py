"""Rows to values and filters to SQL: how a memory lies in the tables."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import apsw
import numpy as np

from memory_mcp.clock import from_micros, to_micros
from memory_mcp.models import Filter, Matrix, Memory, Provenance, Scope
from memory_mcp.tiers.sqlite.query import first

LIVE = "m.forgotten IS NULL AND m.superseded_by IS NULL"
ERASED = "m.salt = x''"
"""What is left of a memory that is gone for good: its id."""
WHEN = "coalesce(m.occurred, m.created)"
VALID_FROM = "coalesce(m.valid_from, m.occurred, m.created)"

MEMORY_COLUMNS = (
    "m.id, s.tenant, s.namespace, m.content, m.kind, m.domain, m.tags, m.metadata, m.key, m.session_id, m.importance, m.confidence, "
    f"m.short_term, m.created, coalesce(m.updated, m.created), m.occurred, {VALID_FROM}, m.valid_to, m.expires, m.superseded_by, "
    "m.forgotten, a.client, a.user, a.agent, a.source, u.recalled, u.last, o.good, o.bad, m.operation"
)
MEMORY_TABLES = (
    "memories m JOIN scopes s ON s.number = m.scope JOIN actors a ON a.number = m.actor "
    "LEFT JOIN uses u ON u.memory = m.number LEFT JOIN outcomes o ON o.memory = m.number"
)

Row = Sequence[Any]


def memory_from(row: Row) -> Memory:
    """A memory from a row of `MEMORY_COLUMNS`."""
    return Memory(
        id=UUID(bytes=row[0]),
        scope=Scope(row[1], row[2]),
        content=row[3],
        kind=row[4],
        domain=row[5],
        tags=tags_from(row[6]),
        metadata={} if row[7] == "{}" else json.loads(row[7]),
        key=row[8],
        session_id=row[9],
        importance=row[10],
        confidence=row[11],
        retention="short_term" if row[12] else "long_term",
        created_at=from_micros(row[13]),
        updated_at=from_micros(row[14]),
        occurred_at=_moment(row[15]),
        valid_from=from_micros(row[16]),
        valid_to=_moment(row[17]),
        expires_at=_moment(row[18]),
        superseded_by=None if row[19] is None else UUID(bytes=row[19]),
        forgotten_at=_moment(row[20]),
        provenance=Provenance(client=row[21], user=row[22], agent=row[23], source=row[24]),
        recalled_count=row[25] or 0,
        last_recalled_at=_moment(row[26]),
        worked=row[27] or 0,
        failed=row[28] or 0,
        operation=row[29],
    )


def tags_from(text: str) -> tuple[str, ...]:
    """The tags of a row."""
    return () if text == "[]" else tuple(json.loads(text))


def to_json(value: Any) -> str:
    """Compact JSON; what cannot be represented in every store was refused at the door."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _moment(micros: int | None) -> Any:
    return None if micros is None else from_micros(micros)


def conditions(where: Filter) -> tuple[str, dict[str, Any]]:
    """A filter as SQL over `m`, to follow a WHERE and another condition, with its parameters."""
    parts: list[str] = []
    values: dict[str, Any] = {}
    for column, allowed in (("kind", where.kinds), ("domain", where.domains)):
        if allowed:
            parts.append(f"m.{column} IN (SELECT value FROM json_each(:{column}s))")
            values[f"{column}s"] = to_json(sorted(allowed))
    if where.tags:
        parts.append(
            "(SELECT count(DISTINCT value) FROM json_each(m.tags) WHERE value IN (SELECT value FROM json_each(:tags))) = :tag_count"
        )
        values.update(tags=to_json(sorted(where.tags)), tag_count=len(where.tags))
    for name, operator, moment in (("since", ">=", where.since), ("until", "<", where.until)):
        if moment is not None:
            parts.append(f"{WHEN} {operator} :{name}")
            values[name] = to_micros(moment)
    if where.now is not None:
        parts.append("(m.expires IS NULL OR m.expires > :now)")
        values["now"] = to_micros(where.now)
    return "".join(f" AND {part}" for part in parts), values


def ids_json(ids: Sequence[UUID]) -> str:
    """Ids as a JSON list of hex, for `unhex(value)` over `json_each`."""
    return to_json([memory_id.hex for memory_id in ids])


def scope_numbers(db: apsw.Connection, scopes: Sequence[Scope]) -> list[int]:
    """The numbers of those scopes that were ever written to."""
    found = []
    for scope in dict.fromkeys(scopes):
        row = first(db, "SELECT number FROM scopes WHERE tenant = ? AND namespace = ?", (scope.tenant, scope.namespace))
        if row:
            found.append(row[0])
    return found


def to_blob(vectors: Matrix) -> bytes:
    """(p, d) unit vectors as little-endian float16: half the bytes, neighbours unchanged to three digits."""
    return vectors.astype("<f2").tobytes()


def from_blobs(blobs: Sequence[bytes], dimension: int) -> Matrix:
    """(r, d) float32 unit rows, one a passage, from n <= r blobs; the length lost to rounding is given back."""
    halves = np.frombuffer(b"".join(blobs), dtype="<f2").reshape(-1, dimension)
    vectors = halves.astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def passage_counts(blobs: Sequence[bytes], dimension: int) -> list[int]:
    """How many rows each blob holds."""
    return [len(blob) // (2 * dimension) for blob in blobs]
