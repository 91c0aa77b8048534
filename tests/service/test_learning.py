"""Errors, what solved them and how it turned out, over the real store and the real model."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_mcp.answers import ErrorReport, RecallRequest
from memory_mcp.errors import MemoryNotFoundError, RequestError
from memory_mcp.knowledge.solutions import ERROR_MARK
from memory_mcp.models import Caller
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, settings_for

TRACE = """Traceback (most recent call last):
  File "/home/ann/shop/worker.py", line 12, in <module>
    run()
  File "/home/ann/shop/worker.py", line 7, in run
    connect(url)
redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.
"""
AGAIN = TRACE.replace("/home/ann", "/srv").replace("line 7", "line 31").replace("6379", "6380")
FIX = "Start Redis before the shop's worker: systemctl start redis"
OTHER_TENANT = Caller("other", "project")


async def record(service: MemoryService, error: str, solution: str = "", namespace: str = "") -> tuple[str, int]:
    seen = await service.record_error(ErrorReport(error, solution), CALLER, namespace)
    return str(seen.receipt.added.id), seen.times


async def solutions(service: MemoryService, problem: str, namespace: str = "", caller: Caller = CALLER) -> list[str]:
    return [one.memory.content for one in await service.find_solution(problem, caller, namespace)]


async def test_an_error_met_again_is_counted_and_brings_what_helped(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        first, once = await record(service, TRACE)
        again, twice = await record(service, AGAIN, FIX)
        seen = await service.record_error(ErrorReport(AGAIN), CALLER)
        counts = await service.records.counts("local")

    assert (first, once, twice, seen.times) == (again, 1, 2, 3)
    assert [one.memory.content for one in seen.solutions] == [FIX]
    assert counts.by_kind == {"error": 1, "procedure": 1}


async def test_an_error_told_later_is_dated_when_it_was_met(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        seen = await service.record_error(ErrorReport(TRACE, FIX, occurred_at="2026-03-03T09:15"), CALLER)
        (solution,) = seen.solutions
        (error,) = (await service.recall(RecallRequest(kinds=["error"], since="2026-03-03", until="2026-03-04"), CALLER)).hits
        with pytest.raises(RequestError, match="occurred_at"):
            await service.record_error(ErrorReport("other", "way", occurred_at="on Tuesday"), CALLER)
        counts = await service.records.counts("local")

    assert error.memory.id == seen.receipt.added.id
    assert solution.memory.when == error.memory.when == datetime(2026, 3, 3, 9, 15, tzinfo=UTC)
    assert counts.by_kind == {"error": 1, "procedure": 1}


async def test_a_solution_is_found_by_the_error_by_one_like_it_and_by_its_words(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await record(service, TRACE, FIX)
        await record(service, "npm ERR! code ERESOLVE unable to resolve dependency tree", "Run npm install --legacy-peer-deps")
        await service.remember(RememberRequest("To release: tag main, then run make publish", "procedure"), CALLER)

        (same, *_) = await service.find_solution(AGAIN, CALLER)
        assert (same.memory.content, same.same, same.likeness) == (FIX, True, 1.0)
        assert (await solutions(service, "ConnectionError: redis on localhost refused the connection"))[0] == FIX
        assert (await solutions(service, "How do I publish a release?"))[0].startswith("To release")
        assert await solutions(service, "How tall is the Eiffel tower?") == []


async def test_what_worked_comes_before_what_failed(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await record(service, TRACE, "Reboot the machine")
        await record(service, TRACE, FIX)
        known = {one.memory.content: str(one.memory.id) for one in await service.find_solution(TRACE, CALLER)}
        await service.report_outcome(known["Reboot the machine"], False, CALLER)
        told = await service.report_outcome(known[FIX], True, CALLER, seconds=20)

        found = await service.find_solution(TRACE, CALLER)

    assert (told.tally.good, told.tally.bad, told.success.expected) == (1, 0, 2 / 3)
    assert [(one.memory.content, one.seconds) for one in found] == [(FIX, 20.0), ("Reboot the machine", None)]


async def test_one_fix_for_two_errors_is_one_memory(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await record(service, TRACE, FIX)
        await record(service, "BrokenPipeError: the worker lost its queue", FIX)

        (fix,) = await service.find_solution(TRACE, CALLER)
        (same,) = [one for one in await service.find_solution("BrokenPipeError: the worker lost its queue", CALLER) if one.same]

    assert same.memory.id == fix.memory.id
    assert len([tag for tag in fix.memory.tags if tag.startswith(ERROR_MARK)]) == 2


async def test_nothing_crosses_a_namespace_or_a_tenant(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        here, _ = await record(service, TRACE, FIX)
        elsewhere, times = await record(service, TRACE, namespace="elsewhere")

        assert (here != elsewhere, times) == (True, 1)
        assert await solutions(service, TRACE, "elsewhere") == []
        assert await solutions(service, TRACE, caller=OTHER_TENANT) == []
        (fix,) = await service.find_solution(TRACE, CALLER)
        with pytest.raises(MemoryNotFoundError):
            await service.report_outcome(str(fix.memory.id), True, OTHER_TENANT)


async def test_a_forgotten_error_is_met_for_the_first_time_again(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        first, _ = await record(service, TRACE)
        await record(service, TRACE)
        await service.forget([first], CALLER)

        assert (await record(service, TRACE))[1] == 1


async def test_insights_over_what_happened(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await record(service, TRACE)
        await record(service, AGAIN)
        decision = await service.remember(RememberRequest("We ship on Fridays", "decision", metadata={"confidence": 0.8}), CALLER)
        await service.report_outcome(str(decision.added.id), False, CALLER)
        await service.remember(RememberRequest("The shop sells bicycles"), CALLER)
        await service.recall(RecallRequest("What does the shop sell?"), CALLER)
        for _ in range(2):
            await service.recall(RecallRequest("Which symphony did Mahler leave unfinished?"), CALLER)
        assert service.questions is not None
        await service.questions.flush()
        await service.reinforcer.flush()

        found = await service.insights(CALLER)
        none = await service.insights(OTHER_TENANT)

    assert dict(found.grew) == {"error": 1, "decision": 1, "fact": 1}
    assert [(memory.kind, times) for memory, times in found.recurring] == [("error", 2)]
    assert [memory.kind for memory in found.unsolved] == ["error"]
    assert not found.undecided
    assert found.calibration is not None
    assert (found.calibration.stated, found.calibration.worked) == (0.8, 0.0)
    assert [(one.text, one.times) for one in found.unanswered] == [("Which symphony did Mahler leave unfinished?", 2)]
    assert "The shop sells bicycles" in [memory.content for memory in found.most_recalled]
    assert not none.grew
    assert not none.frequent


async def test_bad_values_are_refused_in_words(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        error, _ = await record(service, TRACE)
        with pytest.raises(RequestError, match="id of the solution"):
            await service.report_outcome(error, True, CALLER)
        with pytest.raises(RequestError, match="seconds"):
            await service.report_outcome(error, True, CALLER, seconds=-1)
        with pytest.raises(RequestError, match="days"):
            await service.insights(CALLER, days=0)
        with pytest.raises(RequestError, match="error is empty"):
            await service.record_error(ErrorReport("  "), CALLER)
        with pytest.raises(RequestError, match="problem is empty"):
            await service.find_solution("", CALLER)
