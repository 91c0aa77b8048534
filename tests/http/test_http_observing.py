"""What an operator sees of a real server: metrics, log and spans; who sees it; and that none of it ever holds a text."""

import itertools
import json
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import anyio
import httpx2
import pytest
from mcp import MCPError
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from memory_mcp.config import load_settings
from memory_mcp.errors import ConfigError
from memory_mcp.server.desk import Opening
from memory_mcp.server.http.metrics import Metrics
from memory_mcp.server.http.passage import HttpTraffic
from memory_mcp.server.http.siblings import Siblings
from memory_mcp.service import MemoryService
from memory_mcp.tiers.sqlite.store import SqliteStore
from tests.engines import PATIENCE, wait_until
from tests.http_servers import CALL_HEADERS, Serving, bearer, client_of, new_token, post, refused, rpc, serving, tell
from tests.memories import open_service, settings_for
from tests.otlp import Received, attributes, receiver

SCRAPE = "scrape-0123456789abcdef"
SECRET = "Greensleeves"
CONFIG = f"[http]\nmetrics_token = '{SCRAPE}'\n[http.limits]\ncalls_per_minute = 40\n[log]\nlevel = 'debug'\n[tools]\nsets = ['graph']\n"


def samples(page: str, name: str, **labels: str) -> dict[tuple[str, ...], float]:
    """By the values of the other labels, in the order of their names."""
    found = {}
    for family in parse(page):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                found[tuple(sample.labels[key] for key in sorted(sample.labels) if key not in labels)] = sample.value
    return found


def one(page: str, name: str, **labels: str) -> float:
    (value,) = samples(page, name, **labels).values()
    return value


def scraped(server: Serving, token: str = SCRAPE) -> str:
    answer = server.ask("/metrics", token=token)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.fixture(scope="module")
def received() -> Iterator[Received]:
    with receiver() as made:
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, received: Received) -> Iterator[Serving]:
    """One that tells everything it ever tells."""
    folder = tmp_path_factory.mktemp("observed") / "data"
    with serving(folder, CONFIG, OTEL_EXPORTER_OTLP_ENDPOINT=received.url, OTEL_BSP_SCHEDULE_DELAY="50") as made:
        yield made


@pytest.fixture
async def admin(server: Serving) -> str:
    return await new_token(server.folder, role="admin")


async def test_metrics_are_for_administrators_and_for_the_token_of_the_scraper(server: Serving, admin: str) -> None:
    reader = await new_token(server.folder, role="manager")
    asked = {token: server.ask("/metrics", token=token).status_code for token in ("", reader, admin, SCRAPE, SCRAPE[:-1], f"{SCRAPE}x")}
    posted = server.ask("/metrics", "POST", SCRAPE, content=b"x").status_code
    elsewhere = [post(server, SCRAPE).status_code, server.ask("/sse", token=SCRAPE).status_code]
    renamed = server.ask("/metrics", token=SCRAPE, headers={"Host": "evil.example.com"}).status_code

    assert list(asked.values()) == [401, 403, 200, 200, 401, 401]
    assert (posted, elsewhere, renamed) == (405, [401, 401], 421)


async def test_every_call_is_counted_once_under_its_name_and_its_end(server: Serving, admin: str) -> None:
    writer = await new_token(server.folder)
    before = scraped(server)
    async with client_of(server, admin) as client:
        for number in range(3):
            await tell(client, "remember", content=f"The mill has {number} wheels.")
        await tell(client, "recall", query="How many wheels has the mill?")
        await refused(client, "get", ids=["no such id"])
        await client.call_tool("mill", {})
        await client.list_tools()
    async with client_of(server, writer) as client:
        await refused(client, "forget", kind="fact")  # which takes a manager
        server.ask("/mill")
        server.ask("/api/v1/memories/mill", token=admin)
    page = scraped(server)

    def grown(name: str, **labels: str) -> dict[tuple[str, ...], float]:
        then, now = samples(before, name, **labels), samples(page, name, **labels)
        return {key: value - then.get(key, 0) for key, value in now.items() if value != then.get(key, 0)}

    calls = grown("memory_mcp_tool_call_duration_seconds_count", worker="0")
    assert calls == {
        ("ok", "remember"): 3,
        ("ok", "recall"): 1,
        ("refused", "get"): 2,
        ("refused", "other"): 1,
        ("denied", "forget"): 1,
    }
    assert grown("memory_mcp_stage_duration_seconds_count", stage="commit") == {("0",): 3}
    assert grown("memory_mcp_tier_call_duration_seconds_count", tier="sqlite", method="add") == {("ok", "0"): 3}
    assert grown("memory_mcp_tier_call_duration_seconds_count", tier="resident", method="search", outcome="ok")[("0",)] >= 4
    assert grown("memory_mcp_http_responses_total", route="other") == {("404", "0"): 1}
    assert sum(grown("memory_mcp_http_responses_total", route="/api/v1/memories/{id}").values()) == 1
    assert sum(grown("memory_mcp_cache_lookups_total", cache="answers").values()) == 1
    for name, value in (("open", 1), ("worker_up", 1), ("requests_at_work", 0), ("http_calls_waiting", 0), ("embedding_queue_texts", 0)):
        assert one(page, f"memory_mcp_{name}") == value, name
    assert one(page, "memory_mcp_model_phase", phase="ready") == 1
    assert one(page, "memory_mcp_tier_breaker", tier="sqlite", state="closed") == 1
    assert one(page, "memory_mcp_outbox_notes", tier="embed") == 0
    assert one(page, "memory_mcp_http_connections") >= 1
    assert one(page, "process_resident_memory_bytes") > 20e6


def test_the_histograms_are_whole(server: Serving) -> None:
    page = scraped(server)
    for family in parse(page):
        if family.type != "histogram":
            continue
        ladders: dict[tuple[str, ...], list[float]] = {}
        for sample in family.samples:
            key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            if sample.name.endswith("_bucket"):
                ladders.setdefault(key, []).append(sample.value)
            elif sample.name.endswith("_count"):
                assert ladders[key][-1] == sample.value
        assert ladders
        assert all(ladder == sorted(ladder) and len(ladder) == 16 for ladder in ladders.values())


def test_who_asks_for_open_metrics_gets_it(server: Serving) -> None:
    answer = server.ask("/metrics", token=SCRAPE, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    families = {family.name for family in parse_open(answer.text)}

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.headers["cache-control"] == "no-store"
    assert {"memory_mcp_tool_call_duration_seconds", "memory_mcp_cache_lookups", "process_cpu_seconds"} <= families


async def test_a_request_keeps_its_id_if_it_has_one_that_is_fit_for_a_log(server: Serving, admin: str) -> None:
    call = rpc("tools/call", name="get", arguments={"ids": ["nothing"]})
    given = post(server, admin, call, **{"X-Request-Id": "order-66.a"})
    odd = [post(server, admin, call, **{"X-Request-Id": text}).headers["x-request-id"] for text in ("a b", f"{SECRET}!", "x" * 65)]
    own = server.ask("/health").headers["x-request-id"]
    lines = [json.loads(line) for line in (server.folder / "stderr").read_text().splitlines()]
    ended = {line.get("request_id"): line for line in lines if line["event"] == "request_ended"}

    assert given.headers["x-request-id"] == "order-66.a"
    assert (ended["order-66.a"]["tool"], ended["order-66.a"]["outcome"]) == ("get", "refused")
    assert all(re.fullmatch("[0-9a-f]{12}", name) for name in (*odd, own))
    assert set(odd) <= set(ended)
    assert len({*odd, own}) == 4


async def test_a_call_is_a_trace_that_continues_its_clients(server: Serving, received: Received, admin: str) -> None:
    parents = [f"00-{number:032x}-{number:016x}-01" for number in (0xABC1, 0xABC2)]
    async with client_of(server, admin) as client:
        await tell(client, "remember", content="The miller is called Otto.")
    in_meta = {**rpc("tools/call", name="recall", arguments={"query": "Who is the miller?"}), "id": 1}
    in_meta["params"]["_meta"] = {"traceparent": parents[0]}
    post(server, admin, in_meta, traceparent="00-" + "9" * 32 + "-" + "9" * 16 + "-01")
    post(server, admin, rpc("tools/call", name="stats", arguments={}), traceparent=parents[1])

    def of(trace: str) -> list[object]:
        return [span for span in received.spans if span.trace_id.hex() == trace.split("-")[1]]

    wait_until(lambda: all(any(not attributes(span).keys().isdisjoint({"mcp.method.name"}) for span in of(trace)) for trace in parents))
    (call,) = (span for span in of(parents[0]) if span.name == "tools/call recall")
    (recall,) = received.children(call)
    (statistics,) = (span for span in of(parents[1]) if span.name == "tools/call stats")
    below = {span.name for span in received.children(recall)}
    deeper = {span.name for child in received.children(recall) for span in received.children(child)}

    assert call.parent_span_id.hex() == parents[0].split("-")[2]
    assert statistics.parent_span_id.hex() == parents[1].split("-")[2]
    assert recall.name == "recall"
    assert {"gather", "hydrate", "rank", "sqlite revisions"} <= below
    assert {"embed", "text_search", "vector_search", "sqlite get_many"} <= deeper
    assert attributes(call)["memory_mcp.outcome"] == "ok"
    assert attributes(call).keys() == {
        "mcp.method.name",
        "memory_mcp.request_id",
        "gen_ai.operation.name",
        "gen_ai.tool.name",
        "memory_mcp.outcome",
    }


async def test_neither_log_nor_metrics_nor_spans_hold_what_a_client_sends(server: Serving, received: Received, admin: str) -> None:
    """Whatever it sends, and wherever in a request it stands."""
    relation = f"{SECRET} | likes | {SECRET}"
    async with client_of(server, admin) as client:
        receipt = await tell(
            client,
            "remember",
            content=f"{SECRET} is a tune.",
            tags=[SECRET],
            key=f"{SECRET}.x",
            metadata={"speaker": SECRET},
            session_id=SECRET,
            namespace=SECRET,
        )
        found = await tell(client, "recall", query=f"Which tune is {SECRET}?", namespace=SECRET, explain=True)
        await tell(client, "find_similar", text=SECRET, namespace=SECRET)
        await tell(client, "relate", relations=[relation], namespace=SECRET)
        await tell(client, "get", ids=[receipt["id"]])
        for name, arguments in (
            (SECRET, {}),
            ("recall", {SECRET: SECRET}),
            ("get", {"ids": [SECRET]}),
            ("recall", {"query": "x", "since": SECRET}),
            ("remember", {"content": f"the password = '{SECRET}1x!Q'"}),
            ("forget", {"ids": [SECRET]}),
        ):
            assert (await client.call_tool(name, arguments)).is_error
        for uri in (f"memory://item/{SECRET}", f"other://{SECRET}"):
            with pytest.raises(MCPError):
                await client.read_resource(uri)
        with pytest.raises(MCPError):
            await client.get_prompt(SECRET)
        await client.get_prompt("start", {"task": SECRET})
    limited = [post(server, admin, rpc("tools/call", name="get", arguments={"ids": [SECRET]})).text for _ in range(45)]
    for body in (f'{{"{SECRET}', f'{{"jsonrpc": "2.0", "id": "{SECRET}", "method": "{SECRET}"}}', f'["{SECRET}"]', f'"{SECRET}"'):
        post(server, admin, body.encode(), **{"X-Request-Id": f"{SECRET} {SECRET}", "traceparent": SECRET, "User-Agent": SECRET})
    server.ask(f"/{SECRET}?{SECRET}", token=SECRET, headers={"Origin": f"https://{SECRET}.example.com"})
    by_the_plain_api(server, admin)
    await by_the_older_transport(server, admin)
    await anyio.sleep(0.3)  # six times what spans are gathered for
    page = scraped(server)
    server.ask("/health")
    written = (server.folder / "stderr").read_text()

    assert found["hits"]
    assert "used up" in limited[-1]
    assert samples(page, "memory_mcp_tool_call_duration_seconds_count", outcome="limited", tool="get")
    assert len(received.spans) > 100
    assert SECRET not in written
    assert SECRET not in page
    assert not any(SECRET.encode() in body for body in received.bodies)
    assert all(json.loads(line)["event"] for line in written.splitlines())


def by_the_plain_api(server: Serving, token: str) -> None:
    for method, path in (
        ("GET", f"memories/{SECRET}"),
        ("DELETE", f"memories/{SECRET}"),
        ("GET", f"recall?{SECRET}={SECRET}"),
        ("POST", SECRET),
    ):
        server.ask(f"/api/v1/{path}", method, token, headers={"User-Agent": SECRET, "Idempotency-Key": SECRET})
    server.ask("/api/v1/remember", "POST", token, content=f'{{"{SECRET}"'.encode(), headers={"Content-Type": "application/json"})


async def by_the_older_transport(server: Serving, token: str) -> None:
    """Bodies that are no message, which the SDK has something to say about."""
    headers = {**bearer(token), **CALL_HEADERS}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as client, client.stream("GET", f"{server.url}/sse") as stream:
        lines = stream.aiter_lines()  # the stream ends with it
        async for line in lines:
            if line.startswith("data: "):
                path = line.removeprefix("data: ")
                break
        statuses = [(await client.post(f"{server.url}{path}", content=body)).status_code for body in (SECRET, f'{{"method": "{SECRET}"}}')]
        async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as other:
            statuses.append((await other.post(f"{server.url}/messages/?session_id={SECRET}", content=SECRET)).status_code)

    assert statuses == [400, 400, 400]


async def test_a_scrape_tells_of_all_workers_whichever_it_reaches(tmp_path: Path) -> None:
    token = await new_token(tmp_path / "data", role="admin")
    more = f"[http]\nworkers = 3\nmetrics_token = '{SCRAPE}'\n[http.limits]\ncalls_per_minute = 0\naddress_calls_per_minute = 0\n"
    with tempfile.TemporaryDirectory(prefix="mm-") as short, serving(tmp_path / "data", more, TMPDIR=short) as server:
        kept = Path(short)  # the path of a socket may not be long
        wait_until(lambda: sum(samples(scraped(server), "memory_mcp_open").values()) == 3)
        call = rpc("tools/call", name="recall", arguments={"query": "x"})
        pages = []
        for _ in range(12):
            assert post(server, token, call).status_code == 200
            pages.append(scraped(server))
        calls = [samples(page, "memory_mcp_tool_call_duration_seconds_count", tool="recall", outcome="ok") for page in pages]
        scrapes = samples(pages[-1], "memory_mcp_http_responses_total", route="/metrics", code="200")
        pids = children(server.process.pid)
        os.kill(min(pids), signal.SIGKILL)
        wait_until(lambda: len(children(server.process.pid) - pids) == 1)
        wait_until(lambda: sum(samples(scraped(server), "memory_mcp_open").values()) == 3)
        after = scraped(server)
        folders = len(list(kept.glob("memory-mcp-workers-*")))
        assert server.end() == 0
        left = list(kept.glob("memory-mcp-workers-*"))

    assert [sum(each.values()) for each in calls] == list(range(1, 13))
    for earlier, later in itertools.pairwise(calls):
        assert all(later[worker] >= count for worker, count in earlier.items())
    assert sum(scrapes.values()) >= 11
    assert set(samples(after, "memory_mcp_worker_up")) == {("0",), ("1",), ("2",)}
    assert len(samples(after, "memory_mcp_outbox_notes", tier="embed")) == 1
    assert (folders, left) == (1, [])


def children(pid: int) -> set[int]:
    """The workers among a process's children: not what multiprocessing tracks resources with."""
    found = {int(line) for line in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return {child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


async def test_metrics_can_be_switched_off(tmp_path: Path) -> None:
    token = await new_token(tmp_path / "data", role="admin")
    with serving(tmp_path / "data", "[http]\nmetrics = false\n") as server:
        answers = [server.ask("/metrics", token=one).status_code for one in ("", token)]

    assert answers == [404, 404]


async def page_of(opening: Opening) -> str:
    transport = httpx2.ASGITransport(Metrics(opening, HttpTraffic(), Siblings()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    return answer.text


async def test_metrics_tell_of_a_memory_that_is_not_open_and_of_a_store_that_is_away(tmp_path: Path) -> None:
    async with open_service(settings_for(tmp_path)) as service:
        opening = Opening(lambda: nullcontext(service))
        before = await page_of(opening)
        async with opening.running():
            await opening.service()
            there = await page_of(opening)
            assert isinstance(opening.present, MemoryService)
            async with SqliteStore.open(tmp_path / "closed") as store:
                pass
            service.instruments.notes = store.notes
            away = await page_of(opening)

    assert (one(before, "memory_mcp_open"), samples(before, "memory_mcp_outbox_notes")) == (0, {})
    assert (one(there, "memory_mcp_open"), one(there, "memory_mcp_outbox_notes", tier="embed")) == (1, 0)
    assert (one(away, "memory_mcp_open"), samples(away, "memory_mcp_outbox_notes")) == (1, {})


@pytest.mark.parametrize("token", ["x", "x" * 15])
def test_a_short_token_is_refused(token: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"[http]\nmetrics_token = '{token}'\n")
    with pytest.raises(ConfigError, match=r"http: http.metrics_token is too short") as caught:
        load_settings(data_dir=tmp_path, environment={})

    assert f"'{token}'" not in str(caught.value)
