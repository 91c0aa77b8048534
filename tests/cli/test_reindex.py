"""`memory-mcp reindex`, and what `doctor` says of Qdrant: over Qdrant's own code on a folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from qdrants import SERVER, on_a_server

from memory_mcp.answers import RecallRequest
from memory_mcp.cli.checks import Check, Doctor
from memory_mcp.config import load_settings
from memory_mcp.models import Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.tiers.qdrant.index import QdrantIndex
from memory_mcp.tiers.qdrant.opening import open_qdrant
from memory_mcp.tiers.sqlite.store import SqliteStore
from tests.engines import configuration
from tests.memories import CALLER, open_service, settings_for
from tests.models import compiled_model_dir

FOLDER = '[qdrant]\npath = "vectors"\n'
ON_SERVER = f'[qdrant]\nurl = "{SERVER}"\nprefix = "memory-mcp-test"\ntimeout_seconds = 10\n'
everywhere = pytest.mark.parametrize("qdrant", [pytest.param(FOLDER, id="folder"), pytest.param(ON_SERVER, id="server", marks=on_a_server)])


def command(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "HOME": str(home), "MEMORY_MCP_EMBEDDING__MODEL": str(compiled_model_dir()), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "memory_mcp", *arguments, "--data-dir", str(home / "data")],
        stdin=subprocess.DEVNULL,
        env=given,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


async def filled(home: Path, qdrant: str, texts: int = 12) -> Path:
    """A store that knew no Qdrant, and a configuration that does."""
    folder = home / "data"
    folder.mkdir(mode=0o700)
    async with open_service(settings_for(folder)) as service:
        for number in range(texts):
            await service.remember(RememberRequest(f"Boat {number} is moored at pier {number * 3}"), CALLER)
    (folder / "config.toml").write_text(configuration() + qdrant, "utf-8")
    return folder


async def qdrant_check(home: Path) -> Check:
    """What doctor says of Qdrant; without the rest, which takes its time."""
    return await Doctor(load_settings(data_dir=home / "data", environment={}), lambda sentence: None)._qdrant()


async def on_index(folder: Path, work: Any) -> Any:
    """Do something with the index behind everybody's back."""
    settings = load_settings(data_dir=folder, environment={})
    async with SqliteStore.open(folder) as store, open_qdrant(settings.qdrant, folder, await store.identity()) as (index, _):
        epoch = await store.active_epoch()
        return await work(index, epoch)


@everywhere
async def test_doctor_finds_what_reindex_mends(tmp_path: Path, qdrant: str) -> None:
    folder = await filled(tmp_path, qdrant)
    scope = Scope("local", "project")

    async def lose_some(index: QdrantIndex, epoch: str) -> None:
        held = sorted(await index.held(scope, epoch))
        await index.delete(scope, held[:5], epoch)

    before = await qdrant_check(tmp_path)
    filled_first = command("reindex", home=tmp_path)
    well = await qdrant_check(tmp_path)
    await on_index(folder, lose_some)
    ill = await qdrant_check(tmp_path)
    again = json.loads(command("reindex", "--tier", "qdrant", "--json", home=tmp_path).stdout)
    mended = await qdrant_check(tmp_path)

    assert (before.state, before.found) == ("note", "12 memories are still to be carried there")
    assert filled_first.stdout == "12 memories carried to qdrant, which answers from them now.\n"
    assert well.state == mended.state == "ok"
    assert well.found.startswith("every memory is there (12; namespaces: 1;")
    assert (ill.state, ill.remedy) == ("wrong", "Fill it anew: memory-mcp reindex")
    assert ill.found.startswith("5 memories are missing there, 0 are there that should not be")
    assert again == {"tier": "qdrant", "memories": 12}


@everywhere
async def test_what_reindex_filled_is_what_answers(tmp_path: Path, qdrant: str) -> None:
    folder = await filled(tmp_path, qdrant)
    assert command("reindex", home=tmp_path).returncode == 0
    wanted = load_settings(data_dir=folder, environment={})
    stack = wanted.stack.model_copy(update={"vectors": ["qdrant"]})
    async with open_service(settings_for(folder).model_copy(update={"qdrant": wanted.qdrant, "stack": stack})) as service:
        answer = await service.recall(RecallRequest("Where is boat 3 moored?"), CALLER)
        answered = service.figures["resident"]()["answered_by"]

    assert "Boat 3 is moored at pier 9" in [hit.memory.content for hit in answer.hits]
    assert (answered["qdrant"] > 0, answered["records"]) == (True, 0)


async def test_what_cannot_be_filled_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    unset = command("reindex", home=tmp_path)
    (tmp_path / "data" / "config.toml").write_text(FOLDER, "utf-8")
    nothing = command("reindex", home=tmp_path)
    (tmp_path / "data" / "config.toml").write_text('[qdrant]\nurl = "http://127.0.0.1:9"\ngrpc_port = 9\n', "utf-8")
    note = await qdrant_check(tmp_path)

    assert [done.returncode for done in (unset, nothing)] == [1, 1]
    assert "set url or path of [qdrant]" in unset.stderr
    assert "There is no memory store" in nothing.stderr
    assert note.state == "note"


def a_list_of_collections_cut_off(folder: Path) -> None:
    os.truncate(folder / "meta.json", 10)


def vectors_overwritten(folder: Path) -> None:
    (storage,) = folder.glob("collection/*/storage.sqlite")
    storage.write_bytes(b"no database" * 1000)


def a_file_in_its_place(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"")


@pytest.mark.parametrize("befall", [a_list_of_collections_cut_off, vectors_overwritten, a_file_in_its_place])
async def test_a_folder_that_is_damaged_is_said_to_be_with_the_way_out(tmp_path: Path, befall: Callable[[Path], None]) -> None:
    folder = await filled(tmp_path, FOLDER, texts=2)
    assert command("reindex", home=tmp_path).returncode == 0
    befall(folder / "vectors")
    damaged = await qdrant_check(tmp_path)
    subprocess.run(damaged.remedy.partition("move it away: ")[2].partition(". It is")[0], shell=True, check=True)
    refilled = command("reindex", home=tmp_path)

    assert (damaged.state, "or is damaged" in damaged.found) == ("wrong", True)
    assert refilled.returncode == 0
    assert (await qdrant_check(tmp_path)).state == "ok"


async def test_a_folder_in_use_is_only_noted(tmp_path: Path) -> None:
    await filled(tmp_path, FOLDER, texts=1)
    async with open_service(load_settings(data_dir=tmp_path / "data", environment={})) as service:
        with anyio.fail_after(20):
            while not service.figures["qdrant"]()["carried"]:  # noqa: ASYNC110 - the carrier tells nobody
                await anyio.sleep(0.02)
        noted = await qdrant_check(tmp_path)

    assert (noted.state, "Another process" in noted.found) == ("note", True)


async def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    await filled(tmp_path, '[qdrant]\nurl = "http://127.0.0.1:9"\ngrpc_port = 9\n', texts=1)
    doctor, done = command("doctor", "--json", home=tmp_path), command("reindex", home=tmp_path)
    (found,) = [check for check in json.loads(doctor.stdout)["checks"] if check["name"] == "qdrant"]

    assert doctor.returncode == 1
    assert (found["state"], found["found"]) == ("wrong", "Qdrant cannot be reached, or refuses what it was asked.")
    assert done.returncode == 1
    assert done.stderr == "memory-mcp: Qdrant cannot be reached, or refuses what it was asked.\n"
