"""What assistants get wrong when they call, and what they are told then."""

from dataclasses import replace
from pathlib import Path

from memory_mcp.access import Access, Role
from memory_mcp.answers import RecallRequest
from memory_mcp.remember.drafts import RememberRequest
from tests.memories import CALLER, open_client, open_service, settings_for, settings_without_model, text_of
from tests.server.test_tools import ask


async def test_who_asks_in_an_empty_namespace_is_told_so_and_what_is_called_like_it(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), namespace="parcels") as client:
        empty = await client.call_tool("recall", {"query": "Who is the product owner?"})
        anna = await ask(client, "remember", content="Anna is the product owner.")
        mistyped = await client.call_tool("recall", {"query": "Who is the product owner?", "namespace": "parcel"})
        everywhere = await ask(client, "recall", query="quartz crystals of the Alps", namespace="*", kind="rule")
        filtered = await ask(client, "recall", query="Who is the product owner?", kind="rule")
        await ask(client, "remember", content="Anna has been the product owner of everything.", namespace="global")
        globally = await client.call_tool("recall", {"query": "Who is the product owner?", "namespace": "parcel"})
        alike = await ask(client, "find_similar", text="Anna is the product owner.", namespace="parcles")
        await ask(client, "forget", ids=anna["id"])
        again = await ask(client, "recall", query="", namespace="parcel", kind="rule")

    assert text_of(empty) == "none in parcels: this namespace is empty; namespace * searches every one."
    assert text_of(mistyped) == "none in parcel: this namespace is empty; is parcels meant?"
    assert "this namespace is empty" not in everywhere["hint"] + filtered["hint"]
    assert text_of(globally).splitlines()[0].startswith("strong: 1 in parcel.")
    assert text_of(globally).splitlines()[-1] == "this namespace is empty; is parcels meant?"
    assert (len(alike["hits"]), alike["hint"]) == (1, "this namespace is empty; is parcels meant?")
    assert "parcels" not in again["hint"], "what holds nothing either is not meant"


async def test_namespaces_that_a_caller_may_not_read_are_not_named_to_it(tmp_path: Path) -> None:
    ann = replace(CALLER, access=Access(Role.WRITER, "ann", ("web",)), namespace="web")
    bob = replace(CALLER, access=Access(Role.MANAGER, "bob"), namespace="web-secret")
    async with open_service(settings_without_model(tmp_path), ready=False) as service:
        await service.remember(RememberRequest("The secret plan"), bob)
        await service.remember(RememberRequest("A diary"), bob, "personal")
        of_ann = await service.recall(RecallRequest("plan"), ann)
        of_bob = await service.recall(RecallRequest("plan", namespace="web"), bob)

    assert (of_ann.empty, of_ann.near) == (True, [])
    assert (of_bob.empty, of_bob.near) == (True, ["web-secret"])
