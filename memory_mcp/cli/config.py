"""`memory-mcp config`: every setting there is."""

from pathlib import Path

from memory_mcp.cli.printed import say

EXAMPLE = "config.example.toml"
_PACKAGE = Path(__file__).parents[1]


def config() -> None:
    """Print every setting with its default and what it is for; what you change goes into config.toml (see `where`)."""
    # in an installed package it lies within, in a checkout beside it
    say(next(path for path in (_PACKAGE / EXAMPLE, _PACKAGE.parent / EXAMPLE) if path.is_file()).read_text("utf-8").rstrip())
