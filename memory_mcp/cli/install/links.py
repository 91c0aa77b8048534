"""The entry in the forms that other clients take: JSON to paste, links to click, a command to run."""

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode


def pasted(name: str, entry: Mapping[str, Any]) -> str:
    """What most clients read."""
    return json.dumps({"mcpServers": {name: entry}}, ensure_ascii=False, indent=2)


def cursor_link(name: str, entry: Mapping[str, Any]) -> str:
    """Asks Cursor to install the entry."""
    config = base64.b64encode(json.dumps(entry, separators=(",", ":")).encode()).decode()
    return f"cursor://anysphere.cursor-deeplink/mcp/install?{urlencode({'name': name, 'config': config}, quote_via=quote)}"


def vscode_link(name: str, entry: Mapping[str, Any]) -> str:
    """Asks VS Code to install the entry."""
    return f"vscode:mcp/install?{quote(json.dumps({'name': name, **entry}, separators=(',', ':')), safe='')}"


def claude_command(name: str, command: Sequence[str]) -> str:
    """Adds the server to Claude Code, for all projects."""
    return f"claude mcp add --scope user {shlex.quote(name)} -- {shlex.join(command)}"
