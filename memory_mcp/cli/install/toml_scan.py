"""Where in a TOML text its tables and keys stand. What they say is read by `tomllib`; here only places are found.

The text must be valid: `tomllib` has read it before. Source of the grammar: TOML 1.0, toml.io/en/v1.0.0.
"""

import re
import tomllib
from dataclasses import dataclass

Key = tuple[str, ...]

_SPACE = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL)
_PLAIN = re.compile(r"[^\s,\]}#][^\n,\]}#]*")
_REST_OF_LINE = re.compile(r"[^\n]*\n?")


@dataclass(frozen=True, slots=True)
class Table:
    """A header and the text it heads, comments and blank lines behind its last key excluded.

    Attributes:
        start: Where the header's line begins.
        end: Behind the line of its last key, or of the header itself.
    """

    key: Key
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """`key = value`.

    Attributes:
        key: From the root, the header's included.
        start: Where the key begins; outside of inline tables its line does.
        value_start: Where the value begins.
        value_end: Behind the value.
        end: Behind the line, inside an inline table behind the value.
        inline: Whether it stands in an inline table.
    """

    key: Key
    start: int
    value_start: int
    value_end: int
    end: int
    inline: bool


@dataclass(frozen=True, slots=True)
class Places:
    """All tables and assignments, in the order of the text."""

    tables: tuple[Table, ...]
    assignments: tuple[Assignment, ...]


def scan(text: str) -> Places:
    """Find every header and every key, those in inline tables too; what stands in arrays is passed over."""
    tables: list[Table] = []
    assignments: list[Assignment] = []
    prefix: Key = ()
    offset = _gap(text, 0)
    while offset < len(text):
        start = text.rfind("\n", 0, offset) + 1
        if text[offset] == "[":
            key, behind = _key(text, offset + (2 if text.startswith("[[", offset) else 1))
            prefix, end = key, _line_end(text, behind)
            tables.append(Table(key, start, end))
        else:
            found = _assignment(text, offset, prefix, inline=False)
            assignments += found
            end = found[0].end
            if prefix:
                tables[-1] = Table(prefix, tables[-1].start, end)
        offset = _gap(text, end)
    return Places(tuple(tables), tuple(assignments))


def _assignment(text: str, offset: int, prefix: Key, *, inline: bool) -> list[Assignment]:
    """One, and behind it those in its value if that is an inline table."""
    key, equals = _key(text, offset)
    start = _space(text, equals + 1)
    end, inner = _value(text, start, (*prefix, *key))
    line_start = offset if inline else text.rfind("\n", 0, offset) + 1
    return [Assignment((*prefix, *key), line_start, start, end, end if inline else _line_end(text, end), inline), *inner]


def _key(text: str, offset: int) -> tuple[Key, int]:
    """A dotted key, and the offset of what follows it."""
    parts: list[str] = []
    while match := _KEY.match(text, offset):
        parts.append(_name(match[0].strip(" \t")))
        offset = match.end()
        if not text.startswith(".", offset):
            break
        offset += 1
    return tuple(parts), offset


def _name(written: str) -> str:
    return str(tomllib.loads(f"name = {written}")["name"]) if written[0] in "\"'" else written


def _value(text: str, offset: int, key: Key) -> tuple[int, list[Assignment]]:
    """Where a value ends, and what is assigned within it."""
    if match := _STRING.match(text, offset):
        return match.end(), []
    if text[offset] not in "[{":
        match = _PLAIN.match(text, offset)
        return offset + len(match[0].rstrip(" \t\r")) if match else offset, []
    table, closing, inner = text[offset] == "{", "}" if text[offset] == "{" else "]", []
    offset = _gap(text, offset + 1)
    while not text.startswith(closing, offset):
        if table:
            found = _assignment(text, offset, key, inline=True)
            inner += found
            offset = found[0].value_end
        else:
            offset, _ = _value(text, offset, key)
        offset = _gap(text, offset)
        if text.startswith(",", offset):
            offset = _gap(text, offset + 1)
    return offset + 1, inner


def _gap(text: str, offset: int) -> int:
    match = _GAP.match(text, offset)
    return match.end() if match else offset


def _space(text: str, offset: int) -> int:
    match = _SPACE.match(text, offset)
    return match.end() if match else offset


def _line_end(text: str, offset: int) -> int:
    match = _REST_OF_LINE.match(text, offset)
    return match.end() if match else offset
