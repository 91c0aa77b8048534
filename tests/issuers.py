"""A real identity provider, as far as a resource server sees one: keys at an address, and tokens signed with them."""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

NAME = "https://id.example.com"
AUDIENCE = "https://memory.example.com/mcp"


def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Publishes the public halves of its keys.

    Attributes:
        keys: By their names.
        asked: How often somebody has looked.
    """

    def __init__(self) -> None:
        self.keys = {"one": key()}
        self.asked = 0
        self.away = False

    def document(self) -> bytes:
        entries = []
        for name, private in self.keys.items():
            entry = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
            entries.append({**entry, "kid": name, "use": "sig", "alg": "RS256"})
        return json.dumps({"keys": entries}).encode()

    def token(self, signed_by: str = "one", headers: Mapping[str, Any] | None = None, without: str = "", **claims: Any) -> str:
        said = claims_of(**claims)
        said.pop(without, None)
        return jwt.encode(said, self.keys[signed_by], algorithm="RS256", headers={"kid": signed_by, **(headers or {})})


def claims_of(**more: Any) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": NAME,
        "aud": AUDIENCE,
        "sub": "ann",
        "exp": now + 600,
        "iat": now,
        "tenant": "acme",
        "roles": ["memory-writers"],
        **more,
    }


def by_hand(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token as an attacker writes it."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@contextmanager
def issuing() -> Iterator[tuple[Issuer, str]]:
    """An issuer, and the address of its keys."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            self.send_response(503 if issuer.away else 200)
            self.end_headers()
            self.wfile.write(b"" if issuer.away else issuer.document())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield issuer, f"http://127.0.0.1:{server.server_address[1]}/keys"
        server.shutdown()
