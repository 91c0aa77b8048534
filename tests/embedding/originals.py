"""Run as a program: builds small models, asks sentence-transformers for vectors, and brings in what cannot be compiled.

Writes `facts.json` into the folder given. Apart from the tests, because importing torch costs 500 MB and warns.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer
from texts import TEXTS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from memory_mcp.embedding import compile
from memory_mcp.embedding.compile import bring_in
from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.local import load_local, slug, source_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + [prefix + chr(code) for prefix in ("", "##") for code in range(33, 127)]


def build(root: Path, *, pooling: str = "mean") -> Path:
    """A BERT of two layers and 32 dimensions with letters for words."""
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(root / "raw")
    BertModel(
        BertConfig(
            vocab_size=len(WORDS),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=80,
        )
    ).save_pretrained(root / "raw")
    parts = [Transformer(str(root / "raw"), max_seq_length=64), Pooling(32, pooling_mode=pooling), Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save(str(root / "model"))
    return root / "model"


def lowering(model: Path) -> Path:
    """As older models do it: the texts are lowered beside the tokenizer, where no manifest says so."""
    config = model / "sentence_bert_config.json"
    config.write_text(json.dumps(json.loads(config.read_text(encoding="utf-8")) | {"do_lower_case": True}), encoding="utf-8")
    return model


def ask(model: Path | str) -> list[list[float]]:
    vectors = SentenceTransformer(str(model), device="cpu").encode(TEXTS, batch_size=1, normalize_embeddings=True)
    return [[float(number) for number in row] for row in vectors]


def cached(root: Path, name: str, model: Path) -> str:
    """Put the model where the hub's client keeps what it has downloaded."""
    repository = root / "hub" / "hub" / ("models--" + name.replace("/", "--"))
    shutil.copytree(model, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return name


def serve(model: Path | str, kept: Path) -> dict[str, object]:
    """Bring it in as the child process would, and serve it as the server would."""
    kept.mkdir(exist_ok=True)
    bring_in(str(model), str(source_of(str(model)) or ""), kept / slug(str(model)))
    encoder = load_local(str(model), kept, Attempt())
    return {
        "manifest": json.loads((kept / slug(str(model)) / "manifest.json").read_text(encoding="utf-8")),
        "epoch": encoder.epoch,
        "encoder": type(encoder).__name__,
        "vectors": encoder.encode(TEXTS).tolist(),
        "original": ask(model),
    }


@contextmanager
def fusing(instead: Callable[[Any], object]) -> Iterator[None]:
    """As with an onnxscript that does this to a graph."""
    real, compile.optimize_for_ort = compile.optimize_for_ort, instead
    yield
    compile.optimize_for_ort = real


def spoil(graph: Any) -> None:
    """Make another model of it."""
    for tensor in graph.graph.initializers.values():
        if tensor.const_value.dtype.is_floating_point() and len(tensor.shape) == 2:
            tensor.const_value = onnx_ir.tensor(np.flip(tensor.const_value.numpy()).copy(), name=tensor.name)


def give_up(graph: Any) -> None:
    spoil(graph)
    raise NotImplementedError("no pattern for this")


def main(root: Path) -> None:
    torch.manual_seed(7)
    default = source_of("all-MiniLM-L6-v2")
    assert default is not None
    small = build(root / "mean")
    with fusing(spoil):
        spoilt = serve(build(root / "spoilt"), root / "kept")
    with fusing(give_up):
        given_up = serve(build(root / "given_up"), root / "kept")
    facts = {
        "spoilt": spoilt,
        "given_up": given_up,
        "default": ask(default),
        "small": {"path": str(small), "original": ask(small)},
        "cls": serve(build(root / "cls", pooling="cls"), root / "kept"),
        "named": serve(cached(root, "owner/named", build(root / "named", pooling="max")), root / "kept"),
        "max": serve(build(root / "max", pooling="max"), root / "kept"),
        "lower": serve(lowering(build(root / "lower")), root / "kept"),
    }
    (root / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
