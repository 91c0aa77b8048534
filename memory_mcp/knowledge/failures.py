"""What makes two reports the same error: its type, its message without what changes from run to run, and where it arose.

Pure. Traces of Python, JavaScript, Java and its kin, Go and Rust are read; of anything else the first line counts.
"""

import hashlib
import re
from dataclasses import dataclass

MAX_FRAMES = 6
"""Innermost frames that count: the outer ones tell who called, and the same error is met on many ways."""
MAX_MESSAGE_CHARACTERS = 300
"""Of a message that count."""
MAX_READ_CHARACTERS = 40_000
"""Of a report; of a longer one its two ends are read, where its error stands. In no more than some milliseconds, whatever it is."""

_FRAMES = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r'^[ \t]*File "(?P<file>[^"\n]+)", line \d+(?:, in (?P<name>.+?))?[ \t\r]*$',  # Python
        r"^[ \t]*\d+: (?P<name>[\w:<>{}$ ]+?)\n[ \t]+at (?P<file>\S+?):\d+(?::\d+)?[ \t\r]*$",  # Rust
        r"^[ \t]*at (?:async )?(?:(?P<name>[^\s(]+(?: \[as [^\]\n]+\])?) \()?(?P<file>[^()\s]+?):\d+:\d+\)?[ \t\r]*$",  # JavaScript
        r"^[ \t]*at (?P<name>[\w.$<>/]+)\((?P<file>[^():\n]*)(?::\d+)?\)[ \t\r]*$",  # Java
        r"^(?P<name>[\w./*()-]{1,300})\([^)\n]{0,1000}\)\n[ \t]+(?P<file>\S+\.go):\d+",  # Go
    )
)
_INNERMOST_LAST = 0
"""Python alone lists the innermost frame last."""
_HEADING = re.compile(
    r"^(?:Exception in thread \S+ |Uncaught |Caused by: |\[?(?:ERROR|FATAL|CRITICAL)\]?:? +)*"
    r"(?P<type>(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*(?:Error|Exception|Warning|Fault|Failure|Interrupt|Exit|Refused|Timeout|NotFound))"
    r"(?: \[[\w-]+\])?(?::\s*(?P<message>.*))?$",
    re.MULTILINE,
)
_PANIC = re.compile(
    r"^(?:panic: (?P<go>.+)"
    r"|thread '[^']*' (?:\(\d+\) )?panicked at (?:'(?P<old>.{0,1000})', )?.{0,300}?:\d+:\d+:?(?:\n(?P<rust>.+))?)$",
    re.MULTILINE,
)
_CHANGING = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<number>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,64}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"(?:[A-Za-z]:)?(?:[\\/][\w.@+-]+)+[\\/](?=[\w.@+-])"), ""),  # of a path the name stays
    (re.compile(r"(?<![A-Za-z_])\d+(?:[.,]\d+)*"), "<number>"),
)
_IDLE = re.compile(r"\s+")
_FOLDERS = re.compile(r".*[\\/]")


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it was reported, read.

    Attributes:
        type: Its class without the package, like `TypeError`; empty where none is told.
        message: Its words, as they stand.
        frames: `file:function`, innermost first, without folders and line numbers.
    """

    type: str
    message: str
    frames: tuple[str, ...]


def read_failure(report: str) -> Failure:
    """The error that a message, a trace or both tell of; of several in one trace the last that is named as the cause of nothing."""
    half = MAX_READ_CHARACTERS // 2
    report = report if len(report) <= MAX_READ_CHARACTERS else f"{report[:half]}\n{report[-half:]}"
    frames = _frames(report)
    panic = _PANIC.search(report)
    if panic is not None:
        message = panic["go"] or panic["old"] or panic["rust"] or ""
        return Failure("panic", message.strip(), frames)
    headings = [found for found in _HEADING.finditer(report) if not found[0].startswith("Caused by: ")]
    if headings:
        chosen = headings[-1] if _FRAMES[_INNERMOST_LAST].search(report) else headings[0]
        return Failure(chosen["type"].rpartition(".")[2], (chosen["message"] or "").strip(), frames)
    first = next((line.strip() for line in report.splitlines() if line.strip()), "")
    return Failure("", first, frames)


def in_a_line(report: str) -> str:
    """What a report comes to: of a trace the error itself, which tells more than how it begins."""
    failure = read_failure(report)
    return ": ".join(filter(None, (failure.type, failure.message))) if failure.frames and failure.type else report


def same_failure(failure: Failure) -> str:
    """24 hexadecimal digits, equal for what is the same error."""
    parts = [failure.type.lower(), lasting(failure.message), *failure.frames[:MAX_FRAMES]]
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=12).hexdigest()


def lasting(message: str) -> str:
    """A message without numbers, ids, times and folders, in small letters."""
    text = message[: 4 * MAX_MESSAGE_CHARACTERS]
    for pattern, instead in _CHANGING:
        text = pattern.sub(instead, text)
    return _IDLE.sub(" ", text).strip().lower()[:MAX_MESSAGE_CHARACTERS]


def _frames(report: str) -> tuple[str, ...]:
    for number, pattern in enumerate(_FRAMES):
        found = [f"{_FOLDERS.sub('', match['file'])}:{_function(match['name'])}" for match in pattern.finditer(report)]
        if found:
            return tuple(found[::-1] if number == _INNERMOST_LAST else found)[:MAX_FRAMES]
    return ()


def _function(name: str | None) -> str:
    """Without what a compiler adds."""
    return re.sub(r"\$?\d+|<[^>]*>|\{\{closure\}\}", "", name or "").strip()
