"""`memory-mcp where`: the places of everything."""

import os
from pathlib import Path

from memory_mcp.cli.configured import settings_of
from memory_mcp.cli.install.commands import client_states
from memory_mcp.cli.options import AsJson, DataDir
from memory_mcp.cli.printed import say, say_json
from memory_mcp.config import CONFIG_NAME
from memory_mcp.folders import expanded
from memory_mcp.tiers.sqlite.database import FILE_NAME


def where(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Where everything lies."""
    settings = settings_of(data_dir)
    named = os.environ.get("MEMORY_MCP_CONFIG")
    paths = {
        "data directory": settings.data_dir,
        "memories": settings.data_dir / FILE_NAME,
        "models": settings.data_dir / "models",
        "configuration": expanded(Path(named)) if named else settings.data_dir / CONFIG_NAME,
    }
    clients = client_states()
    if settings.records.backend != "sqlite":
        del paths["memories"]
    if as_json:
        places = {name.replace(" ", "_"): {"path": str(path), "exists": path.exists()} for name, path in paths.items()}
        say_json({**places, "clients": clients})
    else:
        if "memories" not in paths:
            say(f"{'memories':<18}in PostgreSQL, where dsn of [records] says")
        for name, path in paths.items():
            say(f"{name:<18}{path}{'' if path.exists() else '  (not there yet)'}")
        for client in clients:
            say(f"{client['title']:<18}{client['path']}  ({client['state']})")
