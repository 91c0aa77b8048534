"""The settings that a command works with."""

from pathlib import Path

from memory_mcp.config import Settings, load_settings
from memory_mcp.errors import RequestError
from memory_mcp.log import configure_log
from memory_mcp.remember import door
from memory_mcp.tiers.sqlite.database import FILE_NAME


def settings_of(data_dir: Path | None, namespace: str = "") -> Settings:
    """Those of a data directory, with a log that tells errors alone.

    Raises:
        ConfigError: They make no sense.
    """
    settings = load_settings(data_dir=data_dir, namespace=namespace)
    if settings.namespace:
        door.namespace(settings.namespace)
    configure_log("error")
    return settings


def with_a_store(settings: Settings) -> Settings:
    """The same settings, if something has been remembered in their data directory.

    Raises:
        RequestError: Nothing has, or it is another directory.
    """
    if settings.records.backend == "sqlite" and not (settings.data_dir / FILE_NAME).exists():
        raise RequestError(f"There is no memory store in {settings.data_dir}; it is made when a client first starts the server.")
    return settings
