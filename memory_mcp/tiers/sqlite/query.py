"""Asking one question of a connection: many rows, one row, one value."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

Values = Sequence[Any] | Mapping[str, Any]


def all_rows(db: apsw.Connection, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
    """Every row."""
    return db.execute(sql, values).fetchall()


def first(db: apsw.Connection, sql: str, values: Values = ()) -> tuple[Any, ...] | None:
    """The first row, or None."""
    return db.execute(sql, values).fetchone()


def value(db: apsw.Connection, sql: str, values: Values = ()) -> Any:
    """The first column of the first row, or None where there is no row."""
    found = first(db, sql, values)
    return None if found is None else found[0]


def only(db: apsw.Connection, sql: str, values: Values = ()) -> tuple[Any, ...]:
    """The first row of a question that has one."""
    found = first(db, sql, values)
    assert found is not None
    return found
