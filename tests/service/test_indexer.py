"""The backlog of memories without vectors, worked off beside everything else."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np
from record_stores import DIMENSION, EPOCH, HOME, add, sqlite_stores, vector, vectors

from memory_mcp.contracts import EmbedderState
from memory_mcp.models import Matrix
from memory_mcp.remember.indexer import Indexer


class Meeting:
    """An embedder that gives its first answers when two calls are there."""

    def __init__(self) -> None:
        self.state = EmbedderState(model="model", phase="ready", epoch=EPOCH, dimension=DIMENSION)
        self.texts: list[str] = []
        self._calls, self._met = 0, anyio.Event()

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> tuple[Matrix, str]:
        self.texts += texts
        self._calls += 1
        if self._calls == 2:
            self._met.set()
        await self._met.wait()
        return np.array([vector(text) for text in texts]), EPOCH

    def holds(self, text: str) -> bool:
        return False

    def clear(self) -> None:
        pass


async def test_a_batch_is_read_while_another_is_embedded(tmp_path: Path) -> None:
    async with sqlite_stores(tmp_path)() as store:
        ids = [await add(store, f"text {n}", embedded=False) for n in range(100)]
        embedder = Meeting()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Indexer(store, embedder).run)
                while (await store.counts("local")).unembedded:  # noqa: ASYNC110 - nothing tells of it
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()

        assert set(await vectors(store, HOME)) == set(ids)
        assert sorted(embedder.texts) == sorted(f"text {n}" for n in range(100))
