"""Where the key comes from: a file, a program, the system's keyring, or the environment.

A file and a keyring can also take a new key. It is put beside the present one first, and takes its place once the store is
encrypted with it: whatever breaks off in between, one of the two opens the store.
"""

import os
import secrets
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from memory_mcp.errors import StoreKeyError
from memory_mcp.folders import expanded
from memory_mcp.tiers.sqlite.cipher import LONGEST_KEY, TIER, Key, parse
from memory_mcp.tiers.sqlite.replacing import sync
from memory_mcp.tiers.sqlite.settings import EncryptionSettings

_COMMAND_SECONDS = 60.0
"""Long enough for somebody to type a passphrase."""
_MOST_BYTES = 4 * LONGEST_KEY + 2
_SERVICE = "memory-mcp"


class Slot(Protocol):
    """A place that holds a key and can take another."""

    place: str
    """For people."""

    def read(self) -> str | None:
        """The key's text; None: there is none yet."""

    def pending(self) -> str | None:
        """One that was put beside it and has not taken its place."""

    def propose(self, text: str) -> None:
        """Put one beside it."""

    def promote(self) -> None:
        """Let that one take its place."""


def find_key(settings: EncryptionSettings, folder: Path) -> Key | None:
    """The key that is configured; None where none is.

    Args:
        folder: The data directory, which a relative `key_file` starts from, and by which the keyring knows the key.

    Raises:
        StoreKeyError: It is not to be had, or is none; the message says what to do and holds nothing of it.
        ConfigError: `key_file` lies in a home folder that is not known.
    """
    if (slot := slot_of(settings, folder)) is not None:
        text = slot.read()
        if text is None:
            raise StoreKeyError(
                TIER,
                f"There is no key in {slot.place}, where [encryption] leads to. Put it back; for a store that is new or not encrypted "
                "yet, `memory-mcp encrypt` makes one. Nothing was changed.",
            )
        return parse(text)
    if settings.key_command:
        return parse(_printed(settings.key_command))
    return parse(settings.key.get_secret_value()) if settings.key.get_secret_value() else None


def slot_of(settings: EncryptionSettings, folder: Path) -> Slot | None:
    """The place of the key, where it is one that can take another."""
    if settings.key_file:
        return FileSlot(folder / expanded(Path(settings.key_file)))
    return KeyringSlot(folder) if settings.keyring else None


def random_key() -> str:
    """The text of a new key of 256 bits."""
    return secrets.token_hex(32)


class FileSlot:
    """A file that nobody else can read."""

    def __init__(self, path: Path) -> None:
        self._path, self._next = path, path.with_name(f"{path.name}.new")
        self.place = str(path)

    def read(self) -> str | None:
        """See `Slot`."""
        return read_key_file(self._path) if self._path.exists() else None

    def pending(self) -> str | None:
        """See `Slot`."""
        return read_key_file(self._next) if self._next.exists() else None

    def propose(self, text: str) -> None:
        """See `Slot`; the file is on the disk before it returns, in a folder that is made where there is none."""
        with _file_errors(self._next):
            self._next.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._next.unlink(missing_ok=True)
            handle = os.open(self._next, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f"{text}\n")
                file.flush()
                os.fsync(handle)
            sync(self._next.parent)

    def promote(self) -> None:
        """See `Slot`."""
        with _file_errors(self._path):
            os.replace(self._next, self._path)
            sync(self._path.parent)


class KeyringSlot:
    """An entry of the system's keyring, under the data directory's name."""

    def __init__(self, folder: Path) -> None:
        self._name = str(folder.expanduser().absolute())
        self._next = f"{self._name} (new)"
        self.place = f"the system's keyring (service {_SERVICE}, user {self._name})"

    def read(self) -> str | None:
        """See `Slot`."""
        return self._get(self._name)

    def pending(self) -> str | None:
        """See `Slot`."""
        return self._get(self._next)

    def propose(self, text: str) -> None:
        """See `Slot`."""
        with _keyring() as keyring:
            keyring.set_password(_SERVICE, self._next, text)

    def promote(self) -> None:
        """See `Slot`."""
        text = self.pending()
        with _keyring() as keyring:
            keyring.set_password(_SERVICE, self._name, text)
            keyring.delete_password(_SERVICE, self._next)

    def _get(self, name: str) -> str | None:
        with _keyring() as keyring:
            found: str | None = keyring.get_password(_SERVICE, name)
        return found


def read_key_file(path: Path) -> str:
    """The text in a key file.

    Raises:
        StoreKeyError: It cannot be read, is no plain file of moderate size, or others can read it.
    """
    with _file_errors(path):
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise StoreKeyError(TIER, f"The key file {path} is no plain file. Nothing was changed.")
            if os.name == "posix" and found.st_mode & 0o077:
                raise StoreKeyError(TIER, f"The key file {path} can be read by others: run chmod 600 on it. Nothing was changed.")
            return _decoded(file.read(_MOST_BYTES + 1))


def _printed(command: list[str]) -> str:
    """What the program prints; its other words may hold anything and are not passed on."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_COMMAND_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise StoreKeyError(TIER, f"key_command has not ended within {_COMMAND_SECONDS:.0f} s. Nothing was changed.") from None
    except (OSError, ValueError):
        raise StoreKeyError(TIER, f"key_command cannot be run: is {command[0]} there, with its full path? Nothing was changed.") from None
    if done.returncode:
        raise StoreKeyError(TIER, f"key_command ended with status {done.returncode}: run it by hand to see why. Nothing was changed.")
    return _decoded(done.stdout)


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8") if len(text) <= _MOST_BYTES else ""
    except UnicodeDecodeError:
        return ""  # which is no key


@contextmanager
def _keyring() -> Iterator[Any]:
    try:
        import keyring  # noqa: PLC0415 - an extra, for those who use it
    except ImportError:
        raise StoreKeyError(TIER, 'keyring = true needs an extra: pip install "memory-mcp[keyring]". Nothing was changed.') from None
    try:
        yield keyring
    except keyring.errors.KeyringError as error:
        raise StoreKeyError(
            TIER,
            f"The system's keyring cannot be used ({type(error).__name__}): unlock it, or name a key_file instead. Nothing was changed.",
        ) from None


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreKeyError(TIER, f"The key file {error.filename or path} cannot be used: {error.strerror}. Nothing was changed.") from None
