"""Memories to measure: the real service over a real store and the real model, in a folder that goes away."""

import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TypeVar
from uuid import UUID

from memory_mcp.assembly import open_memory
from memory_mcp.config import Settings
from memory_mcp.embedding import EmbeddingSettings, LoadingEmbedder
from memory_mcp.models import Caller
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.service import MemoryService
from tests.models import compiled_model_dir

CALLER = Caller("local", "bench")
_EMBEDDED_AT_ONCE = 64

T = TypeVar("T")


def settings(folder: Path, *, cached_embeddings: int = 100_000) -> Settings:
    """As shipped, with the model compiled already and room for every vector."""
    return Settings(data_dir=folder, embedding=EmbeddingSettings(model=str(compiled_model_dir()), cache_entries=cached_embeddings))


@asynccontextmanager
async def empty_memory(*, cached_embeddings: int = 100_000) -> AsyncIterator[MemoryService]:
    """Open and ready to embed."""
    with TemporaryDirectory(prefix="memory-mcp-bench-") as folder:
        async with open_memory(settings(Path(folder), cached_embeddings=cached_embeddings)) as service:
            embedder = service.sources.embedder
            assert isinstance(embedder, LoadingEmbedder)
            await embedder.wait_ready(120)
            yield service


async def fill(service: MemoryService, items: Mapping[str, RememberRequest]) -> dict[UUID, list[str]]:
    """Remember them in order; which items each memory stands for, since the same text twice is one memory."""
    await embed_ahead(service, [request.content for request in items.values()])
    names: dict[UUID, list[str]] = {}
    for name, request in progress(items.items(), "remember"):
        receipt = await service.remember(request, CALLER)
        names.setdefault(receipt.added.id, []).append(name)
    return names


async def embed_ahead(service: MemoryService, texts: Sequence[str]) -> None:
    """Batches are faster than one text at a time; what was embedded once comes from the embedder's cache then."""
    starts = range(0, len(texts), _EMBEDDED_AT_ONCE)
    for start in progress(starts, f"embed, {_EMBEDDED_AT_ONCE} texts each"):
        await service.sources.embedder.embed(texts[start : start + _EMBEDDED_AT_ONCE])


def progress(things: Iterable[T], what: str) -> Iterator[T]:
    """Say on stderr how far it is, at most every two seconds."""
    everything = list(things)
    said = monotonic()
    for count, thing in enumerate(everything):
        yield thing
        if monotonic() - said > 2:
            said = monotonic()
            print(f"    {what}: {count + 1:,} of {len(everything):,}", file=sys.stderr, flush=True)
