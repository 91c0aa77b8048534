"""The settings that a command works with."""

from pathlib import Path

from memory_mcp.config import Settings, load_settings
from memory_mcp.log import configure_log
from memory_mcp.remember import door


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
