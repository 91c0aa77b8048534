"""Candidates and vectors as bytes and back; whatever does not parse to the last byte is nothing.

An entry is: 4 bytes that name the format, a checksum of 16 over all that follows, the length of the header in 4, the
header in JSON, and the columns one behind the other, little-endian. Key and stamp stand in the header, so that an
entry which came under another key, or a connection's answer to another question, is recognised.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from memory_mcp.contracts import Candidates, Circumstances
from memory_mcp.models import Matrix
from memory_mcp.text.words import MAX_QUERY_TERMS

_CANDIDATES, _VECTOR = b"mmc5", b"mmv1"
_CHECKSUM_BYTES = 16
_HEADER_AT = 4 + _CHECKSUM_BYTES
_COLUMNS = {
    "similarity": "<f8",
    "lexical": "<f8",
    "standing": "<u8",
    "kinds": "<f8",
    "session": "<i8",
    "order": "<i8",
    "session_lexical": "<f8",
    "when": "<i8",
    "asking": "?",
    "dated": "?",
    "specific": "?",
    "named": "<f8",
    "importance": "<f8",
}
_FLOATS, _COUNTS = ("mean", "deviation", "unrelated"), ("sampled", "rows")
_MOST = 2**31
_UNIT_TOLERANCE = 1e-3


def encode_candidates(key: str, stamp: str, candidates: Candidates) -> bytes:
    """An entry. Only whole candidates are to be kept, so `whole` and `degraded` are not in it."""
    columns = {"similarity": candidates.similarity, **{one.name: getattr(candidates.around, one.name) for one in fields(Circumstances)}}
    header: dict[str, Any] = {
        "key": key,
        "stamp": stamp,
        "candidates": len(candidates.ids),
        "sessions": len(candidates.around.session_lexical),
        "passages": len(candidates.passage),
        "related": len(candidates.related),
        "rarity": list(candidates.rarity),
        **{name: float(getattr(candidates, name)) for name in _FLOATS},
        **{name: int(getattr(candidates, name)) for name in _COUNTS},
    }
    parts = [one.bytes for one in candidates.ids]
    parts += [np.ascontiguousarray(columns[name]).astype(kind).tobytes() for name, kind in _COLUMNS.items()]
    parts += [one.bytes for one in candidates.passage]
    parts.append(np.array(list(candidates.passage.values()), "<i4").tobytes())
    parts += [one.bytes for one in candidates.related]
    parts.append(np.array(list(candidates.related.values()), "<f8").tobytes())
    return _sealed(_CANDIDATES, header, b"".join(parts))


def decode_candidates(data: bytes, key: str, stamp: str) -> Candidates | None:
    """What was stored under this key and stamp; None for anything else, whatever it is."""
    opened = _opened(_CANDIDATES, data, key, stamp)
    if opened is None:
        return None
    header, reader = opened
    try:
        numbers = {name: header[name] for name in ("candidates", "sessions", "passages", "related", *_COUNTS)}
        scalars = {name: header[name] for name in _FLOATS}
        rarity = tuple(header["rarity"])
    except (KeyError, TypeError):
        return None
    if len(rarity) > MAX_QUERY_TERMS or not all(type(value) is float and 0 <= value < math.inf for value in rarity):
        return None
    if not all(type(value) is int and 0 <= value < _MOST for value in numbers.values()):
        return None
    if not all(type(value) is float and math.isfinite(value) for value in scalars.values()):
        return None
    k, m, p, r = (numbers[name] for name in ("candidates", "sessions", "passages", "related"))
    row = sum(np.dtype(kind).itemsize for name, kind in _COLUMNS.items() if name != "session_lexical")
    if reader.left != k * (16 + row) + 8 * m + 20 * p + 24 * r:
        return None
    ids = reader.ids(k)
    columns = {name: reader.column(kind, m if name == "session_lexical" else k) for name, kind in _COLUMNS.items()}
    passage = dict(zip(reader.ids(p), reader.column("<i4", p).tolist(), strict=True))
    related = dict(zip(reader.ids(r), reader.column("<f8", r).tolist(), strict=True))
    if not all(0 <= value <= 1 for value in related.values()):
        return None
    if scalars["deviation"] < 0 or min(passage.values(), default=0) < 0 or not _sound(columns, m):
        return None
    similarity = columns.pop("similarity")
    return Candidates(
        ids=tuple(ids),
        similarity=similarity,
        around=Circumstances(**columns),
        passage=passage,
        related=related,
        rarity=rarity,
        **scalars,
        **{name: numbers[name] for name in _COUNTS},
    )


def encode_vector(key: str, vector: Matrix) -> bytes:
    """An entry that holds one (d,) vector."""
    return _sealed(_VECTOR, {"key": key, "stamp": ""}, vector.astype("<f4").tobytes())


def decode_vector(data: bytes, key: str, dimension: int) -> Matrix | None:
    """The (d,) unit vector that was stored under this key; None for anything else."""
    opened = _opened(_VECTOR, data, key, "")
    if opened is None or opened[1].left != 4 * dimension:
        return None
    vector: Matrix = opened[1].column("<f4", dimension)
    length = float(np.linalg.norm(vector.astype(np.float64)))
    return vector if abs(length - 1) < _UNIT_TOLERANCE else None  # not true of NaN either


class _Reader:
    """Takes columns from the front of some bytes."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def column(self, kind: str, n: int) -> NDArray[Any]:
        stored = np.dtype(kind)
        values = np.frombuffer(self._data, stored, n, self._at)
        self._at += n * stored.itemsize
        return values.astype(stored.newbyteorder("="))

    def ids(self, n: int) -> list[UUID]:
        start, self._at = self._at, self._at + 16 * n
        return [UUID(bytes=self._data[at : at + 16]) for at in range(start, self._at, 16)]


def _sealed(mark: bytes, header: Mapping[str, Any], columns: bytes) -> bytes:
    text = json.dumps(header).encode()
    body = len(text).to_bytes(4, "little") + text + columns
    return mark + hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES).digest() + body


def _opened(mark: bytes, data: bytes, key: str, stamp: str) -> tuple[Mapping[str, Any], _Reader] | None:
    body = memoryview(data)[_HEADER_AT:]
    if data[:4] != mark or hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES).digest() != data[4:_HEADER_AT]:
        return None
    end = _HEADER_AT + 4 + int.from_bytes(body[:4], "little")
    try:
        header = json.loads(data[_HEADER_AT + 4 : end])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or header.get("key") != key or header.get("stamp") != stamp or end > len(data):
        return None
    return header, _Reader(data, end)


def _sound(columns: Mapping[str, NDArray[Any]], sessions: int) -> bool:
    """Whether no number is one that ranking would stumble over: only similarity may be NaN."""
    finite = all(np.isfinite(columns[name]).all() for name in ("lexical", "kinds", "session_lexical", "named", "importance"))
    codes = columns["session"]
    return finite and not np.isinf(columns["similarity"]).any() and bool(((codes >= -1) & (codes < sessions)).all())
