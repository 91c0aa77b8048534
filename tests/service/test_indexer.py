"""The backlog of memories without vectors, worked off beside everything else."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np
from record_stores import DIMENSION, EPOCH, HOME, OTHER_EPOCH, add, sqlite_stores, vector, vectors

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


class Quick(Meeting):
    """An embedder that answers at once, in an epoch of its own."""

    def __init__(self, epoch: str) -> None:
        super().__init__()
        self.state = EmbedderState(model="model", phase="ready", epoch=epoch, dimension=DIMENSION)

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> tuple[Matrix, str]:
        self.texts += texts
        return np.array([vector(text) for text in texts]), str(self.state.epoch)


async def test_who_has_a_former_model_leaves_the_backlog_to_who_has_the_new_one(tmp_path: Path) -> None:
    async with sqlite_stores(tmp_path)() as store:
        former, new = Quick(EPOCH), Quick(OTHER_EPOCH)
        one, other = Indexer(store, former), Indexer(store, new)
        await one.work_once()
        await other.work_once()
        for number in range(40):
            await add(store, f"text {number}", embedded=False)
        done = [await indexer.work_once() for indexer in (one, other, one, other, one)]

        assert done == [0, 32, 0, 8, 0]
        assert former.texts == []
        assert (await store.counts("local")).unembedded == 0
