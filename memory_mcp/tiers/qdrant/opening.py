"""From the settings to an index in Qdrant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from memory_mcp.folders import expanded
from memory_mcp.tiers.qdrant.connection import Connection
from memory_mcp.tiers.qdrant.index import QdrantIndex
from memory_mcp.tiers.qdrant.settings import QdrantSettings


def _absolute(path: str, data_dir: Path) -> str:
    return path if path in ("", ":memory:") else str(data_dir / expanded(Path(path)))


@asynccontextmanager
async def open_qdrant(settings: QdrantSettings, data_dir: Path, identity: str) -> AsyncIterator[tuple[QdrantIndex, Connection]]:
    """The index that the settings describe; Qdrant is asked for when it is first needed, so that opening waits for nobody.

    Args:
        data_dir: What a relative path starts from.
        identity: Of the record store; see `contracts.Origin`.
    """
    settings = settings.model_copy(update={"path": _absolute(settings.path, data_dir)})
    connection = Connection(settings)
    try:
        yield QdrantIndex(connection, settings, identity), connection
    finally:
        await connection.close()
