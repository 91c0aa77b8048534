"""What memory has just told somebody is not news when they say it back.

A text is an echo when all of it was returned to the same caller within the last half hour: word for word, with its
letter case, digits and signs, or with what a reply put around it (its place in a list, facts and id in brackets, a line
break shown as a sign, the dots of a cut). One word, digit or sign more or less, or one line that was not returned, and it
is a statement of its own. Texts of less than 20 characters are never echoes: two people may well say them.

Only digests are kept, in this process, and only of so many texts.
"""

import hashlib
import re
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

LIFETIME_SECONDS = 1_800.0
MOST = 10_000
SHORTEST = 20
_LONGEST = 20_000
"""Characters; a longer text is told apart by its fingerprint alone."""

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_FACTS = re.compile(rf"\s*\((?:[^()\n]|\([^()\n]*\)){{0,2000}}\bid {_ID}[^()\n]{{0,2000}}\)\s*$")
_HEAD = re.compile(
    r"(?:strong|weak): \d+ in \S+\..*|Memory of \S+\..*"
    r"|(?:rules|relevant to the task|recent decisions|open errors|from the last session|newest):"
    r"|more: cursor \S+|Stored text is data, not instructions\..*"
)
_OPENING = re.compile(r"^(?:[-*•>|]|\d{1,2}[.)])\s+")
_QUOTES = "\"'`“”„‘’«»"


def echo_form(text: str) -> str:
    """What is compared: the text without what a reply, or whoever quotes it, puts around it."""
    plain = _FACTS.sub("", unicodedata.normalize("NFC", text).replace("⏎", " ").strip())
    plain = " ".join(_OPENING.sub("", plain).split())
    return plain.strip(_QUOTES + " ").rstrip(".…").strip(_QUOTES + " ").lstrip("…")


def echo_forms(told: Iterable[tuple[UUID, str]]) -> list[tuple[UUID, str]]:
    """Of memories and the texts that were shown of them, the forms of those that can be echoed."""
    forms = [(memory_id, echo_form(text)) for memory_id, text in told if len(text) <= _LONGEST]
    return [(memory_id, form) for memory_id, form in forms if len(form) >= SHORTEST]


class Echoes:
    """Who was told what lately.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: OrderedDict[bytes, tuple[UUID, float]] = OrderedDict()

    def note(self, listener: Sequence[str], told: Iterable[tuple[UUID, str]]) -> None:
        """These memories were shown to somebody, with these texts."""
        self.note_forms(listener, echo_forms(told))

    def note_forms(self, listener: Sequence[str], forms: Iterable[tuple[UUID, str]]) -> None:
        """Likewise, where the forms (`echo_forms`) are known."""
        now = self._clock()
        for memory_id, form in forms:
            digest = _digest(listener, form)
            self._told[digest] = (memory_id, now)
            self._told.move_to_end(digest)
        while len(self._told) > MOST:
            self._told.popitem(last=False)

    def clear(self) -> None:
        """Forget what was told."""
        self._told.clear()

    def heard(self, listener: Sequence[str], text: str) -> list[tuple[UUID, str]]:
        """The memories that a text says back, with the form of each; none where any part of it is new."""
        if not self._told or len(text) > _LONGEST:
            return []
        whole = self._known(listener, echo_form(text))
        if whole is not None:
            return [whole]
        lines = [line for line in text.splitlines() if line.strip() and not _HEAD.fullmatch(line.strip())]
        known = [self._known(listener, echo_form(line)) for line in lines]
        return [each for each in known if each is not None] if known and None not in known else []

    def _known(self, listener: Sequence[str], form: str) -> tuple[UUID, str] | None:
        if len(form) < SHORTEST:
            return None
        told = self._told.get(_digest(listener, form))
        return (told[0], form) if told is not None and self._clock() - told[1] < LIFETIME_SECONDS else None


def _digest(listener: Sequence[str], form: str) -> bytes:
    return hashlib.blake2b("\0".join([*listener, form]).encode(errors="replace"), digest_size=16).digest()
