"""One thing that `doctor` looked at."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True, slots=True)
class Check:
    """How it is.

    Attributes:
        state: A note is no fault, but may explain one.
        remedy: What to do; empty where nothing is.
    """

    name: str
    state: State
    found: str
    remedy: str = ""

    def facts(self) -> dict[str, str]:
        """As plain JSON."""
        return asdict(self)
