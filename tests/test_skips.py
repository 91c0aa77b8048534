"""The count of skips that the build server insists on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASES = """
import pytest

@pytest.mark.skip(reason="set MEMORY_MCP_TEST_QDRANT_URL to a Qdrant server")
def test_of_a_server(): ...

@pytest.mark.parametrize("case", [1, 2])
def test_of_something(case):
    {body}
"""


def run_pytest(folder: Path, body: str, *options: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder / "conftest.py")
    (folder / "test_cases.py").write_text(CASES.format(body=body), "utf-8")
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), "-c", "/dev/null", "-p", "no:cacheprovider", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


SPREAD = ("--numprocesses", "2", "--dist", "loadfile")
"""As `make test` does it."""


@pytest.mark.parametrize("spread", [(), SPREAD], ids=["one process", "two processes"])
def test_a_skip_that_is_not_on_the_list_fails_the_run(tmp_path: Path, spread: tuple[str, ...]) -> None:
    done = run_pytest(tmp_path, "pytest.skip('no Redis here')", "--no-unexpected-skips", *spread)

    assert done.returncode == 1, done.stdout
    assert "2 skipped unexpectedly: test_cases.py::test_of_something: Skipped: no Redis here" in done.stdout
    assert "1 skipped without a Qdrant server, as expected" in done.stdout
    assert "3 skipped" in done.stdout.splitlines()[-1]


def test_skips_on_the_list_are_named_and_counted(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "assert case", "--no-unexpected-skips")

    assert done.returncode == 0, done.stdout
    assert "1 skipped without a Qdrant server, as expected" in done.stdout
    assert "2 passed, 1 skipped" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("spread", [(), SPREAD], ids=["one process", "two processes"])
def test_a_module_that_skips_itself_counts_too(tmp_path: Path, spread: tuple[str, ...]) -> None:
    (tmp_path / "test_whole.py").write_text("import pytest\npytest.importorskip('nonexistent_module')\n", "utf-8")
    done = run_pytest(tmp_path, "assert case", "--no-unexpected-skips", *spread)

    assert done.returncode == 1, done.stdout
    assert "1 skipped unexpectedly: test_whole.py: Skipped: could not import 'nonexistent_module'" in done.stdout


def test_without_the_option_a_skip_is_only_a_skip(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, "pytest.skip('no Redis here')").returncode == 0
