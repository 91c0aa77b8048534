"""What a folder of a served model says about itself, and the identity that follows from contents alone."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from memory_mcp.errors import TierError

FORMAT = 1
EXPORT_FAILED = "its export failed"
"""How a reason begins that may lie in the machine and not in the model."""
MANIFEST, GRAPH, TOKENIZER = "manifest.json", "model.onnx", "tokenizer.json"

Pooling = Literal["mean", "cls"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """Beside a compiled model, or in place of one that cannot be compiled.

    Attributes:
        form: "original": sentence-transformers serves it, because of `reason`.
        revision: See `revision_of`.
        max_tokens: A text is cut there, special tokens included.
        prompt: Stands before every text.
        pad_token: Some models count their positions by it.
        digests: SHA-256 of each file beside the manifest, looked at whenever it is loaded.
        source: Digest of the files it was made from; empty when it came from the hub.
        home: The folder an original is served from.
        made_with: Versions of what made it.
    """

    name: str
    revision: str
    dimension: int
    max_tokens: int
    form: Literal["onnx", "original"] = "onnx"
    pooling: Pooling = "mean"
    prompt: str = ""
    pad_token: int = 0
    digests: Mapping[str, str] | None = None
    source: str = ""
    home: str = ""
    made_with: str = ""
    reason: str = ""
    format: int = FORMAT

    @property
    def epoch(self) -> str:
        """What vectors of this model are stamped with."""
        return f"{self.name}@{self.revision}/{self.dimension}"

    def write(self, folder: Path) -> None:
        """Into the folder."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """None if there is none, or one that this program does not understand."""
    try:
        fields: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**fields)
    except (OSError, ValueError, TypeError):
        return None
    return manifest if manifest.format == FORMAT else None


def revision_of(*, weights: str, tokenizer: str, pooling: str, max_tokens: int, prompt: str = "") -> str:
    """Twelve hex digits over all that decides a vector, whatever road the files came by.

    Args:
        weights: SHA-256 of the weights as published, not of a graph made from them: each exporter
            writes another graph, yet the vectors agree.
        tokenizer: SHA-256 of tokenizer.json.
    """
    facts = json.dumps([weights, tokenizer, pooling, max_tokens, prompt])
    return hashlib.sha256(facts.encode()).hexdigest()[:12]


def file_digest(path: Path) -> str:
    """SHA-256 in hex; 0.05 s for 90 MB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digests(folder: Path, digests: Mapping[str, str]) -> None:
    """Refuse a file that is not what it was.

    Raises:
        TierError: One is missing or differs; it is named.
    """
    for name, expected in digests.items():
        path = folder / name
        if not path.is_file() or file_digest(path) != expected:
            raise TierError("embedder", f"{name} of the embedding model is missing or damaged.")


def is_whole(folder: Path) -> bool:
    """Whether it holds a compiled model whose files are what they were."""
    manifest = read_manifest(folder)
    if manifest is None or not manifest.digests:
        return False
    try:
        check_digests(folder, manifest.digests)
    except TierError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Source:
    """The contents of a sentence-transformers folder.

    Attributes:
        digest: Over every file that can alter a vector.
        weights: Of the weights alone; the file's own SHA-256 when it is one file.
    """

    digest: str
    weights: str


def read_source(folder: Path) -> Source:
    """Digests of a model's folder; exports to other runtimes in it are not looked at.

    Raises:
        TierError: There are no weights in it.
    """
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"onnx", "openvino"} & set(path.relative_to(folder).parts)
    }
    weights = [name for name in files if name.endswith(".safetensors")] or [name for name in files if name.endswith(".bin")]
    if not weights:
        raise TierError("embedder", f"The folder {folder.name} holds no model: there are no weights in it.")
    digests = {name: file_digest(path) for name, path in files.items() if name in weights or path.suffix in (".json", ".txt")}
    return Source(
        digest=_digest_of(digests),
        weights=digests[weights[0]] if len(weights) == 1 else _digest_of({name: digests[name] for name in weights}),
    )


def _digest_of(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
