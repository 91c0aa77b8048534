"""Where a client's own settings are not those that the engine runs with: it is told so, and never obeyed halfway."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from memory_mcp.config import Settings, load_settings
from memory_mcp.errors import ConfigError

_PLACE = ("data_dir", "namespace")
"""What selects an engine or belongs to one client, and is no setting of the engine's."""
_HOW = "put them in config.toml in the data directory and run `memory-mcp engine stop`, or start this client's server with --isolated"


def notices(running: Settings, variables: Mapping[str, str], configuration: str) -> list[str]:
    """Sentences on what this client would have otherwise.

    Args:
        running: What the engine runs with.
        variables: The client's `MEMORY_MCP_...`.
        configuration: The engine's own `MEMORY_MCP_CONFIG`.

    Raises:
        ConfigError: The client's variables make no sense.
    """
    folder, own = running.data_dir, {"MEMORY_MCP_CONFIG": configuration} if configuration else {}
    said = []
    try:
        now: Settings | None = load_settings(data_dir=folder, environment=own)
    except ConfigError as error:
        said.append(f"The configuration has become wrong; the memory engine still runs with what it was before. {error}")
        now = None
    if now and differing(running, now):
        said.append(
            "config.toml has changed since the memory engine was started. Run `memory-mcp engine stop`: the next call starts it anew."
        )
    wanted = load_settings(data_dir=folder, environment={**own, **_settings_among(variables)})
    if keys := differing(now or running, wanted):
        said.append(
            f"The memory engine, which all clients share, does not use settings from one client's environment ({_listed(keys)}): {_HOW}."
        )
    named = variables.get("MEMORY_MCP_CONFIG", "")
    if named and _path(named) != (_path(configuration) if configuration else folder / "config.toml"):
        said.append(f"The memory engine runs with another configuration than {named}, which this client's MEMORY_MCP_CONFIG names: {_HOW}.")
    return said


def differing(one: Settings, other: Settings) -> list[str]:
    """The keys, like `recall.candidates`, whose values differ; never the values, which may be secrets."""
    left, right = dict(_values(one)), dict(_values(other))
    return sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key) and key not in _PLACE)


def _values(model: BaseModel, above: str = "") -> Iterator[tuple[str, Any]]:
    for key in type(model).model_fields:
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            yield from _values(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _settings_among(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name != "MEMORY_MCP_CONFIG"}


def _path(named: str) -> Path:
    return Path(named).expanduser()


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
