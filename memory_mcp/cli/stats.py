"""`memory-mcp stats`."""

from rich.console import Console

from memory_mcp.cli import tables
from memory_mcp.cli.asking import conversation
from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.options import AsJson, DataDir, Namespace
from memory_mcp.cli.printed import say_json
from memory_mcp.errors import RequestError
from memory_mcp.tiers.sqlite.database import FILE_NAME


def stats(data_dir: DataDir = None, namespace: Namespace = "", as_json: AsJson = False) -> None:
    """How much is remembered where, and how the memory is doing."""
    settings = settings_of(data_dir, namespace)
    if settings.records.backend == "sqlite" and not (settings.data_dir / FILE_NAME).exists():
        raise RequestError(f"There is no memory store in {settings.data_dir}; it is made when a client first starts the server.")
    with conversation(settings.data_dir, settings.namespace) as engine:
        facts, _ = engine.call("stats", {})
    say_json(facts) if as_json else tables.print_statistics(Console(), facts)
