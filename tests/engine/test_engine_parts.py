"""The engine's decisions: who comes in, what differs, where it listens, how long its log gets."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_mcp.config import load_settings
from memory_mcp.engine import endpoint, logfile
from memory_mcp.engine.claim import claim
from memory_mcp.engine.differences import compare
from memory_mcp.engine.reception import House, Verdict, judge, visitor
from memory_mcp.errors import ConfigError
from memory_mcp.front.places import Places

HOUSE = House("1.2.0", "", 0, 4)
GUARDED = House("1.2.0", "open sesame", 0, 4)


@pytest.mark.parametrize(
    ("said", "house", "verdict"),
    [
        (None, HOUSE, Verdict.IGNORE),
        ({"program": "1.2.0"}, HOUSE, Verdict.ADMIT),
        ({"program": "1.1.9"}, HOUSE, Verdict.ADMIT),
        ({}, HOUSE, Verdict.ADMIT),
        ({"program": "1.10"}, HOUSE, Verdict.TELL_OLDER),
        ({"program": "1.10", "replace": True}, HOUSE, Verdict.LEAVE),
        ({"program": "1.2.0", "replace": True}, HOUSE, Verdict.ADMIT),
        ({"program": "1.2.0"}, House("1.2.0", "", 4, 4), Verdict.REFUSE),
        ({"program": "1.2.0"}, House("1.2.0", "", 0, 4, leaving=True), Verdict.LEAVE),
        ({"ask": "status"}, House("1.2.0", "", 4, 4), Verdict.STATUS),
        ({"ask": "stop"}, HOUSE, Verdict.STOP),
        ({"ask": "riddle"}, HOUSE, Verdict.IGNORE),
        ({"ask": 5}, HOUSE, Verdict.IGNORE),
        ({"program": "1.2.0"}, GUARDED, Verdict.IGNORE),
        ({"ask": "stop", "secret": "open"}, GUARDED, Verdict.IGNORE),
        ({"program": "1.2.0", "secret": "\ud800"}, GUARDED, Verdict.IGNORE),
        ({"program": "1.2.0", "secret": "open sesame"}, GUARDED, Verdict.ADMIT),
    ],
)
def test_who_comes_in(said: dict[str, object] | None, house: House, verdict: Verdict) -> None:
    assert judge(said, house) is verdict


def test_a_visitor_may_say_nonsense_of_itself() -> None:
    said: dict[str, object] = {"namespace": 5, "cwd": None, "settings": {"A": 1, "B": "b"}}

    assert visitor(said).settings == {"B": "b"}
    assert visitor({"settings": []}).directory == ""
    assert [visitor({"tools": said}).all_tools for said in ("all", "some", True, None)] == [True, False, False, False]


def test_a_client_with_other_settings_is_told_which_but_not_their_values(tmp_path: Path) -> None:
    running = load_settings(data_dir=tmp_path, environment={})
    same = compare(running, {"MEMORY_MCP_RECALL__CANDIDATES": "50", "MEMORY_MCP_BENCH_DATA": "x"}, {})
    other = compare(running, {"MEMORY_MCP_RECALL__CANDIDATES": "101", "MEMORY_MCP_EMBEDDING__CACHE_ENTRIES": "7531"}, {})

    assert same.notices == []
    (sentence,) = other.notices
    assert "embedding.cache_entries, recall.candidates" in sentence
    assert "config.toml" in sentence
    assert "--isolated" in sentence
    assert "7531" not in sentence


def test_a_client_whose_settings_make_no_sense_is_refused(tmp_path: Path) -> None:
    running = load_settings(data_dir=tmp_path, environment={})

    with pytest.raises(ConfigError, match="candidats"):
        compare(running, {"MEMORY_MCP_RECALL__CANDIDATS": "101"}, {})


def test_a_client_is_told_that_the_file_has_changed_or_become_wrong(tmp_path: Path) -> None:
    running = load_settings(data_dir=tmp_path, environment={})
    (tmp_path / "config.toml").write_text("[recall]\ncandidates = 200\n")
    changed = compare(running, {}, {})
    (tmp_path / "config.toml").write_text("[recall]\ncandidats = 200\n")
    wrong = compare(running, {"MEMORY_MCP_RECALL__CANDIDATES": "7"}, {})

    assert changed.outdated
    assert "has changed" in changed.notices[0]
    assert not wrong.outdated
    assert "recall.candidats" in wrong.notices[0]


def test_a_client_that_names_another_file_is_told_so(tmp_path: Path) -> None:
    running = load_settings(data_dir=tmp_path, environment={})
    other = str(tmp_path / "other.toml")

    assert other in compare(running, {"MEMORY_MCP_CONFIG": other}, {}).notices[0]
    assert compare(running, {"MEMORY_MCP_CONFIG": str(tmp_path / "config.toml")}, {}).notices == []


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder with a short path, which pytest's are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_a_socket_lies_in_the_data_directory_where_its_path_is_short_enough(runtime: Path) -> None:
    deep = "/data/" + "x" * 120
    path = endpoint.socket_path(deep, {"XDG_RUNTIME_DIR": str(runtime)})

    assert endpoint.socket_path("/data", {}) == "/data/engine.sock"
    assert Path(path).parent == runtime / f"memory-mcp-{os.getuid()}"
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert path == endpoint.socket_path(deep, {"XDG_RUNTIME_DIR": str(runtime)})
    assert path != endpoint.socket_path(deep + "y", {"XDG_RUNTIME_DIR": str(runtime)})


@pytest.mark.parametrize("way", ["open to others", "a link"])
def test_a_folder_for_sockets_that_is_not_ours_alone_is_not_used(runtime: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(endpoint, "_LAST_BASE", str(runtime))
    folder = runtime / f"memory-mcp-{os.getuid()}"
    if way == "a link":
        (runtime / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(runtime / "elsewhere")
    else:
        folder.mkdir()
        folder.chmod(0o777)

    with pytest.raises(PermissionError):
        endpoint.socket_path("/data/" + "x" * 120, {"XDG_RUNTIME_DIR": str(runtime)})


def test_there_is_one_engine_and_what_a_dead_one_left_is_replaced(tmp_path: Path) -> None:
    places = Places(str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    left_over = socket.socket(socket.AF_UNIX)
    left_over.bind(str(tmp_path / "data" / "engine.sock"))
    left_over.close()
    first = claim(places, tcp=False)
    assert first
    first.announce(os.getpid())

    assert claim(places, tcp=False) is None
    assert first.holds()
    for name in ("engine.lock", "engine.sock", "engine.json"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 in (0o700, 0o755)
    (tmp_path / "data" / "engine.lock").unlink()
    assert not first.holds()
    second = claim(places, tcp=False)
    assert second
    first.withdraw()
    assert (tmp_path / "data" / "engine.sock").exists()
    for each in (first, second):
        each.listener.close()


def test_a_full_log_is_put_aside_and_the_one_before_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 10)
    path = tmp_path / "engine.log"
    saved = os.dup(2)
    try:
        logfile.divert_stderr(str(path))
        for piece in (b"first piece\n", b"second piece\n", b"third\n"):
            os.write(2, piece)
            logfile.keep_bounded(str(path))
    finally:
        os.dup2(saved, 2)
        os.close(saved)

    assert path.read_bytes() == b"third\n"
    assert (tmp_path / "engine.log.1").read_bytes() == b"second piece\n"
    assert path.stat().st_mode & 0o777 == 0o600
