"""Following an answer page by page: every hit once, and an end only where there is no more."""

from pathlib import Path

import pytest

from memory_mcp.answers import Answer, RecallRequest
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, settings_for

FINISHED = "The nightly backup of the billing database has finished without errors"
QUESTION = "Has the nightly backup of the billing database finished?"
PLACES = ("Ghent", "Lyon", "Berlin", "Oslo", "Rome", "Paris", "Malmö", "Turin", "Basel", "Bonn")


async def remember(service: MemoryService, content: str, **fields: object) -> str:
    receipt = await service.remember(RememberRequest(content, **fields), CALLER)  # type: ignore[arg-type]
    return str(receipt.added.id)


async def every_page(service: MemoryService, query: str, limit: int, **fields: object) -> list[Answer]:
    """All pages of an answer, as the server says that there are."""
    pages: list[Answer] = []
    while not pages or pages[-1].more:
        page = pages[-1].behind(len(pages[-1].hits)) if pages else None
        request = RecallRequest(query, limit, page=page, **fields)  # type: ignore[arg-type]
        pages.append(await service.recall(request, CALLER))
        assert pages[-1].hits or not pages[:-1], "a page that was promised is empty"
    return pages


def ids_on(pages: list[Answer]) -> list[str]:
    return [str(hit.memory.id) for page in pages for hit in page.hits]


@pytest.mark.parametrize("repeated", [40, 130])  # more than are looked at first, and than are taken from each search
async def test_what_is_said_over_and_over_keeps_nothing_else_out_of_sight(tmp_path: Path, repeated: int) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        days = [f"2025-{1 + day // 28:02}-{1 + day % 28:02}" for day in range(repeated)]
        same = {await remember(service, FINISHED, kind="event", occurred_at=day) for day in days}
        others = {await remember(service, f"The backup of the {place} database is kept in {place}") for place in PLACES}
        (whole,) = await every_page(service, QUESTION, 100)
        for limit in (1, 4, 10):
            pages = await every_page(service, QUESTION, limit)
            assert ids_on(pages) == ids_on([whole])
            assert {page.verdict for page in pages} == {whole.verdict}

    first = whole.hits[0]
    assert {str(first.memory.id), *map(str, first.alike)} == same
    assert others == {*ids_on([whole])} - same


async def test_there_is_more_exactly_where_a_further_memory_is_likely_enough(tmp_path: Path) -> None:
    """Also where those lie far behind others that are not."""
    async with open_service(settings_for(tmp_path)) as service:
        for place in PLACES:
            for number in range(4):
                await remember(service, f"The backup {number} in {place} is kept for {number} years", importance=1 - number / 3)
        (whole,) = await every_page(service, "Which backup is kept in Oslo?", 100)
        scores = sorted({hit.score for hit in whole.hits})
        for least in (scores[0], scores[len(scores) // 2], scores[-1]):
            expected = [str(hit.memory.id) for hit in whole.hits if hit.score >= least]
            for limit in (1, 3, len(expected)):
                pages = await every_page(service, "Which backup is kept in Oslo?", limit, min_score=least)
                assert ids_on(pages) == expected


async def test_min_score_counts_for_what_was_true_then_too(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for place in PLACES:
            await remember(service, f"The office in {place} has a garden", occurred_at="2025-03-01")
        (whole,) = await every_page(service, "Is there a garden in Oslo?", 100, as_of="2025-06-01")
        least = sorted(hit.score for hit in whole.hits)[5]
        pages = await every_page(service, "Is there a garden in Oslo?", 2, as_of="2025-06-01", min_score=least)
        newest = await every_page(service, "", 4, as_of="2025-06-01", min_score=1)

    assert len(whole.hits) == len(PLACES)
    assert ids_on(pages) == [str(hit.memory.id) for hit in whole.hits if hit.score >= least]
    assert len(ids_on(newest)) == len(PLACES)  # without a question each is as likely as any
