"""Where an engine listens: a socket in the data directory, or what stands for one where there is no such thing.

Nobody but the user gets in: the socket lies in a folder of the user's own and is readable by nobody else; over
loopback TCP, which anybody on the machine can reach, a secret is asked for that only the user can read.
"""

import hashlib
import os
import socket
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress

from memory_mcp.front.places import Places

BACKLOG = 128
"""Fronts that may wait while the engine imports the rest of itself."""

_LAST_BASE = "/tmp"
_MAX_PATH_BYTES = 100
"""Of a Unix socket: 103 on macOS, 107 on Linux."""


def listen(places: Places, *, tcp: bool) -> tuple[socket.socket, dict[str, object]]:
    """Listen, and what the address file is to say; only the holder of the engine's lock may call it.

    Raises:
        OSError: The socket cannot be made.
    """
    if tcp:
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        return listener, {"port": listener.getsockname()[1], "secret": os.urandom(32).hex()}
    path = socket_path(places.folder, os.environ)
    with suppress(FileNotFoundError):
        os.unlink(path)  # left over: whoever made it does not hold the lock any more
    listener = socket.socket(socket.AF_UNIX)
    others = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(others)
    listener.listen(BACKLOG)
    return listener, {"socket": path}


def socket_path(folder: str, environment: Mapping[str, str]) -> str:
    """A path that is short enough for a socket: in the data directory, else in a folder of the user's own.

    Raises:
        OSError: That folder cannot be made, or is somebody else's.
    """
    path = os.path.join(folder, "engine.sock")
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        return path
    digest = hashlib.blake2b(os.fsencode(os.path.realpath(folder)), digest_size=8).hexdigest()
    failure = OSError(36, "the path is too long for a socket", path)
    for base in (environment.get("XDG_RUNTIME_DIR", ""), environment.get("TMPDIR", ""), _LAST_BASE):
        path = os.path.join(base, f"memory-mcp-{_user()}", f"{digest}.sock")
        if os.path.isabs(base) and len(os.fsencode(path)) <= _MAX_PATH_BYTES:
            try:
                _make_private(os.path.dirname(path))
            except OSError as error:
                failure = error
            else:
                return path
    raise failure


def _make_private(folder: str) -> None:
    """Have a folder that is ours alone, whatever lies under its name: in a shared place anybody can have made it."""
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(13, "it is not a folder of your own that others have no access to", folder)


def _user() -> int:
    return os.getuid() if sys.platform != "win32" else 0
