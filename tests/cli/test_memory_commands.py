"""remember, recall, forget and stats on the command line, through the engine that clients share."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.engines import command, data_directory, front, is_running, surroundings


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with data_directory(tmp_path / "data") as data:
        yield data


def told(done: "subprocess.CompletedProcess[str]") -> Any:
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def refused(done: "subprocess.CompletedProcess[str]", status: int = 1) -> str:
    assert (done.returncode, done.stdout) == (status, "")
    *_, line = done.stderr.splitlines()
    assert line.startswith("memory-mcp: ")
    return line


def piped(text: bytes, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[bytes]":
    line = [sys.executable, "-m", "memory_mcp", *arguments, "--data-dir", str(folder)]
    return subprocess.run(line, input=text, env=surroundings({}), capture_output=True, timeout=60, check=False)


def test_what_is_remembered_is_recalled_by_the_next_command(folder: Path) -> None:
    stored = told(command("remember", "The ferry leaves at nine", "--key", "ferry.time", "--tag", "travel", "--json", folder=folder))
    replaced = told(command("remember", "The ferry leaves at ten", "--key", "ferry.time", "--json", folder=folder))
    found = told(command("recall", "when", "does", "the", "ferry", "leave?", "--json", folder=folder))
    shown = command("recall", "when does the ferry leave?", folder=folder)
    nothing = told(command("recall", "the capital of Mongolia", "--json", folder=folder))

    assert is_running(folder)
    assert (stored["status"], replaced["status"], replaced["superseded"]) == ("stored", "superseded", [stored["id"]])
    assert [(hit["id"], hit["key"]) for hit in found["hits"]] == [(replaced["id"], "ferry.time")]
    assert "The ferry leaves at ten" in shown.stdout
    assert replaced["id"] in shown.stdout
    assert (nothing["verdict"], nothing["hits"]) == ("none", [])


def test_the_sessions_of_a_namespace_are_listed(folder: Path) -> None:
    for session, at, text in (("s1", "2026-03-02T09:20", "We take the ferry"), ("s2", "2026-03-03", "It is late")):
        given = ("--kind", "decision", "--session", session, "--occurred-at", at, "--namespace", "trip", "--json")
        told(command("remember", text, *given, folder=folder))
    facts = told(command("sessions", "--namespace", "trip", "--json", folder=folder))
    shown = command("sessions", "--namespace", "trip", folder=folder).stdout
    nothing = told(command("sessions", "--namespace", "elsewhere", "--json", folder=folder))

    assert [(one["session_id"], one["began"], one["title"]) for one in facts["sessions"]] == [
        ("s2", "2026-03-03 00:00", "It is late"),
        ("s1", "2026-03-02 09:20", "We take the ferry"),
    ]
    assert "2 sessions in trip" in shown
    assert "2026-03-02 09:20 – 09:20  We take the ferry" in shown
    assert "1 decision; session s1" in shown
    assert nothing == {"namespace": "elsewhere", "sessions": []}


def test_a_text_may_be_piped_in(folder: Path) -> None:
    text = "first line\n  second line, indented\n"
    done = piped(text.encode(), "remember", "--json", folder=folder)
    found = told(command("recall", "second line", "--json", folder=folder))
    broken = piped(b"\xff\xfe", "remember", folder=folder)

    assert done.returncode == 0
    assert found["hits"][0]["text"] == text.removesuffix("\n")
    assert (broken.returncode, b"UTF-8" in broken.stderr) == (1, True)


def test_what_is_stored_is_browsed_the_trash_too_whatever_tools_clients_have(folder: Path) -> None:
    gone = told(command("remember", "A note thrown away", "--json", folder=folder))
    told(command("remember", "A note that is kept", "--tag", "paper", "--json", folder=folder))
    told(command("forget", gone["id"], "--json", folder=folder))
    live = told(command("browse", "--json", folder=folder))
    trash = command("browse", "--state", "forgotten", folder=folder)
    first = told(command("browse", "--state", "all", "--limit", "1", "--json", folder=folder))
    second = told(command("browse", "--state", "all", "--limit", "1", "--cursor", first["cursor"], "--json", folder=folder))
    wrong = refused(command("browse", "--state", "gone", folder=folder))

    assert [entry["text"] for entry in live["memories"]] == ["A note that is kept"]
    assert "A note thrown away" in trash.stdout
    assert "forgotten 20" in trash.stdout
    assert [page["memories"][0]["text"] for page in (first, second)] == ["A note that is kept", "A note thrown away"]
    assert "state" in wrong


def test_insights_are_shown_to_people_and_programs(folder: Path) -> None:
    told(command("remember", "Deploy on Fridays", "--kind", "decision", "--json", folder=folder))
    facts = told(command("insights", "--days", "7", "--json", folder=folder))
    shown = command("insights", folder=folder)

    assert (facts["days"], facts["decisions_without_outcome"]["total"]) == (7, 1)
    assert "decisions without outcome: 1" in shown.stdout
    assert "Deploy on Fridays" in shown.stdout


def test_forgetting_many_shows_which_and_needs_a_yes(folder: Path) -> None:
    for number in range(3):
        told(command("remember", f"Draft number {number}", "--tag", "draft", "--json", folder=folder))
    kept = told(command("remember", "To be kept", "--json", folder=folder))
    asked = command("forget", "--tag", "draft", folder=folder)
    done = told(command("forget", "--tag", "draft", "--yes", "--json", folder=folder))
    left = told(command("recall", "--json", folder=folder))
    told(command("forget", "--undo", "last", "--json", folder=folder))
    back = told(command("recall", "--json", folder=folder))

    assert asked.returncode == 1
    assert "Draft number 2" in asked.stdout
    assert "--yes" in asked.stderr
    assert done["forgotten"] == 3
    assert [hit["id"] for hit in left["hits"]] == [kept["id"]]
    assert len(back["hits"]) == 4


async def test_people_see_values_of_metadata_as_json_has_them(folder: Path) -> None:
    async with Client(front(folder, namespace="one")) as client:
        await client.call_tool("remember", {"content": "A meeting", "metadata": {"people": ["Ann"], "open": True, "city": "Ghent"}})
        shown = command("recall", "--namespace", "one", folder=folder).stdout

    assert 'people ["Ann"]; open true; city Ghent; id' in shown


async def test_a_client_and_the_command_line_share_memories_and_namespaces_do_not(folder: Path) -> None:
    async with Client(front(folder, namespace="one")) as client:
        told(command("remember", "Only in one", "--namespace", "one", "--json", folder=folder))
        theirs = await client.call_tool("recall", {"query": "only in one"})
        elsewhere = told(command("recall", "only in one", "--namespace", "two", "--json", folder=folder))
        everywhere = told(command("recall", "only in one", "--namespace", "two", "--everywhere", "--json", folder=folder))
        counts = told(command("stats", "--json", folder=folder))["counts"]

    assert theirs.structured_content is not None
    assert [hit["text"] for hit in theirs.structured_content["hits"]] == ["Only in one"]
    assert elsewhere["hits"] == []
    assert [hit["namespace"] for hit in everywhere["hits"]] == ["one"]
    assert counts["by_namespace"] == {"one": 1}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["remember", " "], "content is empty"),
        (["remember", "x", "--kind", "nonsense"], "kind"),
        (["recall", "x", "--since", "yesterdayish"], "since"),
        (["forget"], "Give one of the three"),
        (["forget", "not-an-id"], "not-an-id"),
        (["forget", "--undo", "77"], "77"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(folder: Path, arguments: list[str], sentence: str) -> None:
    assert sentence in refused(command(*arguments, folder=folder))


def test_an_engine_that_cannot_be_is_said_in_one_line(folder: Path) -> None:
    (folder / "config.toml").write_text("[recall]\nno_such_key = 1\n", "utf-8")

    assert "no_such_key" in refused(command("recall", "x", folder=folder), status=2)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_text_that_the_locale_has_no_letters_for_is_printed_all_the_same(folder: Path, encoding: str) -> None:
    text = "Die Bäckerei in Zürich öffnet um 7 — 🚀"
    line = [sys.executable, "-m", "memory_mcp"]
    written = [*line, "remember", text, "--data-dir", str(folder)]
    subprocess.run(written, env=surroundings({}), capture_output=True, timeout=60, check=True)
    for arguments in (["recall", "Bäckerei"], ["recall", "Bäckerei", "--json"], ["browse"], ["export", "-"]):
        command = [*line, *arguments, "--data-dir", str(folder)]
        done = subprocess.run(command, env=surroundings({"PYTHONIOENCODING": encoding}), capture_output=True, timeout=60, check=False)

        assert done.returncode == 0, done.stderr
        assert text in done.stdout.decode("utf-8")
