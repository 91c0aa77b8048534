"""Whoever means harm: each is refused with the status that says why, the server lives, and nobody hears of another tenant."""

import contextlib
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from memory_mcp.faults import IDEMPOTENCY_META
from tests import issuers
from tests.http_servers import CALL_HEADERS, ERAS, Era, Serving, bearer, client_of, new_token, post, refused, rpc, serving, tell
from tests.issuers import Issuer, by_hand, claims_of, issuing

SECRET = "The vault of Globex opens with the tune of Greensleeves."
MORE = """
[http]
request_seconds = 1.5
write_seconds = 1.5
max_body_bytes = 100000
max_connections = 60
max_connections_per_address = 40
allowed_origins = ["https://app.example.com"]
[http.limits]
calls_per_minute = 0
address_calls_per_minute = 0
refusals_per_minute = 100000
requests_per_minute = 0
[http.jwt]
issuer = "{issuer}"
audience = "{audience}"
jwks_url = "{url}"
[http.jwt.roles]
writer = ["memory-writers", "memory:write"]
"""


class Scene:
    """A server that is attacked, its issuer, and who lives there."""

    def __init__(self, server: Serving, issuer: Issuer, tokens: dict[str, str]) -> None:
        self.server, self.issuer, self.tokens = server, issuer, tokens
        self.secret_id = ""


async def tokens_of_all(folder: Path) -> dict[str, str]:
    return {
        "ann": await new_token(folder, "acme", "ann", "writer"),
        "bob": await new_token(folder, "acme", "bob", "writer"),
        "rita": await new_token(folder, "acme", "rita", "reader"),
        "max": await new_token(folder, "acme", "max", "manager"),
        "web": await new_token(folder, "acme", "weber", "writer", namespaces=("web",)),
        "eve": await new_token(folder, "globex", "eve", "admin"),
        "expired": await new_token(folder, "acme", "ann", "admin", expires_in=0.001),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("hostile") / "data"
    tokens = anyio.run(tokens_of_all, folder)
    with issuing() as (issuer, url):
        more = MORE.format(issuer=issuers.NAME, audience=issuers.AUDIENCE, url=url)
        with serving(folder, more) as server:
            yield Scene(server, issuer, tokens)


@pytest.fixture
async def scene(made: Scene) -> Scene:
    """With a secret of another tenant's, which nobody of acme may ever hear of."""
    if not made.secret_id:
        async with client_of(made.server, made.tokens["eve"]) as client:
            made.secret_id = (await tell(client, "remember", content=SECRET, namespace="shared", tags=["tune"]))["id"]
    return made


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


# tenants


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_of_another_tenant_is_in_any_answer(scene: Scene, era: Era) -> None:
    server, there = scene.server, scene.secret_id
    async with client_of(server, scene.tokens["max"], era) as client:
        await tell(client, "remember", content=f"Acme sings no tunes, says {era}.", namespace="shared", tags=["tune"])
        said: list[Any] = [
            await tell(client, "recall", query="Which tune opens the vault of Globex?", namespace="*", explain=True),
            await tell(client, "recall", namespace="*", limit=100),
            await tell(client, "recall", query="vault", namespace="shared", as_of="2100-01-01"),
            await tell(client, "find_similar", text=SECRET, namespace="*"),
            await tell(client, "context", task="open the vault of Globex", namespace="shared"),
            await tell(client, "stats"),
            await refused(client, "get", ids=[there], history=True),
            await refused(client, "find_similar", id=there),
            await refused(client, "update", id=there, content="stolen"),
            await refused(client, "forget", ids=[there]),
            await refused(client, "remember", content="It has changed.", supersedes=[there]),
            await tell(client, "forget", tags=["tune"], namespace="shared"),
        ]
        with pytest.raises(Exception, match="No memory with id") as caught:
            await client.read_resource(f"memory://item/{there}")
        said.append(str(caught.value))
        numbers = [await client.call_tool("forget", {"undo": str(number), "namespace": "shared"}) for number in range(1, 4)]
    async with client_of(server, scene.tokens["eve"]) as client:
        kept = await tell(client, "get", ids=[there], history=True)

    told = json.dumps(said)
    assert "Greensleeves" not in told
    assert "globex" not in told
    assert all(result.is_error for result in numbers if "Greensleeves" in str(result))
    assert kept["memories"][0]["text"] == SECRET
    assert "history" not in kept["memories"][0] or not kept["memories"][0]["history"]


async def test_a_cursor_of_another_tenant_leads_nowhere(scene: Scene) -> None:
    async with client_of(scene.server, scene.tokens["eve"]) as client:
        for number in range(4):
            await tell(client, "remember", content=f"{SECRET} Verse {number}.", namespace="songs")
        page = await tell(client, "recall", query="the tune of the vault", namespace="songs", limit=1)
    async with client_of(scene.server, scene.tokens["ann"]) as client:
        stolen = await tell(client, "recall", query="the tune of the vault", namespace="songs", limit=1, cursor=page["cursor"])

    assert stolen["hits"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"tenant": "globex"},
        {"tenant_id": "globex"},
        {"_meta": {"tenant": "globex"}},
        {"namespace": "../globex/shared"},
        {"namespace": "globex\u0000shared"},
    ],
)
async def test_a_tenant_in_an_argument_is_refused(scene: Scene, arguments: dict[str, Any]) -> None:
    async with client_of(scene.server, scene.tokens["ann"]) as client:
        said = await refused(client, "recall", query="vault", **arguments)

    assert "Greensleeves" not in said


async def test_a_tenant_in_headers_metadata_or_names_changes_nothing(scene: Scene) -> None:
    headers = {"X-Tenant": "globex", "X-Forwarded-User": "eve", "Tenant": "globex", "Mcp-Session-Id": "globex"}
    call = rpc("tools/call", name="recall", arguments={"query": "tune", "namespace": "shared"}, _meta={"tenant": "globex", "user": "eve"})
    answer = post(scene.server, scene.tokens["ann"], call, **headers)
    foreign = rpc("tools/call", name="recall", arguments={"query": "tune", "namespace": "globex/shared"})
    by_name = post(scene.server, scene.tokens["ann"], foreign)

    assert answer.status_code == by_name.status_code == 200
    assert "Greensleeves" not in answer.text + by_name.text


async def test_an_idempotency_key_of_another_tenant_is_a_key_like_any(scene: Scene) -> None:
    receipts = []
    for who in ("eve", "ann"):
        async with client_of(scene.server, scene.tokens[who]) as client:
            result = await client.call_tool(
                "remember", {"content": f"{who} was here.", "namespace": "keys"}, meta={IDEMPOTENCY_META: "the same key"}
            )
            receipts.append(result.structured_content)

    assert [receipt and receipt["status"] for receipt in receipts] == ["stored", "stored"]


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
        gone = ended(connection, 8)

    assert gone
    assert time.monotonic() - began < 6
    assert scene.server.is_alive()


def test_who_drips_is_hung_up_on(scene: Scene) -> None:
    with raw(scene.server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1_000).startswith(b"HTTP/1.1 200")
        began, dropped = time.monotonic(), False
        while time.monotonic() - began < 8 and not dropped:  # a second request on the same connection, byte by byte
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
    connections = [raw(scene.server) for _ in range(6)]
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        with contextlib.suppress(ConnectionError):
            for _ in range(50):
                connection.sendall(head(scene.tokens["ann"], len(call)) + call)
    await anyio.sleep(8)
    left = established(scene.server)
    for connection in connections:
        connection.close()

    assert left <= 2
    assert scene.server.is_alive()


def established(server: Serving) -> int:
    """How many connections the server holds."""
    port = f":{server.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)


async def test_many_connections_leave_room_for_others_and_are_let_go(scene: Scene) -> None:
    held = []
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            with contextlib.suppress(OSError):
                held.append(stack.enter_context(raw(scene.server)))
        await anyio.sleep(0.3)
        most = established(scene.server)
        await anyio.sleep(3)  # by then each has had its time to say something
        async with client_of(scene.server, scene.tokens["ann"]) as client:
            await tell(client, "recall", query="x")

    assert most <= 60
    assert len(held) > 60


async def test_streams_of_events_belong_to_who_opened_them(scene: Scene) -> None:
    server = scene.server
    async with (
        httpx2.AsyncClient(headers=bearer(scene.tokens["ann"]), timeout=20) as ann,
        ann.stream("GET", f"{server.url}/sse") as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                path = line.removeprefix("data: ")
                break
        stolen = [server.ask(path, "POST", scene.tokens[who], json=rpc("tools/list")).status_code for who in ("eve", "bob")]
        unknown = server.ask("/messages/?session_id=" + "0" * 32, "POST", scene.tokens["ann"], json=rpc("tools/list")).status_code
        nobody = server.ask(path, "POST", json=rpc("tools/list")).status_code
        own = server.ask(path, "POST", scene.tokens["ann"], json=rpc("tools/list")).status_code

    assert (stolen, unknown, nobody, own) == ([404, 404], 404, 401, 202)


def test_the_log_holds_no_token_and_no_memory(scene: Scene) -> None:
    log = (scene.server.folder / "stderr").read_text()

    assert not any(token in log for token in scene.tokens.values())
    assert "Greensleeves" not in log
    assert "Traceback" not in log
