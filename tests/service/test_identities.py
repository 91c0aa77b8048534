"""What is the same for another reason than its text stays so, when it is carried in and when it is rewritten."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from memory_mcp.answers import ErrorReport
from memory_mcp.knowledge.nodes import Node
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from memory_mcp.upkeep.lines import Line, read, written
from tests.memories import CALLER, open_service, settings_for

ELSEWHERE = replace(CALLER, namespace="elsewhere")


async def exported(service: MemoryService) -> list[Line]:
    return [
        read(number, written(memory).encode())
        async for page in service.everything_in(CALLER, "", "")
        for number, memory in enumerate(page, 1)
    ]


async def carried(service: MemoryService, lines: Sequence[Line], namespace: str) -> tuple[int, int]:
    """How many were stored, and how many known."""
    there = [replace(line, fields={**line.fields, "namespace": namespace}) for line in lines]
    done = await service.carry_in(there, CALLER, CALLER.namespace, lambda _: None)
    return done.stored, done.known


async def test_what_is_carried_in_is_known_where_it_is(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await service.relate(["Ann | works at | Acme", "Acme | makes | anvils"], CALLER, valid_from="2026-01-01")
        await service.relate(["Ann | works at | Acme"], CALLER, valid_to="2026-02-01")
        await service.record_error(ErrorReport("KeyError: 'user' in views.py line 12", "Ask with a default."), CALLER)
        await service.create_nodes([Node("Ada", "person", ["Likes tea"]), Node("Bob", "person", ["Likes tea"])], CALLER)
        await service.remember(RememberRequest("Bob works at Acme.", metadata={"relations": ["Bob | works at | Acme"]}), CALLER)
        lines = await exported(service)

        assert await carried(service, lines, CALLER.namespace) == (0, len(lines))
        assert await carried(service, lines, ELSEWHERE.namespace) == (len(lines), 0)
        assert await carried(service, lines, ELSEWHERE.namespace) == (0, len(lines))
        assert len(lines) == 9


async def test_what_was_carried_in_is_the_same_to_those_that_tell_it_again(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await service.relate(["Acme | makes | anvils"], CALLER)
        await service.record_error(ErrorReport("KeyError: 'user' in views.py line 12"), CALLER)
        await service.create_nodes([Node("Ada", "person", ["Likes tea"])], CALLER)
        lines = await exported(service)
        await carried(service, lines, ELSEWHERE.namespace)
        (related,) = await service.relate(["Acme | makes | anvils"], ELSEWHERE)
        error = await service.record_error(ErrorReport("KeyError: 'user' in views.py line 99"), ELSEWHERE)
        made = await service.create_nodes([Node("Ada", "person", ["Likes tea"])], ELSEWHERE)

        assert related.status == "already_known"
        assert (error.receipt.added.status, error.times) == ("already_known", 2)
        assert made == []


@pytest.mark.parametrize("text", ["KeyError: 'user' when nobody is logged in", "It happens to guests only."])
async def test_an_error_whose_text_was_corrected_is_still_that_error(tmp_path: Path, text: str) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        first = await service.record_error(ErrorReport("KeyError: 'user' in views.py line 12"), CALLER)
        await service.update(str(first.receipt.added.id), CALLER, content=text)
        again = await service.record_error(ErrorReport("KeyError: 'user' in views.py line 99"), CALLER)

        assert again.receipt.added.id == first.receipt.added.id
        assert again.times == 2
