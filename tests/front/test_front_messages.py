"""What a front reads in lines of any kind, and that nothing it is sent can upset it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.front import messages
from memory_mcp.server.tools import core_tools

BIG = b'"' + b"x" * 70_000 + b'"'


@pytest.mark.parametrize(
    ("line", "method", "request_id", "tool"),
    [
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', "ping", 1, ""),
        (b'{"method":"tools/call","params":{"name":"recall"},"id":"a"}', "tools/call", "a", "recall"),
        (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', "notifications/initialized", None, ""),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', "", None, ""),
        (b'{"id":true,"method":"ping"}', "ping", None, ""),
        (b'{"id":"\\ud800","method":"ping"}', "ping", None, ""),
        (b'{"id":1.5,"method":"ping"}', "ping", None, ""),
        (b'{"id":7,"method":5}', "?", 7, ""),
        (b'{"id":7,"method":"x","params":{"a":' + b"9" * 5_000 + b"}}", "x", 7, ""),
        (b'{"id":7,"method":"x","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "x", 7, ""),
        (b'{"params":{"a":' + BIG + b'},"jsonrpc":"2.0","id":8,"method":"x"}', "x", 8, ""),
        (b'{"params":{"a":' + BIG + b'},"id":8,"method":"tools/call","_":{}}', "tools/call", 8, ""),
    ],
)
def test_requests_are_known_by_id_and_method_wherever_those_stand(line: bytes, method: str, request_id: object, tool: str) -> None:
    message = messages.look(line)

    assert (message.method, message.request_id, message.tool) == (method, request_id, tool)
    assert message.understood


@pytest.mark.parametrize("line", [b"", b"\xff\xfe", b"not JSON", b"[1]", b"5", b'{"id":1', b"[" * 100_000])
def test_what_is_no_message_is_left_to_the_engine(line: bytes) -> None:
    assert not messages.look(line).understood


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "method", "params", "requestId", "name", "result"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_line_upsets_it(line: bytes) -> None:
    message = messages.look(line)
    answered = messages.answered(line)

    assert message.request_id is None or messages.is_request_id(message.request_id)
    assert answered is None or messages.is_request_id(answered[0])


def test_a_withdrawal_names_its_request() -> None:
    message = messages.look(b'{"method":"notifications/cancelled","params":{"requestId":3,"reason":"x"}}')

    assert message.cancelled == 3
    assert message.request_id is None


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":{"id":2}}', (1, True)),
        (b'{"jsonrpc":"2.0","id":"a\\"b","result":{}}', ('a"b', True)),
        (b'{"jsonrpc":"2.0","id":"1","error":{"code":1,"message":""}}', ("1", False)),
        (b'{"result":{},"id":3,"jsonrpc":"2.0"}', (3, True)),
        (b'{"jsonrpc":"2.0","id":null,"error":{}}', None),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}', None),
        (b'{"jsonrpc":"2.0","method":"notifications/progress"}', None),
    ],
)
def test_answers_are_known_by_their_id(line: bytes, answer: object) -> None:
    assert messages.answered(line) == answer


def test_a_failed_tool_call_is_a_result_that_a_model_reads_and_anything_else_an_error() -> None:
    legacy = json.loads(messages.failure(1, "tools/call", "Repeat it.", messages.UNAVAILABLE, modern=False))
    modern = json.loads(messages.failure("a", "tools/call", "Repeat it.", messages.UNAVAILABLE, modern=True))
    other = json.loads(messages.failure(2, "prompts/get", "Repeat it.", messages.UNAVAILABLE, modern=True))

    beside = {messages.FAULT: {"code": "unavailable", "retryable": True}}
    assert legacy["result"] == {"content": [{"type": "text", "text": "Repeat it."}], "isError": True, "_meta": beside}
    assert modern["result"] == {"resultType": "complete", **legacy["result"]}
    assert (other["error"]["message"], other["error"]["data"]) == ("Repeat it.", beside)
    assert [each["id"] for each in (legacy, modern, other)] == [1, "a", 2]


def test_the_tools_that_are_asked_again_without_asking_are_those_that_say_they_only_read() -> None:
    assert {tool.name for tool in core_tools() if tool.annotations and tool.annotations.read_only_hint} == messages.READING_TOOLS
