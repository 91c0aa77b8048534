"""The lock on the store's file: ChaCha20-Poly1305 of SQLite3 Multiple Ciphers, which the driver brings along.

Every page, of the file and of its WAL, is encrypted with a nonce of its own and carries a tag, so that a changed byte is
noticed when the page is read. A key of 64 hexadecimal digits is used as it is; anything else is a passphrase, from which
PBKDF2-HMAC-SHA256 derives the key in 64,007 rounds, with the salt that the file begins with. Of the first page the bytes 16
to 23 stay readable (page size, kind of journal), which tells an encrypted file from a damaged one.

Source:
    https://utelle.github.io/SQLite3MultipleCiphers/docs/ciphers/cipher_chacha20/
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import apsw

from memory_mcp.errors import StoreKeyError, TierError

TIER = "sqlite"
CIPHER = "chacha20"
SHORTEST_PASSPHRASE, LONGEST_KEY = 12, 1_000
"""In characters."""

State = Literal["absent", "empty", "plain", "encrypted", "unknown"]
"""What a file is, by its first bytes; unknown is no SQLite file of either kind."""

_RAW = "raw:"
_ROUNDS, _SALT_BYTES = 64_007, 16
_PLAIN = b"SQLite format 3\0"
_HEADER_BYTES = 24
_FRACTIONS = bytes((64, 32, 32))  # https://www.sqlite.org/fileformat.html, offsets 21 to 23
_RESERVED = 32  # bytes of each page: nonce and tag


@dataclass(frozen=True, slots=True)
class Key:
    """What a file is encrypted with, as the cipher takes it; it shows itself nowhere."""

    _text: str

    def __repr__(self) -> str:
        return "Key(...)"

    def give(self, connection: apsw.Connection) -> None:
        """Tell a connection, before anything else is asked of it."""
        connection.pragma("cipher", CIPHER)
        connection.pragma("key", self._text)
        connection.pragma("temp_store", 2)  # in memory: SQLite writes what it sorts or may roll back as it is

    def derived(self, path: Path) -> "Key":
        """The same key for connections to this file, which are then spared the derivation; itself where there is nothing to spare."""
        if self._text.startswith(_RAW) or state_of(path) != "encrypted":
            return self
        salt = _header(path)[:_SALT_BYTES]
        return Key(_RAW + hashlib.pbkdf2_hmac("sha256", self._text.encode(), salt, _ROUNDS).hex())

    @property
    def parameters(self) -> str:
        """The key as a part of a URI."""
        return f"?cipher={CIPHER}&hexkey={self._text.encode().hex()}"


def parse(text: str) -> Key:
    """The key that a text is: 64 hexadecimal digits or a passphrase; a line's end does not belong to it.

    Raises:
        StoreKeyError: It is too short, too long, or holds what no keyboard types. The message holds nothing of it.
    """
    text = text.strip("\r\n")
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return Key(_RAW + text.lower())
    if not SHORTEST_PASSPHRASE <= len(text) <= LONGEST_KEY or not text.isprintable() or text.startswith((_RAW, "x'")):
        raise StoreKeyError(
            TIER,
            f"A key is 64 hexadecimal digits (`openssl rand -hex 32` makes one), or a passphrase on one line of {SHORTEST_PASSPHRASE} to "
            f"{LONGEST_KEY:,} characters; what [encryption] leads to is neither. Nothing was changed.",
        )
    return Key(text)


def state_of(path: Path) -> State:
    """What a file is; read through SQLite, as closing it by other means would end the locks that this process has on it."""
    if not path.exists():
        return "absent"
    return state_of_header(header) if (header := _header(path)) else "empty"


def _header(path: Path) -> bytes:
    file = apsw.VFSFile("", str(path.absolute()), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0])
    try:
        size = min(file.xFileSize(), _HEADER_BYTES)
        return bytes(file.xRead(size, 0)) if size else b""
    finally:
        file.xClose()


def state_of_header(header: bytes) -> State:
    """What a file with these first bytes is; of a file of other ciphers nothing is known."""
    if header.startswith(_PLAIN):
        return "plain"
    if len(header) < _HEADER_BYTES:
        return "unknown"
    page_size = int.from_bytes(header[16:18], "big")
    sizes = {1, *(1 << n for n in range(9, 16))}  # 1 stands for 65,536
    return "encrypted" if page_size in sizes and header[20] == _RESERVED and header[21:24] == _FRACTIONS else "unknown"


def unlock(connection: apsw.Connection, path: Path, key: Key | None) -> None:
    """Give a connection its key, and see that it fits.

    Raises:
        StoreKeyError: The file is encrypted and the key is missing or another one's, or it is not encrypted.
        apsw.NotADBError: The file is none of SQLite's.
    """
    if key is not None:
        key.give(connection)
    try:
        connection.pragma("user_version")  # the first page is looked at
    except apsw.NotADBError as error:
        if (sentence := refusal(state_of(path), path.name, has_key=key is not None)) is not None:
            raise StoreKeyError(TIER, sentence) from error
        raise


def refusal(state: State, name: str, *, has_key: bool) -> str | None:
    """Why a file of this state cannot be opened with or without a key; None where the key is not the reason."""
    if state == "plain" and has_key:
        return (
            f"A key is configured in [encryption], but {name} is not encrypted. Run `memory-mcp engine stop` and `memory-mcp encrypt`, "
            "or remove the key. Nothing was changed."
        )
    if state == "encrypted" and not has_key:
        return (
            f"{name} is encrypted, and no key is configured. Name one in [encryption] of config.toml (key_file, key_command or keyring), "
            "or set MEMORY_MCP_ENCRYPTION__KEY for whatever starts first. Nothing was changed."
        )
    if state == "encrypted":
        return (
            f"The key that [encryption] leads to does not open {name}: it was encrypted with another one, or its first page is damaged. "
            "If `memory-mcp rekey` was broken off, run it again; else name the right key, or restore a backup. Nothing was changed."
        )
    return None


def copy_into(connection: apsw.Connection, target: Path, key: Key | None) -> None:
    """Write all that a connection sees into a file that is empty or not there, encrypted with a key or not at all."""
    name = f"file:{quote(str(target.absolute()))}{key.parameters if key else '?key='}"
    with _without_its_words():
        connection.execute("VACUUM INTO ?", (name,))


@contextmanager
def _without_its_words() -> Iterator[None]:
    """SQLite's errors tell the name of the file, and with it the key."""
    try:
        yield
    except apsw.CantOpenError:
        raise TierError(TIER, "The copy cannot be written: check that its folder exists and belongs to you.") from None
    except apsw.Error as error:
        error.args = ("while copying",)
        raise
