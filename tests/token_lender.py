"""A door to a server over HTTP for a client that has no way to bring a token: each request is given one on its way."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from tests.http_servers import Serving


@contextmanager
def lending(server: Serving, token: str) -> Iterator[str]:
    """The address of such a door."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_accept, args=(door, server.port, token), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            door.shutdown(socket.SHUT_RDWR)


def _accept(door: socket.socket, port: int, token: str) -> None:
    with suppress(OSError):
        while True:
            threading.Thread(target=_pass_request, args=(door.accept()[0], port, token), daemon=True).start()


def _pass_request(client: socket.socket, port: int, token: str) -> None:
    """One request to a connection, so that only the first bytes have to be understood."""
    head = b""
    with closing(client), suppress(OSError):
        while b"\r\n" not in head:
            if not (data := client.recv(65_536)):
                return
            head += data
        first, _, rest = head.partition(b"\r\n")
        with closing(socket.create_connection(("127.0.0.1", port))) as server:
            server.sendall(first + f"\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n".encode() + rest)
            threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            _pump(server, client)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
