"""`memory-mcp serve`: one process that serves one client over stdio."""

import argparse
import logging
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import anyio

from memory_mcp.config import Settings, load_settings
from memory_mcp.errors import ConfigError
from memory_mcp.namespaces import client_namespace
from memory_mcp.remember import door
from memory_mcp.server.app import make_server
from memory_mcp.server.desk import Desk, Opening
from memory_mcp.server.refusal import refuse_client
from memory_mcp.server.runner import run_stdio

if TYPE_CHECKING:
    from memory_mcp.service import MemoryService


def serve(arguments: Sequence[str]) -> NoReturn:
    """Serve until the client goes; exit status 2 and one line on stderr if the settings make no sense."""
    parser = argparse.ArgumentParser(prog="memory-mcp serve", description="Serve MCP over stdin and stdout.")
    parser.add_argument("--data-dir", type=Path, help="where everything is kept (default: ~/.memory-mcp)")
    parser.add_argument("--namespace", default="", help="the project to work in (default: found from where the client works)")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings(data_dir=given.data_dir, namespace=given.namespace)
        if settings.namespace:
            door.namespace(settings.namespace)
    except (ConfigError, ValueError) as error:
        print(f"memory-mcp: {error}", file=sys.stderr)  # noqa: T201
        refuse_client(str(error))
        sys.exit(2)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)  # until the log is configured, behind the handshake
    namespace = client_namespace(settings.namespace, os.environ, working_directory(), Path.home())
    desk = Desk(Opening(lambda: _open(settings)), tenant="local", namespace=namespace)
    run_stdio(lambda: make_server(desk))


def working_directory() -> Path:
    """Where the client works; the root folder if that place is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


@asynccontextmanager
async def _open(settings: Settings) -> "AsyncIterator[MemoryService]":
    # NumPy, SQLite and the rest load in a thread, while the handshake is answered
    assembly = await anyio.to_thread.run_sync(import_module, "memory_mcp.assembly")
    log = await anyio.to_thread.run_sync(import_module, "memory_mcp.log")
    log.configure_log(settings.log.level)
    async with assembly.open_memory(settings) as service:
        yield service
