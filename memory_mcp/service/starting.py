"""What a session should start from."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from memory_mcp.answers import RecallRequest
from memory_mcp.knowledge.solutions import error_mark, solved_marks
from memory_mcp.models import Caller, Filter, Memory, Recalled, Scope
from memory_mcp.recall.sessions import Session, last_session, sessions
from memory_mcp.service.recalling import Recalling

_RULES = 100
_RELEVANT = 10
_MAYBE = 0.05
"""Score from which on a memory may be of use for a task, which seldom has a single answer."""
_RECENT = 5
"""Decisions, and open errors."""
_LAST_WRITTEN = 50
"""Memories among which the last session is looked for."""
_OF_LAST_SESSION = 8
_LISTED_FROM = 5_000
"""Memories from which sessions are told, the newest."""
_LISTED = 20
_ERRORS = 100
"""Errors and procedures among which the open ones are looked for."""


class Starting(Recalling):
    """The use cases `context` and `sessions`."""

    __slots__ = ()

    async def context(self, task: str, caller: Caller, namespace: str = "") -> Mapping[str, Sequence[Recalled]]:
        """What a session should start from, by heading, each memory once.

        Rules, the most important first; what the task recalls; recent decisions; errors that nothing told has solved;
        what the last session left, and the newest where there is nothing else.
        """
        scopes = self._scopes(caller, namespace)
        sections: dict[str, Sequence[Recalled]] = {}
        rules = await self._of_kind("rule", scopes, _RULES)
        sections["rules"] = _as_they_are(sorted(rules, key=lambda memory: -memory.importance))
        if task.strip():
            answer = await self.recall(RecallRequest(query=task, limit=_RELEVANT, namespace=namespace), caller)
            sections["relevant to the task"] = [hit for hit in answer.hits if hit.score >= _MAYBE]
        sections["recent decisions"] = _as_they_are(await self._of_kind("decision", scopes, _RECENT))
        sections["open errors"] = _as_they_are((await self._open_errors(scopes))[:_RECENT])
        written = await self.records.newest(self._own(caller, namespace), Filter(now=self.clock()), limit=_LAST_WRITTEN)
        left = sorted(last_session(written), key=lambda memory: -memory.importance)[:_OF_LAST_SESSION]
        sections["from the last session"] = _as_they_are(sorted(left, key=lambda memory: memory.created_at))
        return _each_once(sections)

    async def likely_meant(self, caller: Caller, namespace: str = "") -> list[str]:
        """Of a namespace that was never written to, those that hold something and are called like it."""
        own = self._own(caller, namespace)
        return [] if any(await self.records.revisions(own)) else await self._named_like(own, caller)

    async def sessions(self, caller: Caller) -> list[Session]:
        """The last sessions of the caller's namespace, the latest first, by what still holds of them."""
        written = await self.records.newest(self._own(caller, ""), Filter(now=self.clock()), limit=_LISTED_FROM)
        return sessions(written)[:_LISTED]

    async def _of_kind(self, kind: str, scopes: Sequence[Scope], limit: int) -> list[Memory]:
        return await self.records.newest(scopes, Filter(kinds=frozenset({kind}), now=self.clock()), limit=limit)

    async def _open_errors(self, scopes: Sequence[Scope]) -> list[Memory]:
        """Newest first; one that something was told for is open no more, unless that has only failed."""
        errors, told = await self._of_kind("error", scopes, _ERRORS), await self._of_kind("procedure", scopes, _ERRORS)
        tallies = await self.experience.tallies(scopes, [memory.id for memory in told if error_mark(memory)])
        solved = solved_marks(told, tallies)
        return [memory for memory in errors if error_mark(memory) not in solved]


def _as_they_are(memories: Sequence[Memory]) -> list[Recalled]:
    return [Recalled(memory, 1.0) for memory in memories]


def _each_once(sections: Mapping[str, Sequence[Recalled]]) -> dict[str, list[Recalled]]:
    seen: set[UUID] = set()
    once: dict[str, list[Recalled]] = {}
    for heading, hits in sections.items():
        fresh = [hit for hit in hits if hit.memory.id not in seen]
        seen.update(hit.memory.id for hit in fresh)
        if fresh:
            once[heading] = fresh
    return once
