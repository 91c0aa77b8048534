"""Memories in other languages than the model's, which takes all that is said in one of them for alike."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from memory_mcp.answers import RecallRequest
from memory_mcp.models import Caller
from memory_mcp.recall.calibration import MINILM_SCALES
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.benchmarks.sets import LANGUAGES, Store, read_sets
from tests.memories import CALLER, open_service, settings_for

(STORES,) = (one.stores for one in read_sets([LANGUAGES]))


async def remember(service: MemoryService, contents: Sequence[str], caller: Caller = CALLER) -> list[int]:
    """How many memories each receipt named as similar."""
    return [len((await service.remember(RememberRequest(content), caller)).similar) for content in contents]


async def verdicts(service: MemoryService, store: Store, caller: Caller) -> tuple[list[bool], list[bool]]:
    """Of each question whose answer is stored, whether it comes first; of each other one, whether none is said."""
    first, none = [], []
    for question in store.questions:
        answer = await service.recall(RecallRequest(question.query), caller)
        if question.answerable:
            wanted = {store.items[gold].content for gold in question.gold}
            first.append(bool(answer.hits) and answer.hits[0].memory.content in wanted)
        else:
            none.append(answer.verdict == "none")
    return first, none


async def test_what_is_stored_is_found_and_what_is_not_often_gets_none(tmp_path: Path) -> None:
    """Floors lie some points below what was measured (see the benchmarks' README): before, none was hardly ever said."""
    async with open_service(settings_for(tmp_path)) as service:
        callers = {store.id: replace(CALLER, namespace=f"store-{number}") for number, store in enumerate(STORES)}
        for store in STORES:
            await remember(service, [item.content for item in store.items.values()], callers[store.id])
        found = {store.id: await verdicts(service, store, callers[store.id]) for store in STORES}

    assert {name for name, (first, none) in found.items() if sum(first) < 0.7 * len(first) or sum(none) < 0.25 * len(none)} == set()
    assert sum(sum(none) for _, none in found.values()) >= 0.6 * sum(len(none) for _, none in found.values())


CHINESE = {
    "我对什么过敏？": "我对花生过敏。",
    "项目用什么数据库？": "项目数据库用的是PostgreSQL，不用MongoDB。",
    "团队会议是什么时候？": "每周五下午三点开团队会议。",
    "女儿什么时候过生日？": "女儿的生日是五月十二日。",
    "服务器密码放在哪里？": "服务器的密码保存在1Password里。",
    "房租多少钱？": "房租每月四千元，三号支付。",
    "部署之前要做什么？": "部署前必须先跑全部测试。",
}


async def test_where_meaning_tells_little_words_decide_on_the_order(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, list(CHINESE.values()))
        answers = [await service.recall(RecallRequest(question), CALLER) for question in CHINESE]
        recipe = await service.recall(RecallRequest("怎么做红烧肉？"), CALLER)

    assert [answer.hits[0].memory.content for answer in answers] == list(CHINESE.values())
    assert recipe.verdict != "strong"


async def test_a_receipt_does_not_name_what_is_only_said_in_the_same_language(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        named = await remember(service, [item.content for item in STORES[0].items.values()])
        (changed,) = await remember(service, ["Der Termin in der Werkstatt ist nun am Donnerstag um acht, denn das Auto verliert Öl."])

    assert sum(named) <= 3
    assert changed == 1


async def test_english_and_german_memories_stand_beside_one_another(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(
            service, ["Unsere Rechnungen verschickt Claire am Monatsende.", "Invoices are kept for ten years.", "Der Hund heißt Anton."]
        )
        german = await service.recall(RecallRequest("Wer verschickt die Rechnung?"), CALLER)
        english = await service.recall(RecallRequest("How long are invoices kept?"), CALLER)
        unknown = await service.recall(RecallRequest("Welche Schuhe trägt der Chef im Garten?"), CALLER)

    assert german.hits[0].memory.content.startswith("Unsere Rechnungen")
    assert english.hits[0].memory.content.startswith("Invoices")
    assert unknown.verdict != "strong"


@pytest.mark.parametrize("question", ["Wie heißt der Hund?", "Hund Anton"])
async def test_the_scale_of_a_language_is_read_when_it_is_first_met(question: str, tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await remember(service, ["Der Hund heißt Anton."])
    async with open_service(settings_for(tmp_path)) as service:
        before = service.scale.scales("en")["de"]
        await service.recall(RecallRequest(question), CALLER)
        with anyio.fail_after(60):
            while service.scale.scales("en")["de"] == before:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.02)

    assert before == MINILM_SCALES["de"]
    assert service.scale.scales("en")["de"].unrelated == pytest.approx(before.unrelated, abs=0.01)
    assert service.scale.scales("en")["fr"] == MINILM_SCALES["fr"]
