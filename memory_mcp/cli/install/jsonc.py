"""JSON as people write it, with comments and trailing commas: what it says, and where in the text each part of it stands."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

BYTE_ORDER_MARK = "\ufeff"

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
    | (?P<comment>//[^\r\n]*|/\*.*?\*/)
    | (?P<scalar>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"
        | -?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)? | true | false | null)
    | (?P<mark>[{}\[\],:])
    """,
    re.VERBOSE | re.DOTALL,
)


class NotJsonError(ValueError):
    """The text is no JSON, not even with comments; the message says where, as `line 3, column 5`."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the offsets of its text, the end excluded.

    Attributes:
        value: As plain Python values.
        elements: What an object or array holds, in order; nothing for a scalar.
    """

    start: int
    end: int
    value: Any
    elements: "tuple[Element, ...]" = ()


@dataclass(frozen=True, slots=True)
class Element:
    """A member of an object, or an item of an array.

    Attributes:
        key: None in an array.
        start: Where the key begins, in an array the value.
        colon: What stands between key and value, as written.
        comma: The offset of the comma behind it, -1 where there is none.
    """

    key: str | None
    start: int
    colon: str
    node: Node
    comma: int


@dataclass(frozen=True, slots=True)
class Document:
    """A whole text.

    Attributes:
        comments: Offsets of start and end of every comment, in order.
    """

    text: str
    root: Node
    comments: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


@lru_cache(maxsize=4)
def parse(text: str) -> Document:
    """Read a text. Remembers the last ones: each question and each edit begins with it, and files can have megabytes.

    So what it gives is shared: nobody may change anything in it.

    Raises:
        NotJsonError: Nothing is to be changed in such a text.
    """
    tokens, comments = [], []
    for token in _tokens(text):
        if token.kind == "comment":
            comments.append((token.start, token.end))
        else:
            tokens.append(token)
    try:
        root, next_token = _Parser(text, tokens).node(0)
    except RecursionError:
        raise NotJsonError("nested too deeply") from None
    if tokens[next_token].kind != "end":
        raise _fault(text, tokens[next_token].start)
    return Document(text, root, tuple(comments))


def _tokens(text: str) -> Iterator[_Token]:
    offset = 1 if text.startswith(BYTE_ORDER_MARK) else 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise _fault(text, offset)
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match[0], match.start(), match.end())
        offset = match.end()
    yield _Token("end", "", len(text), len(text))


def _fault(text: str, offset: int) -> NotJsonError:
    line = text.count("\n", 0, offset) + 1
    return NotJsonError(f"line {line}, column {offset - text.rfind(chr(10), 0, offset)}")


class _Parser:
    """Recursive descent; each method takes the index of its first token and returns that of the next one."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text, self._tokens = text, tokens

    def node(self, index: int) -> tuple[Node, int]:
        token = self._tokens[index]
        if token.text in ("{", "["):
            return self._container(index)
        if token.kind != "scalar":
            raise _fault(self._text, token.start)
        return Node(token.start, token.end, self._scalar(token)), index + 1

    def _scalar(self, token: _Token) -> Any:
        try:
            return json.loads(token.text)
        except ValueError:  # a number of more digits than Python takes
            raise _fault(self._text, token.start) from None

    def _container(self, index: int) -> tuple[Node, int]:
        opening = self._tokens[index]
        named, closing = opening.text == "{", "}" if opening.text == "{" else "]"
        elements: list[Element] = []
        index += 1
        while self._tokens[index].text != closing:
            if elements and elements[-1].comma < 0:
                raise _fault(self._text, self._tokens[index].start)
            element, index = self._element(index, named=named)
            elements.append(element)
        value = {element.key: element.node.value for element in elements} if named else [element.node.value for element in elements]
        return Node(opening.start, self._tokens[index].end, value, tuple(elements)), index + 1

    def _element(self, index: int, *, named: bool) -> tuple[Element, int]:
        start, key, colon = self._tokens[index].start, None, ""
        if named:
            name = self._tokens[index]
            if not name.text.startswith('"') or self._tokens[index + 1].text != ":":
                raise _fault(self._text, name.start)
            key = self._scalar(name)
            index += 2
            colon = self._text[name.end : self._tokens[index].start]
        node, index = self.node(index)
        comma = self._tokens[index]
        if comma.text == ",":
            return Element(key, start, colon, node, comma.start), index + 1
        return Element(key, start, colon, node, -1), index
