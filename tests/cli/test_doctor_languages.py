"""What the doctor says of memories in languages that the model was not taught."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from memory_mcp.cli.checks import Doctor
from memory_mcp.cli.verdicts import Check
from memory_mcp.remember.drafts import RememberRequest
from tests.memories import CALLER, open_service, settings_for

GERMAN = [
    "Der Hund heißt Anton.",
    "Unsere Rechnungen verschickt Claire.",
    "Am Freitag wird nichts ausgeliefert.",
    "Ich trinke keinen Kaffee.",
]
ENGLISH = ["Ann leads the team.", "Redis listens on port 6380.", "We deploy on Tuesdays.", "Lunch is at noon.", "The car is red."]


async def examined(folder: Path, contents: Sequence[str]) -> dict[str, Check]:
    settings = settings_for(folder)
    async with open_service(settings) as service:
        for content in contents:
            await service.remember(RememberRequest(content), CALLER)
    return {check.name: check for check in await Doctor(settings, lambda sentence: None).examine()}


async def test_it_names_a_language_that_the_model_hardly_knows_and_what_to_do(tmp_path: Path) -> None:
    check = (await examined(tmp_path, GERMAN + ENGLISH))["languages"]

    assert check.state == "note"
    assert "4 of the 9 newest memories are in German" in str(check.facts())
    assert "multilingual" in str(check.facts())


@pytest.mark.parametrize("contents", [ENGLISH + GERMAN[:1], []], ids=["one", "none"])
async def test_it_says_nothing_where_hardly_any_memory_is_in_another_language(tmp_path: Path, contents: Sequence[str]) -> None:
    checks = await examined(tmp_path, contents)

    assert "languages" not in checks
    assert checks["model"].state == "ok"
