"""`memory-mcp doctor`."""

import anyio
import typer
from rich.console import Console

from memory_mcp.cli import tables
from memory_mcp.cli.checks import Doctor
from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.options import AsJson, DataDir, Namespace
from memory_mcp.cli.printed import say_json


def doctor(data_dir: DataDir = None, namespace: Namespace = "", as_json: AsJson = False) -> None:
    """Look for what is wrong, and say what to do about it; exit status 1 if there is something."""
    console = Console(stderr=as_json)
    with console.status("Looking at the store and loading the model ...") as status:
        checks = anyio.run(Doctor(settings_of(data_dir, namespace), status.update).examine)
    wrong = [check for check in checks if check.state == "wrong"]
    if as_json:
        say_json({"ok": not wrong, "checks": [check.facts() for check in checks]})
    else:
        tables.print_checks(console, checks)
    if wrong:
        raise typer.Exit(1)
