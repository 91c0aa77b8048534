"""Cursors: where the next page begins, in a word that goes with one question and cannot be anything else by mistake."""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from uuid import UUID

from memory_mcp.clock import from_micros, to_micros
from memory_mcp.errors import RequestError
from memory_mcp.pages import KEPT, MARK_LENGTH, Behind, Page, Told

_TOLD = re.compile(rf"([0-9]{{1,6}})\.((?:[\w-]{{{MARK_LENGTH}}}){{1,{KEPT}}})", re.ASCII)
_BEHIND = re.compile(r"[\w-]{32}", re.ASCII)
_CHECK_BYTES = 3


@dataclass(frozen=True, slots=True)
class Cursors:
    """Of one question."""

    question: str

    @classmethod
    def of(cls, *asked: object) -> "Cursors":
        """Of what was asked, as JSON would say it."""
        return cls(json.dumps(asked))

    def write(self, page: Page) -> str:
        """A page as a cursor, of 37 characters or, in a ranking, of 3 for each hit told, `KEPT` of them at most, and 7 to 12 more."""
        if isinstance(page, Told):
            place = f"{page.earlier}.{page.marks}"
        else:
            place = urlsafe_b64encode(to_micros(page.when).to_bytes(8, signed=True) + page.id.bytes).decode()
        return f"{place}.{self._check(place)}"

    def read(self, cursor: str) -> Page | None:
        """The page of a cursor; None without one.

        Raises:
            RequestError: It was given for another question, or has been changed.
        """
        if not cursor:
            return None
        place, _, check = cursor.strip().rpartition(".")
        if check == self._check(place) and (page := _page(place)) is not None:
            return page
        raise RequestError("This cursor belongs to another question. Repeat the question unchanged with its cursor, or leave cursor out.")

    def _check(self, place: str) -> str:
        digest = hashlib.blake2b(f"{place}.{self.question}".encode(errors="replace"), digest_size=_CHECK_BYTES).digest()
        return urlsafe_b64encode(digest).decode()


def _page(place: str) -> Page | None:
    if told := _TOLD.fullmatch(place):
        return Told(int(told[1]), told[2])
    if _BEHIND.fullmatch(place):
        raw = urlsafe_b64decode(place)
        try:
            return Behind(from_micros(int.from_bytes(raw[:8], signed=True)), UUID(bytes=raw[8:]))
        except OverflowError:
            return None
    return None
