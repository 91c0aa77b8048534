"""What installing and uninstalling would change in one file: decisions about texts, before any is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from memory_mcp.cli.install.slots import UNREADABLE, Slot

Kind = Literal["add", "update", "same", "foreign", "remove", "absent", "unreadable"]


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done to a file.

    Attributes:
        kind: `foreign` is an entry of this name that is not ours; `unreadable` a text in which nothing is changed.
        before: The entry that is there.
        after: The entry that will be.
        text: The file's new text; None: the file goes.
        restores: Whether that is, to the byte, what was there before the entry came.
        reason: Why it is unreadable, as the middle of a sentence.
    """

    kind: Kind
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    text: str | None = None
    restores: bool = False
    reason: str = ""

    @property
    def writes(self) -> bool:
        """Whether the file changes."""
        return self.kind in ("add", "update", "remove")


def to_install(slot: Slot, text: str | None, wanted: Callable[[Any], Mapping[str, Any]], ours: Callable[[Any], bool]) -> Change:
    """What makes the entry be there.

    Args:
        text: Of the file; None if there is none.
        wanted: Makes the entry from the one that is there, or from None.
        ours: Tells whether an entry is one to be changed.
    """
    try:
        before = slot.find(text or "")
        if before is not None and not ours(before):
            return Change("foreign", before)
        after = wanted(before)
        changed = slot.put(text, after)
    except UNREADABLE as error:
        return Change("unreadable", reason=str(error))
    if before is None:
        return Change("add", None, after, changed)
    return Change("same", before, after, text) if changed == text else Change("update", before, after, changed)


def to_uninstall(slot: Slot, text: str | None, backups: Sequence[str], ours: Callable[[Any], bool]) -> Change:
    """What takes the entry out again.

    If nothing else has changed since it was put in, the file becomes what it was, to the byte: known by putting the
    entry into what was there before, which gives the present text. Else only the entry goes.

    Args:
        text: Of the file; None if there is none.
        backups: Texts that were written aside before changes, newest first.
    """
    if text is None:
        return Change("absent")
    try:
        entry = slot.find(text)
        if entry is None:
            return Change("absent")
        if not ours(entry):
            return Change("foreign", entry)
        readable = [backup for backup in backups if _is_readable(slot, backup)]
        without = [backup for backup in readable if slot.find(backup) is None]
        earlier: list[str | None] = [*without, None]
        for before in earlier:
            if _would_be(slot, before, entry) == text:
                return Change("remove", entry, None, before, restores=True)
        # where every backup has the entry, the file and what it lies in were there before
        known = without[0] if without else readable[-1] if readable else None
        return Change("remove", entry, None, slot.take(text, known))
    except UNREADABLE as error:
        return Change("unreadable", reason=str(error))


def _would_be(slot: Slot, text: str | None, entry: Mapping[str, Any]) -> str | None:
    try:
        return slot.put(text, entry)
    except UNREADABLE:
        return None


def _is_readable(slot: Slot, text: str) -> bool:
    try:
        slot.find(text)
    except UNREADABLE:
        return False
    return True
