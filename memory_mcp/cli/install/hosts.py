"""The clients that can be set up, and where their files lie: pure, so that every platform is tested on any."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

Form = Literal["mcpServers", "servers", "toml"]


@dataclass(frozen=True, slots=True)
class Host:
    """A client.

    Attributes:
        key: What `--client` calls it.
        form: The key below which its file names servers; `toml`: `[mcp_servers.NAME]`.
        typed: Whether an entry says `"type": "stdio"`.
        next_step: What makes the client take notice.
    """

    key: str
    title: str
    form: Form
    typed: bool
    next_step: str


HOSTS = (
    Host("claude-desktop", "Claude Desktop", "mcpServers", False, "Quit Claude Desktop (closing its window is not enough) and start it."),
    Host("claude-code", "Claude Code", "mcpServers", True, "Start a new session; /mcp shows it."),
    Host("cursor", "Cursor", "mcpServers", False, "Switch it on in Settings, MCP, or restart Cursor."),
    Host("vscode", "VS Code", "servers", True, "Run MCP: List Servers and start it."),
    Host("vscode-insiders", "VS Code Insiders", "servers", True, "Run MCP: List Servers and start it."),
    Host("codex", "Codex", "toml", False, "Start a new session."),
    Host("windsurf", "Windsurf", "mcpServers", False, "Press Refresh in Settings, Cascade, MCP servers."),
)

_STORE_BUILD = "Claude_pzs8sxrjxfjjc"
"""The package family of Claude Desktop from the Microsoft Store; Windows shows its AppData only to itself."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides where files lie.

    Attributes:
        platform: As `sys.platform` has it.
        home: The user's home folder, of the path class of that platform.
    """

    platform: str
    environment: Mapping[str, str]
    home: PurePath

    def folder(self, variable: str, *default: str) -> PurePath:
        """The folder that an environment variable names, if it does; else one below the home folder."""
        named = self.environment.get(variable, "")
        path = type(self.home)(named)
        return path if named and path.is_absolute() else self.home.joinpath(*default)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a client keeps its servers.

    Attributes:
        sign: A folder; if it or the file exists, the client is there.
    """

    sign: PurePath
    file: PurePath


def places(host: Host, machine: Machine) -> tuple[Place, ...]:
    """Where a client's file can lie; where there are several, those that exist are all meant."""
    match host.key:
        case "claude-desktop":
            folders = [_applications(machine) / "Claude"]
            if machine.platform == "win32":
                local = machine.folder("LOCALAPPDATA", "AppData", "Local")
                folders.append(local / "Packages" / _STORE_BUILD / "LocalCache" / "Roaming" / "Claude")
            return tuple(Place(folder, folder / "claude_desktop_config.json") for folder in folders)
        case "claude-code":
            settings = claude_settings(machine)
            beside = settings.parent if machine.environment.get("CLAUDE_CONFIG_DIR") else machine.home
            return (Place(settings.parent, beside / ".claude.json"),)
        case "cursor":
            return (Place(machine.home / ".cursor", machine.home / ".cursor" / "mcp.json"),)
        case "vscode":
            user = _applications(machine) / "Code" / "User"
            return (Place(user, user / "mcp.json"),)
        case "vscode-insiders":
            user = _applications(machine) / "Code - Insiders" / "User"
            return (Place(user, user / "mcp.json"),)
        case "codex":
            folder = machine.folder("CODEX_HOME", ".codex")
            return (Place(folder, folder / "config.toml"),)
        case "windsurf":
            folder = machine.home / ".codeium" / "windsurf"
            return (Place(folder, folder / "mcp_config.json"),)
    raise AssertionError(host.key)


def claude_settings(machine: Machine) -> PurePath:
    """The file that holds Claude Code's hooks."""
    return machine.folder("CLAUDE_CONFIG_DIR", ".claude") / "settings.json"


def _applications(machine: Machine) -> PurePath:
    """Where desktop programs keep what belongs to the user."""
    if machine.platform == "darwin":
        return machine.home / "Library" / "Application Support"
    if machine.platform == "win32":
        return machine.folder("APPDATA", "AppData", "Roaming")
    return machine.folder("XDG_CONFIG_HOME", ".config")
