"""What a line of an import may hold, and what it comes to."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.errors import RequestError
from memory_mcp.models import Caller, Memory, Provenance, Scope
from memory_mcp.upkeep.lines import drafted, is_past, read, written

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CALLER = Caller("local", "home", Provenance(client="a-client"))
HERE = Scope("local", "home")
THEN = NOW - timedelta(days=3)
MEMORY = Memory(UUID(int=7), HERE, "said", THEN, NOW, THEN, kind="rule", tags=("a", "b"), confidence=0.3)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"content": "cut o', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no object"),
        (b'{"text": "x"}', "no object with a text `content`"),
        (b'{"content": 5}', "no object with a text `content`"),
        (b'{"content": "x", "colour": "red"}', "a field 'colour'"),
        (b'{"content": "x", "importance": true}', "importance is of the wrong type"),
        (b'{"content": "x", "tags": "a"}', "tags is of the wrong type"),
        (b'{"content": "x", "tags": [1]}', "not all texts"),
        (b'{"content": "x", "metadata": []}', "metadata is of the wrong type"),
        (b'{"content": "x", "namespace": null}', "namespace is of the wrong type"),
        (b'{"content": "x", "id": "7"}', "id is none"),
    ],
)
def test_what_is_no_line_of_an_export_is_said_of_it(text: bytes, fault: str) -> None:
    assert fault in read(1, text).fault


@pytest.mark.parametrize(
    "fields",
    [
        {"content": " "},
        {"content": "x\0"},
        {"kind": "nonsense"},
        {"importance": float("nan")},
        {"confidence": 1.5},
        {"metadata": {"a": float("inf")}},
        {"metadata": {"a": 2**64}},
        {"created_at": "2027-01-01"},
        {"valid_from": "soon"},
        {"occurred_at": "yesterday"},
        {"content": "the password: hunter2-Xq9!vv"},
    ],
)
def test_the_door_is_the_same_as_for_everybody(fields: dict[str, object]) -> None:
    line = read(1, json.dumps({"content": "x", **fields}).encode())

    assert not line.fault
    with pytest.raises(RequestError):
        drafted(line, HERE, CALLER, NOW, "refuse")


def test_a_memory_comes_back_as_it_was_under_a_new_id() -> None:
    line = read(1, written(MEMORY).encode())
    draft = drafted(line, HERE, CALLER, NOW, "refuse")

    assert (draft.content, draft.kind, draft.tags, draft.confidence) == ("said", "rule", ("a", "b"), 0.3)
    assert (draft.created, draft.dated, draft.valid_from) == (MEMORY.created_at, MEMORY.created_at, None)
    assert line.id == MEMORY.id != draft.id


def test_what_was_no_answer_any_more_is_past() -> None:
    day = timedelta(days=1)
    past = [
        replace(MEMORY, superseded_by=UUID(int=8)),
        replace(MEMORY, forgotten_at=NOW),
        replace(MEMORY, expires_at=NOW),
    ]

    assert all(is_past(read(1, written(memory).encode()), NOW) for memory in past)
    assert not any(is_past(read(1, written(memory).encode()), NOW) for memory in (MEMORY, replace(MEMORY, expires_at=NOW + day)))


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)))
def test_any_text_is_one_line_and_comes_back_word_for_word(text: str) -> None:
    line = written(replace(MEMORY, content=text)).encode()

    assert b"\n" not in line
    assert read(1, line).fields["content"] == text
