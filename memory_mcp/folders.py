"""A folder that somebody named, in full, or why it can be none."""

from pathlib import Path

from memory_mcp.errors import ConfigError


def in_full(named: Path) -> Path:
    """Absolute, with the home folder in place of `~`.

    Raises:
        ConfigError: No home folder is known, or the name cannot be handed to SQLite.
    """
    try:
        folder = named.expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"{named} cannot be: no home folder is known. Name a folder with --data-dir or MEMORY_MCP_DATA_DIR.") from None
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{str(folder)!a} is not UTF-8. Name another folder with --data-dir or MEMORY_MCP_DATA_DIR.") from None
    return folder
