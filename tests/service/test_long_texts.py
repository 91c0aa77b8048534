"""Texts longer than the model reads: found by any of their passages, shown by the best one, returned once."""

import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from memory_mcp.answers import RecallRequest
from memory_mcp.models import Caller
from memory_mcp.recall.calibration import WEAK
from memory_mcp.remember import embed
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.server import render, render_whole
from memory_mcp.server import tools as shaping
from memory_mcp.server.render import recalled
from memory_mcp.service import MemoryService, keeping, recalling, remembering
from memory_mcp.service.parts import PROMPT_TOKENS
from memory_mcp.service.recalling import INLINE_CHARACTERS
from memory_mcp.text.passages import PASSAGE_TOKENS
from memory_mcp.tiers.resident import texts
from tests.memories import CALLER, open_client, open_service, settings_for

SUBJECTS = {
    "moorings": "The ferry is tied up with two bow lines and a spring line; the harbour master wants fenders out before docking. ",
    "orchard": "Plum trees along the south wall blossom in April and have to be thinned in June so that branches do not break. ",
    "payroll": "Salaries are transferred on the 25th; overtime from the month before is added by hand after the lead signs it off. ",
    "telescope": "The observatory's dome motor sticks in frost, so warm the gear for ten minutes before opening the shutter. ",
}
HANDBOOK = "\n\n".join(f"{name.title()}. {text * 6}" for name, text in SUBJECTS.items())


async def remember(service: MemoryService, content: str, **fields: object) -> str:
    receipt = await service.remember(RememberRequest(content, **fields), CALLER)  # type: ignore[arg-type]
    return str(receipt.added.id)


async def test_a_long_text_is_found_by_its_last_subject_and_that_is_shown(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        handbook = await remember(service, HANDBOOK)
        for number in range(30):
            await remember(service, f"Room {number} has {number % 4 + 1} windows and a green door")
        answer = await service.recall(RecallRequest("What to do when the dome will not open in winter?"), CALLER)
        shown = recalled(answer, service.clock(), max_tokens=1_500, explain=False).structured_content

    assert [str(hit.memory.id) for hit in answer.hits].count(handbook) == 1
    assert str(answer.hits[0].memory.id) == handbook
    assert answer.verdict != "none"
    assert shown is not None
    assert "The observatory's dome motor" in shown["hits"][0]["text"]
    assert shown["hits"][0]["truncated"]


async def test_words_decide_on_the_passage_where_they_say_more(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, HANDBOOK)
        answer = await service.recall(RecallRequest("overtime added by hand, signed off by the lead"), CALLER)

    assert "Salaries are transferred" in HANDBOOK[answer.hits[0].passage.start :][:300]


async def test_a_text_of_many_passages_is_stored_at_once_and_embedded_behind(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        chapters = [
            f"Chapter {number}. " + "Nothing of note happened on this day at the lighthouse. " * 12
            for number in range(int(PROMPT_TOKENS // PASSAGE_TOKENS))
        ]
        long = "\n\n".join([*chapters, HANDBOOK])
        receipt = await service.remember(RememberRequest(long), CALLER)
        at_once = await service.recall(RecallRequest("plum trees blossom"), CALLER)
        with anyio.fail_after(60):
            while (await service.records.counts("local")).unembedded:  # noqa: ASYNC110 - only the store knows
                await anyio.sleep(0.05)
        later = await service.recall(RecallRequest("When do the fruit trees bloom in spring?"), CALLER)

    assert receipt.pending
    assert [hit.memory.id for hit in at_once.hits] == [receipt.added.id]
    assert [hit.memory.id for hit in later.hits] == [receipt.added.id]
    assert "Plum trees" in long[later.hits[0].passage.start :][:640]


async def test_similar_texts_are_told_of_with_a_likelihood_and_only_where_there_are_some(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        handbook = await remember(service, HANDBOOK)
        ferry = await remember(service, "The ferry is moored with bow lines and fenders")
        for number in range(20):
            await remember(service, f"Room {number} has {number % 4 + 1} windows and a green door")
        of_ferry = await service.find_similar("", ferry, CALLER)
        strict = await service.find_similar("", ferry, CALLER, min_score=1.0)
        nothing = await service.find_similar("Quarterly earnings of a bakery chain in Peru", "", CALLER)

    assert of_ferry.verdict == "strong"
    assert str(of_ferry.hits[0].memory.id) == handbook
    assert all(0 <= hit.score <= 1 for hit in of_ferry.hits)
    assert [hit.score for hit in of_ferry.hits] == sorted((hit.score for hit in of_ferry.hits), reverse=True)
    assert [hit for hit in strict.hits if hit.score < 1] == []
    assert (nothing.verdict, list(nothing.hits)) == ("none", [])


async def test_every_namespace_of_the_caller_is_searched_on_request_and_nobody_elses(tmp_path: Path) -> None:
    text = "The staging database is rebuilt every Sunday night"
    stranger = Caller("somebody else", "project")
    async with open_service(settings_for(tmp_path)) as service:
        await service.remember(RememberRequest(text), Caller("local", "other-project"))
        await service.remember(RememberRequest(text), stranger)
        here = await service.find_similar(text, "", CALLER)
        everywhere = await service.find_similar(text, "", CALLER, namespace="*")
        asked = await service.recall(RecallRequest("When is the staging database rebuilt?", namespace="*"), CALLER)

    assert list(here.hits) == []
    for answer in (everywhere, asked):
        assert [(hit.memory.scope.tenant, hit.memory.scope.namespace) for hit in answer.hits] == [("local", "other-project")]


async def test_a_least_score_leaves_the_rest_out(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, "The ferry to the island leaves at nine")
        await remember(service, "The ferry office sells snacks")
        for number in range(20):
            await remember(service, f"Room {number} has {number % 4 + 1} windows and a green door")
        every = await service.recall(RecallRequest("When does the ferry to the island leave?"), CALLER)
        best = every.hits[0].score
        few = await service.recall(RecallRequest("When does the ferry to the island leave?", min_score=best), CALLER)
        none = await service.recall(RecallRequest("When does the ferry to the island leave?", min_score=best + 1e-6), CALLER)

    assert len(every.hits) > 1
    assert [hit.score for hit in few.hits] == [best]
    assert (none.verdict, list(none.hits), none.below) == ("none", [], sum(hit.score >= WEAK for hit in every.hits))


def watch(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> list[bool]:
    """Of each call of that function, from now on, whether it is made on the event loop."""
    seen: list[bool] = []
    loop, function = threading.get_ident(), getattr(place, name)

    def watched(*arguments: Any) -> Any:
        seen.append(threading.get_ident() == loop)
        return function(*arguments)

    monkeypatch.setattr(place, name, watched)
    return seen


async def test_very_long_texts_are_ranked_off_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watch(monkeypatch, recalling, "ranked_anew")
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, "The ferry leaves at nine")
        await service.recall(RecallRequest("When does the ferry leave?"), CALLER)
        await remember(service, "ferry " + "and water, nothing but water. " * (INLINE_CHARACTERS // 30))
        await service.recall(RecallRequest("When does the ferry leave?"), CALLER)

    assert seen == [True, False]


async def test_very_long_texts_are_stored_and_read_in_off_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafted, updated = watch(monkeypatch, remembering, "draft"), watch(monkeypatch, keeping, "fingerprint")
    cut, read = watch(monkeypatch, embed, "passages"), watch(monkeypatch, texts.Texts, "apply")
    long = "water, nothing but water. " * (INLINE_CHARACTERS // 25)
    async with open_service(settings_for(tmp_path)) as service:
        ferry = await remember(service, "The ferry leaves at nine")
        await service.update(ferry, CALLER, content="The ferry leaves at ten")
        await service.recall(RecallRequest("When does the ferry leave?"), CALLER)
        short = [list(each) for each in (drafted, updated, cut, read)]
        for each in (drafted, updated, cut, read):
            each.clear()
        sea = await remember(service, long)
        await service.update(sea, CALLER, content=f"{long} And a gull.")
        await service.recall(RecallRequest("When does the ferry leave?"), CALLER)
        with anyio.fail_after(60):
            while (await service.records.counts("local")).unembedded:  # noqa: ASYNC110 - only the store knows
                await anyio.sleep(0.05)

    assert [set(each) for each in short] == [{True}] * 4
    assert drafted == updated == [False]
    assert not all(cut)
    assert not all(read)


async def test_very_long_memories_are_made_a_reply_of_off_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, whole = watch(monkeypatch, render, "excerpt"), watch(monkeypatch, render_whole, "everything")
    ids: list[str] = []
    async with open_client(settings_for(tmp_path), sets=["learning", "graph", "admin"]) as client:

        async def asked() -> list[list[bool]]:
            calls: list[tuple[str, dict[str, Any]]] = [
                ("recall", {"query": "Where does Wodan live?"}),
                ("find_similar", {"text": "Wodan lives in Upsala"}),
                ("context", {}),
                ("browse", {}),
                ("explore", {"entity": "Wodan"}),
                ("find_solution", {"problem": "Where does Wodan live?"}),
                ("get", {"ids": ids}),
            ]
            places = []
            for tool, arguments in calls:
                shown.clear()
                whole.clear()
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, tool
                places.append(sorted({*shown, *whole}))
            return places

        for text in ("Wodan lives in Upsala", "Wodan lives in Upsala. " * (shaping.INLINE_CHARACTERS // 20)):
            stored = await client.call_tool("remember", {"content": text, "kind": "procedure"})
            ids.append((stored.structured_content or {})["id"])
            if len(ids) == 1:
                short = await asked()
        with anyio.fail_after(60):
            while (await client.call_tool("stats", {})).structured_content["counts"]["unembedded"]:  # type: ignore[index]  # noqa: ASYNC110
                await anyio.sleep(0.05)
        long = await asked()

    assert short == [[True]] * 7
    assert long == [[False]] * 7
