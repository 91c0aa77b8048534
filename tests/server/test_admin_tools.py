"""The set `admin` as a client uses it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from postgres_server import Databases, server

from memory_mcp.config import Settings
from memory_mcp.server.render import tokens
from memory_mcp.upkeep.searching import search_files
from tests.memories import open_client, settings_for, stdio_server, text_of

SECRET = "Quirinius plays the zimbeln in Zwickau"


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Of a memory whose records lie in either store."""
    settings = settings_for(tmp_path / "data")
    if request.param == "sqlite":
        yield settings
        return
    databases = Databases(tmp_path)
    yield settings.model_copy(update={"records": server().settings(databases.make())})
    databases.drop()


async def tell(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    reply = await client.call_tool(tool, arguments)
    assert not reply.is_error, text_of(reply)
    assert reply.structured_content is not None
    return reply.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    reply = await client.call_tool(tool, arguments)
    assert reply.is_error, text_of(reply)
    return text_of(reply)


async def browse(client: Client, **arguments: Any) -> list[str]:
    return [entry["text"] for entry in (await tell(client, "browse", **arguments))["memories"]]


async def test_everything_together_stays_below_4500_tokens_and_the_set_is_off_by_default(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), sets=["learning", "graph", "admin"]) as client:
        listed = (await client.list_tools()).model_dump(by_alias=True, exclude_none=True, mode="json")["tools"]
    async with open_client(settings_for(tmp_path), sets=["learning", "graph"]) as client:
        others = {tool.name for tool in (await client.list_tools()).tools}

    assert {tool["name"] for tool in listed} - others == {"browse", "manage"}
    assert len(json.dumps(listed)) / 4 < 4_500
    for tool in listed[-2:]:
        assert tool["inputSchema"]["additionalProperties"] is False
        assert "anyOf" not in json.dumps(tool["inputSchema"])
        assert "outputSchema" not in tool
        assert len(tool["annotations"]) == 4
        assert 40 <= len(tool["description"]) <= 1024


async def test_every_shelf_is_looked_through_page_by_page(settings: Settings) -> None:
    async with open_client(settings, sets=["admin"]) as client:
        await tell(client, "remember", content="uses vim", key="editor")
        await tell(client, "remember", content="uses emacs", key="editor")
        await tell(client, "remember", content="said long ago", occurred_at="2001-01-01", kind="event", tags=["old"])
        gone = await tell(client, "remember", content="a draft")
        await tell(client, "forget", ids=[gone["id"]])
        await tell(client, "remember", content="everybody's", namespace="global")

        assert await browse(client) == ["uses emacs", "said long ago"]
        assert await browse(client, state="superseded") == ["uses vim"]
        assert await browse(client, state="forgotten") == ["a draft"]
        assert await browse(client, namespace="*", kind=["fact"]) == ["everybody's", "uses emacs"]
        assert await browse(client, state="all", tags=["old"], until="2002-01-01") == ["said long ago"]
        assert await browse(client, state="all", since="2002-01-01", limit=2) == ["a draft", "uses emacs"]

        seen, cursor = [], ""
        while True:
            page = await tell(client, "browse", state="all", limit=1, cursor=cursor)
            seen += [(entry["text"], entry.get("state", "")) for entry in page["memories"]]
            if not (cursor := page.get("cursor", "")):
                break
        assert [text for text, _ in seen] == ["a draft", "uses emacs", "uses vim", "said long ago"]
        assert seen[0][1].startswith("forgotten 20")
        first = await tell(client, "browse", state="all", limit=1)
        assert "another question" in await refused(client, "browse", state="live", cursor=first["cursor"])
        assert "another question" in await refused(client, "browse", cursor="9999-99-99_x")
        assert "state" in await refused(client, "browse", state="gone")


async def test_pages_keep_to_their_budget_and_leave_nothing_out(tmp_path: Path) -> None:
    said = [f"Note {number}: " + f"the wheel number {number} turns. " * 12 for number in range(9)]
    async with open_client(settings_for(tmp_path), sets=["admin"]) as client:
        for text in said:
            await tell(client, "remember", content=text)
        seen: list[str] = []
        cursor = ""
        for _ in range(20):
            reply = await client.call_tool("browse", {"max_tokens": 400, "cursor": cursor})
            assert tokens(text_of(reply)) <= 400
            assert tokens(json.dumps(reply.structured_content)) <= 430
            assert reply.structured_content
            seen += [entry["text"][:6] for entry in reply.structured_content["memories"]]
            if not (cursor := reply.structured_content.get("cursor", "")):
                break

    assert seen == [text[:6] for text in reversed(said)]


async def test_counts_the_log_and_undoing_across_namespaces(settings: Settings) -> None:
    async with open_client(settings, sets=["admin"]) as client:
        stored = await tell(client, "remember", content="here")
        there = await tell(client, "remember", content="there", namespace="elsewhere")
        await tell(client, "forget", ids=[there["id"]])
        counts = await tell(client, "manage", action="namespaces")
        log = await tell(client, "manage", action="operations")
        undone = await tell(client, "manage", action="undo", undo=str(log["operations"][0]["operation"]))

        assert counts["namespaces"] == [{"namespace": "project", "live": 1}, {"namespace": "elsewhere", "forgotten": 1}]
        assert [entry["what"].split()[0] for entry in log["operations"]] == ["forget", "remember", "remember"]
        assert (undone["namespace"], undone["ids"]) == ("elsewhere", [there["id"]])
        assert await browse(client, namespace="elsewhere") == ["there"]
        assert "No operation 99" in await refused(client, "manage", action="undo", undo="99")
        assert "in this namespace" in await refused(client, "manage", action="undo", undo=str(stored["operation"]), namespace="other")
        assert "takes no ids" in await refused(client, "manage", action="undo", ids=[there["id"]])
        assert "takes no confirm" in await refused(client, "manage", action="export", confirm="yes")


async def test_maintenance_is_shown_first_and_its_merges_are_undone(settings: Settings) -> None:
    async with open_client(settings, sets=["admin"]) as client:
        for text in ("The build server runs on port 8080", "the build server runs on port 8080."):
            await tell(client, "remember", content=text)
        shown = await tell(client, "manage", action="maintenance")
        assert len(await browse(client)) == 2
        assert "not that of the dry run" in await refused(client, "manage", action="maintenance", confirm="00")
        done = await tell(client, "manage", action="maintenance", confirm=shown["confirm"])
        merged = await browse(client)
        again = await tell(client, "manage", action="maintenance")
        await tell(client, "manage", action="undo", undo=str(done["operations"][0]))

        assert (shown["would"]["merged"], done["done"]["merged"], len(done["operations"])) == (1, 1, 1)
        assert len(merged) == 1
        assert "confirm" not in again
        assert len(await browse(client)) == 2


async def test_an_export_and_a_backup_lie_in_the_data_directory_alone(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path / "data"), sets=["admin"]) as client:
        await tell(client, "remember", content="line one\nline two", tags=["a"])
        await tell(client, "remember", content="elsewhere", namespace="other")
        made = await tell(client, "manage", action="export", namespace="project")
        everything = await tell(client, "manage", action="export")
        copy = await tell(client, "manage", action="backup")
        refused_path = await refused(client, "manage", action="export", path="/tmp/x")

    written = tmp_path / "data" / made["file"]
    (line,) = map(json.loads, written.read_text("utf-8").splitlines())
    assert (line["content"], line["tags"], line["namespace"]) == ("line one\nline two", ["a"], "project")
    assert (made["memories"], everything["memories"], copy["memories"]) == (1, 2, 2)
    assert written.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data" / copy["file"]).read_bytes().startswith(b"SQLite format 3")
    assert "no argument 'path'" in refused_path


async def test_no_client_fills_the_disk_with_exports(tmp_path: Path) -> None:
    (tmp_path / "data" / "exports").mkdir(parents=True)
    for number in range(50):
        (tmp_path / "data" / "exports" / f"{number}").touch()
    async with open_client(settings_for(tmp_path / "data"), sets=["admin"]) as client:
        assert "There are 50 files in exports" in await refused(client, "manage", action="export")


async def test_postgres_is_backed_up_by_its_own_tools(settings: Settings) -> None:
    if settings.records.backend == "postgres":
        async with open_client(settings, sets=["admin"]) as client:
            assert "pg_dump" in await refused(client, "manage", action="backup")


async def test_erasing_takes_two_calls_and_leaves_nothing_in_any_file(settings: Settings) -> None:
    folder, in_files = settings.data_dir, settings.records.backend == "sqlite"
    async with open_client(settings, sets=["admin"]) as client:
        stored = await tell(client, "remember", content=SECRET, metadata={"speaker": "Quirinius"})
        await tell(client, "remember", content="Candles are in aisle nine")
        await tell(client, "manage", action="export")
        if in_files:
            await tell(client, "manage", action="backup")
        there = await anyio.to_thread.run_sync(search_files, folder, [SECRET])
        dry = await tell(client, "manage", action="erase", person="Quirinius")
        assert "not those that were shown" in await refused(client, "manage", action="erase", ids=[stored["id"]], confirm="0000")
        assert "ids, or a person, or a namespace" in await refused(client, "manage", action="erase")
        assert await browse(client) == ["Candles are in aisle nine", SECRET]
        done = await tell(client, "manage", action="erase", person="Quirinius", confirm=dry["confirm"])
        left = await browse(client, state="all")
        _, found = await anyio.to_thread.run_sync(search_files, folder, [SECRET, "zimbeln"])

    assert {Path(path).parts[-2] for path in there[1][SECRET]} >= ({"exports", "backups"} if in_files else {"exports"})
    assert (dry["would_erase"], dry["namespaces"], dry["sample"][0]["line"]) == (1, {"project": 1}, SECRET)
    assert (done["erased"], done["proven"], done["found_in"], done["copies_cleaned"]) == (1, True, [], 2 if in_files else 1)
    assert left == ["Candles are in aisle nine"]
    assert found == {}


async def test_get_tells_who_changed_a_memory_last_and_trust_stays(settings: Settings) -> None:
    async with open_client(settings, sets=["admin"]) as client:
        stored = await tell(client, "remember", content="uses vim")
        untouched = await tell(client, "get", ids=[stored["id"]])
        await tell(client, "update", id=stored["id"], content="uses emacs")
        changed = await tell(client, "get", ids=[stored["id"]], history=True)

    assert "changed" not in untouched["memories"][0]
    (memory,) = changed["memories"]
    assert memory["changed"] == memory["history"][0]["by"] == "update by mcp (conversation)"
    assert memory["source_class"] == "conversation"


async def test_the_set_is_switched_on_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[tools]\nsets = ["admin"]\n')
    async with Client(stdio_server(tmp_path)) as client:
        await client.call_tool("remember", {"content": "Over a real pipe"})
        page = await client.call_tool("browse", {})
        log = await client.call_tool("manage", {"action": "operations"})

    assert "Over a real pipe" in text_of(page)
    assert "remember by" in text_of(log)
