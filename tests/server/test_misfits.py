"""What does not even have the shape of a request is told what is wrong with it, not that something is."""

from pathlib import Path
from typing import Any

import pytest

from tests.engines import by_hand
from tests.memories import open_client, settings_for, stdio_server, text_of

MODERN = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
MISFITS: list[tuple[str, dict[str, Any], str]] = [
    ("tools/call", {"name": "recall", "arguments": '{"query": "x"}'}, "params.arguments: Input should be a JSON object."),
    ("tools/call", {"name": "recall", "arguments": []}, "params.arguments: Input should be a JSON object."),
    ("tools/call", {"arguments": {}}, "params.name is missing: give it."),
    ("tools/call", {"name": 5}, "params.name: Input should be a valid string."),
    ("tools/call", {"name": "recall", "_meta": {"progressToken": 1.5}}, "progressToken"),
    ("tools/list", {"cursor": 5}, "params.cursor: Input should be a valid string."),
    ("resources/read", {}, "params.uri is missing: give it."),
    ("prompts/get", {"name": "start", "arguments": {"task": 5}}, "params.arguments.task: Input should be a valid string."),
]


@pytest.mark.parametrize("modern", [False, True])
async def test_each_is_named(tmp_path: Path, modern: bool) -> None:
    async with by_hand(stdio_server(tmp_path), handshake=False) as hand:
        if not modern:
            await hand.request("early", "tools/list")
            early = (await hand.answer())["error"]
            await hand.initialize()
        told = []
        for number, (method, params, _) in enumerate(MISFITS):
            meta = {"_meta": {**MODERN, **params.get("_meta", {})}} if modern else {}
            await hand.request(number, method, **{**params, **meta})
            told.append((await hand.answer())["error"])

    assert modern or (early["code"], early["message"]) == (-32602, "This connection has not begun yet: send initialize first.")
    assert [error["code"] for error in told] == [-32602] * len(MISFITS)
    assert [words for error, (_, _, words) in zip(told, MISFITS, strict=True) if words not in error["message"]] == []


async def test_arguments_within_arguments_are_named_by_their_place_and_no_type_of_ours_is(tmp_path: Path) -> None:
    entities = [{"name": "x"}, 5, {"name": 5, "entityType": [], "observations": "x"}]
    async with open_client(settings_for(tmp_path), sets=["compat"]) as client:
        few = text_of(await client.call_tool("create_entities", {"entities": entities}))
        many = text_of(await client.call_tool("create_entities", {"entities": [{}] * 300}))
        long = text_of(await client.call_tool("add_observations", {"observations": [{"entityName": "x" * 10_000, "contents": ["y"]}]}))

    assert few == (
        "entities.0.entityType is missing: give it. entities.0.observations is missing: give it. "
        "entities.1: Input should be a JSON object. entities.2.name: Input should be a valid string. "
        "entities.2.entityType: Input should be a valid string. entities.2.observations: Input should be a valid list."
    )
    assert many.endswith("And 890 more.")
    assert len(long) < 300


async def test_a_tool_that_there_is_not_is_answered_with_those_there_are(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path)) as client:
        refused = await client.call_tool("recal" * 1_000, {})

    assert refused.is_error
    assert "There are: remember, recall, find_similar, context, get, update, forget, stats." in text_of(refused)
    assert len(text_of(refused)) < 250
