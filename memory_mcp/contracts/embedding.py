"""Text to vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from memory_mcp.models import Matrix


@dataclass(frozen=True, slots=True)
class EmbedderState:
    """For people: which model, and how it is doing.

    Attributes:
        phase: loading, ready, or broken (`detail` says why and what to do).
        epoch: None until ready.
    """

    model: str
    phase: Literal["loading", "ready", "broken"]
    epoch: str | None = None
    dimension: int | None = None
    detail: str = ""
    figures: Mapping[str, float] | None = None


class Embedder(Protocol):
    """Text to unit vectors."""

    @property
    def state(self) -> EmbedderState:
        """Never waits."""

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> tuple[Matrix, str]:
        """(n, d) vectors of n texts, and their epoch; urgent ones overtake those that wait.

        Raises:
            EmbedderNotReadyError: The model is loading or broken; never waits for it.
        """
