"""Whatever happens to a store, undoing all of it gives back what was there, in everything that an answer can show."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from record_stores import (
    ACTOR,
    ANYTHING,
    DAY,
    GLOBAL,
    HOME,
    NOW,
    OPENERS,
    OpenStore,
    Picture,
    Store,
    add,
    draft,
    embedding,
    live,
    picture,
    rewritten,
)

from memory_mcp.errors import ConflictError, MemoryNotFoundError
from memory_mcp.models import Changes, Memory, Provenance

T = TypeVar("T")

SCOPES = (HOME, GLOBAL)
OTHERS = Provenance(client="somebody-else")
TEXTS = ("red apple", "green pear", "blue plum", "red plum", "green apple")
WORDS = ("red", "green", "blue", "apple", "pear", "plum", "label", "ada")
MOMENTS = tuple(NOW + days * DAY for days in (-1, 1, 3, 5, 8, 100))

contents, scopes = st.sampled_from(TEXTS), st.sampled_from(SCOPES)
keys, days = st.sampled_from(["", "k1", "k2"]), st.integers(0, 6)
some = st.integers(0, 50)


@dataclass(frozen=True)
class View:
    """What answers could show: now, and as of some moments."""

    now: tuple[Picture, ...]
    then: tuple[tuple[tuple[Memory, float], ...], ...]
    live: dict[str, int]


async def view(store: Store) -> View:
    """Without what moves with every write, and the vectors that a backlog may have brought meanwhile."""
    pictures = [replace(await picture(store, scope, WORDS), vectors={}) for scope in SCOPES]
    then = [await store.as_of(SCOPES, ANYTHING, moment, None, "", limit=999) for moment in MOMENTS]
    plain = [tuple(found) for found in then]
    return View(tuple(pictures), tuple(plain), dict((await store.counts("local")).by_namespace))


class Histories(RuleBasedStateMachine):
    """One client's operations on a store that already holds what others wrote."""

    open_store: OpenStore

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.stack = asyncio.Runner(), AsyncExitStack()
        self.hours = 0
        self.run(self._begin())

    async def _begin(self) -> None:
        self.store: Store = await self.stack.enter_async_context(self.open_store(f"store-{id(self)}-{NUMBERS.pop()}"))
        for n, content in enumerate(TEXTS[:3]):
            dated = NOW + 4 * DAY if n == 0 else None
            await add(self.store, content, SCOPES[n % 2], key=("k1", "", "k2")[n], provenance=OTHERS, occurred_at=dated, tags=("label",))
        self.before = await view(self.store)

    def run(self, work: Awaitable[T]) -> T:
        async def waited() -> T:
            return await work

        return self.runner.run(waited())

    def attempt(self, work: Callable[[], Awaitable[Any]]) -> None:
        """One step; one that contradicts what is there is refused and does nothing."""
        self.hours += 1
        with suppress(ConflictError, MemoryNotFoundError):
            self.run(work())

    @property
    def later(self) -> Any:
        return NOW + 10 * DAY + timedelta(hours=self.hours)

    def pick(self, number: int, count: int = 1) -> list[UUID]:
        present = [memory.id for memory in self.run(live(self.store, *SCOPES))]
        start = number % max(len(present), 1)
        return present[start : start + count]

    @rule(content=contents, scope=scopes, key=keys, embedded=st.booleans())
    def remember(self, content: str, scope: Any, key: str, embedded: bool) -> None:
        """New, a duplicate, or a new value of a key."""
        self.attempt(lambda: add(self.store, content, scope, embedded=embedded, key=key, now=self.later))

    @rule(content=contents, scope=scopes, key=st.sampled_from(["k1", "k2"]), day=days)
    def remember_a_dated_value(self, content: str, scope: Any, key: str, day: int) -> None:
        self.attempt(lambda: add(self.store, content, scope, key=key, occurred_at=NOW + day * DAY, now=self.later))

    @rule(content=contents, scope=scopes, place=some, count=st.integers(1, 3), key=keys)
    def supersede(self, content: str, scope: Any, place: int, count: int, key: str) -> None:
        new = draft(content, scope, key=key, supersedes=tuple(self.pick(place, count)), now=self.later)
        self.attempt(lambda: self.store.add(new, embedding(content), within=SCOPES))

    @rule(items=st.lists(st.tuples(contents, keys, days), min_size=2, max_size=5), scope=scopes)
    def bring_in_many(self, items: Sequence[tuple[str, str, int]], scope: Any) -> None:
        """An import: one after the other, some of them there already, some of them twice."""
        source = replace(ACTOR, source="import")
        for content, key, day in items:
            moment = NOW + day * DAY
            self.attempt(
                lambda text=content, key=key, at=moment: add(
                    self.store, text, scope, key=key, occurred_at=at, metadata={"speaker": "Ada"}, provenance=source, now=self.later
                )
            )

    @rule(place=some, content=contents, embedded=st.booleans())
    def rewrite(self, place: int, content: str, embedded: bool) -> None:
        for memory_id in self.pick(place):
            self.attempt(lambda one=memory_id: self.store.revise(SCOPES, one, rewritten(content, embedded=embedded), ACTOR, self.later))

    @rule(place=some, importance=st.sampled_from([0.0, 0.3, 1.0]), expires=st.booleans())
    def relabel(self, place: int, importance: float, expires: bool) -> None:
        changes = Changes(tags=("label", "red"), importance=importance, expires_at=NOW + 99 * DAY if expires else None)
        for memory_id in self.pick(place):
            self.attempt(lambda one=memory_id: self.store.revise(SCOPES, one, changes, ACTOR, self.later))

    @rule(place=some, count=st.integers(1, 6))
    def forget(self, place: int, count: int) -> None:
        """One or many at once."""
        if chosen := self.pick(place, count):
            self.attempt(lambda: self.store.forget(SCOPES, chosen, ACTOR, self.later))

    @rule()
    def embed_the_backlog(self) -> None:
        async def embed() -> None:
            notes = await self.store.claim("embed", limit=9, lease_seconds=60)
            vectors = [None if text is None else embedding(text) for text in await self.store.contents(notes)]
            await self.store.settle_embeddings(notes, vectors)

        self.attempt(embed)

    @precondition(lambda self: self.hours > 0)
    @rule(scope=scopes, count=st.integers(1, 3))
    def undo_the_last(self, scope: Any, count: int) -> None:
        """In a namespace, where these are the last of all: one of several namespaces may else stand in the way of what came after."""
        last = self.mine(*SCOPES)[:count]
        if len(last) == count and all(entry.scope == scope for entry in last):
            self.attempt(lambda: self.store.undo(scope, None, ACTOR, self.later, count=count))

    def mine(self, *where: Any) -> list[Any]:
        """The operations of this client that stand, newest first."""
        log = self.run(self.store.operations("local", limit=999))
        return [
            entry
            for entry in log
            if entry.actor.client == ACTOR.client and entry.action != "undo" and entry.undone_by is None and entry.scope in where
        ]

    def teardown(self) -> None:
        """Undo everything, a namespace's last ones at a time as far as they stand together, and look."""
        try:
            while left := self.mine(*SCOPES):
                scope = left[0].scope
                count = next((n for n, entry in enumerate(left) if entry.scope != scope), len(left))
                self.run(self.store.undo(scope, None, ACTOR, self.later, count=count))
            assert self.run(view(self.store)) == self.before
            assert self.run(self.store.verify_chain()) is None
            assert self.run(self.store.check()) == []
        finally:
            self.run(self.stack.aclose())
            self.runner.close()


NUMBERS = list(range(1_000_000))


@pytest.mark.parametrize(("backend", "examples", "steps"), [("sqlite", 60, 25), ("postgres", 6, 12)])
def test_undoing_everything_gives_back_what_was_there(backend: str, examples: int, steps: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        machine = type("Histories", (Histories,), {"open_store": staticmethod(OPENERS[backend](Path(folder)))})
        run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=steps, derandomize=True))
