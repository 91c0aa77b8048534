"""Where a client's own settings are not those that the engine runs with: it is told so, and never obeyed halfway."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from memory_mcp.config import CONFIG_NAME, Settings, load_settings
from memory_mcp.errors import ConfigError

_PLACE = ("data_dir", "namespace")
"""What selects an engine or belongs to one client, and is no setting of the engine's."""
_HOW = "put them in config.toml in the data directory and run `memory-mcp engine stop`, or start this client's server with --isolated"


@dataclass(frozen=True, slots=True)
class Differences:
    """What a client would have otherwise.

    Attributes:
        notices: In sentences.
        outdated: The file says something else by now than when the engine read it, and makes sense: one started now
            would do as it says.
    """

    notices: Sequence[str]
    outdated: bool = False


def compare(running: Settings, variables: Mapping[str, str], own: Mapping[str, str]) -> Differences:
    """Look at the file as it is now, and at a client's environment.

    Args:
        running: What the engine runs with.
        variables: The client's `MEMORY_MCP_...`.
        own: The engine's variables, which are `MEMORY_MCP_CONFIG` and the store's key where it has them; the former, also the
            client's, is absolute.

    Raises:
        ConfigError: The client's variables make no sense.
    """
    folder, configuration = running.data_dir, own.get("MEMORY_MCP_CONFIG", "")
    said = []
    now = None
    try:
        now = load_settings(data_dir=folder, environment=own)
    except ConfigError as error:
        said.append(f"The configuration has become wrong; the memory engine still runs with what it was before. {error}")
    outdated = now is not None and now != running
    if outdated:
        said.append(
            "config.toml has changed since the memory engine was started. Run `memory-mcp engine stop`: the next call starts it anew."
        )
    wanted = None if now is None else load_settings(data_dir=folder, environment={**own, **_settings_among(variables)})
    if now and wanted and (keys := differing(now, wanted)):
        said.append(
            f"The memory engine, which all clients share, does not use settings from one client's environment ({_listed(keys)}): {_HOW}."
        )
    usual = str(folder / CONFIG_NAME)
    if (read := configuration or usual) != (meant := variables.get("MEMORY_MCP_CONFIG", "") or usual):
        said.append(f"The memory engine runs with the configuration {read}, and not with {meant} as this client's server would by itself.")
    return Differences(said, outdated)


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


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
