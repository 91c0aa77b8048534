"""`install` and `uninstall` as a person runs them, in a home folder of their own."""

import base64
import json
import os
import pty
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from mcp import Client, StdioServerParameters

from memory_mcp.tiers.sqlite import presence
from tests.models import compiled_model_dir

SAMPLES = Path(__file__).parent / "hosts"
FILES = {
    "claude-desktop": (".config/Claude/claude_desktop_config.json", "claude-desktop.json"),
    "claude-code": (".claude.json", "claude-code.json"),
    "cursor": (".cursor/mcp.json", "cursor.json"),
    "vscode": (".config/Code/User/mcp.json", "vscode.jsonc"),
    "codex": (".codex/config.toml", "codex.toml"),
    "windsurf": (".codeium/windsurf/mcp_config.json", "windsurf.json"),
}
UNRELATED = ("MEMORY_MCP_", "XDG_", "CLAUDE", "CODEX_HOME", "APPDATA")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user who has every client, each with a file of some age, and works in a project."""
    for path, sample in FILES.values():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / sample, tmp_path / path)
    (tmp_path / "project" / ".git").mkdir(parents=True)
    return tmp_path


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(UNRELATED)}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), **more}


def command(home: Path, *arguments: str, status: int = 0, said: str | None = None, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "memory_mcp", *arguments],
        env=environment(home, **more),
        cwd=home / "project",
        input=said or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def tree(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def entries(home: Path, name: str = "memory") -> dict[str, Any]:
    """What each client would start."""
    found = {}
    for key, (path, _) in FILES.items():
        text = (home / path).read_text("utf-8")
        if key == "codex":
            found[key] = tomllib.loads(text)["mcp_servers"].get(name)
        elif key in ("claude-desktop", "claude-code", "windsurf"):
            found[key] = json.loads(text)["mcpServers"].get(name)
    return found


def test_every_client_is_set_up_and_everything_is_put_back(home: Path) -> None:
    before = tree(home)
    said = command(home, "install", "--yes", "--rules", "--hooks")
    after = tree(home)
    again = command(home, "install", "--yes", "--rules", "--hooks")

    assert {entry["command"] for entry in entries(home).values()} == {str(Path(sys.executable).parent / "memory-mcp")}
    assert said.count("Done.") == 10
    assert again.count("already set up") == 10
    assert tree(home) == after
    copies = {name: data for name, data in after.items() if name.endswith(".bak")}
    assert sorted(copies.values()) == sorted(before.values())

    command(home, "uninstall", "--yes")

    assert tree(home) == before
    assert not (home / "project" / ".cursor").exists()
    assert "is set up in no client" in command(home, "uninstall", "--yes")


async def test_what_is_written_starts_the_server(home: Path) -> None:
    command(home, "install", "--yes", "--data-dir", "~/elsewhere", "--namespace", "shop")

    for entry in entries(home).values():
        given = {"MEMORY_MCP_EMBEDDING__MODEL": str(compiled_model_dir()), "PYTHONPATH": str(Path(__file__).parents[2])}
        async with Client(StdioServerParameters(command=entry["command"], args=entry["args"], env=given, cwd="/")) as client:
            receipt = await client.call_tool("remember", {"content": "It was set up by a command."})
            counts = await client.call_tool("stats", {"section": "counts"})
        assert not receipt.is_error
    assert list((counts.structured_content or {})["counts"]["by_namespace"]) == ["shop"]
    assert (home / "elsewhere" / "memories.db").exists()


def test_a_dry_run_shows_everything_and_changes_nothing(home: Path) -> None:
    before = tree(home)
    said = command(home, "install", "--dry-run", "--rules", "--hooks")

    assert said.count("+   ") >= 6
    assert "Nothing was changed" in said
    assert tree(home) == before
    command(home, "install", "--yes")
    after = tree(home)
    assert '-   "command"' in command(home, "uninstall", "--dry-run")
    assert tree(home) == after


def test_without_a_terminal_nothing_is_done_unasked(home: Path) -> None:
    before = tree(home)
    for name in ("install", "uninstall"):
        assert "--yes" in command(home, name, status=1, said="y\ny\n")

    assert tree(home) == before


def answering(home: Path, arguments: list[str], answers: bytes) -> str:
    """What is said on a terminal."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home / "project")
        os.execve(sys.executable, [sys.executable, "-m", "memory_mcp", *arguments], environment(home, TERM="dumb"))
    os.write(terminal, answers)
    said = b""
    while True:
        try:
            more = os.read(terminal, 10_000)
        except OSError:
            break
        if not more:
            break
        said += more
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, said
    return said.decode()


@pytest.mark.filterwarnings("ignore:This process")  # forking with threads: the child does nothing but start a program
def test_on_a_terminal_each_client_is_asked_for(home: Path) -> None:
    said = answering(home, ["install", "--client", "claude-code", "--client", "codex"], b"n\ny\n")

    assert said.count("Set this up? [Y/n]") == 2
    assert "Left as it is." in said
    assert [key for key, entry in entries(home).items() if entry] == ["codex"]


def test_only_the_clients_that_are_named_are_touched(home: Path) -> None:
    command(home, "install", "--yes", "--client", "codex", "--client", "windsurf")
    assert [key for key, entry in entries(home).items() if entry] == ["codex", "windsurf"]

    command(home, "uninstall", "--yes", "--client", "codex")
    assert [key for key, entry in entries(home).items() if entry] == ["windsurf"]
    assert "not set up in codex" in command(home, "uninstall", "--yes", "--client", "codex")


def test_clients_that_are_absent_are_not_made_up(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()

    assert "--print" in command(tmp_path, "install", "--yes", status=1)
    assert "Cursor was not found" in command(tmp_path, "install", "--yes", "--client", "cursor", status=1)
    assert "no client 'vim'" in command(tmp_path, "install", "--yes", "--client", "vim", status=1)
    assert tree(tmp_path) == {}


def test_one_file_that_cannot_be_changed_does_not_hold_up_the_others(home: Path) -> None:
    (home / ".cursor" / "mcp.json").write_text("{ not json")
    (home / ".codex" / "config.toml").chmod(0o444)
    (home / ".config/Claude/claude_desktop_config.json").write_text(
        '{"mcpServers": {"memory": {"command": "npx", "env": {"K": "secret"}}}}'
    )
    before = tree(home)
    said = command(home, "install", "--yes", status=1)
    after = tree(home)

    assert "mcp.json cannot be changed safely: line 1, column 3. It was left alone: mend it there, or add by hand what --print" in said
    assert "config.toml is read-only" in said
    assert "names another server mcpServers.memory. It was left alone: choose another name with --name." in said
    assert "secret" not in said
    changed = {name for name in after if after[name] != before.get(name) and not name.endswith(".bak")}
    assert changed == {".claude.json", ".config/Code/User/mcp.json", ".codeium/windsurf/mcp_config.json"}
    command(home, "install", "--yes", "--client", "claude-desktop", "--name", "long-term")
    assert list(json.loads((home / ".config/Claude/claude_desktop_config.json").read_text())["mcpServers"]) == ["memory", "long-term"]


def test_dotfiles_stay_linked(home: Path) -> None:
    path, target = home / ".cursor" / "mcp.json", home / "dotfiles" / "cursor.json"
    target.parent.mkdir()
    path.rename(target)
    path.symlink_to(target)
    before = target.read_bytes()
    command(home, "install", "--yes", "--client", "cursor")
    linked, changed = path.is_symlink(), target.read_bytes()
    command(home, "uninstall", "--yes", "--client", "cursor")

    assert linked
    assert changed != before
    assert path.is_symlink()
    assert target.read_bytes() == before


def test_what_was_edited_in_between_stays(home: Path) -> None:
    path = home / ".claude.json"
    before = json.loads(path.read_text())
    command(home, "install", "--yes", "--client", "claude-code")
    # as Claude Code does all the time
    path.write_text(json.dumps({**json.loads(path.read_text()), "numStartups": 215}, indent=2))
    command(home, "uninstall", "--yes", "--client", "claude-code")

    assert path.read_text() == json.dumps({**before, "numStartups": 215}, indent=2)
    assert len(list(home.glob(".claude.json.*.bak"))) == 1


def test_where_tells_the_clients(home: Path) -> None:
    (home / ".cursor" / "mcp.json").write_text("{ not json")
    command(home, "install", "--yes", "--client", "codex")
    told = json.loads(command(home, "where", "--json"))["clients"]

    assert {row["client"]: row["state"] for row in told} == {
        **dict.fromkeys(FILES, "not set up"),
        "codex": "set up",
        "cursor": "unreadable",
    }
    assert all((home / FILES[row["client"]][0]) == Path(row["path"]) for row in told)
    assert f"Codex             {home / '.codex/config.toml'}  (set up)" in command(home, "where")


def test_for_any_other_client_there_is_something_to_paste_to_click_and_to_run(home: Path) -> None:
    said = command(home, "install", "--print", "--data-dir", "/my data", "--name", "mem")
    parts = said.split("\n\n")
    expected = {"command": str(Path(sys.executable).parent / "memory-mcp"), "args": ["serve", "--data-dir", "/my data"]}
    cursor, vscode = (next(part for part in parts if part.startswith(scheme)) for scheme in ("cursor:", "vscode:"))
    query = parse_qs(urlsplit(cursor).query)

    assert json.loads(parts[1]) == {"mcpServers": {"mem": expected}}
    assert cursor.startswith("cursor://anysphere.cursor-deeplink/mcp/install?name=mem&config=")
    assert json.loads(base64.b64decode(query["config"][0])) == expected
    assert json.loads(unquote(vscode.removeprefix("vscode:mcp/install?"))) == {"name": "mem", "type": "stdio", **expected}
    assert f"claude mcp add --scope user mem -- {expected['command']} serve --data-dir '/my data'" in said


def hooks_of(home: Path) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((home / ".claude" / "settings.json").read_text())
    return found


def test_the_hook_stands_beside_other_hooks_and_goes_alone(home: Path) -> None:
    path = home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"model": "opus", "hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "date"}]}], "Stop": []}}')
    before = path.read_bytes()
    command(home, "install", "--yes", "--client", "claude-code", "--hooks", "--data-dir", "/my data")
    there = hooks_of(home)
    command(home, "install", "--yes", "--client", "claude-code", "--hooks", "--data-dir", "/other")
    other = hooks_of(home)
    path.write_text(path.read_text().replace("date", "date -u"))
    command(home, "uninstall", "--yes")

    group = there["hooks"]["SessionStart"][1]
    assert group["matcher"] == "startup|clear|compact"
    assert group["hooks"][0]["command"].endswith("/memory-mcp hook session-start --data-dir '/my data'")
    assert other["hooks"]["SessionStart"][1]["hooks"][0]["command"].endswith("--data-dir /other")
    assert path.read_bytes() == before.replace(b"date", b"date -u")


def test_a_hook_that_was_moved_among_others_is_found_there(home: Path) -> None:
    path = home / ".claude" / "settings.json"
    path.parent.mkdir()
    ours = "/old/bin/memory-mcp hook session-start --data-dir /d"
    rest = '{"hooks": {"SessionStart": [7, {"matcher": "*", "hooks": ["odd", {"type": "command", "command": "date"}%s]}]}}'
    path.write_text(rest % f', {{"type": "command", "command": "{ours}", "timeout": 5}}')
    command(home, "install", "--yes", "--client", "claude-code", "--hooks", "--data-dir", "/d")
    updated = path.read_text()
    command(home, "uninstall", "--yes")

    assert (
        updated
        == rest % f', {{"type": "command", "command": "{Path(sys.executable).parent}{ours.removeprefix("/old/bin")}", "timeout": 5}}'
    )
    assert path.read_text() == rest % ""


def test_hooks_and_rules_need_somewhere_to_go(home: Path) -> None:
    assert "Claude Code" in command(home, "install", "--yes", "--hooks", "--client", "cursor", status=1)
    shutil.rmtree(home / "project")
    done = subprocess.run(
        [sys.executable, "-m", "memory_mcp", "install", "--yes", "--rules"],
        env=environment(home),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Change into its folder first" in done.stderr


def test_rules_go_where_the_clients_read_them_and_once(home: Path) -> None:
    project = home / "project"
    (project / "CLAUDE.md").write_text("# Shop\n\n@AGENTS.md\n")
    (project / "AGENTS.md").write_text("Use tabs.")
    before = tree(project)
    command(home, "install", "--yes", "--rules")
    after = tree(project)
    command(home, "uninstall", "--yes")

    assert after["CLAUDE.md"] == before["CLAUDE.md"]
    assert after["AGENTS.md"].startswith(b"Use tabs.\n\n<!-- memory-mcp -->\n## Memory\n")
    assert after[".cursor/rules/memory.mdc"].startswith(b"---\ndescription: ")
    assert b"alwaysApply: true" in after[".cursor/rules/memory.mdc"]
    assert tree(project) == before


def test_purging_deletes_the_memories_only_when_nobody_uses_them_and_all_is_ours(home: Path) -> None:
    folder = home / ".memory-mcp"
    (folder / "models" / "some-model").mkdir(parents=True)
    for name in ("memories.db", "memories.db-wal", "memories.lock", "memories.open", "config.toml", "erased.ids", "notes.txt"):
        (folder / name).write_text("")
    (folder / "memories.db.before-restore-20260101-000000-000000").write_text("")

    assert "notes.txt" in command(home, "uninstall", "--yes", "--purge", status=1)
    assert len(list(folder.iterdir())) == 9
    (folder / "notes.txt").unlink()
    (folder / "backups").mkdir()
    assert "more than the memories: backups" in command(home, "uninstall", "--yes", "--purge", status=1)
    (folder / "backups").rmdir()
    with presence.present(folder, 1.0):
        assert "in use" in command(home, "uninstall", "--yes", "--purge", status=1)
    assert len(list(folder.iterdir())) == 8
    command(home, "uninstall", "--dry-run", "--purge")
    assert len(list(folder.iterdir())) == 8
    command(home, "uninstall", "--yes", "--purge")
    assert not folder.exists()
    assert "no data directory" in command(home, "uninstall", "--yes", "--purge")


@pytest.mark.filterwarnings("ignore:This process")
def test_purging_wants_the_whole_word(home: Path) -> None:
    folder = home / ".memory-mcp"
    folder.mkdir()
    (folder / "memories.db").touch()

    assert "The memories stay." in answering(home, ["uninstall", "--purge"], b"y\n")
    assert folder.exists()
    assert "Deleted." in answering(home, ["uninstall", "--purge"], b"yes\n")
    assert not folder.exists()


def test_a_link_or_somebody_elses_folder_is_not_purged(home: Path) -> None:
    (home / "data").mkdir()
    (home / ".memory-mcp").symlink_to(home / "data")

    assert "no folder of its own" in command(home, "uninstall", "--yes", "--purge", status=1)
    assert "more than the memories" in command(home, "uninstall", "--yes", "--purge", "--data-dir", str(home), status=1)
    assert (home / "data").exists()


def test_the_commands_are_listed_and_the_hook_is_not(home: Path) -> None:
    said = command(home, "--help")

    assert " install " in said
    assert " uninstall " in said
    assert not [line for line in said.splitlines() if line.startswith("│ hook ")]
