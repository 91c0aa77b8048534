"""The demo: what a new user runs first."""

import os
import subprocess
import sys
from pathlib import Path

from tests.models import compiled_model_dir

ROOT = Path(__file__).parents[2]


def demo(data_dir: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "MEMORY_MCP_EMBEDDING__MODEL": str(compiled_model_dir()), "COLUMNS": "300", **environment}
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--data-dir", str(data_dir)]
    return subprocess.run(command, env=given, cwd=data_dir.parent, capture_output=True, text=True, timeout=120, check=False)


def test_the_demo_answers_its_questions_again_and_again(tmp_path: Path) -> None:
    first, second = demo(tmp_path / "data"), demo(tmp_path / "data")

    assert first.returncode == 0, first.stdout + first.stderr
    assert "11 memories remembered" in first.stdout
    assert "Whom do I ask when someone wants their payment back?" in first.stdout
    assert str(tmp_path / "data") in first.stdout
    assert second.returncode == 0, second.stdout + second.stderr
    assert "11 known from an earlier run" in second.stdout


def test_the_demo_says_when_there_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = demo(tmp_path / "data", MEMORY_MCP_EMBEDDING__MODEL=str(tmp_path / "empty"))

    assert done.returncode == 1
    assert "The embedding model is not ready" in done.stdout
    assert "Traceback" not in done.stderr
