"""What can be read off a running memory: who times which calls, and what the caches have had."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from memory_mcp.telemetry.timing import Times

BreakerState = Literal["closed", "open", "half-open"]
"""Calls pass; none does; one at a time may, to see whether the tier is back."""

Lookups = tuple[int, int]
"""Since the start: how many found what they looked for, and how many did not."""


class Watched(Protocol):
    """Something that stands before a tier, and times the calls to it."""

    @property
    def name(self) -> str:
        """The tier's; several may stand before one."""

    @property
    def times(self) -> Times:
        """The calls made, by their name and how they ended: ok, error, timeout, unavailable, cancelled."""

    @property
    def refused(self) -> int:
        """Calls not made, since the tier is left alone."""

    @property
    def state(self) -> BreakerState:
        """Whether it is."""


async def _no_notes() -> Mapping[str, int]:
    return {}


@dataclass(slots=True)
class Instruments:
    """The instruments of one memory, for whoever reads them; nobody has to.

    Attributes:
        lookups: By the name of a cache.
        notes: How many notes wait for each derived tier, of all tenants.
    """

    watched: list[Watched] = field(default_factory=list)
    lookups: dict[str, Callable[[], Lookups]] = field(default_factory=dict)
    notes: Callable[[], Awaitable[Mapping[str, int]]] = _no_notes
