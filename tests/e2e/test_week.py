"""The week: what a project told its memory day by day, and what is asked of it afterwards, over either store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Databases, server

from tests.models import compiled_model_dir

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that name an empty one."""
    if request.param == "sqlite":
        yield {}
        return
    databases = Databases(tmp_path)
    dsn = server().settings(databases.make()).dsn.get_secret_value()
    yield {"MEMORY_MCP_RECORDS__BACKEND": "postgres", "MEMORY_MCP_RECORDS__DSN": dsn}
    databases.drop()


def test_what_a_person_asks_after_the_week_is_answered(store: dict[str, str], tmp_path: Path) -> None:
    given = {**os.environ, "MEMORY_MCP_EMBEDDING__MODEL": str(compiled_model_dir()), **store}
    command = [sys.executable, str(ROOT / "examples" / "week.py")]
    done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    asked = [line for line in done.stdout.splitlines() if line.startswith("? ")]

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(asked) >= 19
    assert all(line.endswith("  ok") for line in asked)
    assert f"{len(asked)} of {len(asked)} answers are right." in done.stdout
