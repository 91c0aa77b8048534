"""Where an engine and its fronts meet: files in the data directory."""

import os
from collections.abc import Mapping
from contextlib import suppress

_DEFAULT = "~/.memory-mcp"
_ROOM_BYTES = 16_384
"""More than an engine needs to be found, on any disk's blocks."""


class Places:
    """The files by which an engine is found and elected.

    Attributes:
        lock: Held by the engine for its whole life; the operating system lets go of it, however that ends.
        starting: Held by the front that is starting an engine, so that one is started and not eight.
        address: Where the engine listens, as JSON; written by the holder of `lock` alone, and possibly left over, or copied from elsewhere.
        log: What the engine has to say.
        room: Written and removed again, to see whether anything can be; a file left over is of no use.
    """

    __slots__ = ("address", "folder", "lock", "log", "room", "starting")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.lock = os.path.join(folder, "engine.lock")
        self.starting = os.path.join(folder, "engine.starting")
        self.address = os.path.join(folder, "engine.json")
        self.log = os.path.join(folder, "engine.log")
        self.room = os.path.join(folder, "engine.room")

    def why_no_engine(self) -> str:
        """A sentence, if an engine could not make its files here; empty otherwise."""
        path = self.folder
        try:
            os.makedirs(path, 0o700, exist_ok=True)
            for path in (self.starting, self.log):
                os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
            path = self.room
            _write(path, bytes(_ROOM_BYTES))  # a full disk takes files as long as they are empty
        except OSError as error:
            return f"{path} cannot be written: {error.strerror}."
        return ""


def data_folder(given: str, environment: Mapping[str, str]) -> str:
    """The data directory, absolute: the one given, that of the environment, or the one in the home folder.

    Raises:
        OSError: It is to lie in a home folder, and none is known.
    """
    folder = os.path.expanduser(given or environment.get("MEMORY_MCP_DATA_DIR") or _DEFAULT)
    if folder.startswith("~"):  # else it would be made in the folder where the client happens to work
        raise FileNotFoundError(2, "no home folder is known; name a folder with --data-dir or MEMORY_MCP_DATA_DIR", folder)
    return folder if os.path.isabs(folder) else os.path.join(os.getcwd(), folder)


def _write(path: str, content: bytes) -> None:
    """Nothing of it is left, whether it can be done or not."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        while content:
            content = content[os.write(handle, content) :]
    finally:
        os.close(handle)
        with suppress(OSError):  # another may be at it, too
            os.unlink(path)
