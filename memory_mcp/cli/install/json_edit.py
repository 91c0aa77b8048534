"""Changing one place of a JSON text: every other character stays, comments and formatting included.

What is added looks like what is there: its indentation, its line ends, its spaces. Each edit is read again afterwards,
and given up when it would say anything else than what was meant.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memory_mcp.cli.install.jsonc import BYTE_ORDER_MARK, Document, Node, parse

Path = Sequence[str | int]
"""From the root: keys of objects, indices of arrays."""


class CannotEditError(ValueError):
    """The place is not there, or not of the kind that it should be; the message is the middle of a sentence."""


@dataclass(frozen=True, slots=True)
class _Style:
    """How a text is written; `unit` is one step of indentation."""

    newline: str
    unit: str
    colon: str

    def inline(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=("," if self.colon == ":" else ", ", self.colon))

    def block(self, value: Any, indent: str) -> str:
        lines = json.dumps(value, ensure_ascii=False, indent=self.unit, separators=(",", self.colon)).split("\n")
        return (self.newline + indent).join(lines)


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def value_at(text: str, path: Path) -> Any:
    """What stands at a place; None if there is nothing, as in an empty text.

    Raises:
        NotJsonError: The text cannot be read.
        CannotEditError: A key on the way is there twice, so that readers differ in which one counts.
    """
    if is_blank(text):
        return None
    node: Node | None = parse(text).root
    for step in path:
        node = None if node is None else _child(node, step)
    return None if node is None else node.value


def put(text: str, path: Path, value: Any) -> str:
    """Set a member of an object; objects that are missing on the way are made. A blank text counts as `{}`.

    Raises:
        NotJsonError: The text cannot be read.
        CannotEditError: Something on the way is no object, or no array that has this item.
    """
    if is_blank(text):
        mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
        newline = "\r\n" if "\r\n" in text else "\n"
        return mark + _Style(newline, "  ", ": ").block(_nested(path, value), "") + newline
    document = parse(text)
    node, block = document.root, True
    for depth, key in enumerate(path):
        child = _child(node, key)
        if not isinstance(node.value, dict) and child is None:
            raise CannotEditError(f"{_shown(path[:depth])} is no object")
        block = _is_block(document, node, within_block=block)
        if child is None:
            edits = _insertion(document, node, str(key), _nested(path[depth + 1 :], value), block=block)
            break
        node = child
    else:
        edits = [_Edit(node.start, node.end, _rendered(document, node.start, value, block=block))]
    return _checked(document, edits, _with(document.root.value, path, value))


def append(text: str, path: Sequence[str], value: Any) -> str:
    """Add an item to an array, which is made where it is missing.

    Raises:
        NotJsonError: The text cannot be read.
        CannotEditError: What stands there is no array.
    """
    items = value_at(text, path)
    if items is None:
        return put(text, path, [value])
    if not isinstance(items, list):
        raise CannotEditError(f"{_shown(path)} is no list")
    document = parse(text)
    node, block = document.root, True
    for key in path:
        block = _is_block(document, node, within_block=block)
        child = _child(node, key)
        assert child is not None
        node = child
    edits = _insertion(document, node, None, value, block=_is_block(document, node, within_block=block))
    return _checked(document, edits, _with(document.root.value, path, [*items, value]))


def remove(text: str, path: Path) -> str:
    """Take out a member or an item, and the comma that goes with it.

    Raises:
        NotJsonError: The text cannot be read.
        CannotEditError: There is nothing at this place.
    """
    document = parse(text)
    node: Node | None = document.root
    for step in path[:-1]:
        node = None if node is None else _child(node, step)
    index = None if node is None else _index(node, path[-1])
    if node is None or index is None:
        raise CannotEditError(f"{_shown(path)} is not there")
    return _checked(document, _removal(document, node, index), _without(document.root.value, path))


def is_blank(text: str) -> bool:
    """Whether a text holds nothing, so that it may become anything."""
    return not text.removeprefix(BYTE_ORDER_MARK).strip(" \t\r\n")


def _index(node: Node, step: str | int) -> int | None:
    if isinstance(step, int):
        return step if isinstance(node.value, list) and step < len(node.elements) else None
    found = [index for index, element in enumerate(node.elements) if element.key == step]
    if len(found) > 1:
        raise CannotEditError(f"{step!r} is there twice")
    return found[0] if found else None


def _child(node: Node, step: str | int) -> Node | None:
    index = _index(node, step)
    return None if index is None else node.elements[index].node


def _nested(path: Path, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _shown(path: Path) -> str:
    return ".".join(map(str, path)) or "the file's content"


def _insertion(document: Document, node: Node, key: str | None, value: Any, *, block: bool) -> list[_Edit]:
    """Behind everything that the object or array holds, comments included."""
    style, text = _style(document), document.text
    indent, behind = _indent_within(document, node, style), _solid_end(document, node.end - 1)
    name = "" if key is None else json.dumps(key, ensure_ascii=False) + style.colon
    body = name + (style.block(value, indent) if block else style.inline(value))
    # a comment to the end of the line would swallow what is written behind it
    own_line = block or _ends_in_line_comment(document, behind)
    lead = style.newline + indent if own_line else " " if node.elements and style.colon != ":" else ""
    if not node.elements:
        closing = "" if "\n" in text[behind : node.end - 1] or not own_line else style.newline + _line_indent(text, node.start)
        return [_Edit(behind, behind, lead + body + closing)]
    last = node.elements[-1]
    if last.comma >= 0:
        return [_Edit(behind, behind, lead + body + ",")]
    return [_Edit(last.node.end, last.node.end, ","), _Edit(behind, behind, lead + body)]


def _removal(document: Document, node: Node, index: int) -> list[_Edit]:
    """The inverse of `_insertion` for what stands last; elsewhere up to the comma that follows."""
    element = node.elements[index]
    start, end = _solid_end(document, element.start), element.comma + 1 if element.comma >= 0 else element.node.end
    rest = document.text[node.start + 1 : start] + document.text[end : node.end - 1]
    if len(node.elements) == 1 and "\n" in rest and not rest.strip():
        return [_Edit(node.start + 1, node.end - 1, "")]
    if _ends_in_line_comment(document, start) and "\n" not in document.text[end : _solid_start(document, end)]:
        start = element.start
    edits = [_Edit(start, end, "")]
    if element.comma < 0 and index > 0:
        before = node.elements[index - 1].comma
        edits.insert(0, _Edit(before, before + 1, ""))
    return edits


def _rendered(document: Document, start: int, value: Any, *, block: bool) -> str:
    style = _style(document)
    return style.block(value, _line_indent(document.text, start)) if block else style.inline(value)


def _style(document: Document) -> _Style:
    text, root = document.text, document.root
    unit = _line_indent(text, root.elements[0].start) if root.elements and _is_block(document, root, within_block=True) else ""
    compact = bool(root.elements) and root.elements[0].colon == ":"
    return _Style("\r\n" if "\r\n" in text else "\n", unit or "  ", ":" if compact else ": ")


def _is_block(document: Document, node: Node, *, within_block: bool) -> bool:
    """Whether elements stand on lines of their own; an empty one follows what it lies in."""
    if not node.elements:
        return within_block or "\n" in document.text[node.start : node.end]
    return "\n" in document.text[node.start : node.elements[0].start]


def _indent_within(document: Document, node: Node, style: _Style) -> str:
    if node.elements and _is_block(document, node, within_block=True):
        return _line_indent(document.text, node.elements[0].start)
    return _line_indent(document.text, node.start) + style.unit


def _line_indent(text: str, offset: int) -> str:
    line = text[text.rfind("\n", 0, offset) + 1 : offset].removeprefix(BYTE_ORDER_MARK)
    return line[: len(line) - len(line.lstrip(" \t"))]


def _solid_end(document: Document, limit: int) -> int:
    """Where the last thing before `limit` ends that is not white space; a comment is such a thing."""
    return len(document.text[:limit].rstrip(" \t\r\n"))


def _solid_start(document: Document, offset: int) -> int:
    text = document.text
    return len(text) - len(text[offset:].lstrip(" \t\r\n"))


def _ends_in_line_comment(document: Document, offset: int) -> bool:
    """Whether what is written at this place falls into a comment; white space at the end of its line belongs to it."""
    return any(start < offset <= end and document.text.startswith("//", start) for start, end in document.comments)


def _checked(document: Document, edits: Sequence[_Edit], expected: Any) -> str:
    text = document.text
    for edit in reversed(edits):  # they come in the order of the text
        text = text[: edit.start] + edit.text + text[edit.end :]
    if json.dumps(parse(text).root.value) != json.dumps(expected):  # as text, since 1 == True == 1.0, and order counts
        raise CannotEditError("its form is unusual")
    return text


def _with(root: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    if isinstance(root, list):
        return [_with(item, path[1:], value) if index == path[0] else item for index, item in enumerate(root)]
    return {**root, path[0]: _with(root.get(path[0], {}), path[1:], value)}


def _without(root: Any, path: Path) -> Any:
    changed = root.copy()
    if len(path) == 1:
        del changed[path[0]]
    else:
        changed[path[0]] = _without(root[path[0]], path[1:])
    return changed
