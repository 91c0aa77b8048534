"""`memory-mcp audit` as people and scripts run it, over both kinds of stores."""

import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from click.testing import Result
from postgres_server import APP, Databases, server
from record_stores import HOME, NOW, draft
from typer.testing import CliRunner

from memory_mcp.assembly import open_records
from memory_mcp.audit.entries import Origin
from memory_mcp.cli.app import make_app
from memory_mcp.clock import utc_now
from memory_mcp.config import load_settings
from memory_mcp.models import Provenance
from memory_mcp.tiers.sqlite.database import FILE_NAME
from tests.engines import command, data_directory, end_engine

ANN = Provenance("desk", "ann", "", "conversation", Origin("203.0.113.7", "writer", "3fa2"))
SECRET = "The vault opens on Thursdays."


@pytest.fixture(params=["sqlite", "encrypted", "postgres"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory that leads to a store with some entries."""
    monkeypatch.setenv("COLUMNS", "200")
    databases = Databases(tmp_path) if request.param == "postgres" else None
    sections = {
        "sqlite": "",
        "encrypted": f'[encryption]\nkey_file = "{tmp_path / "key"}"\n',
        "postgres": "" if databases is None else f'[records]\nbackend = "postgres"\ndsn = "{server().dsn(databases.make("store"), APP)}"\n',
    }
    (tmp_path / "key").write_text("0123456789abcdef" * 4)
    (tmp_path / "key").chmod(0o600)
    made = tmp_path / "data"
    made.mkdir(mode=0o700)
    (made / "config.toml").write_text(sections[request.param])
    (made / "config.toml").chmod(0o600)
    anyio.run(fill, made)
    yield made
    if databases is not None:
        databases.drop()


async def fill(folder: Path) -> None:
    async with open_records(load_settings(data_dir=folder, environment={})) as store:
        await store.add(draft(SECRET, HOME, now=NOW, provenance=ANN), None, within=[HOME])
        await store.record("local", "denied", ANN, utc_now(), {"tool": "forget", "why": "takes the role manager", "times": 12})
        await store.record("acme", "denied", replace(ANN, user="\x1b[2Jbob"), utc_now(), {"tool": "recall", "namespace": "web"})


def run(folder: Path, *arguments: str) -> Result:
    done = CliRunner().invoke(make_app(), ["audit", *arguments, "--data-dir", str(folder)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def lines(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run(folder, "export", *arguments)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_entries_are_listed_for_people_and_exported_for_programs(folder: Path) -> None:
    listed, as_json = run(folder, "list"), json.loads(run(folder, "list", "--json", "--denied").stdout)
    told = lines(folder)

    header, first, *rest = listed.stdout.splitlines()
    assert header.split() == ["no", "tenant", "when", "(UTC)", "who", "from", "role", "what", "where"]
    assert all(
        word in first for word in ("local", "2026-03-01 12:00:00", "ann (desk)", "203.0.113.7", "writer", "remember", "home", "3fa2")
    )
    assert "forget, why takes the role manager, times 12" in rest[0]
    assert "\x1b" not in listed.stdout
    assert [entry["details"]["tool"] for entry in as_json] == ["forget", "recall"]
    assert [(entry["tenant"], entry["action"]) for entry in told] == [("acme", "denied"), ("local", "remember"), ("local", "denied")]
    assert (told[1]["user"], told[1]["address"], told[1]["role"], told[1]["token"]) == ("ann", "203.0.113.7", "writer", "3fa2")
    assert len(told[1]["memories"]) == 1
    assert "vault" not in listed.stdout + json.dumps(told)


def test_filters_narrow_what_is_told(folder: Path) -> None:
    counts = {
        given: len(lines(folder, *given))
        for given in (
            ("--denied",),
            ("--who", "ann"),
            ("--who", "nobody"),
            ("--what", "forget"),
            ("--namespace", "web"),
            ("--tenant", "acme"),
            ("--since", "1h"),
            ("--until", "2026-03-02"),
            ("--since", "2026-03-01T12:00:00Z", "--denied", "--tenant", "local"),
        )
    }
    wrong = run(folder, "list", "--since", "yesterday")

    assert list(counts.values()) == [2, 2, 0, 1, 1, 1, 2, 1, 1]
    assert "nothing" not in wrong.output
    assert (wrong.exit_code, "not a duration" in wrong.output) == (1, True)
    assert "no such entry" in run(folder, "list", "--who", "nobody").stdout


def test_a_file_is_for_its_owner_alone_and_replaces_no_other(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "log.jsonl"
    first, second = run(folder, "export", str(target)), run(folder, "export", str(target))

    assert (first.exit_code, "3 entries" in first.output) == (0, True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert len(target.read_text().splitlines()) == 3
    assert (second.exit_code, "exists" in second.output) == (1, True)


def test_what_could_not_be_written_leaves_no_file_behind(tmp_path: Path) -> None:
    folder, target = tmp_path / "data", tmp_path / "log.jsonl"
    folder.mkdir(mode=0o700)
    (folder / FILE_NAME).write_bytes(b"no store at all " * 300)
    failed = run(folder, "export", str(target))

    assert failed.exit_code == 1
    assert "damaged" in failed.stderr
    assert sorted(tmp_path.iterdir()) == [folder]


def test_a_time_too_far_back_is_refused_in_words(folder: Path) -> None:
    refused = run(folder, "list", "--since", "999999d")

    assert refused.exit_code == 1
    assert "before the year 1" in refused.stderr


def test_an_unbroken_log_is_told_with_what_to_keep_elsewhere(folder: Path) -> None:
    said = run(folder, "verify")
    told = json.loads(run(folder, "verify", "--json").stdout)
    mine = next(chain for chain in told if chain["tenant"] in ("", "local"))
    anchor = f"{mine['newest']}:{mine['hash']}"
    held, other = run(folder, "verify", "--anchor", anchor), run(folder, "verify", "--anchor", f"{mine['newest']}:{'0' * 40}")
    beyond, nonsense = run(folder, "verify", "--anchor", f"{mine['newest'] + 5}:{'0' * 40}"), run(folder, "verify", "--anchor", "x")

    assert said.exit_code == 0
    assert f"unbroken. Newest, to be kept elsewhere: {anchor}" in said.stdout
    assert (held.exit_code, "The anchor holds" in held.stdout) == (0, True)
    assert (other.exit_code, "made anew" in other.stdout) == (1, True)
    assert (beyond.exit_code, "it is not there" in beyond.stdout) == (1, True)
    assert (nonsense.exit_code, "NUMBER:HASH" in nonsense.output) == (1, True)


@pytest.mark.parametrize("folder", ["sqlite"], indirect=True)
def test_the_first_broken_entry_is_named(folder: Path) -> None:
    connection = apsw.Connection(str(folder / FILE_NAME))
    connection.execute("UPDATE operations SET details = replace(details, '12', '1') WHERE number = 2")
    connection.close()
    said, told = run(folder, "verify"), run(folder, "verify", "--json")

    assert (said.exit_code, told.exit_code) == (1, 1)
    assert said.stdout.startswith("broken at entry 2: it, or its place, was changed. Before it, 1 entries")
    (chain,) = json.loads(told.stdout)
    assert (chain["ok"], chain["broken"], chain["entries"]) == (False, 2, 1)


def test_where_there_is_no_store_that_is_said(tmp_path: Path) -> None:
    for given in ("list", "export", "verify"):
        done = run(tmp_path / "nowhere", given)
        assert (done.exit_code, "There is no memory store" in done.output) == (1, True)
    assert not (tmp_path / "nowhere").exists()


def test_it_is_asked_while_an_engine_serves(tmp_path: Path) -> None:

    with data_directory(tmp_path / "data") as folder:
        stored = command("remember", SECRET, "--namespace", "n", folder=folder)
        told, verified = lines(folder), run(folder, "verify")
        end_engine(folder)

    assert stored.returncode == 0, stored.stderr
    assert [(entry["action"], entry["client"], entry["address"], entry["role"]) for entry in told] == [
        ("remember", "memory-mcp", "stdio", "admin")
    ]
    assert verified.exit_code == 0
