"""Following an answer page by page: every hit once, and an end only where there is no more."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from memory_mcp.answers import Answer, EraseRequest, RecallRequest
from memory_mcp.pages import Page
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
        for least in (scores[0] / 2, (scores[-5] + scores[-4]) / 2, scores[-1] * 0.999):  # they change a little as time passes
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


@pytest.mark.parametrize(("query", "fields"), [(QUESTION, {}), ("", {}), ("What did we decide?", {}), (QUESTION, {"as_of": "2035-01-01"})])
async def test_whatever_is_written_and_forgotten_between_pages_each_hit_that_stays_is_on_one_page(
    tmp_path: Path, query: str, fields: dict[str, str]
) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        stored = [await remember(service, f"The backup of the billing database goes to {place}", kind="decision") for place in PLACES]
        seen: list[str] = []
        page: Page | None = None
        gone = set[str]()
        for step in range(20):
            answer = await service.recall(RecallRequest(query, 1 + step % 2, page=page, **fields), CALLER)  # type: ignore[arg-type]
            seen += ids_on([answer])
            if not answer.more:
                break
            page = answer.behind(len(answer.hits))
            if step == 0:  # better than all others, and gone again; one that was told, and one that was not
                await remember(service, f"The nightly backup of the billing database finished at {PLACES[0]}", kind="decision")
                await service.forget([seen[0]], CALLER)
            elif step == 1:
                gone = {next(each for each in stored if each not in seen)}
                await service.forget(list(gone), CALLER)
                await service.update(seen[-1], CALLER, content="The backup of the billing database goes nowhere", tags=["changed"])
            elif step == 2:  # what is rare is so no more, which moves the ranking
                for number in range(12):
                    await remember(service, f"Billing of guest {number} is nightly and has {number} errors", kind="event")

    assert len(seen) == len(set(seen))
    assert {*stored} - gone <= {*seen}
    assert not gone & {*seen}


async def test_what_is_said_again_between_pages_is_not_told_as_new(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for place in PLACES:
            await remember(service, f"The backup of the billing database goes to {place}")
        first = await remember(service, FINISHED, kind="event", occurred_at="2025-01-01")
        answer = await service.recall(RecallRequest(QUESTION, 2), CALLER)
        again = [await remember(service, FINISHED, kind="event", occurred_at=f"2026-0{month}-01", importance=1) for month in range(1, 7)]
        behind = await service.recall(RecallRequest(QUESTION, 50, page=answer.behind(2)), CALLER)
        anew = await service.recall(RecallRequest(QUESTION, 1), CALLER)

    assert ids_on([answer])[0] == first
    assert ids_on([anew])[0] in again  # it leads now, and stands for the others
    assert not {first, *again} & {*ids_on([behind])}
    assert len(behind.hits) == len(PLACES) - 1


async def test_filters_hold_on_every_page(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for number, place in enumerate(PLACES * 4):
            text = f"The backup {number} of the billing database goes to {place}"
            kind, tags = ("event", "fact")[number % 2], ("a", "b")[: 1 + number % 3]
            await remember(service, text, kind=kind, tags=tags, occurred_at=f"2025-03-{1 + number % 28:02}")
        where = {"kinds": ("event",), "tags": ("b",), "since": "2025-03-05", "until": "2025-03-20"}
        for query, limit in ((QUESTION, 3), ("", 2), ("What happened in March 2025?", 1)):
            (whole,) = await every_page(service, query, 100, **where)
            pages = await every_page(service, query, limit, **where)
            shown = [hit.memory for page in pages for hit in page.hits]

            assert ids_on(pages) == ids_on([whole])
            assert {memory.content.split()[2] for memory in shown} == {
                str(number) for number in range(40) if number % 2 == 0 and number % 3 and 5 <= 1 + number % 28 < 20
            }


async def test_a_page_may_hold_more_than_there_is(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        nothing = [await every_page(service, query, 100) for query in ("", QUESTION)]
        for place in PLACES:
            await remember(service, f"The backup of the billing database goes to {place}")
        for query in ("", QUESTION):
            exact = await every_page(service, query, len(PLACES))
            (whole,) = await every_page(service, query, 100)

            assert ids_on(exact) == ids_on([whole])
            assert len(exact) == 1, "there is no more where the last page is full"
            assert len(whole.hits) == len(PLACES)

    assert [[page.hits for page in pages] for pages in nothing] == [[[]], [[]]]


async def test_pages_go_on_behind_what_was_erased(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        for place in PLACES:
            await remember(service, f"The backup of the billing database goes to {place}")
        for query in ("", QUESTION):
            (whole,) = await every_page(service, query, 100)
            first = await service.recall(RecallRequest(query, 3), CALLER)
            request = EraseRequest(ids=ids_on([first])[1:])
            await service.erase(request, CALLER, (await service.to_erase(request, CALLER)).token)
            behind = await service.recall(RecallRequest(query, 100, page=first.behind(3)), CALLER)

            assert ids_on([behind]) == ids_on([whole])[3:]


async def test_a_moment_has_what_was_known_and_true_at_it_to_the_microsecond(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:

        async def said(moment: datetime) -> list[str]:
            for query in ("Where does the backup go?", ""):
                answer = await service.recall(RecallRequest(query, as_of=moment.isoformat()), CALLER)
                found = [hit.memory.content for hit in answer.hits]
            return found

        backup = await remember(service, "The backup goes to Ghent", key="backup.place")
        (created,) = [memory.created_at for memory, _ in await service.get([backup], CALLER)]
        updated = (await service.update(backup, CALLER, content="The backup goes to Oslo")).operation.at
        undone = (await service.undo("last", CALLER))[0].at
        await remember(service, "The backup goes to Rome", key="backup.place")
        (replaced,) = [memory.valid_to for memory, _ in await service.get([backup], CALLER)]
        assert replaced is not None
        a_little = timedelta(microseconds=1)
        moments = [created - a_little, created, updated - a_little, updated, undone - a_little, undone, replaced - a_little, replaced]
        cities = [["".join(text.split()[-1:]) for text in await said(moment)] for moment in moments]
        forgotten = await service.forget([backup], CALLER)
        without = await said(updated)
        await service.undo("last", CALLER)
        back = await said(updated)

    assert cities == [[], ["Ghent"], ["Ghent"], ["Oslo"], ["Oslo"], ["Ghent"], ["Ghent"], ["Rome"]]
    assert forgotten.operation is not None
    assert without == []  # what is forgotten is out of all answers, about the past, too
    assert back == ["The backup goes to Oslo"]
