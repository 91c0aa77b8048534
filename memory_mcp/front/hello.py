"""The first lines between a front and an engine, before those of MCP: one each way, JSON, of a form that stays.

    front   {"memory-mcp": 1, "program": "0.1.0", "cwd": ..., "project": ..., "namespace": ..., "settings": {...}}
            a command may add "tools": "all", to have those of every set
    engine  {"memory-mcp": 1, "program": "0.1.0", "accepted": true, "tell": ["a sentence", ...]}
         or {"memory-mcp": 1, "refused": "a sentence", "status": 2}
         or {"memory-mcp": 1, "older": true}      the engine's program is; said again with "replace": true, it leaves
         or {"memory-mcp": 1, "leaving": true}

    engine  {"memory-mcp": 1, "parted": true}     after all of MCP: what it has not answered by now, it has not begun

    anyone  {"memory-mcp": 1, "ask": "status"}    or "stop"; one line of JSON comes back

Over TCP the front's line carries the secret that lies in the address file as well. Programs of all versions have to
understand each other here: members may be added, and those that are not known are passed over.
"""

import json
import os
from collections.abc import Mapping

WIRE = 1
MARK = "memory-mcp"
MAX_BYTES = 1 << 20
"""Of either line."""

CONFIGURATION = "MEMORY_MCP_CONFIG"
KEY = "MEMORY_MCP_ENCRYPTION__KEY"
"""What opens the store is nobody's setting and is said to nobody; an engine has that of whoever starts it."""
_PREFIX = "MEMORY_MCP_"
_NOT_SETTINGS = {"MEMORY_MCP_DATA_DIR", "MEMORY_MCP_NAMESPACE", KEY}


def hello(program: str, namespace: str, environment: Mapping[str, str]) -> dict[str, object]:
    """What a front says of itself and its client."""
    return {
        "program": program,
        "cwd": working_directory(),
        "project": environment.get("CLAUDE_PROJECT_DIR", ""),
        "namespace": namespace or environment.get("MEMORY_MCP_NAMESPACE", ""),
        "settings": settings_in(environment),
    }


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that would be settings of an engine of one's own; a file they name is named so that anybody finds it."""
    found = {name: value for name, value in environment.items() if name.upper().startswith(_PREFIX) and name.upper() not in _NOT_SETTINGS}
    if named := found.get(CONFIGURATION):
        found[CONFIGURATION] = os.path.join(working_directory(), os.path.expanduser(named))
    return found


def working_directory() -> str:
    """Where the client works; the root folder if that place is gone."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.sep


def write(said: Mapping[str, object]) -> bytes:
    """The line that says it; paths that are not Unicode survive as escapes."""
    return json.dumps({MARK: WIRE, **said}).encode() + b"\n"


def read(line: bytes) -> dict[str, object] | None:
    """What a line says; None if it is no line of ours."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and isinstance(said.get(MARK), int) else None


def version(program: object) -> tuple[int, ...]:
    """The numbers of a version, to be compared; whatever comes after them does not count."""
    numbers: list[int] = []
    for part in str(program).split("."):
        digits = part[: next((i for i, letter in enumerate(part) if letter not in "0123456789"), len(part))]
        if not digits:
            break
        numbers.append(int(digits[:9]))
    return tuple(numbers)
