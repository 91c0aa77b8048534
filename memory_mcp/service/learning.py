"""Errors and what solved them, outcomes, and what a namespace has come to."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from memory_mcp.access import Role
from memory_mcp.answers import ErrorReport, ErrorSeen, Outcome
from memory_mcp.errors import EmbedderNotReadyError, MemoryNotFoundError, RequestError, require
from memory_mcp.knowledge.failures import read_failure, same_failure
from memory_mcp.knowledge.insights import Insights, insights
from memory_mcp.knowledge.solutions import ERROR_MARK, Solution, error_mark, ranked_solutions
from memory_mcp.knowledge.success import success
from memory_mcp.models import Caller, Changes, Filter, Memory, Scope, Tally
from memory_mcp.remember import door
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.remember.hygiene import Inspection
from memory_mcp.service.recalling import Recalling
from memory_mcp.service.remembering import Remembering

_MOST_SOLUTIONS = 50
"""Of one error that are looked at."""
_MOST_SPOKEN = 20
"""Procedures that speak of a problem that are looked at."""
_SEARCHED_CHARACTERS = 2_000
"""Of a problem that are searched for by words and meaning."""
_LOOKED_AT = 5_000
"""Memories that insights are drawn from, the newest."""
MAX_DAYS = 3_650


class Learning(Remembering, Recalling):
    """The use cases `record_error`, `find_solution`, `report_outcome` and `insights`."""

    __slots__ = ()

    async def record_error(self, report: ErrorReport, caller: Caller, namespace: str = "") -> ErrorSeen:
        """Note that an error was met, and with `solution` what helped; one that was met before is counted, not stored again.

        Raises:
            RequestError: The report is at fault; nothing was stored.
        """
        text = door.content(report.error, "error")
        mark = _mark(text)
        solution = door.content(report.solution, "solution") if report.solution.strip() else ""
        look = Inspection(self.remember_settings.secrets)
        await self._looked_through(lambda: look.text(solution, "solution"), len(solution))  # refused before anything is stored
        request = RememberRequest(
            text, "error", [*report.tags, mark], session_id=report.session_id, occurred_at=report.occurred_at, identity=mark
        )
        receipt = await self.remember(request, caller, namespace)
        scopes = self._scopes(caller, namespace)
        tally = Tally()
        if receipt.added.status == "already_known":
            tally = await self.experience.report(scopes, receipt.added.id, good=False, seconds=None, now=self.clock())
        if solution:
            redacted = await self._keep_solution(solution, mark, report, caller, namespace)
            receipt = replace(receipt, redacted=tuple(dict.fromkeys([*receipt.redacted, *redacted])))
        known = await self._told_for(mark, scopes)
        tallies = await self.experience.tallies(scopes, [memory.id for memory in known])
        return ErrorSeen(receipt, 1 + tally.bad, ranked_solutions(((memory, 1.0, True) for memory in known), tallies))

    async def _keep_solution(self, text: str, mark: str, report: ErrorReport, caller: Caller, namespace: str) -> Sequence[str]:
        """Store what helped, or note that it helps here, too; what was cut out of it."""
        tags = [*report.tags, mark]
        request = RememberRequest(text, "procedure", tags, session_id=report.session_id, occurred_at=report.occurred_at)
        kept = await self.remember(request, caller, namespace)
        if kept.added.status != "already_known":
            return kept.redacted
        scopes = self._scopes(caller, namespace)
        for memory in await self.records.get_many(scopes, [kept.added.id]):
            if mark not in memory.tags:  # it solves another error, too
                changes = Changes(tags=door.tags([*memory.tags, mark]))
                await self.records.revise(scopes, memory.id, changes, caller.provenance, self.clock())
        return kept.redacted

    async def find_solution(self, problem: str, caller: Caller, namespace: str = "", *, limit: int = 5) -> list[Solution]:
        """What may help, best first: what was told for this very error, then for similar ones, then procedures that speak of it.

        Raises:
            RequestError: There is no problem given, or it is too long.
        """
        text = door.content(problem, "problem")
        scopes = self._scopes(caller, namespace)
        found = [(memory, 1.0, True) for memory in await self._told_for(_mark(text), scopes)]
        searched = text[:_SEARCHED_CHARACTERS]
        try:
            alike = await self.find_similar(searched, "", caller, kinds=["error"], namespace=namespace)
        except EmbedderNotReadyError:
            alike = None
        for hit in alike.hits if alike is not None else ():
            if mark := error_mark(hit.memory):
                found += [(memory, hit.score, False) for memory in await self._told_for(mark, scopes)]
        procedures = Filter(kinds=frozenset({"procedure"}), now=self._this_second())
        spoken = await self._recall_best(searched, scopes, procedures, _MOST_SPOKEN)  # not `recall`: nobody asked a question
        found += [(hit.memory, hit.score, False) for hit in spoken.hits]
        tallies = await self.experience.tallies(scopes, list({memory.id for memory, _, _ in found}))
        return ranked_solutions(found, tallies)[: door.limit(limit)]

    async def _told_for(self, mark: str, scopes: Sequence[Scope]) -> list[Memory]:
        where = Filter(kinds=frozenset({"procedure"}), tags=frozenset({mark}), now=self.clock())
        return await self.records.newest(scopes, where, limit=_MOST_SOLUTIONS)

    async def report_outcome(self, memory_id: str, worked: bool, caller: Caller, *, seconds: float = 0.0) -> Outcome:
        """Count whether a solution, procedure, decision or anything else that was followed has worked.

        Args:
            seconds: How long it took; 0: not told.

        Raises:
            MemoryNotFoundError: There is no such memory.
        """
        target = door.memory_id(memory_id)
        if not 0 <= seconds <= 1e9:
            raise RequestError("seconds must lie between 0 and 1,000,000,000.")
        require(caller.access, Role.WRITER)
        scopes = await self._changeable_by(caller)
        memories = await self.records.get_many(scopes, [target])
        if not memories:
            raise MemoryNotFoundError([target])
        (memory,) = memories
        if memory.kind == "error":
            raise RequestError(
                "This is an error, not what was tried against it. Give the id of the solution; record an error that came again."
            )
        tally = await self.experience.report(scopes, target, good=worked, seconds=seconds or None, now=self.clock())
        return Outcome(memory, tally, success(tally))

    async def insights(self, caller: Caller, namespace: str = "", *, days: int = 30) -> Insights:
        """What the namespace has come to, and in the last days.

        Raises:
            RequestError: days is not 1 to 3,650.
        """
        if not 1 <= days <= MAX_DAYS:
            raise RequestError(f"days must be between 1 and {MAX_DAYS:,}.")
        scopes = self._own(caller, namespace)
        now = self.clock()
        memories = await self.records.newest(scopes, Filter(now=now), limit=_LOOKED_AT)
        told: list[UUID] = [memory.id for memory in memories if memory.kind in ("error", "decision", "procedure")]
        tallies = await self.experience.tallies(scopes, told)
        since = now - timedelta(days=days)
        return insights(memories, tallies, await self.experience.questions(scopes, since), since)


def _mark(report: str) -> str:
    return ERROR_MARK + same_failure(read_failure(report))
