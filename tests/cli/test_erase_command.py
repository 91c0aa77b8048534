"""`memory-mcp erase`, as a person or a script runs it."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from record_stores import HOME, NOW, add, draft, texts

from memory_mcp.models import Provenance, Scope
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.upkeep.register import Register
from memory_mcp.upkeep.searching import search_files
from tests.engines import command

SECRET = "Quirinius plays the zimbeln in Zwickau"


async def filled(folder: Path) -> dict[str, str]:
    async with SqliteStore.open(folder) as store:
        return {
            "secret": str(await add(store, SECRET, metadata={"speaker": "Quirinius"})),
            "about": str(await add(store, "The landlord of Quirinius is Mr Bell")),
            "other": str(await add(store, "Candles are in aisle nine")),
            "elsewhere": str(await add(store, "Everybody likes soup", Scope("local", "global"))),
        }


def in_files(folder: Path, said: str) -> bool:
    return bool(search_files(folder, [said])[1])


async def left(folder: Path) -> list[str]:
    async with SqliteStore.open(folder) as store:
        assert await store.check() == []
        assert await store.verify_chain() is None
        return sorted(await texts(store, HOME, Scope("local", "global")))


async def test_a_memory_is_erased_and_that_is_proven(tmp_path: Path) -> None:
    ids = await filled(tmp_path)
    assert in_files(tmp_path, SECRET)
    done = command("erase", ids["secret"], "--yes", folder=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "1 memory would be erased" in done.stdout
    assert "Erased 1 memory for good" in done.stdout
    assert "only what other memories, or names in the log, hold as well is left" in done.stdout
    assert "erased.ids" in done.stdout
    assert not in_files(tmp_path, SECRET)
    assert not in_files(tmp_path, "zimbeln")
    assert SECRET not in await left(tmp_path)
    assert len(await left(tmp_path)) == 3


async def test_nothing_is_erased_unless_it_is_confirmed(tmp_path: Path) -> None:
    ids = await filled(tmp_path)
    asked = command("erase", ids["secret"], folder=tmp_path)
    tried = command("erase", "--person", "quirinius", "--dry-run", "--json", folder=tmp_path)

    assert asked.returncode == 1
    assert "--yes" in asked.stderr
    assert json.loads(tried.stdout) == {"memories": 1, "namespaces": {"home": 1}, "mentions": [ids["about"]]}
    assert len(await left(tmp_path)) == 4
    assert not (tmp_path / "erased.ids").exists()


@pytest.mark.parametrize(
    ("arguments", "count"),
    [(("--person", "Quirinius"), 1), (("--whole-namespace", "home"), 3), (("--everything",), 4), (("--person", "nobody"), 0)],
)
async def test_what_is_meant(tmp_path: Path, arguments: tuple[str, ...], count: int) -> None:
    await filled(tmp_path)
    done = command("erase", *arguments, "--yes", "--json", folder=tmp_path)
    facts = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert (facts["memories"], facts.get("erased", 0)) == (count, count)
    assert facts.get("proven", True)
    assert len(await left(tmp_path)) == 4 - count


async def test_what_is_found_afterwards_is_said(tmp_path: Path) -> None:
    ids = await filled(tmp_path)
    (tmp_path / "my notes.txt").write_text(SECRET)
    done = command("erase", ids["secret"], "--yes", folder=tmp_path)

    assert done.returncode == 1
    assert "my notes.txt" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--person", "x", "--everything"), ("not-an-id",)])
async def test_a_request_that_says_not_what_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    await filled(tmp_path)
    done = command("erase", *arguments, "--yes", folder=tmp_path)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(await left(tmp_path)) == 4


async def test_not_while_somebody_else_may_hold_the_text(tmp_path: Path) -> None:
    ids = await filled(tmp_path)
    async with SqliteStore.open(tmp_path):
        busy = command("erase", ids["secret"], "--yes", folder=tmp_path)
        looked = command("erase", ids["secret"], "--dry-run", "--json", folder=tmp_path)
        nobody = command("erase", "--person", "nobody", folder=tmp_path)
    empty = command("erase", ids["secret"], "--yes", folder=tmp_path / "nothing here")

    assert (busy.returncode, empty.returncode) == (1, 1)
    assert "engine stop" in busy.stderr
    assert (looked.returncode, json.loads(looked.stdout)["memories"]) == (0, 1)
    assert nobody.returncode == 0, nobody.stderr
    assert "nothing to erase" in nobody.stdout
    assert "no memory store" in empty.stderr
    assert len(await left(tmp_path)) == 4


async def test_a_backup_is_held_to_it(tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy.db"
    ids = await filled(folder)
    assert command("backup", str(copy), folder=folder).returncode == 0
    assert command("erase", ids["secret"], "--yes", folder=folder).returncode == 0
    done = command("restore", str(copy), "--json", folder=folder)

    assert json.loads(done.stdout)["erased_again"] == 1
    assert not in_files(folder, SECRET)
    assert len(await left(folder)) == 3


async def test_a_copy_from_an_older_store_is_held_to_it(tmp_path: Path) -> None:
    """Also where the list comes from the store that is copied from."""
    here, there = tmp_path / "here", tmp_path / "there"
    ids = await filled(there)
    Register(there).add("local", [UUID(ids["secret"])])
    done = command("migrate", "--from", f"sqlite://{there}", "--to", f"sqlite://{here}", folder=here)

    assert done.returncode == 0, done.stderr
    assert "Copied and checked 3 memories" in done.stdout
    assert len(await left(here)) == 3
    assert not in_files(here, SECRET)
    assert ids["secret"] in (here / "erased.ids").read_text()


async def test_of_another_tenant_nothing(tmp_path: Path) -> None:
    stranger = Scope("stranger", "home")
    async with SqliteStore.open(tmp_path) as store:
        await add(store, "mine")
        await store.add(draft("theirs", stranger, now=NOW, provenance=Provenance(user="Ada")), None, within=[stranger])
    mine = command("erase", "--everything", "--yes", "--json", folder=tmp_path)
    theirs = command("erase", "--person", "ada", "--tenant", "stranger", "--yes", "--json", folder=tmp_path)

    assert json.loads(mine.stdout)["namespaces"] == {"home": 1}
    assert json.loads(theirs.stdout)["erased"] == 1
