"""Brings a sentence-transformers model into its compiled form, once; see `child` for the process it does so in.

What cannot be compiled, or does not give the original's vectors, gets a manifest that says so, and is served by
sentence-transformers.
"""

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import torch
from huggingface_hub import snapshot_download
from onnxscript.rewriter.ort_fusions import optimize_for_ort
from sentence_transformers import SentenceTransformer

from memory_mcp.embedding.encoder import unit_rows
from memory_mcp.embedding.folders import published
from memory_mcp.embedding.local import canonical_name, made_with
from memory_mcp.embedding.manifest import (
    EXPORT_FAILED,
    GRAPH,
    TOKENIZER,
    Manifest,
    Pooling,
    Source,
    file_digest,
    read_source,
    revision_of,
)
from memory_mcp.embedding.onnx import OnnxEncoder
from memory_mcp.embedding.sentence_transformers import open_original
from memory_mcp.models import Matrix

MIN_COSINE = 0.9999
"""Export moves rounding only: 1 - 1e-6 is usual, and 0.9999 is far below what could reorder two memories."""

AS_EXPORTED = "exported.onnx"

MACHINE_ERRORS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE))

PROBES = (
    "a",
    "The deploy failed because Postgres rejected the migration.",
    "THE DEPLOY FAILED BECAUSE POSTGRES REJECTED THE MIGRATION!",
    "Wir treffen uns am Dienstag um 9:30 Uhr in Zürich; bitte die Verträge mitbringen.",
    "会議は来週の火曜日に延期されました。",
    "Встреча перенесена на вторник.",
    "اجتماع الفريق يوم الثلاثاء",
    "naïve café — “quotes”, dashes – and … dots",
    "🚀🔥 shipped v2.3.0-rc.1 ✅",
    "def f(x: int) -> int:\n    return x ** 2  # squares\n",
    "SELECT id, name FROM users WHERE created_at > '2026-01-01' ORDER BY id;",
    "https://example.com/a/b?c=d&e=%20f#g user@example.com +41 44 123 45 67",
    "   leading,   inner   and trailing   spaces   ",
    "1234567890 3.14159 -273.15 1e-9 0xdeadbeef",
    "supercalifragilisticexpialidocious" * 5,
    " ".join(f"Item {i}: the customer of order {i * 37} asked for a refund." for i in range(8)),
    " ".join(f"Line {i} of a long record about project number {i * i}." for i in range(200)),
    "漢字" * 400,
)


class NotCompilableError(Exception):
    """Why a model is served by sentence-transformers."""


class _Tokens(torch.nn.Module):
    """The transformer alone, from ids and mask to one state per token."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def bring_in(name: str, source: str, folder: Path) -> None:
    """Make `folder` serve the model."""
    model = open_original(source or name)
    files = Path(source or _snapshot(name))
    digests = read_source(files)
    with published(folder) as partial:
        try:
            manifest = compile_model(model, canonical_name(name, digests), files, digests, partial, named=not source)
        except Exception as error:  # whatever an exporter dies of, the original still serves
            if _is_of_the_machine(error):
                raise
            for path in partial.iterdir():
                path.unlink()
            manifest = _original(model, canonical_name(name, digests), files, digests, _reason(error), named=not source)
        manifest.write(partial)


def compile_model(model: SentenceTransformer, name: str, files: Path, source: Source, folder: Path, *, named: bool) -> Manifest:
    """Write graph and tokenizer into the folder, serve them, and compare the vectors with the original's.

    Raises:
        NotCompilableError: The model's parts cannot be put into a manifest, or the vectors differ.
    """
    pooling = pooling_of(model)
    transformer: Any = model[0].auto_model
    tokenizer: Any = model.tokenizer
    if (files / TOKENIZER).is_file():
        shutil.copyfile(files / TOKENIZER, folder / TOKENIZER)
    else:
        tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))
    export(transformer, folder / GRAPH)
    prompt = model.prompts.get(model.default_prompt_name or "") or ""
    max_tokens = model.max_seq_length
    if max_tokens is None:
        raise NotCompilableError("it does not say how long a text may be")
    manifest = Manifest(
        name=name,
        revision=revision_of(
            weights=source.weights,
            tokenizer=file_digest(folder / TOKENIZER),
            pooling=pooling,
            max_tokens=max_tokens,
            prompt=prompt,
        ),
        dimension=int(transformer.config.hidden_size),
        max_tokens=max_tokens,
        pooling=pooling,
        prompt=prompt,
        pad_token=tokenizer.pad_token_id or 0,
        source="" if named else source.digest,
        made_with=made_with(),
    )
    expected = vectors_of(model, PROBES)
    return _fused(_checked(manifest, folder, expected), folder, expected)


def _checked(manifest: Manifest, folder: Path, expected: Matrix) -> Manifest:
    """The manifest of the files as they are, written there.

    Raises:
        NotCompilableError: They give other vectors.
    """
    manifest = replace(manifest, digests={name: file_digest(folder / name) for name in (GRAPH, TOKENIZER)})
    manifest.write(folder)
    cosine = np.vecdot(OnnxEncoder(folder).encode(PROBES), expected).min()
    if not cosine >= MIN_COSINE:
        raise NotCompilableError(f"the compiled form's vectors differ from the original's (cosine {cosine:.4f})")
    return manifest


def _fused(manifest: Manifest, folder: Path, expected: Matrix) -> Manifest:
    """The same with onnxruntime's own operators, one for each attention, where they give the same vectors, too; else as it was.

    Measured on two cores, beside other work: 5 % less time for a question and for many texts; 17 and 12 % by itself.
    """
    exported = (folder / GRAPH).replace(folder / AS_EXPORTED)
    try:
        graph = onnx_ir.load(exported)
        optimize_for_ort(graph)
        onnx_ir.save(graph, folder / GRAPH)
        manifest = _checked(manifest, folder, expected)
    except Exception as error:  # whatever a rewriter dies of, the graph as exported serves
        if _is_of_the_machine(error):
            raise
        exported.replace(folder / GRAPH)
        manifest.write(folder)
    else:
        exported.unlink()
    return manifest


def pooling_of(model: SentenceTransformer) -> Pooling:
    """How token states become one vector, if a manifest can say it.

    Raises:
        NotCompilableError: It cannot.
    """
    parts = [type(part).__name__ for part in model]
    if parts not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise NotCompilableError(f"it consists of {', '.join(parts)}")
    part: Any = model[1]
    pooling = part.get_config_dict()
    if not pooling.get("include_prompt", True) and model.default_prompt_name:
        raise NotCompilableError("its prompt is left out of the pooling")
    modes = pooling.get("pooling_mode") or [  # sentence-transformers 5 has a flag for each: pooling_mode_mean_tokens
        key.removeprefix("pooling_mode_").removesuffix("s").removesuffix("_token")
        for key, on in pooling.items()
        if key.startswith("pooling_mode_") and on is True
    ]
    match [modes] if isinstance(modes, str) else modes:
        case ["mean" | "cls" as mode]:
            return mode
        case several:
            raise NotCompilableError(f"it pools by {' and '.join(several)}")


def export(transformer: Any, path: Path) -> None:
    """Write the transformer as one ONNX file, any batch, any length."""
    transformer.set_attn_implementation("eager")  # the fused operator's masks cost the exported graph 5 to 20 %
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence")
    ids = torch.ones((2, 7), dtype=torch.int64)
    with torch.no_grad():
        torch.onnx.export(
            _Tokens(transformer).eval(),
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_shapes=({0: batch, 1: sequence}, {0: batch, 1: sequence}),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def vectors_of(model: SentenceTransformer, texts: tuple[str, ...]) -> Matrix:
    """What the original says, one text at a time."""
    raw = np.asarray(model.encode(list(texts), batch_size=1, show_progress_bar=False, convert_to_numpy=True))
    return unit_rows(raw, len(texts), raw.shape[1])


def _original(model: SentenceTransformer, name: str, files: Path, source: Source, reason: str, *, named: bool) -> Manifest:
    dimension = vectors_of(model, PROBES[:1]).shape[1]
    max_tokens = int(model.max_seq_length or 0)
    return Manifest(
        name=name,
        revision=revision_of(weights=source.digest, tokenizer="", pooling="original", max_tokens=max_tokens),
        dimension=dimension,
        max_tokens=max_tokens,
        form="original",
        source="" if named else source.digest,
        home=str(files),
        made_with=made_with(),
        reason=reason,
    )


def _snapshot(name: str) -> str:
    """Where the hub's cache has what was just loaded."""
    return snapshot_download(name if "/" in name else f"sentence-transformers/{name}", local_files_only=True)


def _is_of_the_machine(error: BaseException | None) -> bool:
    """Whether a want of room or memory is behind it, which says nothing of the model."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in MACHINE_ERRORS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, NotCompilableError) else f"{EXPORT_FAILED} ({type(error).__name__})"
