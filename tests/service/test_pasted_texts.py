"""What people paste: logs, tables, stack traces, text without spaces, a book; shown where it answers, read in pages."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from memory_mcp.server.render import tokens
from tests.memories import open_client, settings_for, text_of


def log_of(lines: int) -> str:
    """A log of so many lines, of which one tells of a failure."""
    ended = "INFO worker-{} job={} finished in {} ms"
    said = [f"2026-05-04T06:{n // 60:02d}:{n % 60:02d}Z {ended.format(n % 8, 40_000 + 37 * n, n % 90)}" for n in range(lines)]
    said[lines - 50] = "2026-05-04T12:39:11Z ERROR worker-5 job=77310 failed: disk quota exceeded on /srv/thumbs"
    return "\n".join(said)


TABLE = "\n".join(["| Port | Service | Owner |", "|---|---|---|", *(f"| {7000 + 7 * n} | service-{n} | Ann |" for n in range(90))])
FRAMES = [f"\tat com.acme.module{n % 9}.Service.call(Service.java:{n * 3})" for n in range(200)]
CAUSE = "Caused by: PSQLException: duplicate key (number)=(RE-00417) already exists"
TRACE = "\n".join(["java.lang.IllegalStateException: could not execute statement", *FRAMES[:120], CAUSE, *FRAMES[120:]])
CHINESE = "出席人员有王芳和李强。" * 90 + "数据库迁移定于五月十八日凌晨两点进行。" + "会议讨论了首页改版的进度。" * 90
KEY = "the spare key of the cabin hangs behind the fuse box in shed 14 "
ONE_LINE = "crane rope deck water mast " * 1_300 + KEY + "buoy light fog " * 1_000

PASTED = {
    "log": (log_of(300), "Why did job 77310 fail?", "disk quota exceeded"),
    "table": (TABLE, "Which service is on port 7364?", "| 7364 | service-52 |"),
    "trace": (TRACE, "What happened with number RE-00417?", "(RE-00417)"),
    "Chinese": (CHINESE, "数据库迁移什么时候进行？", "五月十八日凌晨"),
    "one line": (ONE_LINE, "Where is the spare key of the cabin?", "behind the fuse box"),
}
"""The text, what is asked, and what answers."""


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool answers, within `max_tokens` in both forms where it is given."""
    reply = await client.call_tool(tool, arguments)
    facts = reply.structured_content

    assert facts is not None, text_of(reply)
    assert max(tokens(text_of(reply)), tokens(json.dumps(facts, ensure_ascii=False))) <= arguments.get("max_tokens", 25_000)
    return {**facts, "said": text_of(reply)}


async def until_embedded(client: Client) -> None:
    with anyio.fail_after(120):
        while (await told(client, "stats", section="counts"))["counts"]["unembedded"]:  # noqa: ASYNC110 - only the store knows
            await anyio.sleep(0.05)


async def test_what_was_pasted_is_shown_where_it_answers_in_replies_of_any_size(tmp_path: Path) -> None:
    async with open_client(settings_for(tmp_path)) as client:
        ids = {name: (await told(client, "remember", content=text))["id"] for name, (text, _, _) in PASTED.items()}
        for number in range(20):
            await told(client, "remember", content=f"Room {number} has {number % 4 + 1} windows and a green door. " * 9)
        await until_embedded(client)
        for name, (_, question, answer) in PASTED.items():
            for limit in (1, 8):
                for most in (1_500, 400, 120):
                    reply = await told(client, "recall", query=question, limit=limit, max_tokens=most)

                    assert reply["hits"][0]["id"] == ids[name]
                    assert answer in reply["hits"][0]["text"]
                    assert answer in reply["said"]
                    assert "truncated: get(id) shows all" in reply["said"]


async def test_a_book_is_kept_whole_and_read_in_pages(tmp_path: Path) -> None:
    book = f"{log_of(1_300)}\n{'灯塔的镜片送到了博物馆。' * 400}\nThe old lens went to the museum of Den Helder."
    async with open_client(settings_for(tmp_path)) as client:
        made = (await told(client, "remember", content=book))["id"]
        small = (await told(client, "remember", content="The lighthouse is white"))["id"]
        pages: list[str] = []
        start: int | None = 0
        while start is not None:
            reply = await told(client, "get", ids=[made, small], start=start)
            page, other = reply["memories"]
            start = page.get("next")
            pages.append(page["text"])
            assert (f"the text goes on: get with start={start} (of {len(book)} characters)" in reply["said"]) == (start is not None)
            assert other["text"] == ("" if len(pages) > 1 else "The lighthouse is white")
        beyond = (await told(client, "get", ids=[made], start=10**6))["memories"][0]

    assert len(pages) > 1
    assert "".join(pages) == book
    assert all(page.endswith("\n") for page in pages[:-1])
    assert (beyond["text"], beyond["characters"], "next" in beyond) == ("", len(book), False)


async def test_a_book_is_found_at_its_end_and_leaves_nothing_behind_when_it_is_rewritten(tmp_path: Path) -> None:
    book = f"{log_of(700)}\nThe old lens went to the museum of Den Helder."
    async with open_client(settings_for(tmp_path)) as client:
        made = (await told(client, "remember", content=book))["id"]
        other = (await told(client, "remember", content=log_of(30)))["id"]
        await until_embedded(client)
        found = await told(client, "recall", query="Where did the old lens go?")
        alike = await told(client, "find_similar", id=made)
        await told(client, "update", id=made, content="The harbour master likes tea")
        after = await told(client, "recall", query="Why did job 77310 fail?", min_score=0.5)
        rewritten = await told(client, "recall", query="What does the harbour master drink?")

    assert [(hit["id"], "museum of Den Helder." in hit["text"]) for hit in found["hits"][:1]] == [(made, True)]
    assert [hit["id"] for hit in alike["hits"]] == [other]
    assert [hit["id"] for hit in after["hits"]] == [other]
    assert rewritten["hits"][0]["id"] == made


@pytest.mark.parametrize("start", [-1, "two", 1.5, True])
async def test_a_start_that_is_none_is_refused(tmp_path: Path, start: Any) -> None:
    async with open_client(settings_for(tmp_path), ready=False) as client:
        made = (await told(client, "remember", content="The lighthouse is white"))["id"]
        reply = await client.call_tool("get", {"ids": [made], "start": start})

    assert reply.is_error
    assert "start" in text_of(reply)
