import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from texts import TEXTS

from memory_mcp.embedding.folders import published
from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.local import compile_in_child, is_current, load_local, slug, source_of
from memory_mcp.embedding.manifest import is_whole, read_manifest
from memory_mcp.embedding.onnx import OnnxEncoder
from memory_mcp.errors import EmbedderNotReadyError, TierError


def test_two_processes_bring_in_one_model_at_once(originals: dict[str, Any], tmp_path: Path) -> None:
    model = originals["small"]["path"]
    folder = tmp_path / slug(model)
    (tmp_path / f"{folder.name}.partial-of-a-dead-one").mkdir()
    command = [sys.executable, "-P", "-m", "memory_mcp.embedding.child", model, model, str(folder)]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        for _ in range(2)
    ]
    for child in children:
        assert child.stdin is not None
        assert child.wait(120) == 0
        child.stdin.close()
        assert child.stdout is not None
        assert child.stdout.read() == b""
        child.stdout.close()
    encoder = load_local(model, tmp_path, Attempt())

    assert isinstance(encoder, OnnxEncoder)
    assert encoder.epoch.startswith("model@")
    assert np.vecdot(encoder.encode(TEXTS), np.asarray(originals["small"]["original"])).min() > 0.9999
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_pooling_by_the_first_token_is_compiled(originals: dict[str, Any]) -> None:
    facts = originals["cls"]

    assert facts["encoder"] == "OnnxEncoder"
    assert facts["manifest"]["pooling"] == "cls"
    assert np.vecdot(np.asarray(facts["vectors"]), np.asarray(facts["original"])).min() > 0.9999


def test_attention_is_one_operator_of_onnxruntime(compiled: Path, originals: dict[str, Any]) -> None:
    small = originals["root"] / "kept" / slug(str(originals["root"] / "cls" / "model"))

    assert operators(compiled)["com.microsoft", "Attention"] == 6
    assert operators(small)["com.microsoft", "Attention"] == 2


@pytest.mark.parametrize("model", ["spoilt", "given_up"])
def test_where_that_gives_other_vectors_or_fails_the_graph_is_served_as_exported(originals: dict[str, Any], model: str) -> None:
    facts, kept = originals[model], originals["root"] / "kept" / slug(str(originals["root"] / model / "model"))

    assert facts["encoder"] == "OnnxEncoder"
    assert np.vecdot(np.asarray(facts["vectors"]), np.asarray(facts["original"])).min() > 0.9999
    assert not operators(kept)["com.microsoft", "Attention"]
    assert sorted(path.name for path in kept.iterdir()) == ["manifest.json", "model.onnx", "tokenizer.json"]
    assert is_whole(kept)


def operators(folder: Path) -> Counter[tuple[str, str]]:
    """How many of each, with their domain, the compiled graph has."""
    return Counter((node.domain, node.op_type) for node in onnx.load(folder / "model.onnx").graph.node)


def test_a_model_by_name_is_served_from_the_revision_that_was_brought_in(originals: dict[str, Any]) -> None:
    facts = originals["named"]

    assert facts["epoch"].startswith("owner/named@")
    assert facts["manifest"]["source"] == ""
    assert facts["manifest"]["home"].endswith("snapshots/" + "0" * 40)
    assert np.vecdot(np.asarray(facts["vectors"]), np.asarray(facts["original"])).min() > 0.99999


@pytest.mark.parametrize(("model", "reason"), [("max", "pools by max"), ("lower", "vectors differ from the original's")])
def test_what_cannot_be_compiled_faithfully_is_served_by_the_original(originals: dict[str, Any], model: str, reason: str) -> None:
    facts = originals[model]

    assert facts["encoder"] == "SentenceTransformersEncoder"
    assert facts["manifest"]["form"] == "original"
    assert reason in facts["manifest"]["reason"]
    assert facts["epoch"].startswith("model@")
    assert np.vecdot(np.asarray(facts["vectors"]), np.asarray(facts["original"])).min() > 0.99999


def test_a_compiled_folder_is_current_until_its_source_changes(originals: dict[str, Any], tmp_path: Path) -> None:
    source = Path(shutil.copytree(originals["root"] / "cls" / "model", tmp_path / "model"))
    folder = originals["root"] / "kept" / slug(str(originals["root"] / "cls" / "model"))

    assert is_current(folder, source)

    with (source / "model.safetensors").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\x01\x02\x03\x04")

    assert not is_current(folder, source)
    assert is_current(folder, None)


def test_other_versions_try_again_what_could_not_be_compiled(originals: dict[str, Any], tmp_path: Path) -> None:
    kept = originals["root"] / "kept" / slug(str(originals["root"] / "max" / "model"))
    folder = Path(shutil.copytree(kept, tmp_path / "model"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))

    assert is_current(folder, None)

    (folder / "manifest.json").write_text(json.dumps(manifest | {"made_with": "torch 1.0"}))

    assert not is_current(folder, None)


def test_the_packaged_weights_have_the_pinned_identity(compiled: Path) -> None:
    manifest = read_manifest(compiled)

    assert source_of("all-MiniLM-L6-v2") == source_of("sentence-transformers/all-MiniLM-L6-v2")
    assert manifest is not None
    assert manifest.epoch == "all-MiniLM-L6-v2@dd043e83f07a/384"


def test_a_folder_that_is_no_model_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()

    with pytest.raises(TierError, match="nothing holds no model"):
        load_local(str(tmp_path / "nothing"), tmp_path / "models", Attempt())


def test_a_model_that_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"nothing of the sort")

    with pytest.raises(EmbedderNotReadyError, match="broken could not be brought in"):
        load_local(str(tmp_path / "broken"), tmp_path / "models", Attempt())

    assert not [path for path in (tmp_path / "models").iterdir() if path.suffix != ".lock"]


LOAD = """
import sys
from pathlib import Path
from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.local import load_local
from memory_mcp.errors import EmbedderNotReadyError
try:
    print(type(load_local(sys.argv[1], Path(sys.argv[2]) / "models", Attempt())).__name__)
except EmbedderNotReadyError as error:
    print(error)
"""


def test_a_full_disk_is_what_is_blamed_and_not_the_model(
    originals: dict[str, Any], tmp_path: Path, mounted: Callable[[str], list[str]]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    wrapper = mounted(f"mount -t tmpfs -o size=100k none '{disk}'")
    command = [*wrapper, sys.executable, "-c", LOAD, originals["small"]["path"], str(disk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    assert f"the disk of {disk}/models has 0 MB left. Make room there" in done.stdout
    assert "model_not_compiled" not in done.stdout, "the model is not to blame, and is compiled when there is room"


LOAD_THREE_TIMES = """
import os, resource, sys, time
from pathlib import Path
from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.local import is_current, load_local, slug
from memory_mcp.embedding.manifest import read_manifest

model, models = sys.argv[1], Path(sys.argv[2]) / "models"
folder = models / slug(model)
lock = folder.with_name(f"{folder.name}.lock")

def loaded():
    return type(load_local(model, models, Attempt())).__name__

def pass_a_day():
    os.utime(folder / "manifest.json", (time.time() - 100_000,) * 2)

unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, unlimited[1]))
first = loaded()
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
assert read_manifest(folder).reason.startswith("its export failed")
assert is_current(folder, Path(model))

pass_a_day()
lock.unlink()
lock.mkdir()  # so that nothing can be brought in
while_it_cannot = loaded()
lock.rmdir()
pass_a_day()
print(first, while_it_cannot, loaded())
"""


def test_an_export_that_failed_is_tried_again_later_and_what_serves_meanwhile_is_kept(originals: dict[str, Any], tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOAD_THREE_TIMES, originals["small"]["path"], str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)

    assert done.stdout.splitlines()[-1] == "SentenceTransformersEncoder SentenceTransformersEncoder OnnxEncoder"


def test_stopping_ends_the_child(originals: dict[str, Any], tmp_path: Path) -> None:
    attempt = Attempt()
    threading.Timer(1.0, attempt.stop.set).start()
    started = time.monotonic()

    with pytest.raises(EmbedderNotReadyError):
        compile_in_child("x", Path(originals["small"]["path"]), tmp_path / "x", attempt)

    assert time.monotonic() - started < 5


def test_the_child_ends_with_its_parent(originals: dict[str, Any], tmp_path: Path) -> None:
    path = originals["small"]["path"]
    command = [sys.executable, "-P", "-m", "memory_mcp.embedding.child", "x", path, str(tmp_path / "x")]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as child:
        time.sleep(1)
        assert child.stdin is not None
        child.stdin.close()

        assert child.wait(3) == 1

    assert not (tmp_path / "x").exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with published(tmp_path / "x") as partial:
        (partial / "a").write_text("1")
        assert not (tmp_path / "x").exists()
    with published(tmp_path / "x") as partial:
        (partial / "a").write_text("2")
    with pytest.raises(IsADirectoryError), published(tmp_path / "x") as partial:
        partial.write_text("3")

    assert (tmp_path / "x" / "a").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
