"""`memory-mcp stats`."""

from rich.console import Console

from memory_mcp.cli import tables
from memory_mcp.cli.asking import conversation
from memory_mcp.cli.configured import settings_of, with_a_store
from memory_mcp.cli.options import AsJson, DataDir, Namespace
from memory_mcp.cli.printed import say_json


def stats(data_dir: DataDir = None, namespace: Namespace = "", as_json: AsJson = False) -> None:
    """How much is remembered where, and how the memory is doing."""
    settings = with_a_store(settings_of(data_dir, namespace))
    with conversation(settings.data_dir, settings.namespace) as engine:
        facts, _ = engine.call("stats", {})
    say_json(facts) if as_json else tables.print_statistics(Console(), facts)
