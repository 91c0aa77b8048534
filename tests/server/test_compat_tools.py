"""A session of the official memory server, replayed: the same calls, the same replies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from postgres_server import Databases, server

from memory_mcp.config import Settings
from memory_mcp.knowledge.nodes import Node
from tests.memories import CALLER, open_client, open_service, settings_for, text_of

ALICE = {"name": "Alice", "entityType": "person", "observations": ["likes tea", "Works with Bob at Acme Corp"]}
BOB = {"name": "Bob", "entityType": "person", "observations": []}
ACME = {"name": "Acme Corp", "entityType": "organization", "observations": ["makes anvils"]}
KNOWS = {"from": "Alice", "to": "Bob", "relationType": "knows"}
WORKS = {"from": "Alice", "to": "Acme Corp", "relationType": "works at"}
OWNS = {"from": "Bob", "to": "Acme Corp", "relationType": "owns"}


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Of a memory in each record store."""
    if request.param == "sqlite":
        yield settings_for(tmp_path)
        return
    databases = Databases(tmp_path)
    yield settings_for(tmp_path).model_copy(update={"records": server().settings(databases.make())})
    databases.drop()


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool answers; its text holds the same as its structured content."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    facts = result.structured_content
    assert facts is not None
    if set(facts) == {"success", "message"}:
        assert text_of(result) == facts["message"]
        assert facts["success"] is True
        return facts["message"]
    if set(facts) == {"entities", "relations"}:
        assert json.loads(text_of(result)) == facts
        return facts
    (inner,) = facts.values()
    assert json.loads(text_of(result)) == inner
    assert text_of(result) == json.dumps(inner, indent=2)
    return inner


async def test_a_session_of_the_official_server(settings: Settings) -> None:
    async with open_client(settings, sets=["compat"]) as client:
        assert await call(client, "read_graph") == {"entities": [], "relations": []}
        assert await call(client, "create_entities", entities=[ALICE, BOB, ACME]) == [ALICE, BOB, ACME]
        assert await call(client, "create_entities", entities=[{**BOB, "observations": ["no"]}]) == []
        assert await call(client, "create_relations", relations=[KNOWS, WORKS, KNOWS]) == [KNOWS, WORKS]
        assert await call(client, "create_relations", relations=[KNOWS, OWNS]) == [OWNS]
        assert await call(client, "read_graph") == {"entities": [ALICE, BOB, ACME], "relations": [KNOWS, WORKS, OWNS]}

        added = await call(client, "add_observations", observations=[{"entityName": "Bob", "contents": ["likes tea", "is tall"]}])
        assert added == [{"entityName": "Bob", "addedObservations": ["likes tea", "is tall"]}]
        again = await call(client, "add_observations", observations=[{"entityName": "Bob", "contents": ["is tall", "sings"]}])
        assert again == [{"entityName": "Bob", "addedObservations": ["sings"]}]
        bob = {**BOB, "observations": ["likes tea", "is tall", "sings"]}

        assert await call(client, "open_nodes", names=["Bob", "Nobody"]) == {"entities": [bob], "relations": [KNOWS, OWNS]}
        assert await call(client, "search_nodes", query="ANVILS") == {"entities": [ACME], "relations": [WORKS, OWNS]}
        assert await call(client, "search_nodes", query="person") == {"entities": [ALICE, bob], "relations": [KNOWS, WORKS, OWNS]}
        assert (await call(client, "search_nodes", query="Who is fond of hot drinks, like tea?"))["entities"][:2] == [ALICE, bob]

        assert (
            await call(client, "delete_observations", deletions=[{"entityName": "Bob", "observations": ["likes tea"]}])
            == "Observations deleted successfully"
        )
        gone = [{"entityName": "Bob", "observations": ["is tall", "is small"]}, {"entityName": "Eve", "observations": ["x"]}]
        assert await call(client, "delete_observations", deletions=gone) == "Deleted 1 of 3 observations. Entities not found: Eve"
        assert await call(client, "delete_relations", relations=[OWNS]) == "Relations deleted successfully"
        assert await call(client, "delete_relations", relations=[OWNS, KNOWS]) == "Deleted 1 of 2 relations. The rest matched nothing."
        left = {"entities": [ALICE, {**BOB, "observations": ["sings"]}, ACME], "relations": [WORKS]}
        assert await call(client, "read_graph") == left

        assert await call(client, "delete_entities", entityNames=["Acme Corp"]) == "Entities deleted successfully"
        assert await call(client, "delete_entities", entityNames=["Bob", "Eve"]) == "Deleted 1 of 2 entities. Not found: Eve"
        assert await call(client, "read_graph") == {"entities": [ALICE], "relations": []}
        await call(client, "create_entities", entities=[BOB])
        assert await call(client, "read_graph") == {"entities": [ALICE, BOB], "relations": []}


async def test_unknown_entities_are_refused_as_there_and_nothing_is_stored(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), sets=["compat"]) as client:
        await call(client, "create_entities", entities=[ALICE])
        before = await call(client, "read_graph")
        for tool, arguments, words in (
            ("create_relations", {"relations": [KNOWS]}, "Entity with name Bob not found"),
            (
                "add_observations",
                {"observations": [{"entityName": "Alice", "contents": ["x"]}, {"entityName": "Eve", "contents": ["y"]}]},
                "Eve",
            ),
            ("create_entities", {"entities": [BOB, {"name": "Eve", "entityType": "x", "observations": ["fine", "a\0b"]}]}, "NUL"),
            ("create_entities", {"entities": [{**BOB, "name": " "}]}, "no name"),
            ("create_relations", {"relations": [{"from": "Alice", "to": "Alice", "relationType": "a | b"}]}, "plain"),
            ("create_entities", {"entities": [{"name": "Eve"}]}, "entityType"),
        ):
            refused = await client.call_tool(tool, arguments)
            assert refused.is_error
            assert words in text_of(refused)
        assert await call(client, "read_graph") == before


async def test_a_search_asks_once_however_many_entities_there_are(tmp_path: Path) -> None:
    nodes = [Node(f"Person {number}", "person", [f"enjoys tea number {number}"]) for number in range(20)]
    async with open_service(settings_for(tmp_path)) as service:
        await service.create_nodes(nodes, CALLER)
        found, _ = await service.read_nodes(CALLER, query="Who is fond of hot drinks?")

        assert found
        assert service.known.hits + service.known.misses == 1


async def test_it_is_the_same_memory(tmp_path: Path) -> None:
    """What one set of tools stores, the others find, and whatever was deleted can be undone."""
    async with open_client(settings_for(tmp_path), sets=["graph", "compat"]) as client:
        await call(client, "create_entities", entities=[ALICE, BOB])
        await call(client, "create_relations", relations=[KNOWS])
        native = (await client.call_tool("remember", {"content": "Alice founded Initech with Carl"})).structured_content or {}
        told = {"relations": ["Alice | founded | Initech", "Carl | founded | Initech"], "source": native["id"]}
        await client.call_tool("relate", told)

        explored = (await client.call_tool("explore", {"entity": "alice"})).structured_content or {}
        recalled = (await client.call_tool("recall", {"query": "What does Alice like to drink?"})).structured_content or {}
        assert explored["type"] == ["person"]
        assert {"Alice | knows | Bob", "Alice | founded | Initech"} == {one["relation"] for one in explored["relations"]}
        assert {"likes tea", "Alice founded Initech with Carl"} <= {one["text"] for one in explored["memories"]}
        assert recalled["hits"][0]["text"] == "likes tea"
        graph = await call(client, "read_graph")
        assert [node["name"] for node in graph["entities"]] == ["Alice", "Bob", "Initech", "Carl"]

        await call(client, "delete_entities", entityNames=["Alice"])
        assert [node["name"] for node in (await call(client, "read_graph"))["entities"]] == ["Bob", "Carl", "Initech"]
        kept = (await client.call_tool("get", {"ids": [native["id"]]})).structured_content or {}
        assert kept["memories"][0]["metadata"] == {"relations": ["Carl | founded | Initech"]}
        for _ in range(2):
            await client.call_tool("forget", {"undo": "last"})
        assert await call(client, "read_graph") == graph


async def test_hidden_characters_are_written_out_and_nothing_else_is_changed(tmp_path: Path) -> None:
    hidden = {"name": "Zo\u00eb", "entityType": "person", "observations": ["hides\u202e something"]}
    async with open_client(settings_for(tmp_path), sets=["compat"]) as client:
        await call(client, "create_entities", entities=[BOB, hidden])
        plain = text_of(await client.call_tool("open_nodes", {"names": ["Bob"]}))
        reply = await client.call_tool("read_graph", {})

    assert json.loads(plain)["entities"] == [BOB]
    assert "\u202e" not in text_of(reply)
    assert json.loads(text_of(reply)) == reply.structured_content == {"entities": [BOB, hidden], "relations": []}
