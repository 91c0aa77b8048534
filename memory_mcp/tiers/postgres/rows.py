"""Rows to values and filters to SQL: how a memory lies in the tables."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
from pgvector import HalfVector

from memory_mcp.clock import from_micros, to_micros
from memory_mcp.models import Filter, Matrix, Memory, Provenance, Scope

LIVE = "m.forgotten IS NULL AND m.superseded_by IS NULL"
ERASED = "m.salt = ''"
"""What is left of a memory that is gone for good: its id."""
WHEN = "coalesce(m.occurred, m.created)"

MEMORY_COLUMNS = (
    "m.id, m.tenant, s.namespace, m.content, m.kind, m.domain, m.tags, m.metadata, m.key, m.session_id, m.importance, m.confidence, "
    "m.short_term, m.created, m.updated, m.occurred, m.valid_from, m.valid_to, m.expires, m.superseded_by, "
    "m.forgotten, m.actor, u.recalled, u.last, o.good, o.bad, m.operation"
)
MEMORY_TABLES = (
    "memories m JOIN scopes s ON s.tenant = m.tenant AND s.number = m.scope LEFT JOIN uses u ON u.tenant = m.tenant AND u.memory = m.id "
    "LEFT JOIN outcomes o ON o.tenant = m.tenant AND o.memory = m.id"
)
IN_SCOPES = "= ANY(ARRAY(SELECT number FROM scopes WHERE namespace = ANY(%(namespaces)s)))"
"""Of a column that holds a scope's number."""

_HEADER = 2
"""16-bit words before the numbers of a halfvec as it is sent: its dimension, and nothing."""

Row = Sequence[Any]


def memory_from(row: Row) -> Memory:
    """A memory from a row of `MEMORY_COLUMNS`."""
    return Memory(
        id=row[0],
        scope=Scope(row[1], row[2]),
        content=row[3],
        kind=row[4],
        domain=row[5],
        tags=tuple(row[6]),
        metadata=row[7],
        key=row[8],
        session_id=row[9],
        importance=row[10],
        confidence=row[11],
        retention="short_term" if row[12] else "long_term",
        created_at=from_micros(row[13]),
        updated_at=from_micros(row[14]),
        occurred_at=moment(row[15]),
        valid_from=from_micros(row[16]),
        valid_to=moment(row[17]),
        expires_at=moment(row[18]),
        superseded_by=row[19],
        forgotten_at=moment(row[20]),
        provenance=Provenance(*row[21]),
        recalled_count=row[22] or 0,
        last_recalled_at=moment(row[23]),
        worked=row[24] or 0,
        failed=row[25] or 0,
        operation=row[26],
    )


def moment(micros: int | None) -> Any:
    """A time that may be missing."""
    return None if micros is None else from_micros(micros)


def micros(time: Any) -> int | None:
    """The inverse of `moment`."""
    return None if time is None else to_micros(time)


def to_json(value: Any) -> str:
    """Compact JSON; what cannot be represented in every store was refused at the door."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def conditions(where: Filter, table: str = "m", when: str = WHEN) -> tuple[str, dict[str, Any]]:
    """A filter as SQL over a table with the columns of one, to follow a WHERE and another condition, with its parameters."""
    parts: list[str] = []
    values: dict[str, Any] = {}
    for column, allowed in (("kind", where.kinds), ("domain", where.domains)):
        if allowed:
            parts.append(f"{table}.{column} = ANY(%({column}s)s)")
            values[f"{column}s"] = sorted(allowed)
    if where.tags:
        parts.append(f"{table}.tags @> %(tags)s")
        values["tags"] = sorted(where.tags)
    for name, operator, limit in (("since", ">=", where.since), ("until", "<", where.until)):
        if limit is not None:
            parts.append(f"{when} {operator} %({name})s")
            values[name] = to_micros(limit)
    if where.now is not None:
        parts.append(f"({table}.expires IS NULL OR {table}.expires > %(now)s)")
        values["now"] = to_micros(where.now)
    return "".join(f" AND {part}" for part in parts), values


def actor_row(actor: Provenance) -> list[str]:
    """Who writes, as the column `actor` holds it."""
    return [actor.client, actor.user, actor.agent, actor.source]


def halves(vectors: Matrix) -> list[HalfVector]:
    """(p, d) unit vectors as the driver sends them: half the bytes, neighbours unchanged to three digits."""
    return [HalfVector(row) for row in vectors]


def from_sent(sent: Sequence[bytes], dimension: int) -> Matrix:
    """(n, d) float32 unit rows from n vectors as `halfvec_send` gives them; the length lost to rounding is given back."""
    words = np.frombuffer(b"".join(sent), dtype=">f2").reshape(-1, _HEADER + dimension)
    vectors = words[:, _HEADER:].astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def dimension_of(sent: bytes) -> int:
    """How many numbers a vector as `halfvec_send` gives it has."""
    return len(sent) // 2 - _HEADER


def in_order(found: dict[UUID, Memory], ids: Sequence[UUID]) -> list[Memory]:
    """Those that were found, in the order asked for, each once."""
    return [found[memory_id] for memory_id in dict.fromkeys(ids) if memory_id in found]
