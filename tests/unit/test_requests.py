"""Requests: their ids, how they end, what a client is told of a fault, and whose trace they continue."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS

from memory_mcp.errors import (
    UNEXPECTED,
    AccessDeniedError,
    ConflictError,
    LimitError,
    MemoryMcpError,
    MemoryNotFoundError,
    StoreFullError,
    TierUnavailableError,
)
from memory_mcp.server.app import make_server
from memory_mcp.server.desk import Desk, Opening
from memory_mcp.server.requests import OUTCOMES, Traffic, new_request_id, outcome_of
from memory_mcp.telemetry import tracing
from tests.memories import text_of


@pytest.mark.parametrize("given", ["a", "7f3a", "0190c8a2-9b1e-7a31-b1f4-0d3c5e6f7a8b", "web.1_x", "a" * 64])
def test_an_id_that_is_fit_for_a_log_is_taken(given: str) -> None:
    assert new_request_id(given) == given


@pytest.mark.parametrize("given", ["", " ", "a b", "a\nb", "a\n", "a" * 65, '"', "é", "-a", ".", "%0a", "a;b", "\x00"])
def test_another_is_not(given: str) -> None:
    made = new_request_id(given)

    assert re.fullmatch("[0-9a-f]{12}", made)
    assert new_request_id(given) != made


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConflictError("x"), "refused"),
        (MemoryNotFoundError(["x"]), "refused"),
        (AccessDeniedError("x"), "denied"),
        (LimitError("x"), "limited"),
        (TierUnavailableError("redis", "x"), "unavailable"),
        (StoreFullError("sqlite"), "unavailable"),
    ],
)
def test_an_error_is_an_outcome(error: MemoryMcpError, outcome: str) -> None:
    assert outcome_of(error) == outcome
    assert outcome in OUTCOMES


class Broken:
    """A memory whose every part fails in its own way."""

    def __init__(self) -> None:
        self.entered, self.left = anyio.Event(), anyio.Event()

    def in_place(self) -> bool:
        return True

    async def recall(self, *_: object) -> None:
        raise ValueError("Greensleeves")

    async def context(self, *_: object) -> None:
        raise ValueError("Greensleeves")

    async def stats(self, *_: object) -> None:
        raise TierUnavailableError("records", "The database is away.")

    async def get(self, *_: object, **__: object) -> None:
        self.entered.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.left.set()


@asynccontextmanager
async def client_of(service: Any, traffic: Traffic, mode: str = "auto") -> AsyncIterator[Client]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        yield service

    async with Client(make_server(Desk(Opening(opened), "local", "project"), traffic=traffic), mode=mode) as client:
        yield client


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_of_a_fault_the_client_learns_the_id_under_which_it_is_in_the_log(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    named: list[tuple[str, str]] = []
    caplog.handler.addFilter(lambda record: named.append((record.msg, tracing.request_id.get())) is None)
    traffic = Traffic()
    with caplog.at_level(logging.INFO, "memory_mcp"):
        async with client_of(Broken(), traffic, mode) as client:
            told = text_of(await client.call_tool("recall", {"query": "x"}))
            with pytest.raises(MCPError) as prompted:
                await client.get_prompt("start", {})
            away = await client.call_tool("stats", {})

    found = re.fullmatch(re.escape(UNEXPECTED) + r" \(request ([0-9a-f]{12})\)", told)
    assert found
    assert ("call_failed: %s", found[1]) in named
    assert ("request_ended", found[1]) in named
    assert "Greensleeves" not in str(prompted.value)
    assert re.search(r"\(request [0-9a-f]{12}\)", str(prompted.value)), prompted.value
    assert text_of(away) == "The database is away."
    assert {key: buckets.calls for key, buckets in traffic.calls.items()} == {("recall", "failed"): 1, ("stats", "unavailable"): 1}
    assert traffic.at_work == 0


async def test_each_end_of_a_call_is_counted_under_the_names_of_tools_alone() -> None:
    traffic, broken = Traffic(), Broken()
    async with client_of(broken, traffic) as client:
        for _ in range(2):
            await client.call_tool("Greensleeves", {})
        await client.call_tool("recall", {"limits": 3})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "get", {"ids": ["x"]})
            with anyio.fail_after(10):
                await broken.entered.wait()
            during = traffic.at_work
            tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            await broken.left.wait()
        await client.list_tools()

    counted = {key: buckets.calls for key, buckets in traffic.calls.items()}
    assert counted == {("other", "refused"): 2, ("recall", "refused"): 1, ("get", "cancelled"): 1}
    assert during == 1


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("carriers", "continued"),
    [
        ([{"traceparent": PARENT}], True),
        ([None, {"traceparent": PARENT}], True),
        ([{}, {"traceparent": PARENT, "tracestate": "a=b", "baggage": "x=y"}], True),
        ([{"traceparent": PARENT, "progressToken": 3}, None], True),
        ([], False),
        ([None, {}], False),
        ([{"traceparent": 7}], False),
        ([{"traceparent": "Greensleeves"}], False),
        ([{"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"}], False),
        ([{"traceparent": PARENT.replace("0af", "xyz")}], False),
    ],
)
def test_a_trace_is_continued_where_a_client_names_one(carriers: list[Any], continued: bool) -> None:
    with tracing.request("tools/call", {}, *carriers) as span:
        context = span.get_span_context()

    assert (format(context.trace_id, "032x") == PARENT.split("-")[1]) == continued


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, ""),
        ({"OTEL_SERVICE_NAME": "memory"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, "otlp_proto_http"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp_proto_http"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp_proto_grpc"),
        ({"OTEL_TRACES_EXPORTER": "zipkin_json"}, "zipkin_json"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ""),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, ""),
    ],
)
def test_the_standard_variables_say_where_spans_go(environment: dict[str, str], name: str) -> None:
    assert tracing.exporter(environment) == name


def test_an_exporter_that_is_not_there_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    tracing.start({"OTEL_TRACES_EXPORTER": "nobody-has-this"})()

    assert "tracing_not_started" in caplog.text
    assert "nobody-has-this" in caplog.text


async def test_a_prompt_that_is_not_there_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with client_of(Broken(), Traffic()) as client:
        with pytest.raises(MCPError, match="There is: start") as caught:
            await client.get_prompt("Greensleeves")

    assert caught.value.code == INVALID_PARAMS
    assert "request_failed" not in caplog.text
