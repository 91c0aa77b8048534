"""Pages and repetitions over the tools, as a client asks for them."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_stdio_connection import MODERN, talking
from test_tools import Open, ask, open_memory_client, refused

from memory_mcp.faults import IDEMPOTENCY_META
from memory_mcp.server.app import make_server
from memory_mcp.server.desk import Desk, Opening
from memory_mcp.server.render import tokens
from tests.memories import open_client, open_service, settings_for, settings_without_model, text_of

__all__ = ["open_memory_client"]

QUESTION = "Where does the backup of the billing database go?"
PLACES = ("Ghent", "Lyon", "Berlin", "Oslo", "Rome", "Paris", "Malmö", "Turin", "Basel", "Bonn")
LONGEST = "/".join(["department-of-everything"] * 8)


async def test_each_hit_is_shown_once_whatever_the_pages_may_cost(open_memory_client: Open) -> None:
    """Also where the limit and the budget are others on every page."""
    async with open_memory_client() as client:
        for place in PLACES:
            await ask(client, "remember", content=f"The backup of the billing database goes to {place}. " * (1 + len(place)))
        for query in (QUESTION, ""):
            whole = await ask(client, "recall", query=query, limit=100, max_tokens=20_000)
            seen: list[str] = []
            cursor, pages = "", 0
            while cursor or not pages:
                limit, budget = 1 + pages % 4, (120, 300, 900)[pages % 3]
                reply = await client.call_tool("recall", {"query": query, "limit": limit, "max_tokens": budget, "cursor": cursor})
                facts = reply.structured_content or {}
                assert max(tokens(text_of(reply)), tokens(json.dumps(facts, ensure_ascii=False))) <= budget
                assert facts["hits"], "a page that was promised is empty"
                seen += [hit["id"] for hit in facts["hits"]]
                cursor, pages = facts.get("cursor", ""), pages + 1
                assert cursor in text_of(reply)

            assert "cursor" not in whole
            assert seen == [hit["id"] for hit in whole["hits"]]
            assert pages > 3


async def test_a_page_goes_on_where_the_one_before_ended_though_others_write(open_memory_client: Open) -> None:
    async with open_memory_client() as client:
        stored = [(await ask(client, "remember", content=f"The backup of the billing database goes to {place}"))["id"] for place in PLACES]
        for query in (QUESTION, ""):
            first = await ask(client, "recall", query=query, limit=3)
            gone = first["hits"][0]["id"]
            await ask(client, "forget", ids=gone)
            new = await ask(client, "remember", content=f"{QUESTION} To {PLACES[len(query) % 10]} in any case.")
            second = await ask(client, "recall", query=query, limit=50, cursor=first["cursor"])
            shown = [hit["id"] for hit in (*first["hits"], *second["hits"])]
            await ask(client, "forget", ids=new["id"])
            await ask(client, "forget", undo="last 3")

            assert len(shown) == len(set(shown))
            assert {*stored} == {*shown} - {new["id"]}


async def test_a_cursor_goes_with_its_own_question_alone(open_memory_client: Open) -> None:
    async with open_memory_client() as client:
        for place in PLACES[:4]:
            await ask(client, "remember", content=f"The backup of the billing database goes to {place}", kind="decision", tags="a")
        for query in (QUESTION, ""):
            cursor = (await ask(client, "recall", query=query, limit=1))["cursor"]
            others: list[dict[str, Any]] = [
                {"query": "Where is the backup?"},
                {"namespace": "global"},
                {"kind": "decision"},
                {"tags": "a"},
                {"since": "2020-01-01"},
                {"until": "2040-01-01"},
                {"as_of": "2040-01-01"},
                {"min_score": 0.1},
                {"cursor": cursor[:-1]},
                {"cursor": cursor[1:]},
                {"cursor": "8.deadbeef"},
                {"cursor": "x" * 9_000},
                {"cursor": "\ud800" + cursor},
            ]
            for other in others:
                sentence = await refused(client, "recall", **{"query": query, "limit": 1, "cursor": cursor, **other})
                assert "Repeat the question unchanged with its cursor" in sentence
            same = {"query": query, "namespace": "project", "cursor": f" {cursor} "}
            again = await ask(client, "recall", limit=3, explain=True, max_tokens=900, **same)

            assert len(again["hits"]) == 3
            assert "cursor" not in again


async def test_min_score_holds_on_every_page_also_of_the_past(open_memory_client: Open) -> None:
    async with open_memory_client() as client:
        for place in PLACES:
            await ask(client, "remember", content=f"The backup of the billing database goes to {place}", occurred_at="2025-01-01")
        for when in ("", "2025-06-01"):
            asked = {"query": "Does a backup go to Oslo?", "as_of": when, "max_tokens": 9_000}
            scores = [hit["score"] for hit in (await ask(client, "recall", limit=50, **asked))["hits"]]
            least = sorted(set(scores))[1]
            page: dict[str, Any] = {"cursor": ""}
            kept: list[float] = []
            while "cursor" in page:
                page = await ask(client, "recall", limit=2, min_score=least - 0.005, cursor=page["cursor"], **asked)
                kept += [hit["score"] for hit in page["hits"]]

            assert sorted(kept) == sorted(score for score in scores if score >= least)


@pytest.mark.parametrize("absent", [None, "", " "])
async def test_an_idempotency_key_that_says_nothing_is_none(tmp_path: Path, absent: str | None) -> None:
    """As a program sends it whose own is unset; two of its calls are not one."""
    desk = Desk(Opening(lambda: open_service(settings_without_model(tmp_path), ready=False)), "local", "project")
    async with desk.opening.running(), talking(make_server(desk), state=desk) as talk:
        receipts = []
        for number in range(2):
            arguments = {"content": f"Text number {number}", "kind": "event"}
            meta = {**MODERN, IDEMPOTENCY_META: absent}
            await talk.request(number, "tools/call", name="remember", arguments=arguments, _meta=meta)
            receipts.append((await talk.answer())["result"])

    assert [receipt["structuredContent"]["status"] for receipt in receipts] == ["stored", "stored"]


@pytest.mark.parametrize("key", [7, True, "k" * 200, "ключ"])
async def test_any_other_key_names_one_request(tmp_path: Path, key: Any) -> None:
    meta: Any = {IDEMPOTENCY_META: key}
    async with open_client(settings_without_model(tmp_path), ready=False) as client:
        first, again = [await client.call_tool("remember", {"content": "Said once", "kind": "event"}, meta=meta) for _ in range(2)]
        clash = await client.call_tool("remember", {"content": "Said otherwise", "kind": "event"}, meta=meta)
        kept = await ask(client, "recall")

    assert first.structured_content == again.structured_content
    assert "idempotency key" in text_of(clash)
    assert len(kept["hits"]) == 1


async def test_what_a_session_starts_from_keeps_to_its_budget_in_a_namespace_of_any_length(tmp_path: Path) -> None:
    """As far as it holds the namespace's name, which is told whole."""
    least = 50 + len(LONGEST) // 2
    async with open_client(settings_for(tmp_path), namespace=LONGEST) as client:
        empty = await client.call_tool("context", {"max_tokens": least})
        for kind in ("rule", "decision", "error", "fact"):
            for place in PLACES:
                await ask(client, "remember", content=f"The {kind} of {place}: {kind} and {place} " * 20, kind=kind, session_id="s")
        replies = []
        for budget in (least, least + 20, least + 60, 400):
            replies += [(budget, await client.call_tool("context", {"max_tokens": budget, "task": task})) for task in ("", "Oslo")]
        resource = (await client.read_resource("memory://context?task=Oslo")).contents[0].text  # type: ignore[union-attr]
        prompt = (await client.get_prompt("start", {"task": "Oslo"})).messages[0].content.text  # type: ignore[union-attr]

    for budget, reply in [(least, empty), *replies]:
        assert not reply.is_error
        assert tokens(text_of(reply)) <= budget
        assert tokens(json.dumps(reply.structured_content, ensure_ascii=False)) <= budget
    assert tokens(resource) <= 1_500
    assert all(f"\n{heading}:" in text for heading in ("rules", "relevant to the task", "recent decisions") for text in (resource, prompt))
