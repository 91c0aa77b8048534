"""Changing one table of a TOML text: every other character stays, comments and formatting included.

As with JSON each edit is read again, and given up when it would say anything else than what was meant.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from memory_mcp.cli.install.json_edit import CannotEditError
from memory_mcp.cli.install.jsonc import BYTE_ORDER_MARK
from memory_mcp.cli.install.toml_scan import Assignment, Key, Places, scan

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class NotTomlError(ValueError):
    """The text is no TOML; the message says where."""


def table_at(text: str, key: Key) -> Any:
    """What stands at a key; None if there is nothing.

    Raises:
        NotTomlError: The text cannot be read.
    """
    return _part(_read(text), key)


def put_table(text: str, key: Key, wanted: Mapping[str, Any]) -> str:
    """Make a table say what is wanted, of strings and lists of strings; what is right already is not touched.

    A new one is written at the end, as `[key]`; where the table above it is an inline one, into that.

    Raises:
        NotTomlError: The text cannot be read.
        CannotEditError: Something on the way is no table, or written in a way that is not understood here.
    """
    before, mark = _read(text), text[:1] if text.startswith(BYTE_ORDER_MARK) else ""
    body, newline = text.removeprefix(mark), "\r\n" if "\r\n" in text else "\n"
    for length in range(1, len(key) + 1):
        if not isinstance(table_at(text, key[:length]) or {}, dict):
            raise CannotEditError(f"{'.'.join(key[:length])} is no table")
    existing = table_at(text, key)
    if existing is None:
        changed = _added(body, key, wanted, newline)
    else:
        changed = body
        for name in [name for name in existing if name not in wanted]:
            changed = _without(changed, (*key, name))
        for name, value in wanted.items():
            if existing.get(name) != value:
                changed = _set(changed, key, name, value, newline)
    return _checked(mark + changed, _with(before, key, wanted))


def remove_table(text: str, key: Key) -> str:
    """Take out a table with everything in it, and the blank line that sets it off.

    Raises:
        NotTomlError: The text cannot be read.
        CannotEditError: There is no such table, or it is written in a way that is not understood here.
    """
    before, mark = _read(text), text[:1] if text.startswith(BYTE_ORDER_MARK) else ""
    if table_at(text, key) is None:
        raise CannotEditError(f"{'.'.join(key)} is not there")
    changed, expected = mark + _without(text.removeprefix(mark), key), _with(before, key, None)
    bare = _with(expected, key[:-1], None) if len(key) > 1 and not _part(expected, key[:-1]) else expected
    try:
        return _checked(changed, expected)
    except CannotEditError:
        return _checked(changed, bare)  # a table above that only ever was named by this one


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix(BYTE_ORDER_MARK))
    except tomllib.TOMLDecodeError as error:
        raise NotTomlError(str(error)) from None
    except RecursionError:
        raise NotTomlError("nested too deeply") from None


def _part(found: Any, key: Key) -> Any:
    for name in key:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _added(text: str, key: Key, wanted: Mapping[str, Any], newline: str) -> str:
    places = scan(text)
    for length in range(len(key) - 1, 0, -1):
        above = next((a for a in places.assignments if a.key == key[:length] and text[a.value_start] == "{"), None)
        if above is not None:
            return _into_inline(text, places, above, key[length:], wanted)
    lines = [f"[{_dotted(key)}]", *(f"{_written_key(name)} = {_written(value)}" for name, value in wanted.items())]
    gap = "" if not text.strip() else newline if text.endswith("\n") else 2 * newline
    return text + gap + newline.join(lines) + newline


def _set(text: str, key: Key, name: str, value: Any, newline: str) -> str:
    """Set one key of a table that is there."""
    places = scan(text)
    present = [a for a in places.assignments if a.key == (*key, name)]
    if present:
        return text[: present[0].value_start] + _written(value) + text[present[0].value_end :]
    inline = next((a for a in places.assignments if a.key == key and text[a.value_start] == "{"), None)
    if inline is not None:
        return _into_inline(text, places, inline, (name,), value)
    siblings = [a for a in places.assignments if a.key[: len(key)] == key and len(a.key) == len(key) + 1 and not a.inline]
    table = next((table for table in places.tables if table.key == key), None)
    if siblings:
        written = text[siblings[-1].start : siblings[-1].value_start]
        lead = written[: len(written) - len(written.lstrip(" \t"))]
        # below a header the name alone; as a dotted key all of it from where the neighbour's begins
        shown = key[_headed(places, siblings[-1]) :]
        return _line_behind(text, siblings[-1].end, f"{lead}{_dotted((*shown, name))} = {_written(value)}", newline)
    if table is not None:
        header_end = text.find("\n", table.start) + 1 or len(text)
        return _line_behind(text, header_end, f"{_written_key(name)} = {_written(value)}", newline)
    raise CannotEditError("its form is unusual")


def _headed(places: Places, assignment: Assignment) -> int:
    """How many parts of a key the header above it says."""
    return next((len(table.key) for table in reversed(places.tables) if table.start < assignment.start), 0)


def _line_behind(text: str, offset: int, line: str, newline: str) -> str:
    gap = "" if offset == 0 or text[offset - 1] == "\n" else newline
    return text[:offset] + gap + line + newline + text[offset:]


def _into_inline(text: str, places: Places, table: Assignment, key: Key, value: Any) -> str:
    inner = [a for a in places.assignments if a.inline and table.value_start < a.start and a.value_end < table.value_end]
    shown = f"{_dotted(key)} = {_written(value)}"
    if not inner:
        return f"{text[: table.value_start]}{{ {shown} }}{text[table.value_end :]}"
    last = max(a.value_end for a in inner)
    return f"{text[:last]}, {shown}{text[last:]}"


def _without(text: str, key: Key) -> str:
    places = scan(text)
    spans = [(table.start, table.end) for table in places.tables if table.key[: len(key)] == key]
    spans += [
        _in_inline_span(text, a) if a.inline else (a.start, a.end)
        for a in places.assignments
        if a.key[: len(key)] == key and not any(start <= a.start < end for start, end in spans)
    ]
    outer = [span for span in spans if not any(other != span and other[0] <= span[0] and span[1] <= other[1] for other in spans)]
    for start, end in sorted(set(outer), reverse=True):
        text = _cut(text, start, end)
    return text


def _in_inline_span(text: str, assignment: Assignment) -> tuple[int, int]:
    """A pair and one of the commas around it."""
    start, end = assignment.start, assignment.value_end
    before = text[:start].rstrip(" \t\r\n")
    if before.endswith(","):
        return len(before) - 1, end
    after = end + len(text[end:]) - len(text[end:].lstrip(" \t\r\n"))
    if text.startswith(",", after):
        return start, after + 1 + len(text[after + 1 :]) - len(text[after + 1 :].lstrip(" \t"))
    return len(before), after  # the only one: its spaces go too


def _cut(text: str, start: int, end: int) -> str:
    """Without a span; of two blank lines that would meet, or of one that would end the text, the first goes too."""
    whole_lines = start == 0 or text[start - 1] == "\n"
    if whole_lines and (match := re.search(r"(?:^|\n)(\r?\n)\Z", text[:start])) and (end == len(text) or re.match(r"\r?\n", text[end:])):
        start = match.start(1)
    return text[:start] + text[end:]


def _written(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_written_key(name)} = {_written(part)}" for name, part in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    raise CannotEditError(f"it holds a {type(value).__name__}")


def _written_key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _written(name)


def _dotted(key: Key) -> str:
    return ".".join(map(_written_key, key))


def _with(root: dict[str, Any], key: Key, value: Any) -> dict[str, Any]:
    """A copy with another value at a key, or without it where the value is None."""
    if len(key) > 1:
        return {**root, key[0]: _with(root.get(key[0], {}), key[1:], value)}
    rest = {name: part for name, part in root.items() if name != key[0]}
    return rest if value is None else {**rest, key[0]: dict(value)}


def _checked(text: str, expected: dict[str, Any]) -> str:
    try:
        found = _read(text)
    except NotTomlError:
        raise CannotEditError("its form is unusual") from None
    if repr(_ordered(found)) != repr(_ordered(expected)):  # as text, since 1 == True == 1.0
        raise CannotEditError("its form is unusual")
    return text


def _ordered(value: Any) -> Any:
    """With keys sorted: a table may stand in pieces, so that their order says nothing."""
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(part) for part in value] if isinstance(value, list) else value
