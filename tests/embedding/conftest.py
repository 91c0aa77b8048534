import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from models import compiled_model_dir

from memory_mcp.embedding.onnx import OnnxEncoder


@pytest.fixture(scope="session")
def compiled() -> Path:
    return compiled_model_dir()


@pytest.fixture(scope="session")
def encoder(compiled: Path) -> OnnxEncoder:
    return OnnxEncoder(compiled)


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    """What sentence-transformers says, asked in a process of its own once for all workers; see `originals.py`."""
    root = (tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent) / "originals"
    with FileLock(f"{root}.lock"):
        if not root.exists():
            _ask(root)
    facts: dict[str, Any] = json.loads((root / "facts.json").read_text(encoding="utf-8"))
    return facts | {"root": root}


def _ask(root: Path) -> None:
    root.mkdir()
    subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("originals.py")), str(root)],
        check=True,
        timeout=300,
        capture_output=True,
        env=os.environ | {"HF_HOME": str(root / "hub"), "HF_HUB_OFFLINE": "1"},
    )
