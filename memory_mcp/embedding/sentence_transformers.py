"""Serves a model through sentence-transformers itself: for what has no compiled form, at 500 MB and some seconds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

from memory_mcp.embedding.encoder import unit_rows
from memory_mcp.embedding.manifest import Manifest
from memory_mcp.errors import TierError
from memory_mcp.models import Matrix

RUN_TEXTS, RUN_TOKENS = 8, 1024


def open_original(source: str) -> SentenceTransformer:
    """The model on the CPU: by name from the hub or its cache, as a folder from there alone."""
    return SentenceTransformer(source, device="cpu", local_files_only=Path(source).is_dir())


class SentenceTransformersEncoder:
    """An original, from the folder that its manifest names, so that its revision is the one named as well.

    Raises:
        TierError: The folder is gone.
    """

    callers, run_texts, run_tokens = 1, RUN_TEXTS, RUN_TOKENS

    def __init__(self, manifest: Manifest) -> None:
        if not Path(manifest.home).is_dir():
            raise TierError("embedder", f"The folder of the embedding model {manifest.name} is gone.")
        self._model = open_original(manifest.home)
        self.epoch, self.dimension = manifest.epoch, manifest.dimension
        self.encode(["first"])

    def encode(self, texts: Sequence[str]) -> Matrix:
        """(n, d) unit rows."""
        raw = self._model.encode(list(texts), batch_size=RUN_TEXTS, show_progress_bar=False, convert_to_numpy=True)
        return unit_rows(np.asarray(raw), len(texts), self.dimension)

    def close(self) -> None:
        """Nothing to give back but memory."""
