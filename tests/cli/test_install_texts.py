"""Entries in real files of every client and form: put in, found, taken out, and not a character changed elsewhere."""

import json
import re
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from memory_mcp.cli.install import entry, jsonc
from memory_mcp.cli.install.entry import Launch
from memory_mcp.cli.install.hosts import HOSTS, Host
from memory_mcp.cli.install.json_edit import remove
from memory_mcp.cli.install.plans import Change, to_install, to_uninstall
from memory_mcp.cli.install.slots import Slot, server_slot

SAMPLES = sorted((Path(__file__).parent / "hosts").iterdir())
START = Launch("/opt/ann's tools/bin/memory-mcp", (), {"--data-dir": "/srv/Gedächtnis", "--namespace": "shop"})
PLAIN = Launch("/usr/bin/memory-mcp", (), {})

samples = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)


def host_of(path: Path) -> Host:
    return max((host for host in HOSTS if path.name.startswith(host.key)), key=lambda host: len(host.key))


def slot_of(path: Path, name: str = "memory") -> Slot:
    return server_slot(host_of(path), name)


def read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


def installed(path: Path, text: str | None, start: Launch = START, name: str = "memory") -> Change:
    host = host_of(path)
    return to_install(slot_of(path, name), text, lambda existing: entry.entry_for(host, start, existing), entry.is_ours)


def text_of(change: Change) -> str:
    assert change.text is not None
    return change.text


def uninstalled(path: Path, text: str, *backups: str) -> Change:
    return to_uninstall(slot_of(path), text, backups, entry.is_ours)


def said(path: Path, text: str) -> Any:
    """What a file says, read by somebody else's reader."""
    text = text.removeprefix("\ufeff")
    if path.suffix == ".toml":
        return tomllib.loads(text)
    strings = r'"(?:[^"\\]|\\.)*"'
    plain = re.sub(rf"({strings})|//[^\n]*|/\*.*?\*/", lambda match: match[1] or "", text, flags=re.DOTALL)
    return json.loads(re.sub(rf"({strings})|,(?=\s*[}}\]])", lambda match: match[1] or "", plain)) if plain.strip() else {}


def servers(path: Path, text: str) -> dict[str, Any]:
    form = host_of(path).form
    found: dict[str, Any] = said(path, text).get("mcp_servers" if form == "toml" else form, {})
    return found


@samples
def test_an_entry_is_added_and_nothing_else_changes(path: Path) -> None:
    before = read(path)
    change = installed(path, before)
    after = text_of(change)
    others = {**servers(path, after)}
    ours = others.pop("memory")

    assert change.kind == "add"
    assert ours["command"] == START.command
    assert ours["args"] == ["serve", "--data-dir", "/srv/Gedächtnis", "--namespace", "shop"]
    assert ours.get("type", "") == ("stdio" if host_of(path).typed else "")
    assert others == servers(path, before)
    rest = said(path, after)
    for name in {*rest, *said(path, before)} - {"mcpServers", "servers", "mcp_servers"}:
        assert rest[name] == said(path, before)[name]
    rest_of = iter(after)
    assert all(character in rest_of for character in before)  # each is still there, in its order
    assert ("\r\n" in before) == ("\r\n" in after)
    assert not re.search(r"(?<!\r)\n", after) or "\r\n" not in before
    assert after.startswith("\ufeff") == before.startswith("\ufeff")


@samples
def test_installing_again_changes_nothing(path: Path) -> None:
    once = text_of(installed(path, read(path)))

    assert installed(path, once).kind == "same"
    assert installed(path, once, Launch(START.command, (), {})).kind == "same"  # options that are not named stay


@samples
@pytest.mark.parametrize("start", [START, PLAIN], ids=["with options", "plain"])
def test_uninstalling_gives_back_every_byte(path: Path, start: Launch) -> None:
    before = read(path)
    change = uninstalled(path, text_of(installed(path, before, start)), before)

    assert change.kind == "remove"
    assert change.restores
    assert change.text == before


@samples
def test_uninstalling_gives_back_every_byte_after_an_update(path: Path) -> None:
    before = read(path)
    first = text_of(installed(path, before, PLAIN))
    second = installed(path, first, START)
    change = uninstalled(path, text_of(second), first, before)

    assert second.kind == "update"
    assert change.text == before


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.key)
def test_a_file_that_was_not_there_is_removed_again(host: Host) -> None:
    path = Path(f"{host.key}.toml" if host.form == "toml" else f"{host.key}.json")
    change = uninstalled(path, text_of(installed(path, None)))

    assert change.kind == "remove"
    assert change.text is None


@samples
def test_without_a_copy_the_entry_alone_goes(path: Path) -> None:
    """Copies get lost; what the other programs read is still what it was."""
    before = read(path)
    after = uninstalled(path, text_of(installed(path, before))).text or ""

    assert {name: part for name, part in said(path, after).items() if part} == {
        name: part for name, part in said(path, before).items() if part
    }


@pytest.mark.parametrize("path", [path for path in SAMPLES if path.read_bytes().strip(b"{}\n")], ids=lambda path: path.name)
def test_after_an_edit_in_between_only_our_entry_goes(path: Path) -> None:
    def edited(text: str) -> str:
        if path.suffix != ".toml":
            return text.replace("{", '{"new": {"command": "new"}, ', 1)
        return text + ("" if text.endswith("\n") else "\n") + "\n[tools]\nweb_search = true\n"

    before = read(path)
    after = uninstalled(path, edited(text_of(installed(path, before))), before)

    assert not after.restores
    assert after.text == edited(before)


def test_a_copy_that_cannot_be_read_is_no_obstacle() -> None:
    path = Path("cursor.json")
    after = uninstalled(path, text_of(installed(path, '{"a": 1}')).replace("1", "2"), "broken {")

    assert after.text == '{"a": 2}'


def test_a_comment_that_ends_in_white_space_swallows_nothing() -> None:
    text = '{// note\n"a": 1,  \n"b": 1,"c": 1}'
    text = remove(text, ("a",))
    assert text == '{// note  \n"b": 1,"c": 1}'
    assert remove(text, ("b",)) == '{// note  \n"c": 1}'


def test_an_edit_behind_ours_stays_as_it_is() -> None:
    path = Path("cursor.json")
    before = '{\n  "mcpServers": {\n    "a": {"command": "a"}\n  }\n}\n'
    edited = text_of(installed(path, before)).replace("\n  }\n}\n", ',\n    // mine\n    "b": {"command": "b"}\n  }\n}\n')

    assert uninstalled(path, edited, before).text == before.replace('"a"}\n', '"a"},\n    // mine\n    "b": {"command": "b"}\n')


def test_codex_may_have_written_behind_our_table() -> None:
    path = Path("codex.toml")
    before = 'model = "o4"\n'
    ours = text_of(installed(path, before))
    later = '\n[projects."/x"]\ntrust_level = "trusted"\n'
    extended = ours.replace("[mcp_servers.memory]\n", "[mcp_servers.memory]\nstartup_timeout_sec = 20\n")
    extended += '\n[mcp_servers.memory.env]\nMEMORY_MCP_LOG__LEVEL = "debug"\n'

    assert uninstalled(path, ours + later, before).text == before + later
    assert uninstalled(path, extended + later, before).text == before + later


FOREIGN: list[tuple[str, str]] = [
    ("cursor.json", '{"mcpServers": {"memory": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-memory"]}}}'),
    ("cursor.json", '{"mcpServers": {"memory": {"url": "https://memory.example.com"}}}'),
    ("cursor.json", '{"mcpServers": {"memory": "memory-mcp"}}'),
    ("codex.toml", '[mcp_servers.memory]\ncommand = "docker"\nargs = ["run", "mcp/memory"]\n'),
    ("codex.toml", "mcp_servers.memory = 3\n"),
]


@pytest.mark.parametrize(("name", "text"), FOREIGN)
def test_another_server_of_this_name_is_left_alone(name: str, text: str) -> None:
    path = Path(name)

    assert installed(path, text).kind == "foreign"
    assert uninstalled(path, text).kind == "foreign"
    assert installed(path, text, name="memory-mcp").kind == "add"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "cursor.json",
            '{"mcpServers": {"memory": {"command": "memory-mcp", "env": {"MEMORY_MCP_LOG__LEVEL": "debug"}, "disabled": false}}}',
        ),
        (
            "cursor.json",
            '{"mcpServers": {"memory": {"env": {"MEMORY_MCP_LOG__LEVEL": "debug"}, "command": "memory-mcp", "disabled": false}}}',
        ),
        ("codex.toml", '[mcp_servers.memory]\ncommand = "memory-mcp"\ndisabled = false\nenv.MEMORY_MCP_LOG__LEVEL = "debug"'),
        ("codex.toml", 'mcp_servers.memory = { command = "memory-mcp", env = { MEMORY_MCP_LOG__LEVEL = "debug" }, disabled = false }\n'),
        (
            "codex.toml",
            '[mcp_servers]\nmemory.command = "memory-mcp"\nmemory.disabled = false\nmemory.env.MEMORY_MCP_LOG__LEVEL = "debug"\n',
        ),
        (
            "codex.toml",
            '[mcp_servers.memory.env]\nMEMORY_MCP_LOG__LEVEL = "debug"\n[mcp_servers.memory]\ndisabled = false\ncommand = "memory-mcp"',
        ),
    ],
)
def test_an_entry_written_by_hand_gets_the_command_and_keeps_the_rest(name: str, text: str) -> None:
    path = Path(name)
    change = installed(path, text)
    ours = servers(path, text_of(change))["memory"]

    assert change.kind == "update"
    assert ours == {
        "command": START.command,
        "args": ["serve", "--data-dir", "/srv/Gedächtnis", "--namespace", "shop"],
        "env": {"MEMORY_MCP_LOG__LEVEL": "debug"},
        "disabled": False,
    }
    assert installed(path, text_of(change)).kind == "same"
    assert "memory-mcp" not in (uninstalled(path, text_of(change), text).text or "")


BROKEN = [
    ("cursor.json", '{"mcpServers": {"a": {}}', "line 1, column 25"),
    ("cursor.json", '{"a": 1 "b": 2}', "line 1, column 9"),
    ("cursor.json", '{"a": 1,, "b": 2}', "line 1, column 9"),
    ("cursor.json", "{'a': 1}", "line 1, column 2"),
    ("cursor.json", '{\n  "a": 01\n}', "line 2, column 9"),
    ("cursor.json", '{"a": "line\nend"}', "line 1, column 7"),
    ("cursor.json", '{"a": 1} {"b": 2}', "line 1, column 10"),
    ("cursor.json", '{"a": /* no end }', "line 1, column 7"),
    ("cursor.json", "<<<<<<< HEAD\n{}\n", "line 1, column 1"),
    ("cursor.json", "[" * 100_000, "nested too deeply"),
    ("cursor.json", '["mcpServers"]', "no object"),
    ("cursor.json", '{"mcpServers": []}', "no object"),
    ("cursor.json", '{"mcpServers": null}', "no object"),
    ("cursor.json", '{"mcpServers": {"memory": {"command": "memory-mcp"}, "memory": {}}}', "there twice"),
    ("cursor.json", '{"mcpServers": {}, "mcpServers": {}}', "there twice"),
    ("codex.toml", "model = gpt-5\n", "line 1"),
    ("codex.toml", "[a]\n[a]\n", "line 2"),
    ("codex.toml", 'mcp_servers = "none"\n', "mcp_servers is no table"),
    ("codex.toml", "[[mcp_servers]]\nname = 1\n", "mcp_servers is no table"),
]


@pytest.mark.parametrize(("name", "text", "reason"), BROKEN)
def test_what_is_not_understood_is_not_changed(name: str, text: str, reason: str) -> None:
    change = installed(Path(name), text)

    assert change.kind == "unreadable"
    assert reason in change.reason
    assert not change.writes


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ({"command": "memory-mcp"}, True),
        ({"command": "/usr/bin/memory-mcp", "args": ["serve"]}, True),
        ({"command": r"C:\Users\Ann\Scripts\Memory-MCP.exe"}, True),
        ({"command": "/usr/bin/python3", "args": ["-m", "memory_mcp"]}, True),
        ({"command": "uvx", "args": ["memory-mcp"]}, True),
        ({"command": "uv", "args": ["tool", "run", "--from", "memory-mcp[local]==0.1", "memory-mcp"]}, True),
        ({"command": "uvx", "args": ["memory-mcp-server"]}, False),
        ({"command": "npx", "args": ["memory-mcp"]}, False),
        ({"command": "python", "args": ["memory_mcp"]}, False),
        ({"command": "docker", "args": ["run", "memory-mcp"]}, False),
        ({"url": "http://memory-mcp"}, False),
        ({"command": ["memory-mcp"]}, False),
        ("memory-mcp", False),
        (None, False),
    ],
)
def test_an_entry_is_known_by_what_it_starts(given: Any, ours: bool) -> None:
    assert entry.is_ours(given) is ours


def test_options_that_are_given_take_the_place_of_those_that_are_there() -> None:
    cursor = next(host for host in HOSTS if host.key == "cursor")
    existing = {"command": "python", "args": ["-m", "memory_mcp", "serve", "--namespace=old", "--isolated", "--data-dir", "/old"]}

    found = entry.entry_for(cursor, Launch("/new/memory-mcp", (), {"--namespace": "new"}), existing)

    assert found == {"command": "/new/memory-mcp", "args": ["serve", "--namespace", "new", "--isolated", "--data-dir", "/old"]}


@pytest.mark.parametrize(
    ("command", "temporary"),
    [
        ("/home/ann/.local/bin/memory-mcp", False),
        ("/home/ann/.local/share/uv/tools/memory-mcp/bin/memory-mcp", False),
        ("/home/ann/.cache/uv/archive-v0/q8fS/bin/memory-mcp", True),
        ("/Users/ann/Library/Caches/uv/environments-v2/x-1/bin/python", True),
        ("/home/ann/.cache/pipx/3f/bin/memory-mcp", True),
        ("/var/tmp/here/venv/bin/memory-mcp", True),
    ],
)
def test_a_command_that_will_be_cleared_away_is_noticed(command: str, temporary: bool) -> None:
    assert entry.temporary_place(PurePosixPath(command), PurePosixPath("/var/tmp")) is temporary


def test_a_text_is_read_with_its_places() -> None:
    text = '\ufeff// head\n{"a": [1, 2,], /* "b": 0 */ "c\\u0041": {"d": null}}'
    document = jsonc.parse(text)

    assert document.root.value == {"a": [1, 2], "cA": {"d": None}}
    assert [text[element.start : element.node.end] for element in document.root.elements] == ['"a": [1, 2,]', '"c\\u0041": {"d": null}']
    assert [text[start:end] for start, end in document.comments] == ["// head", '/* "b": 0 */']
