import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from texts import TEXTS

from memory_mcp.embedding.encoder import unit_rows
from memory_mcp.embedding.manifest import file_digest
from memory_mcp.embedding.onnx import RUN_TEXTS, RUN_TOKENS, OnnxEncoder, _runs
from memory_mcp.embedding.pins import ALL_MINILM
from memory_mcp.errors import TierError


def test_vectors_are_the_ones_of_the_original(encoder: OnnxEncoder, originals: dict[str, Any]) -> None:
    vectors = encoder.encode(TEXTS)

    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.vecdot(vectors, np.asarray(originals["default"])).min() > 0.99999


def test_a_vector_does_not_depend_on_what_is_encoded_beside_it(encoder: OnnxEncoder) -> None:
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])

    assert np.abs(together - alone).max() < 1e-5


def test_what_comes_after_the_last_token_of_the_model_is_cut(encoder: OnnxEncoder) -> None:
    longest = "word " * (ALL_MINILM.max_tokens - 2)

    assert np.allclose(encoder.encode([longest]), encoder.encode([longest + "and something else"]), atol=1e-6)
    assert not np.allclose(encoder.encode(["word " * 200]), encoder.encode(["word " * 200 + "and something else"]), atol=1e-3)


@settings(max_examples=60)
@given(st.lists(st.text(max_size=60), max_size=6))
def test_any_text_gives_a_unit_vector(encoder: OnnxEncoder, texts: list[str]) -> None:
    vectors = encoder.encode(texts)

    assert vectors.shape == (len(texts), 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@given(st.lists(st.integers(1, 512), max_size=80).map(sorted))
def test_runs_hold_every_text_once_within_both_bounds(lengths: list[int]) -> None:
    runs = _runs(range(len(lengths)), lengths)

    assert [i for run in runs for i in run] == list(range(len(lengths)))
    assert all(len(run) <= RUN_TEXTS for run in runs)
    assert all(len(run) == 1 or len(run) * lengths[run[-1]] <= RUN_TOKENS for run in runs)


def test_the_number_of_threads_does_not_change_the_epoch(compiled: Path, encoder: OnnxEncoder) -> None:
    single = OnnxEncoder(compiled, threads=1)

    assert single.epoch == encoder.epoch
    assert np.abs(single.encode(TEXTS) - encoder.encode(TEXTS)).max() < 1e-5


def test_several_threads_may_call_at_once(encoder: OnnxEncoder) -> None:
    expected = encoder.encode(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(encoder.encode, [TEXTS] * 4):
            assert np.abs(vectors - expected).max() < 1e-5


def test_serving_imports_neither_torch_nor_transformers(compiled: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.embedding.opening import open_embedder

async def main():
    embedder = open_embedder(EmbeddingSettings(model=sys.argv[1]), Path(sys.argv[2]))
    embedder.start()
    await embedder.wait_ready(30)
    vectors, _ = await embedder.embed(["hello"])
    assert vectors.shape == (1, 384)

assert "onnxruntime" not in sys.modules
asyncio.run(main())
heavy = {"torch", "transformers", "sentence_transformers", "huggingface_hub", "onnx", "httpx2"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code, str(compiled), "/nowhere"], check=True, timeout=60, capture_output=True)


@pytest.mark.parametrize("damage", ["cut", "altered", "absent", "no manifest", "strange manifest"])
def test_a_damaged_folder_is_refused(compiled: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(compiled, tmp_path / "model"))
    graph = folder / "model.onnx"
    match damage:
        case "cut":
            with graph.open("r+b") as file:
                file.truncate(1000)
        case "altered":
            with graph.open("r+b") as file:
                file.seek(40_000_000)
                file.write(b"\x00\x01\x02\x03")
        case "absent":
            (folder / "tokenizer.json").unlink()
        case "no manifest":
            (folder / "manifest.json").unlink()
        case "strange manifest":
            (folder / "manifest.json").write_text('{"format": 99}')

    with pytest.raises(TierError, match=r"damaged|no compiled model"):
        OnnxEncoder(folder)


def folder_with_graph(compiled: Path, folder: Path, states: list[float]) -> Path:
    """A compiled folder whose every state is the one given."""
    folder.mkdir()
    shape = helper.make_node("Shape", ["input_ids"], ["shape"])
    width = helper.make_node("Constant", [], ["width"], value=helper.make_tensor("w", TensorProto.INT64, [1], [len(states)]))
    state = helper.make_node("Constant", [], ["state"], value=helper.make_tensor("s", TensorProto.FLOAT, [len(states)], states))
    joined = helper.make_node("Concat", ["shape", "width"], ["whole"], axis=0)
    spread = helper.make_node("Expand", ["state", "whole"], ["states"])
    graph = helper.make_graph(
        [shape, width, state, joined, spread],
        "constant",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["batch", "sequence", len(states)])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "model.onnx")
    shutil.copyfile(compiled / "tokenizer.json", folder / "tokenizer.json")
    manifest = json.loads((compiled / "manifest.json").read_text(encoding="utf-8")) | {
        "dimension": 3,
        "digests": {name: file_digest(folder / name) for name in ("model.onnx", "tokenizer.json")},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("states", [[float("nan"), 1, 1], [float("inf"), 1, 1], [0, 0, 0], [1, 1]])
def test_a_model_that_gives_no_vectors_is_refused(compiled: Path, tmp_path: Path, states: list[float]) -> None:
    with pytest.raises(TierError, match="embedding model gave"):
        OnnxEncoder(folder_with_graph(compiled, tmp_path / "model", states))


def test_a_model_that_gives_vectors_is_taken(compiled: Path, tmp_path: Path) -> None:
    encoder = OnnxEncoder(folder_with_graph(compiled, tmp_path / "model", [3, 0, 4]))

    assert encoder.encode(["a", "b c"]).tolist() == [[np.float32(0.6), 0, np.float32(0.8)]] * 2


@pytest.mark.parametrize("bad", [[[np.nan, 1]], [[np.inf, 1]], [[0, 0]], [[1e30, 1e30]], [[1, 2, 3]], [[1, 2], [3, 4]]])
def test_rows_that_are_no_vectors_are_refused(bad: list[list[float]]) -> None:
    with pytest.raises(TierError):
        unit_rows(np.asarray(bad, dtype=np.float32), 1, 2)
