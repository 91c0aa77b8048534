"""What becomes of a connection, decided by its first line; pure."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from memory_mcp.front.hello import version

_FULL = "The memory engine serves as many clients as it takes ({}). Close one, or start this client's server with --isolated."


class Verdict(Enum):
    """How a connection goes on."""

    IGNORE = auto()
    """Hang up: that was nobody of ours."""
    STATUS = auto()
    STOP = auto()
    LEAVE = auto()
    """End, for a newer program to take over."""
    TELL_OLDER = auto()
    """Say that this program is the older one; the front asks again, as the one front that starts engines."""
    REFUSE = auto()
    ADMIT = auto()


@dataclass(frozen=True, slots=True)
class House:
    """How things stand when somebody comes in.

    Attributes:
        conversations: How many are held at the moment, of at most so many.
        leaving: Whether the engine is about to end.
    """

    program: str
    secret: str
    conversations: int
    most: int
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a front says of its client; an empty text where it says nothing.

    Attributes:
        settings: The client's variables `MEMORY_MCP_...`.
        all_tools: Whether it wants those of every set.
    """

    namespace: str = ""
    directory: str = ""
    project: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    all_tools: bool = False


def judge(said: Mapping[str, object] | None, house: House) -> Verdict:
    """What to do about somebody who says this; None: nothing that could be read."""
    if said is None or not hmac.compare_digest(_text(said, "secret").encode(errors="replace"), house.secret.encode()):
        return Verdict.IGNORE
    if "ask" in said:
        return {"status": Verdict.STATUS, "stop": Verdict.STOP}.get(_text(said, "ask"), Verdict.IGNORE)
    if house.leaving:
        return Verdict.LEAVE
    if version(said.get("program")) > version(house.program):
        return Verdict.LEAVE if said.get("replace") is True else Verdict.TELL_OLDER
    return Verdict.REFUSE if house.conversations >= house.most else Verdict.ADMIT


def full(most: int) -> str:
    """The sentence for one client too many."""
    return _FULL.format(most)


def visitor(said: Mapping[str, object]) -> Visitor:
    """Read what is known of the client."""
    settings = said.get("settings")
    variables = {name: value for name, value in settings.items() if isinstance(value, str)} if isinstance(settings, dict) else {}
    return Visitor(_text(said, "namespace"), _text(said, "cwd"), _text(said, "project"), variables, _text(said, "tools") == "all")


def _text(said: Mapping[str, object], key: str) -> str:
    value = said.get(key)
    return value if isinstance(value, str) else ""
