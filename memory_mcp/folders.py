"""Files and folders that somebody named, in full, or why they can be none."""

from pathlib import Path

from memory_mcp.errors import ConfigError


def expanded(named: Path, instead: str = "Write the path in full.") -> Path:
    """With a home folder in place of `~` or `~somebody`; a relative path stays relative.

    Args:
        instead: What to do where there is no such home folder.

    Raises:
        ConfigError: It is not known.
    """
    try:
        return named.expanduser()
    except RuntimeError:
        raise ConfigError(f"{named} cannot be: no home folder is known. {instead}") from None


def in_full(named: Path) -> Path:
    """A data directory, absolute.

    Raises:
        ConfigError: No home folder is known, or the name cannot be handed to SQLite.
    """
    folder = expanded(named, "Name a folder with --data-dir or MEMORY_MCP_DATA_DIR.").absolute()
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{str(folder)!a} is not UTF-8. Name another folder with --data-dir or MEMORY_MCP_DATA_DIR.") from None
    return folder
