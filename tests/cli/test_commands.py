"""The commands as people and scripts run them: what they print, how they end, and that nothing ends in a traceback."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memory_mcp import __version__
from memory_mcp.answers import RecallRequest
from memory_mcp.cli.app import COMMANDS, make_app
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.tiers.sqlite.lock import StoreLock
from tests.engines import configuration
from tests.memories import CALLER, open_service, settings_for
from tests.models import compiled_model_dir
from tests.redis_servers import needs_redis, redis_server

TEXTS = ["The ferry does not run in a north wind.", "The lighthouse keeper paints on Sundays."]


def command(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "HOME": str(home), "MEMORY_MCP_EMBEDDING__MODEL": str(compiled_model_dir()), "COLUMNS": "200", **environment}
    done = subprocess.run(
        [sys.executable, "-m", "memory_mcp", *arguments],
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


def told(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str], status: int = 1) -> str:
    assert done.returncode == status
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("memory-mcp: ")
    return line


async def filled(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    (folder / "config.toml").write_text(configuration(), "utf-8")  # an engine takes its settings from nowhere else
    async with open_service(settings_for(folder)) as service:
        for text in TEXTS:
            await service.remember(RememberRequest(text), CALLER)
    return folder


async def recalled(folder: Path) -> list[str]:
    async with open_service(settings_for(folder)) as service:
        answer = await service.recall(RecallRequest(), CALLER)
        return sorted(hit.memory.content for hit in answer.hits)


def damage(folder: Path, *, header: bool) -> None:
    path = folder / "memories.db"
    data = bytearray(path.read_bytes())
    if header:
        data[:100] = b"\x5a" * 100
    else:
        data[4096:] = b"\x5a" * (len(data) - 4096)
    path.write_bytes(data)


async def test_stats_tells_what_the_tool_tells(tmp_path: Path) -> None:
    data = await filled(tmp_path / "data")
    facts = told(command("stats", "--json", "--data-dir", str(data), "--namespace", "project", home=tmp_path))
    table = command("stats", "--data-dir", str(data), home=tmp_path)

    assert facts["namespace"] == "project"
    assert facts["counts"]["by_namespace"] == {"project": 2}
    assert facts["model"]["phase"] == "ready"
    assert set(facts) == {"namespace", "counts", "tiers", "latency", "model", "engine"}
    assert table.returncode == 0
    assert [words[1] for line in table.stdout.splitlines() if (words := line.split()) and words[0] == "live"] == ["2"]
    assert "personal" in table.stdout


def test_stats_of_nothing_says_so_and_makes_nothing(tmp_path: Path) -> None:
    assert "no memory store" in refused(command("stats", "--data-dir", str(tmp_path / "absent"), home=tmp_path))
    assert not (tmp_path / "absent").exists()


async def test_doctor_finds_a_healthy_store_healthy(tmp_path: Path) -> None:
    data = await filled(tmp_path / "data")
    found = told(command("doctor", "--json", "--data-dir", str(data), home=tmp_path))
    table = command("doctor", "--data-dir", str(data), home=tmp_path)

    assert found["ok"]
    states = {check["name"]: check["state"] for check in found["checks"]}
    names = [
        "configuration",
        "data directory",
        "permissions",
        "space",
        "SQLite",
        "encryption",
        "in use",
        "schema",
        "integrity",
        "operations",
        "backlog",
    ]
    assert states == dict.fromkeys([*names, "model"], "ok")
    assert table.returncode == 0
    assert "All is well." in table.stdout


def test_doctor_before_the_first_start(tmp_path: Path) -> None:
    found = told(command("doctor", "--json", "--data-dir", str(tmp_path / "data"), home=tmp_path))

    assert found["ok"]
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
async def test_doctor_says_how_to_mend_what_is_open_to_others(tmp_path: Path) -> None:
    data = await filled(tmp_path / "data")
    data.chmod(0o755)
    (data / "memories.db").chmod(0o644)
    (data / "config.toml").write_text(
        '[embedding]\nprovider = "remote"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\napi_key = "hunter2"'
    )
    (data / "config.toml").chmod(0o644)
    done = command("doctor", "--json", "--data-dir", str(data), home=tmp_path, MEMORY_MCP_EMBEDDING__MODEL="m")
    found = {check["name"]: check for check in told(done, status=1)["checks"]}

    assert found["data directory"]["remedy"] == f"chmod 700 {data}"
    assert found["permissions"]["remedy"] == f"chmod 600 {data / 'memories.db'}"
    assert found["configuration"]["remedy"] == f"chmod 600 {data / 'config.toml'}"
    assert found["model"]["state"] == "wrong"
    assert "hunter2" not in done.stdout + done.stderr


@needs_redis
def test_doctor_looks_at_redis_where_there_is_one(tmp_path: Path) -> None:
    def seen(url: str, **more: str) -> dict[str, str]:
        done = command("doctor", "--json", "--data-dir", str(tmp_path / "data"), home=tmp_path, MEMORY_MCP_REDIS__URL=url, **more)
        assert "hunter2" not in done.stdout + done.stderr
        return next(check for check in json.loads(done.stdout)["checks"] if check["name"] == "redis")

    with redis_server() as server:
        well = seen(server.url, MEMORY_MCP_REDIS__TIMEOUT_SECONDS="5")
        with server.talk() as redis:
            assert redis.keys() == []
            redis.config_set("requirepass", "hunter2")
        locked_out = seen(server.url, MEMORY_MCP_REDIS__TIMEOUT_SECONDS="5")
    away = seen("redis://:hunter2@127.0.0.1:1")

    assert (well["state"], well["found"].split()[0]) == ("ok", "Redis")
    assert (locked_out["state"], locked_out["found"]) == ("wrong", "Redis refuses the user or the password.")
    assert (away["state"], "[redis]" in away["remedy"]) == ("wrong", True)


async def test_doctor_finds_a_log_that_was_changed_from_outside(tmp_path: Path) -> None:
    import apsw  # noqa: PLC0415

    data = await filled(tmp_path / "data")
    connection = apsw.Connection(str(data / "memories.db"))
    connection.execute("UPDATE operations SET at = at + 1 WHERE number = 1")
    connection.close()
    found = {
        check["name"]: check for check in told(command("doctor", "--json", "--data-dir", str(data), home=tmp_path), status=1)["checks"]
    }

    assert found["operations"]["state"] == "wrong"
    assert "operation 1" in found["operations"]["found"]


async def test_doctor_tells_all_that_it_can_while_another_program_holds_the_store(tmp_path: Path) -> None:
    data = await filled(tmp_path / "data")
    (data / "config.toml").write_text('[qdrant]\npath = "qdrant"\n', "utf-8")
    lock = StoreLock(data / "memories.lock")
    assert lock.acquire(5)
    try:
        done = told(command("doctor", "--json", "--data-dir", str(data), home=tmp_path), status=1)
    finally:
        lock.release()
        lock.close()
    found = {check["name"]: check for check in done["checks"]}

    assert (found["store"]["state"], "busy" in found["store"]["found"]) == ("wrong", True)
    assert (found["integrity"]["state"], found["model"]["state"], found["qdrant"]["state"]) == ("ok", "ok", "note")


@pytest.mark.parametrize("header", [True, False])
async def test_a_damaged_store_is_told_with_the_way_out_and_can_be_restored(tmp_path: Path, header: bool) -> None:
    data = await filled(tmp_path / "data")
    place = ["--data-dir", str(data)]
    assert command("backup", str(tmp_path / "copy.db"), *place, home=tmp_path).returncode == 0
    damage(data, header=header)
    said = refused(command("stats", *place, home=tmp_path))
    done = command("doctor", *place, home=tmp_path)
    refused(command("backup", str(tmp_path / "other.db"), *place, home=tmp_path))
    restored = told(command("restore", str(tmp_path / "copy.db"), "--json", *place, home=tmp_path))

    assert "memory-mcp restore FILE" in said
    assert done.returncode == 1
    assert "memory-mcp restore FILE" in done.stdout
    assert restored["memories"] == 2
    assert Path(restored["kept"]).exists()
    assert await recalled(data) == TEXTS


@pytest.mark.parametrize("files", [{"memories.db": b""}, {"memories.db-wal": b"left over"}])
def test_doctor_finds_what_is_left_of_a_store(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    found = told(command("doctor", "--json", "--data-dir", str(tmp_path), home=tmp_path), status=1)["checks"]

    assert [check["remedy"] for check in found if check["name"] == "store"] == [
        "Restore a backup: memory-mcp restore FILE. The files that are there now are kept aside."
    ]


async def test_backup_and_restore_move_memories_to_another_place(tmp_path: Path) -> None:
    data = await filled(tmp_path / "data")
    saved = command("backup", "copy.db", "--data-dir", str(data), home=tmp_path)
    again = command("backup", "copy.db", "--data-dir", str(data), home=tmp_path)
    restored = command("restore", "copy.db", "--data-dir", str(tmp_path / "other"), home=tmp_path)

    assert saved.returncode == 0
    assert "2 memories" in saved.stdout
    assert "--force" in refused(again)
    assert restored.returncode == 0
    assert await recalled(tmp_path / "other") == TEXTS


def test_where_names_every_path(tmp_path: Path) -> None:
    paths = told(command("where", "--json", home=tmp_path))

    assert paths["data_directory"] == {"path": str(tmp_path / ".memory-mcp"), "exists": False}
    assert paths["memories"]["path"] == str(tmp_path / ".memory-mcp" / "memories.db")
    assert str(tmp_path / "other.toml") in refused(
        command("where", home=tmp_path, MEMORY_MCP_CONFIG=str(tmp_path / "other.toml")), status=2
    )


def test_config_prints_every_setting_and_an_installed_package_has_them_too(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "config.example.toml"
    packed = tomllib.loads((example.parent / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert command("config", home=tmp_path).stdout == example.read_text("utf-8")
    assert packed["force-include"] == {example.name: f"memory_mcp/{example.name}"}


@pytest.mark.parametrize("name", ["stats", "doctor", "where"])
def test_a_bad_configuration_ends_a_command_with_status_2(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text("[recall]\ncandidats = 9\n", "utf-8")

    assert "recall.candidats" in refused(command(name, "--data-dir", str(tmp_path), home=tmp_path), status=2)


def test_a_data_directory_that_cannot_be_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file" / "below")

    for name in (["stats"], ["doctor"], ["restore", str(tmp_path / "file")]):
        assert "Not a directory" in refused(command(*name, "--data-dir", place, home=tmp_path), status=2)


def test_a_file_in_the_place_of_the_data_directory_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert f"{tmp_path / 'file'} is a file" in refused(command("remember", "x", "--data-dir", str(tmp_path / "file"), home=tmp_path))


def test_the_version_is_told_however_it_is_asked_for(tmp_path: Path) -> None:
    told_so = [command(word, home=tmp_path) for word in ("version", "--version")]

    assert [(done.returncode, done.stdout) for done in told_so] == [(0, f"{__version__}\n")] * 2


@pytest.mark.parametrize("name", ["recall", "remember", "sessions", "engine", "hook"])
def test_a_command_that_asks_the_engine_loads_nothing_of_what_an_engine_does(name: str) -> None:
    """Which would take it more than a second."""
    loaded = "print(*{'mcp', 'numpy', 'apsw'} & set(sys.modules))"
    code = f"import sys; from memory_mcp.cli.app import make_app; make_app({name!r}); {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.strip() == ""


def test_a_command_by_itself_says_what_it_says_among_all(tmp_path: Path) -> None:
    alone = command("token", "create", "--help", home=tmp_path)
    among_all = CliRunner().invoke(make_app(), ["token", "create", "--help"], prog_name="python -m memory_mcp", env={"COLUMNS": "200"})
    unknown = command("recal", home=tmp_path)

    assert alone.stdout == among_all.output
    assert (unknown.returncode, "Did you mean 'recall'" in unknown.stderr) == (2, True)


def test_help_lists_every_command_and_what_it_says_is_whole(tmp_path: Path) -> None:
    done = command("--help", home=tmp_path)
    commands = [info for info in make_app().registered_commands if info.callback and not info.hidden]
    said = [" ".join((info.callback.__doc__ or "").split("\n\n")[0].split()) for info in commands if info.callback]

    assert done.returncode == 0
    assert [words for words in said if "[" in words] == []  # rich takes a word in brackets for a colour, and leaves it out
    for name in set(COMMANDS) - {"hook"}:
        assert f" {name} " in done.stdout
