"""`memory-mcp sessions`: the conversations that left something, for people and scripts."""

import sys

from rich.console import Console
from rich.text import Text

from memory_mcp.cli.asking import conversation
from memory_mcp.cli.options import AsJson, DataDir, Namespace
from memory_mcp.cli.printed import say_json
from memory_mcp.counted import counted


def sessions(data_dir: DataDir = None, namespace: Namespace = "", as_json: AsJson = False) -> None:
    """The last conversations that something was remembered from."""
    with conversation(data_dir, namespace) as engine:
        facts, _ = engine.call("stats", {"section": "sessions"})
    if as_json:
        say_json(facts)
        return
    console = Console(soft_wrap=not sys.stdout.isatty())
    console.print(Text.assemble((counted(len(facts["sessions"]), "session"), "bold"), f" in {facts['namespace']}, times in UTC"))
    for one in facts["sessions"]:
        until = one["ended"] if one["ended"][:10] != one["began"][:10] else one["ended"][11:]
        beside = [", ".join(counted(count, kind) for kind, count in one["kinds"].items())]
        beside += [f"session {one['session_id']}"] if "session_id" in one else []
        console.print(Text.assemble("\n", (f"{one['began']} – {until}  ", "cyan"), one["title"]))
        console.print(Text("      " + "; ".join([one["age"], *beside]), "dim"))
