"""Lets tests in any folder import the helpers that stand here, and counts skips by name.

A test may be skipped where something is absent. With `--no-unexpected-skips`, as on the build server, only what is
known to be absent there may be: another skip fails the run, even if every test that ran has passed.
"""

import logging
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import structlog

hypothesis.settings.register_profile(
    "ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("ours")
"""A busy machine is no failure; and a build server says the same of a change each time, while every run elsewhere tries new examples."""

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
"""Servers are started from this process while gRPC is at work in it: what it does around a fork has crashed the child."""

ALLOWED_SKIPS = {
    "a Qdrant server": re.compile(r"MEMORY_MCP_TEST_QDRANT_URL"),
    "a GPU": re.compile(r"\b(GPU|CUDA|CuPy)\b", re.IGNORECASE),
    "the conformance suite": re.compile(r"MEMORY_MCP_TEST_CONFORMANCE"),
    "npx": re.compile(r"\bnpx\b(?! @modelcontextprotocol)"),
    "the MCP inspector": re.compile(r"\b(Node|inspector)\b", re.IGNORECASE),
}
"""What may be absent, and how the reason of such a skip says so."""


@pytest.fixture(autouse=True)
def log_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that a test runs within this process configures the log; the next test hears all of it again."""
    loggers = logging.getLogger(), logging.getLogger("memory_mcp")
    before = [logger.level for logger in loggers]
    configure = structlog.configure
    uncached = {"cache_logger_on_first_use": False}  # what is kept by a logger no later configuration changes
    monkeypatch.setattr(structlog, "configure", lambda **given: configure(**given | uncached))
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def mounted() -> Callable[[str], list[str]]:
    """What runs a command after mounting something that it alone sees."""
    probe = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /tmp"]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("mounting in a namespace of one's own is not possible here")
    return lambda mount: ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-unexpected-skips", action="store_true", help="fail when a test is skipped for a reason that is not on the list")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell; what tests start would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("no_unexpected_skips"):
        config.pluginmanager.register(SkipCount(), "skip-count")


class SkipCount:
    """Tells at the end which skips there were, and whether there may be."""

    def __init__(self) -> None:
        self.allowed: Counter[str] = Counter()
        self.unexpected: Counter[tuple[str, str]] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._count(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._count(report)

    def _count(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        absent = next((name for name, pattern in ALLOWED_SKIPS.items() if pattern.search(reason)), None)
        if absent is None:
            self.unexpected[report.nodeid.partition("[")[0], reason] += 1
        else:
            self.allowed[absent] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexpected and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for absent, count in self.allowed.items():
            terminalreporter.write_line(f"{count} skipped without {absent}, as expected")
        for (where, reason), count in self.unexpected.items():
            terminalreporter.write_line(f"{count} skipped unexpectedly: {where}: {reason}", red=True)
