"""The set `learning` as a client uses it."""

import json
from pathlib import Path

from mcp import Client

from memory_mcp.server.render import tokens
from tests.memories import open_client, settings_for, stdio_server, text_of

ERROR = "ValueError: bad port 4711 in /home/ann/app.toml"


async def test_core_and_learning_stay_below_4500_tokens_and_the_set_is_off_by_default(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), sets=["learning"]) as client:
        listed = (await client.list_tools()).model_dump(by_alias=True, exclude_none=True, mode="json")["tools"]
    async with open_client(settings_for(tmp_path)) as client:
        core = {tool.name for tool in (await client.list_tools()).tools}

    assert {tool["name"] for tool in listed} - core == {"record_error", "find_solution", "report_outcome", "insights"}
    assert len(json.dumps(listed)) / 4 < 4_500
    for tool in listed:
        assert tool["inputSchema"]["additionalProperties"] is False
        assert "anyOf" not in json.dumps(tool["inputSchema"])
        assert 40 <= len(tool["description"]) <= 1024


async def test_from_an_error_to_what_is_known_of_it(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), sets=["learning"]) as client:
        first = await client.call_tool("record_error", {"error": ERROR})
        again = await client.call_tool(
            "record_error", {"error": ERROR.replace("4711", "12"), "solution": "Ports end at 65535: fix app.toml"}
        )
        found = await client.call_tool("find_solution", {"problem": ERROR})
        assert found.structured_content
        (solution,) = found.structured_content["solutions"]
        outcome = await client.call_tool("report_outcome", {"id": solution["id"], "worked": True, "seconds": 90})
        better = await client.call_tool("find_solution", {"problem": ERROR})
        insights = await client.call_tool("insights", {})

    assert text_of(first).startswith("stored in project: met for the first time")
    assert text_of(again).startswith("seen_again in project: met 2 times")
    assert solution["metadata"] == {"for": "this error", "worked": 0, "tried": 0}
    assert "tags" not in solution
    assert "1 of 1 worked" in text_of(outcome)
    assert "worked 1; tried 1; seconds 90" in text_of(better)
    assert "errors that came again: 1" in text_of(insights)
    assert insights.structured_content
    assert insights.structured_content["errors_that_came_again"]["first"][0]["times"] == 2


async def test_a_fix_that_failed_is_recalled_as_one(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), sets=["learning"]) as client:
        for fix, worked in (("Restart the printer", False), ("Replace the printer's belt", True)):
            seen = (await client.call_tool("record_error", {"error": "PrinterError: belt slips", "solution": fix})).structured_content
            assert seen
            (solution,) = [one["id"] for one in seen["solutions"] if one["text"] == fix]
            await client.call_tool("report_outcome", {"id": solution, "worked": worked})
        recalled = await client.call_tool("recall", {"query": "What to do when the printer's belt slips?"})
        as_of = await client.call_tool("recall", {"query": "printer's belt", "as_of": "2100-01-01"})

    for reply in (recalled, as_of):
        assert reply.structured_content
        told = {hit["text"]: (hit.get("worked"), hit.get("tried")) for hit in reply.structured_content["hits"]}
        assert told == {"PrinterError: belt slips": (None, None), "Restart the printer": (0, 1), "Replace the printer's belt": (1, 1)}
    assert "worked 0 of 1 times" in text_of(recalled)


async def test_replies_keep_to_their_budget(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), sets=["learning"]) as client:
        for number in range(12):
            trial = f"Trial {number}: " + f"turn the {'great ' * 20} wheel number {number}. " * 20
            await client.call_tool("record_error", {"error": f"Fault{number}Error: it {'x' * number} broke", "solution": trial})
            await client.call_tool("record_error", {"error": f"Nobody knows why number {number} is never there"})
            for kind in ("rule", "decision"):
                await client.call_tool("remember", {"content": f"A {kind} about number {number}", "kind": kind})
        wheel: dict[str, object] = {"problem": "how to turn the wheel?", "limit": 20}
        for tool, arguments in (("find_solution", wheel), ("find_solution", {"problem": "x"}), ("insights", {})):
            for budget in (50, 60, 80, 150, 300):
                reply = await client.call_tool(tool, {**arguments, "max_tokens": budget})
                assert not reply.is_error
                assert tokens(text_of(reply)) <= budget
                assert tokens(json.dumps(reply.structured_content, ensure_ascii=False)) <= budget


async def test_refusals_say_what_to_change(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), sets=["learning"]) as client:
        nobody = await client.call_tool("report_outcome", {"id": "01890a5d-ac96-774b-bcce-b302099a8057", "worked": True})
        empty = await client.call_tool("find_solution", {"problem": " "})

    assert nobody.is_error
    assert empty.is_error


async def test_the_set_is_switched_on_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[tools]\nsets = ["learning"]\n')
    async with Client(stdio_server(tmp_path)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert "find_solution" in names
