"""From the settings to an embedder."""

from pathlib import Path

from memory_mcp.embedding.encoder import Encoder
from memory_mcp.embedding.loading import Attempt, LoadingEmbedder
from memory_mcp.embedding.local import load_local, short
from memory_mcp.embedding.settings import EmbeddingSettings


def open_embedder(settings: EmbeddingSettings, data_dir: Path) -> LoadingEmbedder:
    """The embedder that the settings describe; `start` it, and `close` it in the end.

    Args:
        data_dir: Compiled models are kept in its folder `models`.
    """

    def load(attempt: Attempt) -> Encoder:
        if settings.provider == "local":
            return load_local(settings.model, data_dir / "models", attempt, threads=settings.threads)
        from memory_mcp.embedding.remote import RemoteEncoder  # noqa: PLC0415 - 0.2 s that a local model is spared

        return RemoteEncoder(settings)

    model = short(settings.model) if settings.provider == "local" else settings.model
    return LoadingEmbedder(model, load, cache_entries=settings.cache_entries)
