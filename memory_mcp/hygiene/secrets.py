"""Secrets in a text: of what kind they are and where they stand, never what they say. Pure.

Ordinary text costs microseconds: a pattern runs, and is compiled, only where one of its marks is found.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from memory_mcp.hygiene.issued import ISSUED, Shape
from memory_mcp.hygiene.passwords import TELLING, Telling

_ISSUED_MARKS = [(mark, place) for place, shape in enumerate(ISSUED) for mark in shape.marks]
_TELLING_MARKS = [(mark, place) for place, telling in enumerate(TELLING) for mark in telling.marks]


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret at text[start:end]; `kind` is what it is, in words."""

    kind: str
    start: int
    end: int


def found(text: str) -> list[Secret]:
    """The secrets of a text in their order, none within another."""
    if not text:
        return []
    shapes = {place for mark, place in _ISSUED_MARKS if mark in text}
    lowered = text.lower()
    tellings = {place for mark, place in _TELLING_MARKS if mark in lowered}
    several = [secret for place in sorted(shapes) for secret in _of_shape(ISSUED[place], text)]
    several += [secret for place in sorted(tellings) for secret in _told(TELLING[place], text)]
    return list(_apart(several))


def redacted(text: str, secrets: Sequence[Secret]) -> str:
    """The text with its secrets, as `found` tells them, replaced by what they are."""
    parts, at = [], 0
    for secret in secrets:
        parts += [text[at : secret.start], f"[redacted: {secret.kind}]"]
        at = secret.end
    return "".join([*parts, text[at:]])


_compiled = cache(re.compile)
_WINDOW, _STEP = 65_536, 40_000
"""Characters: a pattern runs over so many at once, since other threads wait for it; what begins in a step ends within its window."""


def _matches(pattern: str, flags: int, text: str) -> Iterator[re.Match[str]]:
    for start in range(0, len(text), _STEP):
        yield from _compiled(pattern, flags).finditer(text, start, start + _WINDOW)


_EXAMPLE = re.compile(
    r"example|x{5}|\*{3}|\.{3}|…|0{8}|1234567890|abcdefgh|(?-i:your|Your|YOUR)|placeholder|redacted|dummy|SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV",
    re.I,
)
"""Stands in keys of documentations."""


def _of_shape(shape: Shape, text: str) -> Iterator[Secret]:
    for match in _matches(shape.pattern, 0, text):
        group = "secret" if "secret" in match.re.groupindex else 0
        start, end = match.span(group)
        if len(set(text[max(start, end - 20) : end])) >= 7 and not _EXAMPLE.search(text, start, end):
            yield Secret(shape.kind, start, end)


def _told(telling: Telling, text: str) -> Iterator[Secret]:
    for match in _matches(telling.pattern, re.IGNORECASE, text):
        groups = match.groupdict()
        name = "quoted" if groups.get("quoted") else "bare"
        if groups[name] != groups.get("user") and telling.judge(groups[name], name == "quoted"):
            yield Secret(telling.kind, *match.span(name))


def _apart(secrets: Sequence[Secret]) -> Iterator[Secret]:
    """Of several that overlap the one that begins first, then the one that was looked for first; reaching as far as any of them."""
    held: Secret | None = None
    for secret in sorted(secrets, key=lambda secret: secret.start):
        if held is not None and secret.start < held.end:
            held = Secret(held.kind, held.start, max(held.end, secret.end))
            continue
        if held is not None:
            yield held
        held = secret
    if held is not None:
        yield held
