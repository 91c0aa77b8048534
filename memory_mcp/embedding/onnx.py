"""Serves a compiled model: onnxruntime and tokenizers, nothing heavier."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from memory_mcp.embedding.cores import usable_cores
from memory_mcp.embedding.encoder import unit_rows
from memory_mcp.embedding.manifest import GRAPH, TOKENIZER, Manifest, check_digests, read_manifest
from memory_mcp.errors import TierError
from memory_mcp.models import Matrix

RUN_TEXTS, RUN_TOKENS = 12, 256
"""Measured, ms a text of 25 tokens, two runs at once: 6.8 alone, 4.7 in fours, 4.5 in eights, 4.2 in sixteens. A run takes some
50 ms at most (100 on a slow core), which is how long an urgent text may have to wait."""

MOST_THREADS = 4
"""Of a run, and runs at once, which share them. Measured with 2: a short text alone takes .8 to .95 of the time of one thread, and two
runs at once .65 (short texts) to .95 (sixteen together) of the time of one after the other. Search wants cores as well."""


class OnnxEncoder:
    """A compiled folder, loaded: `model.onnx`, `tokenizer.json`, `manifest.json`.

    Args:
        threads: 0: as many as help.

    Raises:
        TierError: The folder is damaged, or what it holds does not give what its manifest says.
    """

    run_texts, run_tokens = RUN_TEXTS, RUN_TOKENS

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        manifest = read_manifest(folder)
        if manifest is None or manifest.form != "onnx":
            raise TierError("embedder", f"The folder {folder.name} holds no compiled model.")
        check_digests(folder, manifest.digests or {GRAPH: "", TOKENIZER: ""})
        self.epoch, self.dimension = manifest.epoch, manifest.dimension
        self._manifest = manifest
        self._tokenizer = _open_tokenizer(folder / TOKENIZER, manifest)
        self.callers = threads or min(usable_cores(), MOST_THREADS)
        self._session = _open_session(folder / GRAPH, self.callers)
        self._inputs = {node.name for node in self._session.get_inputs()}
        self.encode(["first"])  # the first run is the slowest, and shows whether the graph is what it should be

    def encode(self, texts: Sequence[str]) -> Matrix:
        """(n, d) unit rows, computed in runs of similar length."""
        encodings = self._tokenizer.encode_batch_fast([self._manifest.prompt + text for text in texts])
        tokens = [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]
        by_length = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        pooled = np.empty((len(tokens), self.dimension), dtype=np.float32)
        for run in _runs(by_length, [len(ids) for ids in tokens]):
            pooled[run] = unit_rows(self._run([tokens[i] for i in run]), len(run), self.dimension)
        return pooled

    def close(self) -> None:
        """Nothing to give back but memory."""

    def _run(self, tokens: Sequence[NDArray[np.int64]]) -> NDArray[np.floating]:
        shape = len(tokens), max(len(ids) for ids in tokens)
        input_ids = np.full(shape, self._manifest.pad_token, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, ids in enumerate(tokens):
            input_ids[row, : len(ids)], mask[row, : len(ids)] = ids, 1
        feeds = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": np.zeros_like(input_ids)}
        states: NDArray[np.floating] = self._session.run(None, {name: feeds[name] for name in self._inputs})[0]
        if states.ndim != 3 or states.shape[:2] != shape:
            raise TierError("embedder", "The compiled model does not give one state per token.")
        if self._manifest.pooling == "cls":
            return states[:, 0]
        weights = mask[:, :, None].astype(np.float32)
        mean: NDArray[np.floating] = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
        return mean


def _runs(by_length: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Consecutive runs within both bounds, padding counted; a text longer than the bound is a run alone."""
    runs: list[list[int]] = []
    for i in by_length:
        if runs and len(runs[-1]) < RUN_TEXTS and (len(runs[-1]) + 1) * lengths[i] <= RUN_TOKENS:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _open_tokenizer(path: Path, manifest: Manifest) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(manifest.max_tokens)
    tokenizer.no_padding()  # runs are padded to their own longest
    return tokenizer


def _open_session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it costs eight times the CPU, and time under load
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        raise TierError("embedder", "onnxruntime cannot open the compiled embedding model.") from error
