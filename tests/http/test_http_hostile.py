"""Whoever means harm: each is refused with the status that says why, the server lives, and nobody hears of another tenant."""

import contextlib
import hashlib
import hmac
import json
import socket
import time
from pathlib import Path

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from tests import issuers
from tests.http_scene import WORDS, Scene
from tests.http_servers import CALL_HEADERS, Serving, client_of, post, rpc, tell
from tests.issuers import Issuer, by_hand, claims_of

# tokens


def test_a_good_token_is_let_in(scene: Scene) -> None:
    given = [scene.tokens["ann"], scene.issuer.token(), scene.issuer.token(roles="openid memory:write"), scene.issuer.token(sub="auth0|1")]

    assert [post(scene.server, token).status_code for token in given] == [200] * 4


def forgeries(issuer: Issuer) -> dict[str, tuple[int, str]]:
    now, private = int(time.time()), issuer.keys["one"]
    pem = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, body, _ = issuer.token().split(".")
    signed_with_public = by_hand({"alg": "HS256", "kid": "one"}, claims_of()).rstrip(".")
    mac = hmac.new(pem, signed_with_public.encode(), hashlib.sha256).digest()
    confused = f"{signed_with_public}.{jwt.utils.base64url_encode(mac).decode()}"
    stranger = jwt.encode(claims_of(), issuers.key(), algorithm="RS256", headers={"kid": "one"})
    own_key = jwt.algorithms.RSAAlgorithm.to_jwk(issuers.key().public_key(), as_dict=True)
    return {
        "no signature": (401, f"{head}.{body}."),
        "another's body": (401, f"{head}.{by_hand({}, claims_of(tenant='globex')).split('.')[1]}.{issuer.token().split('.')[2]}"),
        "alg none": (401, by_hand({"alg": "none", "kid": "one"}, claims_of())),
        "alg None": (401, by_hand({"alg": "nOnE"}, claims_of())),
        "no alg": (401, by_hand({"kid": "one"}, claims_of())),
        "the public key as a secret": (401, confused),
        "another key under the same name": (401, stranger),
        "a key that it brings along": (401, jwt.encode(claims_of(), issuers.key(), algorithm="RS256", headers={"jwk": own_key})),
        "a key elsewhere": (401, jwt.encode(claims_of(), issuers.key(), algorithm="RS256", headers={"jku": "http://127.0.0.1:9/"})),
        "a path as the key's name": (401, issuer.token(headers={"kid": "../../etc/passwd"})),
        "crit": (401, issuer.token(headers={"crit": ["b64"], "b64": False})),
        "expired": (401, issuer.token(exp=now - 3600)),
        "not yet": (401, issuer.token(nbf=now + 3600)),
        "for ever": (401, issuer.token(exp=now + 10**9)),
        "endless": (401, issuer.token(exp=float("inf"))),
        "without exp": (401, issuer.token(without="exp")),
        "without sub": (401, issuer.token(without="sub")),
        "without aud": (401, issuer.token(without="aud")),
        "without iss": (401, issuer.token(without="iss")),
        "for another server": (401, issuer.token(aud="https://other.example.com/mcp")),
        "from another issuer": (401, issuer.token(iss="https://evil.example.com")),
        "of no tenant": (403, issuer.token(without="tenant")),
        "of a tenant that is a path": (403, issuer.token(tenant="../globex")),
        "of several tenants": (403, issuer.token(tenant=["acme", "globex"])),
        "of no role": (403, issuer.token(roles=["users"])),
        "no token of any kind": (401, "hello"),
        "a made up one": (401, "mmcp_" + "A" * 43),
        "a very long one": (401, "mmcp_" + "A" * 20_000),
        "dots": (401, ".."),
        "nested": (401, "e30.e30.e30"),
    }


def test_no_forged_token_is_let_in(scene: Scene) -> None:
    expected = forgeries(scene.issuer)
    found = {name: (post(scene.server, token).status_code, token) for name, (_, token) in expected.items()}

    assert {name: status for name, (status, _) in found.items()} == {name: status for name, (status, _) in expected.items()}
    assert post(scene.server, scene.tokens["expired"]).status_code == 401
    assert scene.server.is_alive()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Basic YW5uOmFubg=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Token {ann}"},
        {"Cookie": "token={ann}"},
        {"X-Api-Key": "{ann}"},
    ],
)
def test_a_token_elsewhere_is_none(scene: Scene, headers: dict[str, str]) -> None:
    given = {name: value.format(**scene.tokens) for name, value in headers.items()}
    answer = scene.server.ask("/mcp", "POST", content=b"{}", headers={**CALL_HEADERS, **given})
    in_query = scene.server.ask(f"/mcp?token={scene.tokens['ann']}&access_token={scene.tokens['ann']}", "POST", content=b"{}")

    assert (answer.status_code, in_query.status_code) == (401, 401)


def test_refusals_tell_where_tokens_come_from_and_hold_nothing_that_was_sent(scene: Scene) -> None:
    answer = post(scene.server, scene.issuer.token(aud="https://other.example.com/mcp"))
    challenge = answer.headers["www-authenticate"]
    url = challenge.partition('resource_metadata="')[2].partition('"')[0]
    document = httpx2.get(url).json()

    assert url == f"{scene.server.url}/.well-known/oauth-protected-resource/mcp"
    assert document["authorization_servers"] == [issuers.NAME]
    assert document["resource"] == f"{scene.server.url}/mcp"
    assert "other.example.com" not in answer.text


def test_keys_are_rotated_without_a_fetch_for_each_strange_name(scene: Scene) -> None:
    assert post(scene.server, scene.issuer.token()).status_code == 200
    before = scene.issuer.asked
    for number in range(20):
        assert post(scene.server, scene.issuer.token(headers={"kid": f"strange-{number}"})).status_code == 401
    scene.issuer.away = True
    still = post(scene.server, scene.issuer.token()).status_code
    scene.issuer.away = False

    assert scene.issuer.asked - before <= 1
    assert still == 200


# names and pages


@pytest.mark.parametrize("path", ["/health", "/ready", "/mcp", "/sse", "/messages/", "/nothing", "/.well-known/oauth-protected-resource"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8765"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost@evil.example"}, 421),
        ({"Host": "0.0.0.0"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "https://app.example.com.evil.example"}, 403),
    ],
)
def test_a_page_that_has_its_name_resolve_to_this_machine_is_refused_everywhere(
    scene: Scene, path: str, headers: dict[str, str], status: int
) -> None:
    answers = [scene.server.ask(path, method, scene.tokens["ann"], headers=headers) for method in ("GET", "POST", "OPTIONS")]

    assert {answer.status_code for answer in answers} == {status}
    assert not any("access-control-allow-origin" in answer.headers for answer in answers)


def test_a_page_that_is_named_may_call(scene: Scene) -> None:
    origin = {"Origin": "https://app.example.com"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    preflight = scene.server.ask("/mcp", "OPTIONS", headers=asked)
    answer = post(scene.server, scene.tokens["ann"], **origin)

    assert preflight.status_code == answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"])
def test_a_form_can_post_nothing(scene: Scene, kind: str) -> None:
    assert 400 <= post(scene.server, scene.tokens["ann"], **{"Content-Type": kind}).status_code < 500


# bodies and connections


CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"recall","arguments":%b}}'


def raw(server: Serving) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def head(token: str, length: int) -> bytes:
    lines = ["POST /mcp HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in CALL_HEADERS.items()), "", ""]).encode()


def ended(connection: socket.socket, within: float) -> bool:
    """Whether the other side hangs up in time."""
    connection.settimeout(within)
    try:
        while connection.recv(65_536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("token", ["", "ann"])
def test_a_body_that_is_too_large_is_not_taken(scene: Scene, token: str) -> None:
    given = scene.tokens.get(token, "")
    declared = post(scene.server, given, b" " * 200_000)
    with raw(scene.server) as connection:
        connection.sendall(head(given or "x", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                connection.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        first = connection.recv(100)

    assert declared.status_code == (413 if token else 401)
    assert first.startswith(b"HTTP/1.1 413" if token else b"HTTP/1.1 401")
    assert scene.server.is_alive()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"[1,2]", b"null", b'{"jsonrpc":"2.0"}', b"\xff\xfe", b'{"a":' * 3_000, b'{"id":' + b"9" * 5_000 + b"}"]
)
def test_a_body_that_is_no_message_is_answered(scene: Scene, body: bytes) -> None:
    answers = [post(scene.server, scene.tokens["ann"], body, **more) for more in ({}, {"MCP-Protocol-Version": "2026-07-28"})]

    assert all(400 <= answer.status_code < 500 for answer in answers), [answer.status_code for answer in answers]
    assert scene.server.is_alive()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]', 400, "Batches are not supported"),
        (b'{"jsonrpc":"2.0","id":1}', 400, "neither a request, a notification nor a response"),
        (b'{"id":1', 400, "not valid JSON"),
        (b'"\xff"', 400, "not valid UTF-8"),
        (CALL % b'{"query":"\\ud800"}', 200, "half of a surrogate pair"),
        (CALL % (b'{"limit":' + b"9" * 5_000 + b"}"), 200, "larger than 64 bits"),
        (CALL % (b'{"query":' * 300 + b"1" + b"}" * 300), 200, "nested more than"),
    ],
    ids=["batch", "no method", "cut", "not UTF-8", "surrogate", "digits", "depth"],
)
def test_a_body_that_cannot_be_taken_is_refused_in_words(scene: Scene, body: bytes, status: int, words: str) -> None:
    answers = [post(scene.server, scene.tokens["ann"], body, **more) for more in ({}, {"MCP-Protocol-Version": "2026-07-28"})]

    assert [answer.status_code for answer in answers] == [status] * 2
    assert all(words in answer.text for answer in answers)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: ",
        "half a body",
    ],
)
def test_who_says_half_a_request_is_hung_up_on(scene: Scene, sent: bytes | str) -> None:
    with raw(scene.server) as connection:
        connection.sendall(sent if isinstance(sent, bytes) else head(scene.tokens["ann"], 1_000) + b'{"jsonrpc"')
        began = time.monotonic()
        gone = ended(connection, 20)

    assert gone
    assert time.monotonic() - began < 15
    assert scene.server.is_alive()


def test_who_drips_is_hung_up_on(scene: Scene) -> None:
    with raw(scene.server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200")
        began, dropped = time.monotonic(), False
        while time.monotonic() - began < 20 and not dropped:  # a second request on the same connection, byte by byte
            try:
                connection.sendall(b"G" if time.monotonic() - began < 0.1 else b"x")
                time.sleep(0.1)
            except ConnectionError:
                dropped = True

    assert dropped


async def test_who_does_not_take_the_answer_is_hung_up_on(scene: Scene) -> None:
    async with client_of(scene.server, scene.tokens["ann"]) as client:
        ids = [(await tell(client, "remember", content=f"{n} " + "long " * 18_000, namespace="long"))["id"] for n in range(4)]
    call = json.dumps(rpc("tools/call", name="get", arguments={"ids": ids, "history": True})).encode()
    with contextlib.ExitStack() as stack:
        for connection in [stack.enter_context(raw(scene.server)) for _ in range(6)]:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            with contextlib.suppress(ConnectionError):
                for _ in range(50):
                    connection.sendall(head(scene.tokens["ann"], len(call)) + call)
        held = established(scene.server)
        with anyio.fail_after(30):
            while established(scene.server) > 2:  # noqa: ASYNC110 - nothing tells of it
                await anyio.sleep(0.1)

    assert held >= 6
    assert scene.server.is_alive()


def established(server: Serving) -> int:
    """How many connections the server holds."""
    port = f":{server.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


async def test_a_thousand_connections_from_many_addresses_are_bounded_and_let_go(scene: Scene) -> None:
    """Half of them say nothing, half begin a request; whoever else comes is served as soon as these have had their time."""
    tried = 0
    with contextlib.ExitStack() as stack:
        for number in range(1_000):
            with contextlib.suppress(OSError):
                address = f"127.0.0.{2 + number % 50}"
                connection = socket.create_connection(("127.0.0.1", scene.server.port), timeout=10, source_address=(address, 0))
                stack.enter_context(connection)
                if number % 2:
                    connection.sendall(b"POST /mcp HTTP/1.1\r\nHost: ")
                tried += 1
        await anyio.sleep(0.3)
        most = established(scene.server)
        with anyio.fail_after(30):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if scene.server.is_alive():
                        break
                await anyio.sleep(0.1)
        async with client_of(scene.server, scene.tokens["ann"]) as client:
            await tell(client, "recall", query="x")

    assert tried > 900
    assert most <= 70  # 60 are let in, and some may just be on their way out


async def test_one_address_holds_no_more_than_its_share(scene: Scene) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            with contextlib.suppress(OSError):
                stack.enter_context(raw(scene.server))
        await anyio.sleep(0.3)
        most = established(scene.server)
        other = socket.create_connection(("127.0.0.1", scene.server.port), timeout=10, source_address=("127.0.0.9", 0))
        stack.enter_context(other)
        other.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answered = other.recv(100)

    assert most <= 40
    assert answered.startswith(b"HTTP/1.1 200")


def test_what_is_no_message_is_refused_beside_a_stream_of_events_and_does_not_fill_the_log(scene: Scene) -> None:
    headers = {**CALL_HEADERS, "Authorization": f"Bearer {scene.tokens['ann']}"}
    with httpx2.Client(base_url=scene.server.url, headers=headers) as client, client.stream("GET", "/sse") as events:
        lines = events.iter_lines()
        path = next(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        before = (scene.server.folder / "stderr").read_text()
        answers = [client.post(path, content=body) for body in (b"", b"{", b"[]", b'{"jsonrpc":"2.0","id":1}')]

    assert [(answer.status_code, answer.text) for answer in answers] == [(400, "Could not parse message")] * 4
    assert (scene.server.folder / "stderr").read_text() == before


def test_the_log_holds_no_token_and_no_memory(scene: Scene) -> None:
    log = (scene.server.folder / "stderr").read_text()

    assert not any(token in log for token in scene.tokens.values())
    assert not any(word in log for word in WORDS)
    assert "Traceback" not in log
