from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from memory_mcp.models import Memory, Scope
from memory_mcp.recall.attributes import NamedIn

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def memory(tags: tuple[str, ...] = (), **metadata: Any) -> Memory:
    return Memory(UUID(int=1), Scope("local", "project"), "Text.", NOW, NOW, NOW, tags=tags, metadata=metadata)


NAMED = [
    ("What did Ann say?", memory(speaker="Ann")),
    ("what is ANN's plan", memory(speaker="ann")),
    ("Où est André ?", memory(speaker="andre")),
    ("who is on call in the billing service", memory(("billing service",))),
    ("how does the billing work", memory(("deploy", "billing"))),
    ("where is parse_frame used", memory(symbol="parse_frame")),
    ("田中さんの予定", memory(speaker="田中")),
]
NOT_NAMED = [
    ("What did Ann say?", memory()),
    ("What did Ann say?", memory(speaker="Anna")),
    ("What did Ann say?", memory(speaker="Ann Lee")),
    ("What did Ann say?", memory(text="the")),
    ("What did Ann say?", memory(("", "?!"))),
    ("version 3 of Ann", memory(number=3, flag=True, nothing=None, nested=["Ann"])),
    ("", memory(("deploy",))),
]


@pytest.mark.parametrize(("query", "one"), NAMED, ids=[query for query, _ in NAMED])
def test_a_value_all_of_whose_words_stand_in_the_question_is_named(query: str, one: Memory) -> None:
    assert NamedIn(query)(one)


@pytest.mark.parametrize(("query", "one"), NOT_NAMED)
def test_what_is_not_named(query: str, one: Memory) -> None:
    assert not NamedIn(query)(one)
