"""Where an engine and its fronts meet: files in the data directory."""

import os
from collections.abc import Mapping

_DEFAULT = "~/.memory-mcp"


class Places:
    """The files by which an engine is found and elected.

    Attributes:
        lock: Held by the engine for its whole life; the operating system lets go of it, however that ends.
        starting: Held by the front that is starting an engine, so that one is started and not eight.
        address: Where the engine listens, as JSON; written by the holder of `lock` alone, and possibly left over.
        log: What the engine has to say.
    """

    __slots__ = ("address", "folder", "lock", "log", "starting")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.lock = os.path.join(folder, "engine.lock")
        self.starting = os.path.join(folder, "engine.starting")
        self.address = os.path.join(folder, "engine.json")
        self.log = os.path.join(folder, "engine.log")


def data_folder(given: str, environment: Mapping[str, str]) -> str:
    """The data directory, absolute: the one given, that of the environment, or the one in the home folder."""
    folder = os.path.expanduser(given or environment.get("MEMORY_MCP_DATA_DIR") or _DEFAULT)
    return folder if os.path.isabs(folder) else os.path.join(os.getcwd(), folder)
