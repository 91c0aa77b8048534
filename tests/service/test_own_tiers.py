"""Tiers that other packages bring: found by their entry points, asked in their turn, and none the worse for what they do."""

from pathlib import Path
from typing import Any

import pytest
from foreign_tiers import NAME, installed

from memory_mcp.answers import RecallRequest
from memory_mcp.config import Settings, load_settings
from memory_mcp.errors import ConfigError
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.memories import CALLER, open_service, settings_for

BROKEN = """
from contextlib import asynccontextmanager

class Broken:
    def __getattr__(self, name):
        raise ZeroDivisionError

@asynccontextmanager
async def open_tier(settings, source):
    {body}
    yield Broken()
"""


def configured(folder: Path, text: str) -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(text, "utf-8")
    wanted = load_settings(data_dir=folder, environment={})
    return settings_for(folder).model_copy(update={"stack": wanted.stack, "tiers": wanted.tiers})


async def remember(service: MemoryService, content: str, **fields: Any) -> str:
    return str((await service.remember(RememberRequest(content, **fields), CALLER)).added.id)


async def recall(service: MemoryService, query: str) -> list[str]:
    answer = await service.recall(RecallRequest(query), CALLER)
    assert answer.degraded == ()
    return [str(hit.memory.id) for hit in answer.hits]


async def test_the_example_answers_in_its_turn_and_remembers_over_a_restart(tmp_path: Path) -> None:
    with installed():
        vectors = tmp_path / "vectors"
        settings = configured(tmp_path / "data", f'[stack]\nvectors = ["{NAME}"]\n[tiers.{NAME}]\nfolder = "{vectors}"\n')
        async with open_service(settings) as service:
            door = await remember(service, "The green door leads to the archive")
            gone = await remember(service, "The red door leads to the kitchen")
            await service.forget([gone], CALLER)
            assert await recall(service, "Where is the archive?") == [door]
        async with open_service(settings) as service:
            window = await remember(service, "The round window of the archive looks east")
            found = await recall(service, "Where is the archive?")
            answered = service.figures["resident"]()["answered_by"]
            told = service.figures[NAME]()

    assert set(found) == {door, window}
    assert list(answered) == [NAME, "records"]
    assert (answered["records"], answered[NAME] > 0) == (0, True)
    assert (told["role"], told["health"]) == ("vectors", "ok")
    assert len(list(vectors.glob("*.npz"))) == 1


@pytest.mark.parametrize(("body", "health"), [("pass", "away"), ("raise ZeroDivisionError", "off")], ids=["at_work", "at_opening"])
async def test_a_tier_that_fails_in_any_way_is_passed_over(tmp_path: Path, body: str, health: str) -> None:
    with installed(BROKEN.format(body=body)):
        async with open_service(configured(tmp_path / "data", '[stack]\nvectors = ["another-tier"]\n')) as service:
            stored = [await remember(service, f"Shelf {number} holds the paint") for number in range(3)]

            assert set(await recall(service, "Where is the paint?")) == set(stored)
            assert service.figures["another-tier"]()["health"] == health


async def test_a_tiers_own_table_is_its_own_to_refuse(tmp_path: Path) -> None:
    with installed():
        settings = configured(tmp_path / "data", f'[stack]\nvectors = ["{NAME}"]\n[tiers.{NAME}]\nfoldr = "here"\n')
        with pytest.raises(ConfigError, match="has no key foldr"):
            async with open_service(settings, ready=False):
                pass


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[stack]\nvectors = ["residnt"]', "there is no tier residnt: known are resident, qdrant, numpy-files"),
        ('[stack]\nvectors = ["qdrant", "qdrant"]', "qdrant is named twice"),
        ("[tiers.numpy-files]\nfolder = 'x'", "tiers.numpy-files is set, but stack.vectors does not name numpy-files"),
        ("[tiers.qdrant]\nurl = 'x'", r"tiers.qdrant is for tiers of other packages: use \[qdrant\]"),
    ],
)
def test_a_stack_that_cannot_be_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with installed(), pytest.raises(ConfigError, match=sentence):
        configured(tmp_path, text)
