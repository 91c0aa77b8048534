"""The memories that an entry of the log concerns, as they lie in its row.

An entry's hash runs over the id of each memory and 12 bytes of a keyed digest of its content. In the row the id is only
pointed at, by 4 bytes of the memory's number; that of a memory which is not in this store, after four zeros.
"""

from collections.abc import Iterator
from uuid import UUID

import apsw

from memory_mcp.tiers.sqlite.query import value

ID_BYTES, DIGEST_BYTES = 16, 12
_NUMBER_BYTES = 4
_NO_NUMBER = bytes(_NUMBER_BYTES)


def by_number(db: apsw.Connection, subjects: bytes) -> bytes:
    """As they lie in the row; what is no whole subject is kept as it is."""
    stored = bytearray()
    for start in range(0, len(subjects), ID_BYTES + DIGEST_BYTES):
        memory_id = subjects[start : start + ID_BYTES]
        number = value(db, "SELECT number FROM memories WHERE id = ?", (memory_id,))
        stored += _NO_NUMBER + memory_id if number is None else number.to_bytes(_NUMBER_BYTES)
        stored += subjects[start + ID_BYTES : start + ID_BYTES + DIGEST_BYTES]
    return bytes(stored)


def by_id(db: apsw.Connection, stored: bytes) -> bytes:
    """The reverse of `by_number`."""
    subjects, start = bytearray(), 0
    while start < len(stored):
        number, start = stored[start : start + _NUMBER_BYTES], start + _NUMBER_BYTES
        if number == _NO_NUMBER:
            subjects += stored[start : start + ID_BYTES]
            start += ID_BYTES
        else:
            subjects += value(db, "SELECT id FROM memories WHERE number = ?", (int.from_bytes(number),)) or b""
        subjects += stored[start : start + DIGEST_BYTES]
        start += DIGEST_BYTES
    return bytes(subjects)


def ids_in(subjects: bytes) -> Iterator[UUID]:
    """The ids alone, in order."""
    for start in range(0, len(subjects), ID_BYTES + DIGEST_BYTES):
        yield UUID(bytes=subjects[start : start + ID_BYTES])
