"""Where the clients' files lie: on every platform, told by that platform's own kind of path."""

import sys
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest

from memory_mcp.cli.install.entry import installed_command, starts_anywhere
from memory_mcp.cli.install.hosts import HOSTS, Machine, claude_settings, places
from memory_mcp.cli.install.jobs import chosen_hosts, found_files
from memory_mcp.errors import RequestError

MAC = Machine("darwin", {}, PurePosixPath("/Users/ann"))
LINUX = Machine("linux", {}, PurePosixPath("/home/ann"))
ANN = r"C:\Users\Ann"
WINDOWS = Machine("win32", {"APPDATA": ANN + r"\AppData\Roaming", "LOCALAPPDATA": ANN + r"\AppData\Local"}, PureWindowsPath(ANN))
STORE = ANN + r"\AppData\Local\Packages\Claude_pzs8sxrjxfjjc\LocalCache\Roaming\Claude\claude_desktop_config.json"

EXPECTED = {
    "claude-desktop": (
        ["/Users/ann/Library/Application Support/Claude/claude_desktop_config.json"],
        [ANN + r"\AppData\Roaming\Claude\claude_desktop_config.json", STORE],
        ["/home/ann/.config/Claude/claude_desktop_config.json"],
    ),
    "claude-code": (["/Users/ann/.claude.json"], [ANN + r"\.claude.json"], ["/home/ann/.claude.json"]),
    "cursor": (["/Users/ann/.cursor/mcp.json"], [ANN + r"\.cursor\mcp.json"], ["/home/ann/.cursor/mcp.json"]),
    "vscode": (
        ["/Users/ann/Library/Application Support/Code/User/mcp.json"],
        [ANN + r"\AppData\Roaming\Code\User\mcp.json"],
        ["/home/ann/.config/Code/User/mcp.json"],
    ),
    "vscode-insiders": (
        ["/Users/ann/Library/Application Support/Code - Insiders/User/mcp.json"],
        [ANN + r"\AppData\Roaming\Code - Insiders\User\mcp.json"],
        ["/home/ann/.config/Code - Insiders/User/mcp.json"],
    ),
    "codex": (["/Users/ann/.codex/config.toml"], [ANN + r"\.codex\config.toml"], ["/home/ann/.codex/config.toml"]),
    "windsurf": (
        ["/Users/ann/.codeium/windsurf/mcp_config.json"],
        [ANN + r"\.codeium\windsurf\mcp_config.json"],
        ["/home/ann/.codeium/windsurf/mcp_config.json"],
    ),
}


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.key)
def test_every_client_has_its_files_on_every_platform(host) -> None:  # type: ignore[no-untyped-def]
    assert tuple([str(place.file) for place in places(host, machine)] for machine in (MAC, WINDOWS, LINUX)) == EXPECTED[host.key]


def file_of(key: str, machine: Machine) -> PurePath:
    (host,) = chosen_hosts([key])
    return places(host, machine)[0].file


def test_the_environment_moves_files_as_it_does_for_the_clients() -> None:
    home = PurePosixPath("/home/ann")
    moved = Machine("linux", {"XDG_CONFIG_HOME": "/cfg", "CODEX_HOME": "/codex", "CLAUDE_CONFIG_DIR": "/claude"}, home)
    relative = Machine("linux", {"XDG_CONFIG_HOME": "cfg", "CODEX_HOME": ""}, home)

    assert file_of("vscode", moved) == PurePosixPath("/cfg/Code/User/mcp.json")
    assert file_of("codex", moved) == PurePosixPath("/codex/config.toml")
    assert file_of("claude-code", moved) == PurePosixPath("/claude/.claude.json")
    assert claude_settings(moved) == PurePosixPath("/claude/settings.json")
    assert claude_settings(LINUX) == PurePosixPath("/home/ann/.claude/settings.json")
    assert file_of("vscode", relative) == file_of("vscode", LINUX)
    assert file_of("codex", relative) == file_of("codex", LINUX)
    assert file_of("vscode", Machine("win32", {}, WINDOWS.home)) == file_of("vscode", WINDOWS)


def test_a_client_is_there_if_its_folder_or_its_file_is(tmp_path: Path) -> None:
    machine = Machine("linux", {}, tmp_path)
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".claude.json").write_text("{}")

    found = {host.key: found_files(host, machine) for host in HOSTS}

    assert {key: paths for key, paths in found.items() if paths} == {
        "claude-code": [tmp_path / ".claude.json"],
        "cursor": [tmp_path / ".cursor" / "mcp.json"],
    }


def test_both_builds_of_claude_desktop_are_found_where_both_are(tmp_path: Path) -> None:
    machine = Machine("win32", {}, tmp_path)
    (desktop,) = chosen_hosts(["claude-desktop"])
    for place in places(desktop, machine):
        Path(place.sign).mkdir(parents=True)

    assert len(found_files(desktop, machine)) == 2


def test_a_client_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(RequestError, match=r"no client 'emacs'. Name one of claude-desktop, .*--print"):
        chosen_hosts(["cursor", "emacs"])


def test_the_console_script_is_named_where_it_exists_else_the_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    without = installed_command(python, windows=False)
    (python.parent / "memory-mcp").touch()
    (python.parent / "memory-mcp.exe").touch()

    assert without == (str(python), ("-m", "memory_mcp"))
    assert installed_command(python, windows=False) == (str(python.parent / "memory-mcp"), ())
    assert installed_command(python, windows=True) == (str(python.parent / "memory-mcp.exe"), ())


def test_an_interpreter_without_the_package_is_noticed(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f"#!/bin/sh\nexec '{sys.executable}' -S \"$@\"\n")
    bare.chmod(0o755)

    assert starts_anywhere(sys.executable)
    assert not starts_anywhere(str(bare))
    assert not starts_anywhere(str(tmp_path / "absent"))
