"""One door for input (rule R9): what is not allowed in is refused, in a sentence that says what to change.

Nothing is stripped, normalised or cut here: a value comes back exactly as it was given, or not at all.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from memory_mcp.errors import RequestError
from memory_mcp.models import KINDS

MAX_CONTENT_BYTES = 1_000_000
MAX_QUERY_CHARACTERS = 10_000
MAX_METADATA_BYTES = 65_536
MAX_METADATA_DEPTH = 32
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 200
MAX_LIMIT = 100
MAX_IDS = 100
MAX_UNDONE = 1_000
MAX_NAME_CHARACTERS = 200

ITEM = "memory://item/"
"""With an id behind it the address of a memory, as a resource."""
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@:+~-]{0,199}")
_DURATION = re.compile(r"(\d{1,6})\s*(minutes?|min|hours?|h|days?|d|weeks?|w|months?|years?|y)")
_DATE = re.compile(r"\s*\d{4}-")
_UNIT = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}
_SURROGATE = re.compile("[\ud800-\udfff]")


def text(value: str, name: str, *, max_characters: int) -> str:
    """A text without NUL and lone surrogates, at most so long; may be empty."""
    if len(value) > max_characters:
        raise RequestError(f"{name} has {len(value):,} characters; at most {max_characters:,} are allowed. Shorten it.")
    if "\0" in value:
        raise RequestError(f"{name} holds a NUL character, which no store can keep. Remove it.")
    if _SURROGATE.search(value):
        raise RequestError(f"{name} holds half of a surrogate pair, which is no character. Remove it or send the whole character.")
    return value


def content(value: str, what: str = "content") -> str:
    """The text of a memory: 1 to 1,000,000 bytes of UTF-8."""
    if not value.strip():
        raise RequestError(f"{what} is empty. Give its text.")
    text(value, what, max_characters=MAX_CONTENT_BYTES)
    size = len(value.encode())
    if size > MAX_CONTENT_BYTES:
        raise RequestError(f"{what} has {size:,} bytes; at most {MAX_CONTENT_BYTES:,} are allowed. Store it in parts.")
    return value


def query(value: str) -> str:
    """A question: at most 10,000 characters."""
    return text(value, "query", max_characters=MAX_QUERY_CHARACTERS)


def name(value: str, what: str) -> str:
    """A short label such as a key or a session id: at most 200 characters on one line."""
    text(value, what, max_characters=MAX_NAME_CHARACTERS)
    if value and not value.isprintable():
        raise RequestError(f"{what} holds a line break or control character. Use one plain line.")
    return value.strip()


def tags(values: Sequence[str]) -> tuple[str, ...]:
    """Distinct tags in order: at most 100 of at most 200 characters."""
    if len(values) > MAX_TAGS:
        raise RequestError(f"tags has {len(values):,} entries; at most {MAX_TAGS} are allowed.")
    for value in values:
        text(value, "an entry of tags", max_characters=MAX_TAG_CHARACTERS)
        if not value.strip():
            raise RequestError("tags holds an empty entry. Remove it.")
    return tuple(dict.fromkeys(values))


def metadata(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object: at most 64 KiB and 32 levels, finite numbers, integers of 64 bits."""
    _json(value, 1)
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > MAX_METADATA_BYTES:
        raise RequestError(f"metadata has {size:,} bytes; at most {MAX_METADATA_BYTES:,} are allowed. Put long text into content.")
    return dict(value)


def _json(value: Any, depth: int) -> None:
    if depth > MAX_METADATA_DEPTH:
        raise RequestError(f"metadata is nested deeper than {MAX_METADATA_DEPTH} levels. Make it flat.")
    if isinstance(value, str):
        text(value, "metadata", max_characters=MAX_METADATA_BYTES)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise RequestError("metadata has a key that is not a text. Use texts as keys.")
            _json(key, depth)
            _json(inner, depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _json(inner, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise RequestError("metadata holds NaN or an infinite number. Use finite numbers or null.")
    elif isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        raise RequestError("metadata holds an integer of more than 64 bits. Send it as a text.")
    elif not isinstance(value, (int, float, bool, type(None))):
        raise RequestError("metadata holds a value that is not JSON.")


def kinds(values: Sequence[str]) -> frozenset[str]:
    """Kinds to look for; none means any."""
    for value in values:
        if value not in KINDS:
            raise RequestError(f"kind {value[:40]!r} is unknown. Use one of: {', '.join(KINDS)}.")
    return frozenset(values)


def fraction(value: float, what: str) -> float:
    """A number from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise RequestError(f"{what} must be between 0 and 1.")
    return value


def limit(value: int) -> int:
    """How many: 1 to 100."""
    if not 1 <= value <= MAX_LIMIT:
        raise RequestError(f"limit must be between 1 and {MAX_LIMIT}.")
    return value


def memory_id(value: str) -> UUID:
    """An id as it stands in receipts and results, or the address of that memory."""
    try:
        return UUID(value.strip().removeprefix(ITEM))
    except ValueError:
        whole = "Give all 36 characters of one that recall, find_similar or a receipt has told; a key is no id."
        raise RequestError(f"{value[:60]!r} is not a memory id. {whole}") from None


def memory_ids(values: Sequence[str]) -> list[UUID]:
    """Distinct ids in order, 1 to 100."""
    if not values:
        raise RequestError("ids is empty. Give at least one id from recall, find_similar or a receipt.")
    if len(values) > MAX_IDS:
        raise RequestError(f"ids has {len(values):,} entries; at most {MAX_IDS} are allowed. Send several calls.")
    return list(dict.fromkeys(memory_id(value) for value in values))


def namespace(value: str) -> str:
    """The name of a namespace."""
    if not _NAMESPACE.fullmatch(value):
        raise RequestError("namespace must be 1 to 200 of the characters A-Z a-z 0-9 . _ / @ : + ~ - and begin with a letter or digit.")
    return value


def moment(value: str, what: str) -> datetime | None:
    """A point in time as ISO 8601; a date alone is its midnight, a time without zone is UTC; empty: None."""
    if not value:
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RequestError(f"{what} {value[:40]!r} is not a date. Write it like 2026-03-31 or 2026-03-31T17:00:00Z.") from None


def looked_back_from(value: str, what: str, now: datetime) -> datetime | None:
    """A point in time as `moment` reads it; but a date alone is the end of that day, and today is now."""
    parsed = moment(value, what)
    if parsed is None or not _is_day(value):
        return parsed
    return now if parsed.date() == now.date() else parsed.replace(hour=23, minute=59, second=59, microsecond=999_999)


def _is_day(value: str) -> bool:
    try:
        date.fromisoformat(value.strip())
    except ValueError:
        return False
    return True


def endless(value: str) -> bool:
    """Whether a lifetime is given that has no end."""
    return value.strip().lower() == "never"


def lifetime(value: str, what: str, now: datetime) -> datetime | None:
    """When something ends that lasts so long (`90 minutes`, `7d`, `2 weeks`) or until then (an ISO date or time); empty, `never`: None."""
    if not value or endless(value):
        return None
    match = _DURATION.fullmatch(value.strip().lower())
    if not match:
        if not _DATE.match(value):
            told = f"{what} {value[:40]!r} is not a duration"
            raise RequestError(f"{told}. Write it like 90 minutes, 12h, 7d or 2 weeks, as a date, or never.")
        until = moment(value, what)
        if until is not None and until <= now:
            raise RequestError(f"{what} lies in the past. Give a later date, or leave it out for a memory that does not end.")
        return until
    count, unit = int(match[1]), match[2]
    step = timedelta(days=30) if unit.startswith("month") else _UNIT[unit[0]]
    try:
        end = now + count * step
    except OverflowError:
        raise RequestError(f"{what} lies beyond the year 9999. Leave it out for a memory that does not end.") from None
    if count == 0:
        raise RequestError(f"{what} is zero. Leave it out, or give how long the memory is to last.")
    return end


def operations(value: str) -> tuple[int | None, int]:
    """The number of an operation, with or without that word, and 1; or None and how many of the last: `last`, `last 3`."""
    match = re.fullmatch(r"\s*(?:last(?:\s+([0-9]{1,6}))?|(?:operation\s+)?([0-9]{1,18}))\s*", value.lower())
    if not match:
        raise RequestError("undo takes the number of an operation, from a receipt, or the word last, or how many: last 3.")
    if match[2]:
        return int(match[2]), 1
    count = int(match[1] or 1)
    if not 1 <= count <= MAX_UNDONE:
        raise RequestError(f"undo takes back at most the last {MAX_UNDONE:,} operations at once. Send several calls.")
    return None, count
