"""A vector tier of one's own: each namespace in one NumPy file, searched exactly.

memory-mcp finds it by the entry point in `pyproject.toml`. In its configuration:

    [stack]
    vectors = ["resident", "numpy-files"]

    [tiers.numpy-files]
    folder = "/var/lib/memory-vectors"

What a tier owes its callers is in `memory_mcp/contracts/search.py` (`VectorIndex`), and tests/contracts/test_vector_index.py holds it to
that. This one keeps itself level: each call asks the record store for the namespace's revision and, if that moved, for what
changed since.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread
import numpy as np

from memory_mcp.clock import to_micros
from memory_mcp.contracts import Comparison
from memory_mcp.errors import ConfigError, TierUnavailableError
from memory_mcp.models import Filter, Hit, Matrix, Points, Scope

NAME = "numpy-files"
SAMPLED = 1000


@dataclass
class Held:
    """A namespace as of a revision: each memory's passages, as (p, d) rows, and what filters ask about it."""

    revision: int = 0
    vectors: dict[UUID, Matrix] = field(default_factory=dict)
    about: dict[UUID, dict[str, Any]] = field(default_factory=dict)

    def apply(self, points: Points, removed: Sequence[UUID]) -> None:
        """Remove and upsert."""
        for memory_id in {*points.ids, *removed}:
            self.vectors.pop(memory_id, None)
            self.about.pop(memory_id, None)
        for row, memory_id in enumerate(points.ids):
            passage = points.vectors[row : row + 1]
            self.vectors[memory_id] = np.vstack((self.vectors[memory_id], passage)) if memory_id in self.vectors else passage
            self.about[memory_id] = {
                "kind": points.kinds[row],
                "domain": points.domains[row],
                "tags": set(points.tags[row]),
                "when": int(points.when[row]),
                "expires": int(points.expires[row]),
            }

    def search(self, vectors: Matrix, where: Filter, limit: int) -> list[list[Hit]]:
        """Each memory by its closest passage, closest first, equal ones by id."""
        best: list[list[Hit]] = [[] for _ in vectors]
        for memory_id, passages in self.vectors.items():
            if passes(self.about[memory_id], where):
                scores = np.clip(passages @ vectors.T, -1.0, 1.0)
                for hits, column in zip(best, scores.T, strict=True):
                    hits.append(Hit(memory_id, float(column.max()), int(column.argmax())))
        return [sorted(hits, key=lambda hit: (-hit.score, hit.id.bytes))[:limit] for hits in best]


def passes(about: dict[str, Any], where: Filter) -> bool:
    """Whether a memory satisfies a filter, word by word."""

    def micros(moment: datetime | None) -> int | None:
        return None if moment is None else to_micros(moment)

    since, until, now = micros(where.since), micros(where.until), micros(where.now)
    return (
        (not where.kinds or about["kind"] in where.kinds)
        and (not where.domains or about["domain"] in where.domains)
        and where.tags <= about["tags"]
        and (since is None or about["when"] >= since)
        and (until is None or about["when"] < until)
        and (now is None or about["expires"] > now)
    )


class NumpyFiles:
    """A `VectorIndex` over files in a folder; a file that cannot be read is written anew."""

    def __init__(self, folder: Path, source: Any, identity: str) -> None:
        self._folder, self._source, self._identity = folder, source, identity
        self._held: dict[tuple[Scope, str], Held] = {}
        self._lock = anyio.Lock()

    async def covers(self, scope: Scope, epoch: str) -> int | None:
        """Always, after catching up."""
        return (await self._level(scope, epoch)).revision

    async def search(
        self, scope: Scope, vectors: Matrix, where: Filter, *, limit: int, epoch: str, at: int | None = None
    ) -> list[list[Hit]]:
        """See `VectorIndex`."""
        held = await self._level(scope, epoch, at)
        return await anyio.to_thread.run_sync(held.search, vectors, where, limit)

    async def compare(self, scope: Scope, vectors: Matrix, ids: Sequence[UUID], epoch: str, at: int | None = None) -> Comparison:
        """See `VectorIndex`."""
        held = await self._level(scope, epoch, at)
        nothing = np.full((1, vectors.shape[1]), np.nan, np.float32)
        scores = [np.clip(held.vectors.get(memory_id, nothing) @ vectors.T, -1.0, 1.0) for memory_id in ids]
        rows = list(held.vectors.values())
        sample = np.concatenate(rows)[:: max(1, sum(map(len, rows)) // SAMPLED)] @ vectors.T if rows else np.empty((0, len(vectors)))
        return Comparison(
            np.array([each.max(0) for each in scores], np.float32).reshape(len(ids), len(vectors)),
            np.array([0 if np.isnan(each).any() else int(each[:, 0].argmax()) for each in scores], np.intp),
            sample.astype(np.float32),
        )

    async def upsert(self, scope: Scope, points: Points, epoch: str) -> None:
        """See `VectorIndex`."""
        (await self._level(scope, epoch)).apply(points, ())

    async def delete(self, scope: Scope, ids: Sequence[UUID], epoch: str) -> None:
        """See `VectorIndex`."""
        held = await self._level(scope, epoch)
        for memory_id in ids:
            held.vectors.pop(memory_id, None)
            held.about.pop(memory_id, None)

    async def _level(self, scope: Scope, epoch: str, at: int | None = None) -> Held:
        async with self._lock:
            name = repr((self._identity, scope.tenant, scope.namespace, epoch))
            path = self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}.npz"
            held = self._held.get((scope, epoch))
            if held is None:
                held = self._held[scope, epoch] = await anyio.to_thread.run_sync(read, path)
            revision = at
            if revision is None:
                (revision,) = await self._source.revisions((scope,))
            if held.revision != revision:
                delta = await self._source.vector_changes(scope, held.revision, epoch)
                if delta.whole:
                    held = self._held[scope, epoch] = Held()
                held.apply(delta.points, delta.removed)
                held.revision = delta.revision
                await anyio.to_thread.run_sync(write, path, held)
            return held


def read(path: Path) -> Held:
    """What was written; nothing where that cannot be told."""
    held = Held()
    try:
        with np.load(path) as file:
            rows, ids = file["rows"], [UUID(text) for text in file["ids"].tolist()]
            about = {UUID(text): {**each, "tags": set(each["tags"])} for text, each in json.loads(str(file["about"])).items()}
            held.revision = int(file["revision"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return Held()
    for row, memory_id in enumerate(ids):
        held.vectors[memory_id] = np.vstack((*held.vectors.get(memory_id, ()), rows[row]))
    held.about = about
    return held


def write(path: Path, held: Held) -> None:
    """The whole file, or the former one."""
    partial = path.with_suffix(".partial")
    ids = [str(memory_id) for memory_id, passages in held.vectors.items() for _ in passages]
    rows = np.concatenate(list(held.vectors.values())) if ids else np.empty((0, 0), np.float32)
    about = {str(memory_id): {**each, "tags": sorted(each["tags"])} for memory_id, each in held.about.items()}
    try:
        with partial.open("wb") as file:
            np.savez(file, rows=rows, ids=np.array(ids, str), about=json.dumps(about), revision=held.revision)
        os.replace(partial, path)
    except OSError as error:
        raise TierUnavailableError(NAME, "The folder for vectors cannot be written. Free some space, or name another.") from error


@asynccontextmanager
async def open_tier(settings: dict[str, Any], source: Any) -> AsyncIterator[NumpyFiles]:
    """What the entry point names.

    Args:
        settings: The table `[tiers.numpy-files]`.
        source: The record store. Used of it are `revisions`, `vector_changes`, and `identity`, by which a restored store is another.
    """
    if unknown := set(settings) - {"folder"}:
        raise ConfigError(f"[tiers.{NAME}] has no key {min(unknown)}; it has folder.")
    if not isinstance(settings.get("folder"), str):
        raise ConfigError(f"[tiers.{NAME}] needs folder, the folder to keep vectors in.")
    folder = Path(settings["folder"])
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    yield NumpyFiles(folder, source, await source.identity())
