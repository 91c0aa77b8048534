"""The JSON API, as programs meet it that do not speak MCP: the same memory, doors and sentences as over MCP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import anyio
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from memory_mcp.config import HttpSettings
from memory_mcp.engine.opening import open_behind
from memory_mcp.server.desk import Opening
from memory_mcp.server.http.answers import API
from memory_mcp.server.http.api import OPERATIONS
from memory_mcp.server.http.app import make_app
from memory_mcp.server.http.openapi import document
from memory_mcp.server.tools import core_tools
from tests.http_servers import ROOT, Serving, client_of, new_token, serving, tell
from tests.memories import settings_for

MORE = """
[http]
max_body_bytes = 100000
allowed_origins = ["https://app.example.com"]
[http.limits]
calls_per_minute = 0
address_calls_per_minute = 0
requests_per_minute = 0
refusals_per_minute = 100000
"""
DOCUMENT = document(core_tools(several=True))
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("api") / "data", MORE) as made:
        yield made


@pytest.fixture
async def api(server: Serving) -> "Program":
    """Somebody with a tenant of his own."""
    return Program(server, await new_token(server.folder, f"t{uuid4().hex}", "ann", "admin"))


class Program:
    """A program with a token."""

    def __init__(self, server: Serving, token: str) -> None:
        self.server, self.token = server, token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """One request; what is answered is what the document promises."""
        options: dict[str, Any] = {"headers": headers}
        if isinstance(body, bytes):
            options["content"] = body
        elif body is not None:
            options["json"] = body
        return self.server.ask(API + path, method, self.token, **options)

    def remember(self, content: str, **arguments: Any) -> dict[str, Any]:
        """A receipt."""
        return self.ask("POST", "/remember", {"content": content, **arguments}).json()


def problem(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a refusal, which is as it should be."""
    said = answer.json()
    Draft202012Validator(DOCUMENT["components"]["schemas"]["Problem"]).validate(said)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert said["status"] == answer.status_code
    assert "Traceback" not in answer.text
    return answer.status_code, said["code"]


async def test_every_operation_answers_as_the_document_says(api: Program) -> None:
    made = api.ask("POST", "/remember", {"content": "Deploys happen on Fridays.", "tags": ["ops"], "kind": "decision", "namespace": "web"})
    again = api.ask("POST", "/remember", {"content": "Deploys happen on Fridays.", "kind": "decision", "namespace": "web"})
    memory_id = made.json()["id"]
    answers = {
        ("POST", "/remember"): made,
        ("POST", "/recall"): api.ask("POST", "/recall", {"query": "When do we deploy?", "namespace": "web", "explain": True}),
        ("GET", "/recall"): api.ask("GET", "/recall?query=When+do+we+deploy%3F&namespace=web&limit=5&tags=ops&kind=decision,fact"),
        ("GET", "/memories"): api.ask("GET", "/memories?namespace=web&kind=decision&kind=fact&limit=1"),
        ("GET", "/memories/{id}"): api.ask("GET", f"/memories/{memory_id}?history=true"),
        ("PATCH", "/memories/{id}"): api.ask("PATCH", f"/memories/{memory_id}", {"content": "Deploys happen on Thursdays."}),
        ("DELETE", "/memories/{id}"): api.ask("DELETE", f"/memories/{memory_id}"),
        ("GET", "/stats"): api.ask("GET", "/stats?section=counts"),
    }

    assert answers.keys() == {(operation.method, operation.path) for operation in OPERATIONS}
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.headers["location"] == f"{API}/memories/{memory_id}"
    assert again.json()["id"] == memory_id
    for (method, path), answer in answers.items():
        assert answer.status_code == (201 if path == "/remember" else 200), (method, path, answer.text)
        described = DOCUMENT["paths"][API + path][method.lower()]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = {**described, "components": DOCUMENT["components"], "unevaluatedProperties": False}
        Draft202012Validator(schema).validate(answer.json())
    assert [hit["id"] for hit in answers["GET", "/recall"].json()["hits"]] == [memory_id]
    assert answers["GET", "/memories/{id}"].json()["text"] == "Deploys happen on Fridays."
    assert answers["GET", "/stats"].json() == {"counts": {**answers["GET", "/stats"].json()["counts"], "memories": 0, "forgotten": 1}}


async def test_what_one_protocol_stores_the_other_finds(api: Program) -> None:
    stored = api.remember("The wiki is at wiki.example.com.", visibility="private", namespace="web")
    async with client_of(api.server, api.token) as client:
        found = await tell(client, "recall", query="Where is the wiki?", namespace="web")
        theirs = await tell(client, "remember", content="The ticket system is at tickets.example.com.")
        whole = await tell(client, "get", ids=[stored["id"]])

    assert [hit["id"] for hit in found["hits"]] == [stored["id"]]
    assert whole["memories"][0]["source"] == "python-httpx2"
    assert whole["memories"][0]["author"] == "ann"
    assert api.ask("GET", f"/memories/{theirs['id']}").json()["namespace"] == "personal/ann"


async def test_a_list_is_read_page_by_page(api: Program) -> None:
    stored = [api.remember(f"Statement {number}")["id"] for number in range(5)]
    seen, path = [], "/memories?limit=2"
    while True:
        page = api.ask("GET", path).json()
        seen += [hit["id"] for hit in page["hits"]]
        if "cursor" not in page:
            break
        path = f"/memories?limit=2&cursor={quote(page['cursor'])}"

    assert seen == stored[::-1]


async def test_a_key_has_a_repeated_request_stored_once(api: Program) -> None:
    body = {"content": "The build is green.", "kind": "event"}
    first, again = (api.ask("POST", "/remember", body, **{"Idempotency-Key": '"a-1"'}) for _ in range(2))
    other = api.ask("POST", "/remember", {"content": "The build is red."}, **{"Idempotency-Key": "a-1"})

    assert first.json()["id"] == again.json()["id"]
    assert (again.status_code, again.json()["status"]) == (201, "stored")
    assert problem(other) == (409, "conflict")


async def test_refusals_have_the_status_that_says_why_and_the_sentence_of_the_tools(api: Program) -> None:
    there = api.remember("Staging runs on heron.")["id"]
    other = api.remember("Production runs on otter.")["id"]
    asked: list[tuple[str, str, Any, dict[str, str], tuple[int, str]]] = [
        ("POST", "/remember", {}, {}, (422, "invalid_request")),
        ("POST", "/remember", {"content": "x", "text": "y"}, {}, (422, "invalid_request")),
        ("POST", "/remember", {"content": "x" * 90_000, "key": "k" * 201}, {}, (422, "invalid_request")),
        ("POST", "/remember", {"content": "x" * 100_001}, {}, (413, "too_large")),
        ("POST", "/remember", b'{"content": "\\ud800"}', {"Content-Type": "application/json"}, (422, "invalid_request")),
        ("POST", "/remember", b'{"content": 1e999}', {"Content-Type": "application/json"}, (422, "invalid_request")),
        ("POST", "/remember", b"{", {"Content-Type": "application/json"}, (400, "not_json")),
        ("POST", "/remember", b"\xff", {"Content-Type": "application/json"}, (400, "not_json")),
        ("POST", "/remember", b"[" * 50_000, {"Content-Type": "application/json"}, (400, "not_json")),
        ("POST", "/remember", b"[]", {"Content-Type": "application/json"}, (400, "not_json")),
        ("POST", "/remember", b"content=x", {"Content-Type": "application/x-www-form-urlencoded"}, (415, "not_json")),
        ("POST", "/remember", b"{}", {"Content-Type": "text/plain"}, (415, "not_json")),
        ("POST", "/recall", {"limit": 0}, {}, (422, "invalid_request")),
        ("GET", "/recall?limit=many", None, {}, (422, "invalid_request")),
        ("GET", "/recall?limit=1&limit=2", None, {}, (422, "invalid_request")),
        ("GET", "/memories?query=x", None, {}, (422, "invalid_request")),
        ("GET", "/memories?cursor=8.deadbeef", None, {}, (422, "invalid_request")),
        ("GET", "/memories/nonsense", None, {}, (422, "invalid_request")),
        ("GET", f"/memories/{NOBODY}", None, {}, (404, "not_found")),
        ("PATCH", f"/memories/{NOBODY}", {"content": "x"}, {}, (404, "not_found")),
        ("PATCH", f"/memories/{there}", {"id": other, "content": "x"}, {}, (422, "invalid_request")),
        ("PATCH", f"/memories/{there}", {}, {}, (422, "invalid_request")),
        ("PATCH", f"/memories/{there}", {"content": "Production runs on otter."}, {}, (409, "conflict")),
        ("DELETE", f"/memories/{there}?undo=last", None, {}, (422, "invalid_request")),
        ("DELETE", f"/memories/{NOBODY}", None, {}, (404, "not_found")),
        ("GET", "/stats?section=secrets", None, {}, (422, "invalid_request")),
        ("GET", "/nothing", None, {}, (404, "not_found")),
        ("PUT", "/remember", {}, {}, (405, "wrong_method")),
        ("POST", "/stats", {}, {"Origin": "https://evil.example"}, (403, "wrong_origin")),
        ("GET", "/stats", None, {"Host": "evil.example"}, (421, "wrong_host")),
    ]
    found = [(method, path, problem(api.ask(method, path, body, **headers))) for method, path, body, headers, _ in asked]

    assert found == [(method, path, expected) for method, path, _, _, expected in asked]
    sentence = api.ask("POST", "/remember", {"content": "x", "text": "y"}).json()["detail"]
    async with client_of(api.server, api.token) as client:
        result = await client.call_tool("remember", {"content": "x", "text": "y"})
    assert sentence == getattr(result.content[0], "text", "")
    assert "GET" in api.ask("PUT", "/stats").headers["allow"]


async def test_who_has_no_token_or_role_is_let_in_nowhere(server: Serving) -> None:
    reader = Program(server, await new_token(server.folder, "acme", "rita", "reader"))
    writer = Program(server, await new_token(server.folder, "acme", "ann", "writer"))
    web = Program(server, await new_token(server.folder, "acme", "weber", "writer", namespaces=("web",)))
    stranger = Program(server, await new_token(server.folder, "globex", "eve", "admin"))
    memory_id = writer.remember("The vault opens with Greensleeves.", namespace="shared")["id"]

    for operation in OPERATIONS:
        path = operation.path.format(id=memory_id)
        for token in ("", "mmcp_" + "A" * 43):
            nobody = Program(server, token).ask(operation.method, path)
            assert problem(nobody) == (401, "invalid_token" if token else "unauthorized")
            assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert problem(Program(server, "").ask("GET", "/openapi.json"))[0] == 401
    assert problem(reader.ask("POST", "/remember", {"content": "x"})) == (403, "access_denied")
    assert problem(reader.ask("DELETE", f"/memories/{memory_id}")) == (403, "access_denied")
    assert problem(web.ask("GET", "/memories?namespace=shared")) == (403, "access_denied")
    assert reader.ask("GET", f"/memories/{memory_id}").status_code == 200
    for method in ("GET", "PATCH", "DELETE"):
        answer = stranger.ask(method, f"/memories/{memory_id}", {"content": "stolen"} if method == "PATCH" else None)
        assert problem(answer) == (404, "not_found")
        assert "Greensleeves" not in answer.text
    assert "Greensleeves" not in stranger.ask("GET", "/memories?namespace=*").text


async def test_calls_are_counted_together_with_those_over_mcp(tmp_path_factory: pytest.TempPathFactory) -> None:
    limits = MORE.replace("calls_per_minute = 0", "calls_per_minute = 6", 1)
    with serving(tmp_path_factory.mktemp("limited") / "data", limits) as limited:
        api = Program(limited, await new_token(limited.folder))
        async with client_of(limited, api.token) as client:
            for _ in range(3):
                await tell(client, "stats")
        counted = [api.ask("GET", "/stats").status_code for _ in range(3)]
        over = api.ask("GET", "/stats")

    assert counted == [200] * 3
    assert problem(over) == (429, "limit_reached")
    assert over.json()["retryable"]
    assert 1 <= int(over.headers["retry-after"]) <= 10


async def test_a_store_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "memories.db").write_bytes(b"This is no database. " * 1_000)
    app = make_app(HttpSettings(), Opening(lambda: open_behind(settings_for(tmp_path))))
    headers = {"Authorization": "Bearer mmcp_" + "A" * 43}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost", headers=headers) as client,
    ):
        answer = await client.get(f"{API}/stats")

    assert problem(answer) == (503, "not_ready")
    assert answer.json()["retryable"]
    assert int(answer.headers["retry-after"]) >= 1


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    answers = []
    for api in (True, False):
        app = make_app(HttpSettings(api=api), Opening(lambda: open_behind(settings_for(tmp_path))))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
            answers += [await client.get(API + path) for path in ("/stats", "/openapi.json")]

    assert [problem(answer)[0] for answer in answers] == [401, 401, 404, 404]


def test_a_page_that_is_named_may_call(server: Serving) -> None:
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PATCH"}
    preflight = server.ask(f"{API}/memories/{NOBODY}", "OPTIONS", headers=asked)

    assert preflight.status_code == 200
    assert "PATCH" in preflight.headers["access-control-allow-methods"]


async def test_the_document_is_valid_and_is_what_is_served(api: Program) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    served = api.ask("GET", "/openapi.json").json()
    validator.validate(served)

    assert served == json.loads(json.dumps(DOCUMENT))


def test_the_document_names_every_argument_of_the_tools() -> None:
    """What the API takes is what the tool takes, less what the path says."""
    tools = {tool.name: tool.parameters for tool in core_tools(several=True)}
    body = DOCUMENT["paths"][f"{API}/remember"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = [described["operationId"] for methods in DOCUMENT["paths"].values() for described in methods.values()]

    assert body["properties"] == tools["remember"]["properties"]
    assert len(set(names)) == len(names) == len(OPERATIONS)


async def test_what_the_readme_says_to_curl_is_answered(api: Program) -> None:
    readme = (ROOT / "README.md").read_text("utf-8").replace("\\\n", "")
    asked = re.findall(r"^curl .*?(?:-d '(.*?)')?\s*\"?https://memory\.example\.com(/api/v1/[^\s\"]*)\"?$", readme, re.MULTILINE)
    answers = [api.ask("POST" if body else "GET", path.removeprefix(API), json.loads(body) if body else None) for body, path in asked]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[1].json()["hits"][0]["text"] == "Invoices are due after 30 days."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ARGUMENTS = sorted({name for tool in core_tools(several=True) for name in tool.parameters["properties"]})
NEARLY = st.dictionaries(st.sampled_from(ARGUMENTS), JSON, max_size=6)
WHAT = st.sampled_from([(operation.method, operation.path) for operation in OPERATIONS])


@pytest.fixture(scope="module")
def fuzzed(server: Serving) -> Iterator[httpx2.Client]:
    token = anyio.run(new_token, server.folder, "fuzz", "ann", "admin")
    with httpx2.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        yield client


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    what=WHAT,
    body=NEARLY | JSON,
    memory_id=st.just(NOBODY) | st.text(min_size=1, max_size=20),
    key=st.text(max_size=5),
    raw=st.binary(max_size=30) | st.none(),
)
def test_whatever_is_sent_there_is_an_answer_and_never_a_500(
    server: Serving, fuzzed: httpx2.Client, what: tuple[str, str], body: Any, memory_id: str, key: str, raw: bytes | None
) -> None:
    method, path = what
    content = json.dumps(body).encode() if raw is None else raw
    query = {name: value if isinstance(value, list) else str(value) for name, value in body.items()} if isinstance(body, dict) else {}
    answer = fuzzed.request(
        method,
        API + path.format(id=quote(memory_id, safe="")),
        params={name: [str(each) for each in value] if isinstance(value, list) else value for name, value in query.items()}
        if method in ("GET", "DELETE")
        else {},
        content=content if method in ("POST", "PATCH") else None,
        headers={"Content-Type": "application/json", "Idempotency-Key": quote(key)},
    )

    if answer.status_code >= 400:
        assert problem(answer)[0] in (400, 404, 405, 409, 413, 422), answer.text
    elif answer.status_code != 307:  # to the same address without a slash at its end
        assert isinstance(answer.json(), dict)


def test_nothing_unforeseen_was_logged(server: Serving) -> None:
    """After all of the above."""
    log = (server.folder / "stderr").read_text()

    assert server.is_alive()
    assert "level=error" not in log
    assert "Greensleeves" not in log
