"""The embedder as the engine uses it, beside onnxruntime and tokenizers on the same files and nothing around them."""

import asyncio
from collections.abc import Sequence

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from memory_mcp.embedding.batching import BatchingEmbedder
from memory_mcp.embedding.manifest import GRAPH, TOKENIZER
from memory_mcp.embedding.onnx import OnnxEncoder
from tests.benchmarks.figures import Table, Tables, in_turns, say
from tests.benchmarks.filling import texts_like
from tests.benchmarks.sets import EvalSet
from tests.models import compiled_model_dir

LENGTHS = (8, 20, 150)
TEXTS, ROUNDS = 256, 41


class Bare:
    """A text at a time, as most write it."""

    def __init__(self) -> None:
        folder = compiled_model_dir()
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(256)
        self._session = onnxruntime.InferenceSession(str(folder / GRAPH), providers=["CPUExecutionProvider"])
        self._inputs = [node.name for node in self._session.get_inputs()]

    def embed(self, text: str) -> np.ndarray:
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (states, *_) = self._session.run(None, {name: feeds[name] for name in self._inputs})
        pooled = states.mean(axis=1)[0]
        return pooled / np.linalg.norm(pooled)


def run(sets: Sequence[EvalSet]) -> Tables:
    """One text of several lengths, and many at once."""
    words = " ".join(texts_like(sets, 400)).split()
    bare, encoder = Bare(), OnnxEncoder(compiled_model_dir())
    singles: Table = {}
    for length in LENGTHS:
        say(f"  one text of {length} words")
        singles[f"{length} words"] = _single(bare, encoder, words, length)
    say(f"  {TEXTS} texts")
    texts = texts_like(sets, TEXTS, seed=3)
    many = in_turns(
        {
            "one by one": lambda: [bare.embed(text) for text in texts],
            "embedder": lambda: asyncio.run(_embedder(encoder).embed(texts)),
        },
        rounds=3,
    )
    bare_rate, rate = (1000 * TEXTS / many[name] for name in ("one by one", "embedder"))
    together = {"onnxruntime, one by one": bare_rate, "embedder": rate, "ratio": rate / bare_rate}
    return {"embedding of one text, ms": singles, "embedding of many, a second": {f"{TEXTS} texts": together}}


def _single(bare: Bare, encoder: OnnxEncoder, words: Sequence[str], length: int) -> dict[str, float]:
    starts = iter(range(10**9))

    def text() -> str:
        start = next(starts) * 7 % (len(words) - length)
        return " ".join(words[start : start + length])

    with asyncio.Runner() as runner:
        embedder = _embedder(encoder)
        ms = in_turns(
            {
                "onnxruntime": lambda: bare.embed(text()),
                "encoder": lambda: encoder.encode([text()]),
                "embedder": lambda: runner.run(embedder.embed([text()], urgent=True)),
            },
            rounds=ROUNDS,
        )
    cosine = float(encoder.encode([same := text()])[0] @ bare.embed(same))
    return {**ms, "embedder / onnxruntime": ms["embedder"] / ms["onnxruntime"], "cosine": cosine}


def _embedder(encoder: OnnxEncoder) -> BatchingEmbedder:
    return BatchingEmbedder(encoder, model="bench", cache_entries=0)
