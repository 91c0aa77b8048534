"""Where to listen, and whether that may be: nothing but this machine's own addresses without somebody to let in."""

import os
import socket
import ssl
import stat
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509

from memory_mcp.config import HttpSettings
from memory_mcp.errors import ConfigError
from memory_mcp.loopback import elsewhere
from memory_mcp.server.http.guard import EVERYWHERE

_BACKLOG = 512


def is_local(settings: HttpSettings) -> bool:
    """Whether only programs on this machine can connect."""
    return bool(settings.unix_socket) or not elsewhere([settings.host])


def refuse_strangers(settings: HttpSettings, *, somebody: bool) -> None:
    """Raise ConfigError where other machines could connect and it is not settled who they are and how this one is called.

    Args:
        somebody: Whether there is any token by which somebody would be let in.
    """
    if is_local(settings):
        return
    if not somebody:
        raise ConfigError(
            f"http.host is {settings.host}, which other machines can reach, and nobody could be let in. "
            "Make a token first (memory-mcp token create --help), or name an identity provider in [http.jwt]."
        )
    if settings.host in EVERYWHERE and not (settings.public_url or settings.allowed_hosts):
        raise ConfigError(f"http.host is {settings.host!r}: name in http.public_url, or http.allowed_hosts, how clients call this server.")


def check_certificate(settings: HttpSettings) -> None:
    """Raise ConfigError where the certificate or its key cannot be used."""
    if not settings.tls_certificate:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:  # an SSLError is one
        raise ConfigError(f"http.tls_certificate and http.tls_key cannot be used: {error.strerror or error}.") from None


def certificate_end(path: str) -> datetime:
    """When the certificate in that file expires.

    Raises:
        ConfigError: There is none in it.
    """
    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise ConfigError(f"http.tls_certificate cannot be read: {getattr(error, 'strerror', None) or 'it is none in PEM'}.") from None


def listen(settings: HttpSettings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        ConfigError: It cannot be had.
    """
    try:
        return _unix(settings.unix_socket) if settings.unix_socket else _tcp(settings.host, settings.port)
    except OSError as error:
        place = settings.unix_socket or f"{settings.host} port {settings.port}"
        raise ConfigError(f"It is not possible to listen on {place}: {error.strerror or error}.") from None


def _tcp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _unix(path: str) -> socket.socket:
    """For this user alone; what a server that is gone has left there makes room."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode) and not _answers(path):
            os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True


def url_of(settings: HttpSettings, listener: socket.socket) -> str:
    """Where clients connect, for people."""
    if settings.public_url:
        return f"{settings.public_url.rstrip('/')}/mcp"
    if settings.unix_socket:
        return f"unix:{settings.unix_socket} (path /mcp)"
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_certificate else 'http'}://{shown}:{port}/mcp"
