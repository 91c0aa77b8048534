"""`memory-mcp backup|restore`: all memories as one file."""

from pathlib import Path
from typing import Annotated

import typer

from memory_mcp.cli import acting, tables
from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say, say_json
from memory_mcp.clock import utc_now
from memory_mcp.config import Settings
from memory_mcp.counted import counted
from memory_mcp.errors import RequestError
from memory_mcp.folders import expanded
from memory_mcp.tiers.sqlite import backup as copies
from memory_mcp.tiers.sqlite.cipher import parse
from memory_mcp.tiers.sqlite.keys import find_key, read_key_file
from memory_mcp.upkeep.register import Register


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy all memories into one file, while servers go on working."""
    settings = _with_a_file(settings_of(data_dir))
    key = find_key(settings.encryption, settings.data_dir)
    made = copies.backup(settings.data_dir, expanded(file).absolute(), key, force=force)
    if as_json:
        say_json({"file": str(made.path), "memories": made.memories, "bytes": made.size_bytes})
    else:
        say(f"Saved {counted(made.memories, 'memory')} ({tables.size(made.size_bytes)}), checked, to {made.path}")


def restore(
    file: Annotated[Path, typer.Argument(help="A copy that `backup` made.")],
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Holds the key that the backup is encrypted with, if not the present one.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of all memories; those that are there now are kept aside."""
    settings = _with_a_file(settings_of(data_dir))
    former = None if key_file is None else parse(read_key_file(expanded(key_file)))
    key = find_key(settings.encryption, settings.data_dir)
    done = copies.restore(settings.data_dir, expanded(file).absolute(), utc_now(), key, former, erased=Register(settings.data_dir).read())
    acting.note(settings, "restore", memories=done.memories, erased_again=done.erased_again)
    if as_json:
        say_json({"file": str(done.path), "memories": done.memories, "kept": str(done.kept or ""), "erased_again": done.erased_again})
    else:
        kept = f"\nWhat was there before is kept as {done.kept}" if done.kept else ""
        again = f"\nErased again what was erased since: {counted(done.erased_again, 'memory')}" if done.erased_again else ""
        say(f"Restored {counted(done.memories, 'memory')} to {done.path}{again}{kept}")


def _with_a_file(settings: Settings) -> Settings:
    """Raise RequestError where memories are not kept in a file that could be copied."""
    if settings.records.backend != "sqlite":
        raise RequestError("The memories are in PostgreSQL, which has its own tools for this: pg_dump and pg_restore, as the owner.")
    return settings
