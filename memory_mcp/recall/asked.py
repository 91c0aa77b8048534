"""What people ask, and what is not there to answer it: counted in passing, written in bunches, never in an answer's way."""

from dataclasses import replace

import structlog

from memory_mcp.contracts import Clock, Experience
from memory_mcp.errors import TierError
from memory_mcp.hygiene.secrets import found, redacted
from memory_mcp.models import Asked, Scope

log = structlog.get_logger(__name__)

MAX_CHARACTERS = 200
"""Of a question that are kept."""
MAX_WAITING = 1_000
"""Questions that wait to be written; more of them are not counted."""


class Questions:
    """Collects questions, without the secrets in them, and whether anything was found; a count lost with the process is no loss."""

    def __init__(self, experience: Experience, clock: Clock) -> None:
        self._experience, self._clock = experience, clock
        self._waiting: dict[tuple[Scope, str], Asked] = {}
        self._fit: dict[str, str] = {}

    def note(self, scope: Scope, question: str, *, answered: bool) -> None:
        """This was asked of a scope."""
        text = self._fit_to_keep(question[: 10 * MAX_CHARACTERS])  # enough that no secret in what is kept is cut beyond recognition
        before = self._waiting.get((scope, text))
        if before is None and len(self._waiting) >= MAX_WAITING:
            return
        now = self._clock()
        before = before or Asked(text, 0, 0, now)
        self._waiting[scope, text] = replace(before, times=before.times + 1, unanswered=before.unanswered + (not answered), last=now)

    def _fit_to_keep(self, start: str) -> str:
        """What is kept of a question; of one that is asked again and again that is not worked out each time."""
        text = self._fit.get(start)
        if text is None:
            text = " ".join(redacted(start, found(start)).split())[:MAX_CHARACTERS]
            if len(self._fit) < MAX_WAITING:
                self._fit[start] = text
        return text

    def clear(self) -> None:
        """Let go of what has not been written yet."""
        self._waiting.clear()
        self._fit.clear()

    async def flush(self) -> None:
        """Write what has been noted; a store that is away keeps nothing from going on."""
        waiting, self._waiting = self._waiting, {}
        self._fit.clear()
        by_scope: dict[Scope, list[Asked]] = {}
        for (scope, _), asked in waiting.items():
            by_scope.setdefault(scope, []).append(asked)
        for scope, several in by_scope.items():
            try:
                await self._experience.count_questions(scope, several)
            except TierError as error:
                log.info("questions_not_counted", error=type(error).__name__)
