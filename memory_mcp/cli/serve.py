"""`memory-mcp serve`, through the engine; with `--isolated` one process serves one client with nobody else's help."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from memory_mcp.cli.printed import remark
from memory_mcp.config import load_settings
from memory_mcp.engine.opening import open_behind
from memory_mcp.errors import ConfigError
from memory_mcp.front.arguments import Given, parse
from memory_mcp.front.hello import working_directory
from memory_mcp.front.process import run
from memory_mcp.namespaces import client_namespace, home_folder
from memory_mcp.remember import door
from memory_mcp.server.app import make_server
from memory_mcp.server.desk import Desk, Opening
from memory_mcp.server.refusal import refuse_client
from memory_mcp.server.runner import run_stdio


def serve(arguments: Sequence[str]) -> NoReturn:
    """Serve as the arguments say. What clients start comes by a shorter way here, through `__main__`."""
    given = parse(arguments)
    if not given.isolated:
        run(given)  # which returns only where no engine can be
    serve_isolated(given)


def serve_isolated(given: Given) -> NoReturn:
    """Serve until the client goes; exit status 2 and one line on stderr if the settings make no sense."""
    try:
        settings = load_settings(data_dir=Path(given.data_dir) if given.data_dir else None, namespace=given.namespace)
        if settings.namespace:
            door.namespace(settings.namespace)
    except (ConfigError, ValueError) as error:
        remark(str(error))
        refuse_client(str(error))
        sys.exit(2)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)  # until the log is configured, behind the handshake
    namespace = client_namespace(settings.namespace, os.environ, Path(working_directory()), home_folder())
    desk = Desk(Opening(lambda: open_behind(settings)), tenant="local", namespace=namespace)
    run_stdio(lambda: make_server(desk, settings.tools.sets))
