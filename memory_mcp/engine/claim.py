"""Becoming the engine of a data directory: its lock, a socket that listens, a file that says where; nothing heavy.

The lock decides. It is the operating system's, so it is free the moment its holder is gone, and everything else that
an engine may leave behind is its holder's to replace.
"""

import json
import os
import socket
from contextlib import suppress

from memory_mcp import __version__
from memory_mcp.engine.endpoint import listen
from memory_mcp.front.hello import MARK, WIRE
from memory_mcp.front.locks import try_lock
from memory_mcp.front.places import Places


class Claim:
    """What makes a process the engine.

    Attributes:
        secret: What a front has to know; empty where the file system guards the socket.
    """

    def __init__(self, places: Places, lock: int, listener: socket.socket, address: dict[str, object]) -> None:
        self.places, self.listener, self.secret = places, listener, str(address.get("secret", ""))
        self._lock, self._address = lock, address

    def announce(self, pid: int) -> None:
        """Write the address file; the process of this id will answer.

        Raises:
            OSError: It cannot be written.
        """
        said = {MARK: WIRE, "pid": pid, "program": __version__, "lock": os.fstat(self._lock).st_ino, **self._address}
        partial = f"{self.places.address}.partial"
        with suppress(FileNotFoundError):
            os.unlink(partial)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, json.dumps(said).encode() + b"\n")
        finally:
            os.close(handle)
        os.replace(partial, self.places.address)

    @property
    def address(self) -> str:
        """Where it listens, for people."""
        return str(self._address.get("socket") or f"127.0.0.1:{self._address['port']}")

    def holds(self) -> bool:
        """Whether fronts can still find this engine: its files are where it put them, and not another's."""
        try:
            if not os.path.samestat(os.stat(self.places.lock), os.fstat(self._lock)):
                return False
            with open(self.places.address, "rb") as file:
                found = json.loads(file.read())
            return all(found.get(key) == value for key, value in self._address.items()) and self._socket_exists()
        except (OSError, ValueError, AttributeError):
            return False

    def _socket_exists(self) -> bool:
        return "socket" not in self._address or os.path.exists(str(self._address["socket"]))

    def withdraw(self) -> None:
        """Be found no longer; who is in line already is the listener's affair, and the lock stays until the process is gone."""
        if self.holds():
            for path in (self.places.address, str(self._address.get("socket", ""))):
                with suppress(OSError):
                    os.unlink(path)


def claim(places: Places, *, tcp: bool) -> Claim | None:
    """Become the engine; None if there is one.

    Raises:
        OSError: The files cannot be made.
    """
    os.makedirs(places.folder, 0o700, exist_ok=True)
    lock = try_lock(places.lock)
    if lock is None:
        return None
    try:
        listener, address = listen(places, tcp=tcp)
    except BaseException:
        os.close(lock)
        raise
    return Claim(places, lock, listener, address)
