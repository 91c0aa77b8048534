"""Calling the tools from the command line, through the engine that all clients share."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from memory_mcp import __version__
from memory_mcp.cli.printed import remark
from memory_mcp.errors import ConfigError, RequestError, TierUnavailableError
from memory_mcp.front.dialling import Connection
from memory_mcp.front.election import PATIENCE_SECONDS, Election, RefusedError, UnavailableError
from memory_mcp.front.hello import hello
from memory_mcp.front.places import Places, data_folder

CLIENT = "memory-mcp"
"""What stands in a memory as the client that it came from."""
PROTOCOL = "2025-06-18"
ANSWER_SECONDS = 60.0

_ENDED = "The memory engine ended during the call. What it was to store may be stored or not; repeating it stores nothing twice."


class Conversation:
    """One client's conversation with the engine, call by call."""

    def __init__(self, connection: Connection, answer_seconds: float) -> None:
        self._connection, self._seconds, self._number = connection, answer_seconds, 0

    def call(self, tool: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """What a tool answers, as facts and as text.

        Raises:
            RequestError: The tool refuses; the message is its own.
            TierUnavailableError: The engine ended, or took too long.
        """
        result = self._request("tools/call", {"name": tool, "arguments": dict(arguments)})
        text = "\n".join(block["text"] for block in result.get("content", ()) if block.get("type") == "text")
        if result.get("isError"):
            raise RequestError(text)
        return dict(result.get("structuredContent") or {}), text

    def begin(self) -> None:
        """The handshake."""
        client = {"name": CLIENT, "version": __version__}
        self._request("initialize", {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client})
        self._send({"method": "notifications/initialized"})

    def _request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self._number += 1
        try:
            self._connection.limit(time.monotonic() + self._seconds)
            self._send({"id": self._number, "method": method, "params": params})
            while (answer := json.loads(self._connection.line())).get("id") != self._number:
                pass  # notifications
        except TimeoutError:
            raise TierUnavailableError("engine", f"The memory engine has not answered within {self._seconds:.0f} s.") from None
        except (OSError, EOFError):
            raise TierUnavailableError("engine", _ENDED) from None
        if "error" in answer:
            raise RequestError(str(answer["error"].get("message", "The engine refused the call.")))
        return dict(answer["result"])

    def _send(self, message: Mapping[str, Any]) -> None:
        self._connection.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


@contextmanager
def conversation(
    data_dir: Path | None, namespace: str, *, directory: str = "", seconds: float = ANSWER_SECONDS, all_tools: bool = False
) -> Iterator[Conversation]:
    """A conversation with the engine of a data directory, which is started if there is none.

    Args:
        namespace: Empty: found from where the command is run.
        directory: Where else to look for the project.
        seconds: Longest wait for an answer.
        all_tools: Whether to have the tools of every set, whatever the configuration says of clients.

    Raises:
        ConfigError: The engine's settings, or those in the environment, make no sense.
        TierUnavailableError: There is no engine to be had.
    """
    places = Places(data_folder(str(data_dir or ""), os.environ))
    introduction = hello(__version__, namespace, os.environ)
    if directory:
        introduction["cwd"] = directory
    if all_tools:
        introduction["tools"] = "all"
    try:
        with suppress(FileExistsError):
            os.makedirs(places.folder, 0o700)
        if not os.path.isdir(places.folder):
            raise RequestError(f"{places.folder} is a file. Name a folder as the data directory.")
        connection, told = Election(places, introduction, time.monotonic() + min(PATIENCE_SECONDS, seconds)).engage()
    except RefusedError as error:
        raise (ConfigError if error.status == 2 else RequestError)(str(error)) from None
    except UnavailableError as error:
        raise TierUnavailableError("engine", str(error)) from None
    for sentence in told:
        remark(sentence)
    try:
        one = Conversation(connection, seconds)
        one.begin()
        yield one
    finally:
        connection.close()
