"""One tenant asks for what is another's, in every way there is: it is told what it would be told if that did not exist."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError

from memory_mcp.faults import IDEMPOTENCY_META
from tests.http_scene import WORDS, Scene
from tests.http_servers import ERAS, Era, bearer, client_of, new_token, post, refused, rpc, serving, tell

NOBODYS = "01890a5d-ac96-774b-bcce-b302099a8057"


def questions() -> list[tuple[str, dict[str, Any]]]:
    """Everything that can be asked for without knowing what there is, in the namespace of the same name and in all."""
    everywhere: list[dict[str, Any]] = [{}, {"namespace": "*"}]
    return [
        *(("recall", {"query": "Which tune opens the vault?", "explain": True, **more}) for more in everywhere),
        *(("recall", {"limit": 100, "max_tokens": 20_000, **more}) for more in everywhere),
        ("recall", {"query": "tune", "tags": ["tune"]}),
        ("recall", {"query": "vault", "kind": ["decision"]}),
        ("recall", {"query": "vault", "as_of": "2100-01-01"}),
        *(("find_similar", {"text": "The vault opens with the tune of a song.", **more}) for more in everywhere),
        ("context", {"task": "open the vault", "max_tokens": 20_000}),
        ("context", {"task": "open the vault", "namespace": "other/lab"}),
        *(("stats", {"section": section}) for section in ("", "counts", "tiers", "latency", "model", "engine")),
        *(("explore", {"entity": name, "depth": 3}) for name in ("vault", "vau", "safe", "lunch")),
        ("find_solution", {"problem": "PipeError: the vault did not open"}),
        ("find_solution", {"problem": "the vault did not open", "limit": 100}),
        ("insights", {"days": 3650, "max_tokens": 20_000}),
        ("read_graph", {}),
        ("search_nodes", {"query": "vault"}),
        ("search_nodes", {"query": ""}),
        ("open_nodes", {"names": ["vault", "lunch"]}),
        ("forget", {"tags": ["tune"]}),
        ("forget", {"kind": ["decision"], "before": "2100-01-01"}),
    ]


def reaches(scene: Scene, there: str) -> list[tuple[str, dict[str, Any]]]:
    """Everything that can be tried with an id."""
    return [
        ("get", {"ids": [there]}),
        ("get", {"ids": [there], "history": True}),
        ("find_similar", {"id": there}),
        ("update", {"id": there, "content": "stolen"}),
        ("forget", {"ids": [there]}),
        ("remember", {"content": "It has changed.", "supersedes": [there]}),
        ("report_outcome", {"id": there, "worked": False}),
        ("relate", {"relations": ["mouse | lives in | vault"], "source": there}),
    ]


async def said(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    return json.dumps((await client.call_tool(tool, arguments)).model_dump(mode="json"))


async def seen_by_globex(scene: Scene) -> str:
    """All that globex has, as globex sees it."""
    lasting = ("id", "text", "kind", "tags", "key", "importance", "metadata", "superseded_by", "history")  # not how old it is
    async with client_of(scene.server, scene.tokens["heist"]) as client:
        ids = [each for name, each in scene.ids.items() if name != "gone"]
        memories = (await tell(client, "get", ids=ids, history=True))["memories"]
        return json.dumps(
            [
                [[memory.get(name) for name in lasting] for memory in memories],
                (await tell(client, "explore", entity="vault"))["relations"],
                await tell(client, "read_graph"),
                (await tell(client, "stats", section="counts"))["counts"],
            ]
        )


@pytest.mark.parametrize("era", ERAS)
async def test_whatever_is_asked_nothing_of_another_tenant_is_in_the_answer(scene: Scene, era: Era) -> None:
    before = await seen_by_globex(scene)
    async with client_of(scene.server, scene.tokens["lab"], era) as client:
        own = await tell(client, "remember", content=f"Acme keeps no vault, says {era}.", namespace="lab")
        told = {str(question): await said(client, *question) for question in questions()}
        for task in ("", "open the vault"):
            told[f"prompt {task}"] = (await client.get_prompt("start", {"task": task})).model_dump_json()
        for uri in ("memory://stats", "memory://stats?section=counts", "memory://context?task=vault", f"memory://item/{own['id']}"):
            told[uri] = (await client.read_resource(uri)).model_dump_json()
        told["lists"] = "".join(
            [
                (await client.list_resources()).model_dump_json(),
                (await client.list_resource_templates()).model_dump_json(),
                (await client.list_prompts()).model_dump_json(),
                (await client.list_tools()).model_dump_json(),
            ]
        )
        await tell(client, "forget", ids=[own["id"]])

    assert {name: word for name, text in told.items() for word in (*WORDS, *scene.ids.values()) if word in text} == {}
    assert own["id"] in told[str(questions()[0])]
    assert await seen_by_globex(scene) == before


@pytest.mark.parametrize("era", ERAS)
async def test_an_id_of_another_tenants_is_as_unknown_as_one_of_nobodys(scene: Scene, era: Era) -> None:
    before = await seen_by_globex(scene)
    async with client_of(scene.server, scene.tokens["lab"], era) as client:
        for there in scene.ids.values():
            answers = [[await said(client, *each) for each in reaches(scene, target)] for target in (there, NOBODYS)]

            assert [each.replace(there, NOBODYS) for each in answers[0]] == answers[1]
            assert all("No memory with id" in each for each in answers[1]), answers[1]
        faults = []
        for target in (scene.ids["secret"], NOBODYS):
            with pytest.raises(MCPError, match="No memory with id") as caught:
                await client.read_resource(f"memory://item/{target}")
            faults.append(str(caught.value).replace(target, ""))

    assert faults[0] == faults[1]
    assert await seen_by_globex(scene) == before


@pytest.mark.parametrize("era", ERAS)
async def test_numbers_cursors_and_confirmations_of_another_tenants_open_nothing(scene: Scene, era: Era) -> None:
    before = await seen_by_globex(scene)
    question = {"query": "Which tune is it?", "limit": 1}
    async with client_of(scene.server, scene.tokens["lab"], era) as client:
        undone = [await refused(client, "forget", undo=each) for each in (*scene.operations, "9999")]
        page = await tell(client, "recall", **question, cursor=scene.cursor)
        confirmed = await client.call_tool("forget", {"tags": ["tune"], "confirm": scene.confirm})
        last = await client.call_tool("forget", {"undo": "last 20"})
    async with client_of(scene.server, scene.tokens["heist"], era) as client:
        theirs = await tell(client, "recall", **question, cursor=scene.cursor)

    assert {each.replace(number, "N") for each, number in zip(undone, (*scene.operations, "9999"), strict=True)} == {
        "No operation N in this namespace. Use the operation number from a receipt."
    }
    assert page["hits"] == []
    assert theirs["hits"] != []
    assert not (confirmed.structured_content or {}).get("forgotten")
    assert not set(scene.operations) & set(json.dumps(last.structured_content).replace(",", " ").split())
    assert await seen_by_globex(scene) == before


@pytest.mark.parametrize("era", ERAS)
async def test_nodes_of_the_same_names_are_two_tenants_own(scene: Scene, era: Era) -> None:
    before = await seen_by_globex(scene)
    vault = {"entityName": "vault"}
    async with client_of(scene.server, scene.tokens["lab"], era) as client:
        missing = await refused(client, "add_observations", observations=[{**vault, "contents": ["Acme was here"]}])
        deleted = [
            await tell(client, "delete_entities", entityNames=["vault"]),
            await tell(client, "delete_observations", deletions=[{**vault, "observations": ["x"]}]),
            await tell(client, "delete_relations", relations=[{"from": "Evelyn", "to": "vault", "relationType": "guards"}]),
        ]
        await tell(client, "remember", content="The tune of the lab is a hum.", key="vault/tune")
        await tell(client, "relate", relations=["Evelyn | guards | vault"], valid_to="2020-01-01")
        await tell(client, "forget", undo="last 2")

    assert "vault" in missing
    assert not any("successfully" in json.dumps(each) for each in deleted)
    assert await seen_by_globex(scene) == before


@pytest.mark.parametrize("era", ERAS)
async def test_mistakes_are_named_and_are_no_faults_in_the_log(scene: Scene, era: Era) -> None:
    log = scene.server.folder / "stderr"
    before = log.stat().st_size
    async with client_of(scene.server, scene.tokens["lab"], era) as client:
        faults = []
        for name, arguments in (("nothing", {}), ("start", {"tenant": "other"}), ("start", {"ctx": "tenant"})):
            with pytest.raises(MCPError) as caught:
                await client.get_prompt(name, arguments)
            faults.append((caught.value.error.code, caught.value.error.message))
        with pytest.raises(MCPError, match="Unknown resource") as unknown:
            await client.read_resource("memory://globex/item/1")

    assert [code for code, _ in faults] == [-32602] * 3, faults
    assert "There is no prompt" in faults[0][1]
    assert all("task" in message for _, message in faults[1:]), faults
    assert unknown.value.error.code == -32602
    assert "Traceback" not in log.read_text()[before:]
    assert "error" not in {json.loads(line)["level"] for line in log.read_text()[before:].splitlines()}


COMPLETE = {"ref": {"type": "ref/prompt", "name": "start"}, "argument": {"name": "task", "value": "Glo"}}


@pytest.mark.parametrize("method", ["completion/complete", "logging/setLevel", "resources/subscribe", "tasks/list", "tenants/list"])
def test_what_is_not_offered_is_not_there(scene: Scene, method: str) -> None:
    answer = post(scene.server, scene.tokens["ann"], rpc(method, uri="memory://stats", level="debug", **COMPLETE))

    assert "-32601" in answer.text
    assert not any(word in answer.text for word in WORDS)


async def test_how_busy_others_are_is_told_to_administrators_alone(scene: Scene) -> None:
    """A count of what the model's cache knew would tell whether anybody has ever asked the same."""
    told = {}
    for who in ("rita", "lab", "ada"):
        async with client_of(scene.server, scene.tokens[who]) as client:
            told[who] = (await tell(client, "stats"))["model"]

    assert set(told["rita"]) == set(told["lab"]) == {"name", "phase", "epoch"}
    assert "hits" in told["ada"]


async def test_a_session_is_of_no_use_to_another_tenant(tmp_path: Path) -> None:
    tokens = {who: await new_token(tmp_path / "data", tenant, who) for who, tenant in (("ann", "acme"), ("eve", "globex"))}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "hand", "version": "1"}}
    with serving(tmp_path / "data", "[http]\nsessions = true\n") as server:
        opened = post(server, tokens["eve"], {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
        named = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-06-18"}
        stolen = [
            post(server, tokens["ann"], **named).status_code,
            *(
                server.ask("/mcp", method, tokens["ann"], headers={**named, "Accept": "text/event-stream"}).status_code
                for method in ("GET", "DELETE")
            ),
        ]
        own = post(server, tokens["eve"], **named).status_code

    assert (stolen, own) == ([404, 404, 404], 200)


@pytest.mark.parametrize(
    "arguments",
    [
        {"tenant": "globex"},
        {"tenant_id": "globex"},
        {"_meta": {"tenant": "globex"}},
        {"namespace": "../globex/shared"},
        {"namespace": "globex\u0000shared"},
    ],
)
async def test_a_tenant_in_an_argument_is_refused(scene: Scene, arguments: dict[str, Any]) -> None:
    async with client_of(scene.server, scene.tokens["ann"]) as client:
        said = await refused(client, "recall", query="vault", **arguments)

    assert not any(word in said for word in WORDS)


async def test_a_tenant_in_headers_metadata_or_names_changes_nothing(scene: Scene) -> None:
    headers = {"X-Tenant": "globex", "X-Forwarded-User": "eve", "Tenant": "globex", "Mcp-Session-Id": "globex"}
    call = rpc("tools/call", name="recall", arguments={"query": "tune", "namespace": "lab"}, _meta={"tenant": "globex", "user": "eve"})
    answer = post(scene.server, scene.tokens["ann"], call, **headers)
    foreign = rpc("tools/call", name="recall", arguments={"query": "tune", "namespace": "globex/lab"})
    by_name = post(scene.server, scene.tokens["ann"], foreign)

    assert answer.status_code == by_name.status_code == 200
    assert not any(word in answer.text + by_name.text.replace("globex/lab", "") for word in WORDS)


async def test_an_idempotency_key_of_another_tenant_is_a_key_like_any(scene: Scene) -> None:
    receipts = []
    for who in ("eve", "ann"):
        async with client_of(scene.server, scene.tokens[who]) as client:
            result = await client.call_tool(
                "remember", {"content": f"{who} was here.", "namespace": "keys"}, meta={IDEMPOTENCY_META: "the same key"}
            )
            receipts.append(result.structured_content)

    assert [receipt and receipt["status"] for receipt in receipts] == ["stored", "stored"]


async def test_streams_of_events_belong_to_who_opened_them(scene: Scene) -> None:
    server = scene.server
    async with (
        httpx2.AsyncClient(headers=bearer(scene.tokens["ann"]), timeout=20) as ann,
        ann.stream("GET", f"{server.url}/sse") as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                path = line.removeprefix("data: ")
                break
        stolen = [server.ask(path, "POST", scene.tokens[who], json=rpc("tools/list")).status_code for who in ("eve", "heist", "bob")]
        unknown = server.ask("/messages/?session_id=" + "0" * 32, "POST", scene.tokens["ann"], json=rpc("tools/list")).status_code
        nobody = server.ask(path, "POST", json=rpc("tools/list")).status_code
        own = server.ask(path, "POST", scene.tokens["ann"], json=rpc("tools/list")).status_code

    assert (stolen, unknown, nobody, own) == ([404, 404, 404], 404, 401, 202)


def test_the_log_holds_no_token_and_no_memory(scene: Scene) -> None:
    log = (scene.server.folder / "stderr").read_text()

    assert not any(token in log for token in scene.tokens.values())
    assert not any(word in log for word in WORDS)
    assert "Traceback" not in log
