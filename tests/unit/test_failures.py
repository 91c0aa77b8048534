"""The same error is recognised in another run, on another machine; another error is not taken for it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_mcp.knowledge.failures import MAX_FRAMES, in_a_line, lasting, read_failure, same_failure

PYTHON = """Traceback (most recent call last):
  File "/home/ann/app/main.py", line 12, in <module>
    run()
  File "/home/ann/app/run.py", line 7, in run
    return load(path)
KeyError: 'port'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/home/ann/app/run.py", line 9, in run
    raise ConfigError("no port for worker 4711")
app.errors.ConfigError: no port for worker 4711
"""
JAVASCRIPT = """Uncaught TypeError: Cannot read properties of undefined (reading 'port')
    at start (/srv/app/server.js:10:5)
    at Object.<anonymous> (/srv/app/index.js:3:1)
"""
JAVA = """Exception in thread "main" java.lang.IllegalStateException: pool 7 is closed
\tat com.acme.Pool.take(Pool.java:88)
\tat com.acme.Main.main(Main.java:12)
Caused by: java.io.IOException: gone
\tat com.acme.Net.read(Net.java:3)
"""
GO = """panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.work(0x1)
\t/home/ann/main.go:12 +0x1d
main.main()
\t/home/ann/main.go:5 +0x25
"""
RUST = """thread 'main' panicked at src/main.rs:4:5:
index out of bounds: the len is 3 but the index is 99
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:645:5
   1: app::work
             at ./src/main.rs:4:5
"""


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (PYTHON, "ConfigError: no port for worker 4711"),
        (GO, "panic: runtime error: index out of range [5] with length 3"),
        ("KeyError: 'port' while the app was starting", "KeyError: 'port' while the app was starting"),
        ("The page stays white\nsince Monday", "The page stays white\nsince Monday"),
    ],
)
def test_of_a_trace_the_error_itself_is_told_and_anything_else_as_it_stands(report: str, line: str) -> None:
    assert in_a_line(report) == line


@pytest.mark.parametrize(
    ("report", "kind", "message", "innermost"),
    [
        (PYTHON, "ConfigError", "no port for worker 4711", "run.py:run"),
        (JAVASCRIPT, "TypeError", "Cannot read properties of undefined (reading 'port')", "server.js:start"),
        (JAVA, "IllegalStateException", "pool 7 is closed", "Pool.java:com.acme.Pool.take"),
        (GO, "panic", "runtime error: index out of range [5] with length 3", "main.go:main.work"),
        (RUST, "panic", "index out of bounds: the len is 3 but the index is 99", "panicking.rs:rust_begin_unwind"),
    ],
)
def test_what_a_trace_tells(report: str, kind: str, message: str, innermost: str) -> None:
    failure = read_failure(report)

    assert (failure.type, failure.message, failure.frames[0]) == (kind, message, innermost)


def test_a_message_without_a_trace_is_its_first_line() -> None:
    assert read_failure("\n  disk quota exceeded\nsecond line").message == "disk quota exceeded"
    assert read_failure("ModuleNotFoundError: No module named 'foo'").type == "ModuleNotFoundError"
    assert read_failure("") == read_failure("\n\n")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PYTHON, PYTHON.replace("/home/ann", "C:\\work").replace("line 9", "line 21").replace("4711", "17")),
        (JAVASCRIPT, JAVASCRIPT.replace(":10:5", ":99:1").replace("/srv/app/", "/opt/other/")),
        (JAVA, JAVA.replace("88", "90").replace("pool 7", "pool 8")),
        (GO, GO.replace("0x1d", "0x44").replace("12", "13").replace("[5]", "[6]")),
        ("timeout after 30 s for 6f1c2b3a-1111-4222-8333-abcdefabcdef", "Timeout after 31.5 s for 00000000-1111-4222-8333-abcdefabcdee"),
        ("cannot open /var/lib/a/data.db at 2026-01-02T03:04:05Z", "cannot open /home/b/data.db at 2027-11-12 13:14:15.123"),
    ],
)
def test_another_run_of_the_same_error_is_the_same(one: str, other: str) -> None:
    assert same_failure(read_failure(one)) == same_failure(read_failure(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ModuleNotFoundError: No module named 'foo'", "ModuleNotFoundError: No module named 'bar'"),
        ("ValueError: bad port", "TypeError: bad port"),
        (PYTHON, PYTHON.replace("in run", "in stop")),
        ("cannot open /var/lib/data.db", "cannot open /var/lib/index.db"),
        (JAVA, GO),
    ],
)
def test_another_error_is_another(one: str, other: str) -> None:
    assert same_failure(read_failure(one)) != same_failure(read_failure(other))


@given(st.text(max_size=2_000))
def test_any_text_is_read(report: str) -> None:
    failure = read_failure(report)

    assert len(failure.frames) <= MAX_FRAMES
    assert len(same_failure(failure)) == 24
    assert lasting(lasting(report)) == lasting(lasting(lasting(report)))


@pytest.mark.parametrize("unit", ["\n", "(", "1: a\n", "a(\n\tb.go:\n", "thread 'a' panicked at '', '"])
def test_whatever_is_repeated_is_read_at_once(unit: str) -> None:
    report = "x\n" + (unit * 1_000_000)[:1_000_000]
    began = time.perf_counter()
    read_failure(report)

    assert time.perf_counter() - began < 5


def test_of_a_very_long_report_both_ends_count() -> None:
    trace = "Traceback (most recent call last):\n" + '  File "/srv/app/jobs.py", line 7, in run\n' * 3 + "ValueError: no such job\n"

    for report in ("line\n" * 50_000 + trace, trace + "line\n" * 50_000):
        assert read_failure(report) == read_failure(trace)
