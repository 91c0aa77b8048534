"""What stands in a line of the log, and what never does."""

import json
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from memory_mcp.errors import RequestError, TierUnavailableError
from memory_mcp.log import configure_log, described
from memory_mcp.telemetry import tracing

SECRET = "Greensleeves"

Lines = Callable[[], list[str]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """What was logged since; afterwards logging is as it was."""
    root, own, raising = logging.getLogger(), logging.getLogger("memory_mcp"), logging.raiseExceptions
    before = (root.handlers[:], root.level, own.level)
    yield lambda: capsys.readouterr().err.splitlines()
    root.handlers[:], logging.raiseExceptions = before[0], raising
    root.setLevel(before[1])
    own.setLevel(before[2])
    structlog.reset_defaults()


def test_every_line_is_json_whoever_wrote_it(lines: Lines) -> None:
    configure_log("info", "json")
    structlog.get_logger("memory_mcp.a").info("memory_indexed", tier="qdrant", count=3)
    logging.getLogger("memory_mcp.b").info("engine_ends: %s", "idle", extra={"outcome": "ok", "elapsed_ms": 1.5, "content": SECRET})
    logging.getLogger("somebody.else").warning("a warning %d", 7)
    logging.getLogger("somebody.else").info("too small to be told")
    structlog.get_logger("memory_mcp.a").debug("too small to be told")
    own, plain, foreign = map(json.loads, lines())

    assert (own["event"], own["tier"], own["count"], own["level"], own["logger"]) == ("memory_indexed", "qdrant", 3, "info", "memory_mcp.a")
    assert (plain["event"], plain["outcome"], plain["elapsed_ms"]) == ("engine_ends: idle", "ok", 1.5)
    assert "content" not in plain
    assert (foreign["event"], foreign["level"]) == ("a warning 7", "warning")
    assert all(line["timestamp"].endswith("Z") and "request_id" not in line for line in (own, plain, foreign))


def test_lines_of_a_request_have_its_id(lines: Lines) -> None:
    configure_log("info", "json")
    token = tracing.request_id.set("7f3a")
    structlog.get_logger("memory_mcp.a").info("one")
    logging.getLogger("somebody.else").warning("two")
    tracing.request_id.reset(token)
    structlog.get_logger("memory_mcp.a").info("three")

    assert [json.loads(line).get("request_id") for line in lines()] == ["7f3a", "7f3a", None]


def test_a_value_that_is_no_json_is_told_by_its_type(lines: Lines) -> None:
    configure_log("info", "json")
    structlog.get_logger("memory_mcp.a").info("odd", value=object())

    assert json.loads(lines()[0])["value"] == "object"


def test_logfmt_is_for_people(lines: Lines) -> None:
    configure_log("info", "logfmt")
    structlog.get_logger("memory_mcp.a").info("memory_indexed", count=3)
    (line,) = lines()

    assert line.startswith("timestamp=")
    assert line.endswith("level=info logger=memory_mcp.a event=memory_indexed count=3")


def failing() -> None:
    try:
        json.loads(f'{{"text": {SECRET}')
    except ValueError as error:
        raise KeyError(SECRET) from error


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_a_trace_tells_where_and_what_but_not_what_it_was_given(lines: Lines, form: str) -> None:
    configure_log("info", form)  # type: ignore[arg-type]
    for log in (structlog.get_logger("memory_mcp.a"), logging.getLogger("memory_mcp.b"), logging.getLogger("somebody.else")):
        try:
            failing()
        except KeyError:
            log.exception("call_failed")
    written = lines()

    assert len(written) == 3
    for line in written:
        assert SECRET not in line
        assert "Traceback" in line
        assert "in failing" in line
        assert line.index("JSONDecodeError") < line.index("KeyError")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RequestError("limit is too large."), "RequestError: limit is too large."),
        (TierUnavailableError("redis", "redis was too slow to answer."), "TierUnavailableError: redis was too slow to answer."),
        (FileNotFoundError(2, "No such file or directory", SECRET), "FileNotFoundError: No such file or directory"),
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: Connection refused"),
        (OSError(SECRET), "OSError"),
        (ValueError(SECRET), "ValueError"),
        (UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET), "UnicodeEncodeError"),
        (ExceptionGroup(SECRET, [ValueError(SECRET), RequestError("this one")]), "ExceptionGroup\nValueError\nRequestError: this one"),
    ],
)
def test_our_own_words_and_the_systems_are_quoted(error: Exception, said: str) -> None:
    assert described(error) == said


def test_an_error_that_was_suppressed_is_not_told() -> None:
    try:
        try:
            raise ValueError("first")
        except ValueError:
            raise KeyError("second") from None
    except KeyError as error:
        told = described(error)

    assert "ValueError" not in told
    assert told.endswith("KeyError")
    assert sys.exception() is None
