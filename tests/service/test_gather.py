"""Gathering while something is missing: what is left answers, and nothing of it is kept."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest

from memory_mcp.answers import RecallRequest
from memory_mcp.errors import ScopeNotCoveredError, TierUnavailableError
from memory_mcp.graph import Named
from memory_mcp.models import Filter, Hit, Matrix, Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, settings_for, settings_without_model


async def stored(service: MemoryService) -> str:
    await service.remember(RememberRequest("The canteen closes at two"), CALLER)
    receipt = await service.remember(RememberRequest("The garage door code is on the blue card"), CALLER)
    return str(receipt.added.id)


async def first_hit(service: MemoryService, query: str = "Where is the code of the garage door?") -> tuple[str, Sequence[str]]:
    answer = await service.recall(RecallRequest(query), CALLER)
    return str(answer.hits[0].memory.id), answer.degraded


class TooLarge:
    async def look(self, scope: Scope, query: str, at: int | None = None) -> None:
        raise ScopeNotCoveredError("texts")


class Away:
    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        raise TierUnavailableError("vectors", "away")


async def test_where_texts_are_not_in_memory_the_stores_own_text_index_answers(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        wanted = await stored(service)
        service.sources = replace(service.sources, reader=TooLarge())

        assert await first_hit(service) == (wanted, ())
        assert await first_hit(service) == (wanted, ())
        assert service.stages.summary()["gather"]["calls"] == 2


async def test_without_vectors_words_answer_and_the_answer_says_so(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        wanted = await stored(service)
        service.sources = replace(service.sources, nearest=Away())
        found, degraded = await first_hit(service)

    assert found == wanted
    assert "meaning" in degraded[0]
    assert len(degraded) == 1


async def test_where_an_answer_suffers_the_tiers_that_are_away_are_named(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        wanted = await stored(service)
        service.sources = replace(service.sources, nearest=Away(), away=lambda: ["qdrant"])
        found, degraded = await first_hit(service)

    assert found == wanted
    assert len(degraded) == 2
    assert "qdrant is away" in degraded[1]


class Late:
    async def search_text(self, scopes: Sequence[Scope], text: str, where: Filter, *, limit: int) -> list[Hit]:
        await anyio.sleep_forever()
        return []


@pytest.mark.parametrize("model", ["ready", "missing"])
async def test_where_nothing_could_be_searched_nobody_is_told_that_nothing_is_stored(tmp_path: Path, model: str) -> None:
    settings = settings_for(tmp_path) if model == "ready" else settings_without_model(tmp_path)
    short = settings.model_copy(update={"recall": settings.recall.model_copy(update={"text_seconds": 0.1})})
    async with open_service(short, ready=model == "ready") as service:
        await stored(service)
        service.sources = replace(service.sources, nearest=Away(), reader=TooLarge(), text=Late())
        with pytest.raises(TierUnavailableError, match="could not be searched") as caught:
            await service.recall(RecallRequest("Where is the code of the garage door?"), CALLER)

    assert caught.value.retryable


async def test_a_probe_of_another_model_is_not_compared_with(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        wanted = await stored(service)
        service.sources = replace(service.sources, probe=lambda: np.ones(7, np.float32))

        assert await first_hit(service) == (wanted, ())


class Forgetful:
    async def named(self, scopes: Sequence[Scope], keys: Sequence[str], where: Filter, *, limit: int) -> list[Named]:
        raise TierUnavailableError("graph", "away")


async def test_where_it_is_wanted_a_name_brings_what_is_related_to_it(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    weights = settings.recall.weights.model_copy(update={"entity": 3.0})
    async with open_service(settings.model_copy(update={"recall": settings.recall.model_copy(update={"weights": weights})})) as service:
        wanted = await stored(service)
        await service.relate(["Ann | works at | Acme"], CALLER)
        made = await service.remember(RememberRequest("Acme turns out iron things for smiths"), CALLER)
        answer = await service.recall(RecallRequest("What does the company that Ann works for produce?", min_score=0.0), CALLER)
        parts = {hit.memory.id: hit.parts["entity"] for hit in answer.hits}
        service.sources = replace(service.sources, graph=Forgetful())
        without, degraded = await first_hit(service)

    assert 0 < parts[made.added.id] < max(parts.values())
    assert without == wanted
    assert degraded == ("the search by names was too slow or failed",)


async def test_nobody_asks_for_names_where_they_do_not_count(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        await stored(service)
        await first_hit(service)

        assert service.sources.graph is None
        assert "graph" not in service.stages.summary()
