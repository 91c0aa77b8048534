"""Where the record stores under contract come from, and what their tests put into them."""

import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from postgres_server import Databases

from memory_mcp.contracts import Experience, OperationLog, Origin, Outbox, RecordStore, Shelves, TextIndex, VectorSource
from memory_mcp.graph import Graph
from memory_mcp.models import Changes, Draft, Embedding, Filter, Matrix, Memory, Provenance, Scope
from memory_mcp.tiers.sqlite.store import SqliteStore
from memory_mcp.tokens import Gate
from memory_mcp.upkeep.erasing import Erasing

HOME, GLOBAL, ELSEWHERE = Scope("local", "home"), Scope("local", "global"), Scope("stranger", "home")
SCOPES = (HOME, GLOBAL, ELSEWHERE)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
EPOCH, OTHER_EPOCH = "model@1/8", "model@2/8"
DIMENSION = 8
ACTOR = Provenance(client="a-client", user="somebody", agent="an-agent", source="import")
ANYTHING = Filter()
INDEX = "index"
"""A derived tier that every store under contract keeps notes for."""


class Store(RecordStore, Experience, Graph, TextIndex, VectorSource, Origin, Outbox, OperationLog, Shelves, Erasing, Gate, Protocol):
    """Everything that a record store is."""

    def tending(self) -> AbstractAsyncContextManager[bool]: ...


class OpenStore(Protocol):
    """Opens the store of a name: the same one again, or a new one, empty."""

    def __call__(self, name: str = "store") -> AbstractAsyncContextManager[Store]: ...


def sqlite_stores(folder: Path) -> OpenStore:
    @asynccontextmanager
    async def opened(name: str = "store") -> AsyncIterator[Store]:
        async with SqliteStore.open(folder / name, derived_tiers=[INDEX]) as store:
            yield store

    return opened


_of_the_test_before: list[Databases] = []


def postgres_stores(folder: Path) -> OpenStore:
    databases = Databases(folder)
    while _of_the_test_before:  # many tests make many
        _of_the_test_before.pop().drop()
    _of_the_test_before.append(databases)

    @asynccontextmanager
    async def opened(name: str = "store") -> AsyncIterator[Store]:
        async with databases.open(name, derived_tiers=(INDEX,)) as store:
            yield store

    return opened


OPENERS: dict[str, Callable[[Path], OpenStore]] = {"sqlite": sqlite_stores, "postgres": postgres_stores}

_ids = itertools.count(1)


def new_id() -> UUID:
    return UUID(int=next(_ids))


def fingerprint(content: str) -> bytes:
    return hashlib.blake2b(content.encode(), digest_size=12).digest()


def draft(content: str, scope: Scope = HOME, **fields: Any) -> Draft:
    given: dict[str, Any] = {"id": new_id(), "fingerprint": fingerprint(content), "now": NOW, "provenance": ACTOR, **fields}
    return Draft(scope=scope, content=content, **given)


def vector(content: str) -> Matrix:
    """A unit vector that depends on nothing but the text."""
    row = np.random.default_rng(list(fingerprint(content))).standard_normal(DIMENSION).astype(np.float32)
    return row / np.float32(np.linalg.norm(row))


def embedding(content: str, epoch: str = EPOCH) -> Embedding:
    return Embedding(vector(content)[None], epoch)


def rewritten(content: str, *, embedded: bool = True) -> Changes:
    return Changes(content=content, fingerprint=fingerprint(content), embedding=embedding(content) if embedded else None)


async def add(
    store: Store, content: str, scope: Scope = HOME, *, embedded: bool = True, within: Sequence[Scope] = (), **fields: Any
) -> UUID:
    """Store a text; the id under which it is there."""
    added = await store.add(draft(content, scope, **fields), embedding(content) if embedded else None, within=within)
    return added.id


async def live(store: Store, *scopes: Scope, where: Filter = ANYTHING) -> list[Memory]:
    return await store.newest(scopes or (HOME,), where, limit=10_000)


async def texts(store: Store, *scopes: Scope, where: Filter = ANYTHING) -> list[str]:
    return [memory.content for memory in await live(store, *scopes, where=where)]


async def found(store: Store, query: str, *scopes: Scope, where: Filter = ANYTHING, limit: int = 100) -> list[str]:
    """The texts that a search gives, best first."""
    hits = await store.search_text(scopes or (HOME,), query, where, limit=limit)
    memories = await store.get_many(scopes or (HOME,), [hit.id for hit in hits])
    return [memory.content for memory in memories]


async def revision(store: Store, scope: Scope = HOME) -> int:
    (number,) = await store.revisions([scope])
    return number


async def vectors(store: Store, scope: Scope, epoch: str = EPOCH) -> dict[UUID, bytes]:
    """The vectors of a scope as its source has them, rounded so that they can be compared."""
    delta = await store.vector_changes(scope, 0, epoch)
    return rounded(delta.points.ids, delta.points.vectors)


def rounded(ids: Iterable[UUID], rows: Matrix) -> dict[UUID, bytes]:
    return {memory_id: np.round(row, 2).tobytes() for memory_id, row in zip(ids, rows, strict=True)}


@dataclass(frozen=True)
class Picture:
    """Everything of a scope that a caller can see, but for its revision and its past."""

    memories: tuple[Memory, ...]
    vectors: dict[UUID, bytes]
    findable: dict[str, frozenset[UUID]]


async def picture(store: Store, scope: Scope, words: Sequence[str]) -> Picture:
    memories = await live(store, scope)
    findable = {}
    for word in words:
        findable[word] = frozenset(hit.id for hit in await store.search_text([scope], word, ANYTHING, limit=1000))
    return Picture(tuple(memories), await vectors(store, scope), findable)
