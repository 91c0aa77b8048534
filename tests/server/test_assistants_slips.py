"""What assistants get wrong when they call, and what they are told then."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import TextResourceContents

from memory_mcp.access import Access, Role
from memory_mcp.answers import RecallRequest
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.server.render import tokens
from tests.memories import CALLER, open_client, open_service, settings_for, settings_without_model, text_of
from tests.server.test_tools import ask, refused


def opened(tmp_path: Path) -> AbstractAsyncContextManager[Client]:
    """A client of a server without a model."""
    return open_client(settings_without_model(tmp_path), ready=False, sets=["graph"])


async def told(client: Client, tool: str, **arguments: Any) -> str:
    """A call that succeeds; its text."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


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


async def test_who_starts_in_a_project_that_was_moved_is_told_where_its_memories_are(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path), namespace="parcels-0123abcd") as client:
        anew = await told(client, "context")
        await ask(client, "remember", content="Anna is the product owner.", namespace="parcels-fedc9876")
        bare = await client.call_tool("context", {})
        await ask(client, "remember", content="Answer in English.", kind="rule", namespace="global")
        ruled = await client.call_tool("context", {"task": "plan the week"})
        small = await client.call_tool("context", {"max_tokens": 70})
        (read,) = (await client.read_resource("memory://context")).contents
        await ask(client, "remember", content="Ben keeps the parking list.")
        settled = await ask(client, "context")

    meant = "Nothing is stored in parcels-0123abcd yet; is parcels-fedc9876 meant?"
    assert anew == "Nothing is stored in parcels-0123abcd yet."
    assert text_of(bare) == meant
    assert bare.structured_content == {
        "namespace": "parcels-0123abcd",
        "sections": {},
        "hint": meant,
        "namespaces_like_it": ["parcels-fedc9876"],
    }
    assert text_of(ruled).splitlines()[1:3] == [meant, "rules:"]
    assert (ruled.structured_content or {})["hint"] == meant
    assert tokens(text_of(small)) <= 70
    assert isinstance(read, TextResourceContents)
    assert read.text == text_of(ruled)
    assert "hint" not in settled


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


async def test_an_update_that_is_repeated_is_told_to_be_so_already_and_undone_as_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        made = await ask(client, "remember", content="Standup is at 9:15.", tags="team", metadata={"speaker": "Ann"})
        wanted = {"id": made["id"], "content": "Standup is at 9:30.", "tags": ["team", "daily"], "importance": 0.9, "expires_in": "7d"}
        changed = await ask(client, "update", **wanted)
        repeated = await ask(client, "update", **wanted)
        said = await told(client, "update", id=made["id"], metadata={"speaker": "Ann"})
        partly = await ask(client, "update", id=made["id"], content="Standup is at 9:30.", tags="team")
        past = (await ask(client, "get", ids=made["id"], history=True))["memories"][0]["history"]
        await ask(client, "forget", undo="last 2")
        restored = (await ask(client, "get", ids=made["id"]))["memories"][0]

        assert (changed["status"], changed["operation"]) == ("updated", 2)
        assert repeated == {**changed, "status": "unchanged"}
        assert said == f"unchanged in project (it says so already, since operation 2): {made['id']}"
        assert (partly["status"], partly["operation"], len(past)) == ("updated", 3, 2)
        assert (restored["text"], restored["tags"], restored["metadata"]) == ("Standup is at 9:15.", ["team"], {"speaker": "Ann"})


async def test_tags_and_metadata_are_taken_away_by_what_is_given_empty_and_nothing_beside_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        made = await ask(client, "remember", content="Standup is at 9:15.", tags="team", metadata={"speaker": "Ann"})

        async def left() -> tuple[list[str], dict[str, Any]]:
            (memory,) = (await ask(client, "get", ids=made["id"]))["memories"]
            return memory.get("tags", []), memory.get("metadata", {})

        await ask(client, "update", id=made["id"], content="Standup is at 9:30.", tags=[], importance=-1, metadata={}, expires_in="")
        beside_others = await left()
        nothing = await refused(client, "update", id=made["id"], tags=None, metadata=None)
        await ask(client, "update", id=made["id"], tags=[])
        without_tags = await left()
        again = await ask(client, "update", id=made["id"], tags=[])
        await ask(client, "update", id=made["id"], metadata={})
        bare = await left()
        await ask(client, "forget", undo="last 2")

        assert beside_others == (["team"], {"speaker": "Ann"})
        assert nothing.startswith("Nothing to change")
        assert without_tags == ([], {"speaker": "Ann"})
        assert again["status"] == "unchanged"
        assert bare == ([], {})
        assert await left() == beside_others


async def test_what_was_to_expire_can_be_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        made = await ask(client, "remember", content="The VPN is down.", expires_in="7d")
        lasting = await ask(client, "remember", content="The office is in Berlin.", expires_in="never")
        kept = [await ask(client, "update", id=made["id"], expires_in="Never") for _ in range(2)]
        memories = (await ask(client, "get", ids=[made["id"], lasting["id"]]))["memories"]

    assert [each["status"] for each in kept] == ["updated", "unchanged"]
    assert all("expires" not in memory for memory in memories)


async def test_forgetting_again_changes_nothing_and_of_several_all_or_none_are_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        one, two = [await ask(client, "remember", content=content) for content in ("The first", "The second")]
        gone = await ask(client, "forget", ids=one["id"])
        again = await refused(client, "forget", ids=one["id"])
        both = await refused(client, "forget", ids=[one["id"], two["id"]])
        left = await ask(client, "recall")
        await ask(client, "forget", undo=gone["operation"])
        twice = await refused(client, "forget", undo=f"operation {gone['operation']}")

        assert "It may have been forgotten" in again
        assert both.startswith(f"No memory with id {one['id']} here: forgotten already")
        assert "Nothing was forgotten" in both
        assert [hit["id"] for hit in left["hits"]] == [two["id"]]
        assert twice == "Operation 3 was undone already, by operation 4."


async def test_what_comes_with_a_text_that_is_known_is_not_lost_without_a_word(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        first = await ask(client, "remember", content="Anna is the product owner.", tags="people", expires_in="7d")
        same = await ask(client, "remember", content="Anna is the product owner.", tags="people", expires_in="7d")
        more = {"kind": "rule", "tags": ["people", "roles"], "importance": 0.9, "metadata": {"speaker": "Ben"}, "expires_in": "30d"}
        other = await ask(client, "remember", content="Anna is the product owner.", occurred_at="2026-01-01", **more)
        said = await told(client, "remember", content="Anna is the product owner.", tags="roles")
        dated = await told(client, "remember", content="Anna is the product owner.", occurred_at="2026-01-01")

        assert same == {"id": first["id"], "status": "already_known", "namespace": "project", "indexed": True}
        assert other["not_taken_over"] == ["kind", "tags", "importance", "occurred_at", "expires_in", "metadata"]
        assert said.splitlines()[1] == "not taken over: tags. To set that takes update."
    assert dated.splitlines()[1] == "not taken over: occurred_at. To set that takes remembering it again with supersedes."


async def test_what_comes_with_a_text_that_memory_has_just_told_is_not_lost_without_a_word(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        for content in ("Anna is the product owner.", "Ben keeps the parking list."):
            await ask(client, "remember", content=content, tags="people")
        found = await ask(client, "recall", query="")
        same = await ask(client, "remember", content="Anna is the product owner.", tags="people")
        more = await told(client, "remember", content="Anna is the product owner.", tags="roles", expires_in="7d")
        several = await ask(client, "remember", content="\n".join(hit["text"] for hit in found["hits"]), tags="roles")

    assert len(same["echo_of"]) == 1
    assert "not_taken_over" not in same
    assert more.splitlines()[-1] == "not taken over: tags, expires_in. To set that takes update."
    assert len(several["echo_of"]) == 2
    assert "not_taken_over" not in several


async def test_numbers_where_words_belong_are_read_as_such_but_for_what_is_kept_word_for_word(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        made = await ask(client, "remember", content="The year of the move", tags=[2026, "move"], key=2026)
        whole = (await ask(client, "get", ids=f"memory://item/{made['id']}"))["memories"][0]
        undone = await ask(client, "forget", undo=1)

        assert (whole["tags"], whole["key"], undone["undone"]) == (["2026", "move"], "2026", 1)
        assert await refused(client, "remember", content=42.10) == "content: Input should be a valid string."
        assert "'7' is not a duration" in await refused(client, "remember", content="VPN is down", expires_in=7)
        assert "valid string" in await refused(client, "remember", content="VPN is down", key=True)


async def test_an_id_that_is_none_is_told_what_one_looks_like(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        made = await ask(client, "remember", content="We use Postgres.", key="orders.database")
        for wrong in (made["id"][:8], made["id"][:-1], "orders.database"):
            said = await refused(client, "get", ids=wrong)
            assert said.startswith(f"{wrong!r} is not a memory id. Give all 36 characters")
        tag = await refused(client, "remember", content="x", tags=["t" * 201])
        unknown = await refused(client, "relate", subject="Ann", predicate="manages", object="Bob")

        assert tag == "an entry of tags has 201 characters; at most 200 are allowed. Shorten it."
        assert unknown == (
            "relations is missing: give it. relate has no argument 'subject' or 'predicate' or 'object'. "
            "It takes: relations, source, valid_from, valid_to, namespace."
        )


async def test_nested_metadata_comes_back_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        nested = {"speaker": {"name": "Ann", "roles": ["owner", {"since": 2024}]}, "open": None}
        made = await ask(client, "remember", content="Invoices are due after 30 days.", metadata=nested)

        assert (await ask(client, "get", ids=made["id"]))["memories"][0]["metadata"] == nested


async def test_tags_in_other_letters_are_found_where_none_is_spelled_so(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path)) as client:
        anna = await ask(client, "remember", content="Anna is the product owner.", tags=["People", "Büro"])
        bo = await ask(client, "remember", content="Bo is the designer.", tags="people")
        found = [
            [hit["id"] for hit in (await ask(client, "recall", **asked))["hits"]]
            for asked in (
                {"query": "Who is the product owner?", "tags": "PEOPLE, büro"},
                {"query": "", "tags": "BÜRO"},
                {"query": "", "tags": "people"},
                {"query": "", "tags": "büro", "as_of": "2999-01-01"},
                {"query": "", "tags": "buero"},
            )
        ]
        nothing = await ask(client, "forget", tags="BÜRO")

    assert found == [[anna["id"]], [anna["id"]], [bo["id"]], [anna["id"]], []]
    assert nothing["would_forget"] == 0, "what is taken away is what was named"


async def test_who_stores_in_a_new_namespace_is_told_of_one_that_may_be_meant(tmp_path: Path) -> None:
    async with open_client(settings_without_model(tmp_path), ready=False, namespace="github.com/acme/parcels") as client:
        own = await ask(client, "remember", content="We use pnpm.")
        mistyped = await client.call_tool("remember", {"content": "We use Node 22.", "namespace": "parcels"})
        second = await ask(client, "remember", content="We use TypeScript.", namespace="parcels")
        other = await ask(client, "remember", content="Invoices are due after 30 days.", namespace="billing")

    assert text_of(mistyped).splitlines()[1] == (
        "the first of this namespace; is github.com/acme/parcels meant? Then undo it, and remember it there."
    )
    assert all("namespaces_like_it" not in receipt for receipt in (own, second, other))


async def test_what_took_the_place_of_another_is_not_said_to_have_been_changed(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        old = await ask(client, "remember", content="We host on Hetzner.", key="hosting")
        new = await ask(client, "remember", content="We host on AWS.", key="hosting")
        past, now = (await ask(client, "get", ids=[old["id"], new["id"]], history=True))["memories"]

    assert past["changed"].startswith("remember by ")
    assert "changed" not in now
    assert now["history"][0]["id"] == old["id"]


async def test_a_single_day_is_told_how_to_ask_for_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        said = await refused(client, "recall", since="2026-11-19", until="2026-11-19")

    assert said == "since must lie before until, which is not included: for one day, until is the day after it."


async def test_a_list_may_come_in_whatever_signs(tmp_path: Path) -> None:
    async with opened(tmp_path) as client:
        forms = (["todo", "urgent"], "todo, urgent", '["todo", "urgent"]', "['todo', 'urgent']", " [todo,urgent] ")
        made = [await ask(client, "remember", content=f"Call {number}", tags=tags) for number, tags in enumerate(forms)]
        ids = str([each["id"] for each in made])
        memories = (await ask(client, "get", ids=ids))["memories"]
        none = await refused(client, "get", ids="[]")

    assert [memory["tags"] for memory in memories] == [["todo", "urgent"]] * len(made)
    assert none.startswith("ids is empty")
