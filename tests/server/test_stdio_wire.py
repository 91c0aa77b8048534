"""Every line from a client is a message or gets an answer; every message for the client becomes a line."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from memory_mcp.front.lines import LineBuffer, OverlongLine, find_request
from memory_mcp.server.wire import MAX_DEPTH, encode, find_flaw, parse_line


def call(arguments: str, request_id: str = "7", method: str = "tools/call") -> bytes:
    params = f'{{"name":"echo","arguments":{arguments}}}'
    return f'{{"jsonrpc":"2.0","id":{request_id},"method":"{method}","params":{params}}}'.encode()


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_messages_of_each_kind_are_taken() -> None:
    request = parse_line(call('{"text":"ünïcödé 🎈"}') + b"\r")
    notification = parse_line(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    response = parse_line(b'{"jsonrpc":"2.0","id":"a","result":{}}')
    failure = parse_line(b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}')

    assert isinstance(request, SessionMessage)
    assert isinstance(request.message, JSONRPCRequest)
    assert request.message.params == {"name": "echo", "arguments": {"text": "ünïcödé 🎈"}}
    assert isinstance(notification, SessionMessage)
    assert isinstance(notification.message, JSONRPCNotification)
    assert isinstance(response, SessionMessage)
    assert isinstance(response.message, JSONRPCResponse)
    assert isinstance(failure, SessionMessage)
    assert isinstance(failure.message, JSONRPCError)


@pytest.mark.parametrize(
    ("line", "request_id", "code"),
    [
        (b"hello", None, -32700),
        (b'{"jsonrpc":"2.0","id":7,"method":"ping"', None, -32700),
        (b"\xff", None, -32700),
        (call('{"text":"\xff"}').replace(b"\xc3\xbf", b"\xff"), 7, -32700),
        (call('{"text":"?"}').replace(b"?", b"\xed\xa0\x80"), 7, -32700),  # a surrogate, encoded
        (b"[]", None, -32600),
        (b"[" + call("{}") + b"]", None, -32600),
        (b"7", None, -32600),
        (b"{}", None, -32600),
        (call("{}", request_id="null"), None, -32600),
        (call("{}", request_id="true"), None, -32600),
        (call("{}", request_id="1.5"), None, -32600),
        (call("{}", request_id="[1]"), None, -32600),
        (call("{}", request_id='"\\ud800"'), None, -32600),
        (call("{}", request_id="9" * 30), None, -32600),
        (b'{"id":7,"method":"ping"}', 7, -32600),
        (b'{"jsonrpc":"2.0","id":7,"method":7}', 7, -32600),
        (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}', 7, -32600),
        (call('{"text":"\\ud800"}', method="prompts/get"), 7, -32602),
        (call("NaN", method="prompts/get"), 7, -32602),
        (b'{"jsonrpc":"2.0","id":7,"method":"\\udfff"}', 7, -32602),
        (b"[" * 100_000, None, -32602),
    ],
)
def test_what_cannot_be_taken_is_answered_with_an_error(line: bytes, request_id: int | None, code: int) -> None:
    answer = parse_line(line)

    assert isinstance(answer, JSONRPCError)
    assert (answer.id, answer.error.code) == (request_id, code)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ('{"text":"\\ud800"}', "surrogate"),
        ('{"text":"\\udc00\\ud800"}', "surrogate"),
        ('{"\\ud800":1}', "surrogate"),
        ('{"number":NaN}', "finite"),
        ('{"number":-Infinity}', "finite"),
        ('{"number":[1e999]}', "finite"),
        ('{"number":' + "9" * 5000 + "}", "64 bits"),
        ('{"number":-18446744073709551616}', "64 bits"),
        (nested(MAX_DEPTH), "nested"),
        (nested(100_000), "nested"),
    ],
)
def test_a_model_is_told_what_is_wrong_with_its_arguments(arguments: str, word: str) -> None:
    answer = parse_line(call(arguments))

    assert isinstance(answer, JSONRPCResponse)
    assert answer.id == 7
    assert answer.result["isError"] is True
    assert word in answer.result["content"][0]["text"]


@pytest.mark.parametrize(
    "arguments", ['{"text":"\\ud83c\\udf88"}', '{"number":18446744073709551615}', '{"n":1e308}', nested(MAX_DEPTH - 3)]
)
def test_what_is_only_unusual_is_taken(arguments: str) -> None:
    assert isinstance(parse_line(call(arguments)), SessionMessage)


@pytest.mark.parametrize("line", [b"", b"  \t\r", b'{"jsonrpc":"2.0","method":"n","params":{"x":NaN}}'])
def test_blank_lines_and_bad_notifications_get_no_answer(line: bytes) -> None:
    assert parse_line(line) is None


def test_a_bad_reply_ends_the_question_as_an_error() -> None:
    reply = parse_line(b'{"jsonrpc":"2.0","id":3,"result":{"text":"\\ud800"}}')

    assert isinstance(reply, SessionMessage)
    assert isinstance(reply.message, JSONRPCError)
    assert reply.message.id == 3


@pytest.mark.parametrize(
    ("head", "tail", "found"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":{"id":8', b"}}", (7, "ping")),
        (b'{"method":"tools/call","params":{"id":8,', b'"x"},"jsonrpc":"2.0","id":"a-7"}\r', ("a-7", "tools/call")),
        (b'{"method":"tools/call","params":{"arguments":{"id":8,', b'"id":9}}}', None),
        (b'{"jsonrpc":"2.0","id":7,"result":{"method":"ping",', b'"id":9}}', None),
        (b'{"jsonrpc":"2.0","method":"log","params":{"text":"', b',\\"id\\":9}"}}', None),
        (b'{"jsonrpc":"2.0","method":"log","params":{"text":"', b'","id":9}', (9, "log")),
        (b"no JSON at all", b"", None),
    ],
)
def test_a_request_is_recognized_by_its_ends(head: bytes, tail: bytes, found: tuple[int | str, str] | None) -> None:
    assert find_request(head, tail) == found


def test_an_overlong_request_is_refused_by_its_id() -> None:
    buffer = LineBuffer(10_000)
    [line, after] = buffer.feed(call(json.dumps({"text": "x" * 20_000})) + b"\n{}\n")
    answer = parse_line(line)

    assert isinstance(line, OverlongLine)
    assert len(line) < 10_000
    assert isinstance(answer, JSONRPCResponse)
    assert answer.id == 7
    assert "too long" in answer.result["content"][0]["text"]
    assert after == b"{}"


@given(st.lists(st.binary(max_size=20) | st.just(b"\n"), max_size=30))
def test_chunks_of_any_size_make_the_same_lines(chunks: list[bytes]) -> None:
    buffer = LineBuffer(1_000_000)
    lines = [line for chunk in chunks for line in buffer.feed(chunk)]

    assert [*lines, buffer.take()] == b"".join(chunks).split(b"\n")


@given(st.lists(st.binary(max_size=9000), max_size=8))
def test_no_more_than_the_bound_and_two_ends_are_held(chunks: list[bytes]) -> None:
    buffer = LineBuffer(5000)
    for chunk in chunks:
        for line in buffer.feed(chunk):
            assert len(line) <= 8192
    assert len(buffer.take()) <= 8192


any_text = st.text(st.characters(codec=None, exclude_categories=[]), max_size=8)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(min_value=2**63) | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)
some_message = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | any_json,
        "id": st.integers(-5, 5) | any_json,
        "method": st.sampled_from(["ping", "tools/call"]) | any_json,
        "params": st.dictionaries(any_text, any_json, max_size=3) | any_json,
        "result": any_json,
        "error": any_json,
    },
)


def as_line(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(st.binary(max_size=200) | some_message.map(as_line) | any_json.map(as_line))
@example(b'{"a":' * 3000)
@example(b"\xef\xbb\xbf{}")
@example(b'{"jsonrpc":"2.0","id":-0,"method":"x"}')
def test_any_line_is_a_message_or_has_an_answer(line: bytes) -> None:
    parsed = parse_line(line)

    if isinstance(parsed, SessionMessage):
        assert find_flaw(parsed.message.model_dump(exclude_unset=True)) is None
    elif parsed is not None:
        sent = encode(parsed)
        assert sent is not None
        assert parsed.id is None or parsed.id == json.loads(line)["id"]
        assert json.loads(sent)["id"] == parsed.id


@given(some_message)
def test_a_request_with_a_good_id_is_taken_or_answered_under_it(message: dict[str, Any]) -> None:
    message |= {"id": 5, "method": message.get("method", "ping")}
    parsed = parse_line(as_line(message))

    assert parsed is not None
    assert (parsed.message if isinstance(parsed, SessionMessage) else parsed).id == 5


@given(st.dictionaries(any_text, any_json, max_size=4))
def test_any_result_becomes_one_line_of_json(result: dict[str, Any]) -> None:
    line = encode(JSONRPCResponse(jsonrpc="2.0", id=5, result=result))

    assert line is not None
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line.decode())["id"] == 5


@given(any_text, any_json)
def test_any_error_becomes_one_line_of_json(text: str, data: Any) -> None:
    line = encode(JSONRPCError(jsonrpc="2.0", id=5, error=ErrorData(code=1, message=text, data=data)))

    assert line is not None
    assert json.loads(line.decode())["id"] == 5


def test_texts_that_explain_are_mended_and_results_are_not() -> None:
    explained = encode(JSONRPCError(jsonrpc="2.0", id=5, error=ErrorData(code=1, message="\ud83c\udf88 \ud800")))
    failed = encode(JSONRPCResponse(jsonrpc="2.0", id=5, result={"content": [{"text": "\ud800"}], "isError": True}))
    succeeded = encode(JSONRPCResponse(jsonrpc="2.0", id=5, result={"content": [{"text": "\ud800"}]}))
    listed = encode(JSONRPCResponse(jsonrpc="2.0", id=5, result={"tools": ["\ud800"]}))
    told = encode(JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": "\ud800"}))

    assert explained is not None
    assert json.loads(explained)["error"]["message"] == "🎈 \ufffd"
    assert failed is not None
    assert json.loads(failed)["result"]["content"][0]["text"] == "\ufffd"
    assert succeeded is not None
    assert json.loads(succeeded)["result"]["isError"] is True
    assert "cannot be sent" in json.loads(succeeded)["result"]["content"][0]["text"]
    assert listed is not None
    assert json.loads(listed)["error"]["code"] == -32603
    assert told is not None
    assert json.loads(told)["params"]["data"] == "\ufffd"


def test_what_json_cannot_say_at_all_is_not_sent() -> None:
    deep: dict[str, Any] = {}
    for _ in range(2000):
        deep = {"inner": deep}

    answer = encode(JSONRPCResponse(jsonrpc="2.0", id=5, result=deep))
    assert answer is not None
    assert json.loads(answer)["error"]["code"] == -32603
    assert encode(JSONRPCNotification(jsonrpc="2.0", method="n", params={"x": "\ud800", "y": math.nan})) is None
