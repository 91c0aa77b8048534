"""The use cases: each reads like the sentence it carries out, every step a seam or a pure function."""

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread

from memory_mcp import __version__
from memory_mcp.answers import Answer, Forgotten, RecallRequest, Receipt, Selection, Statistics
from memory_mcp.contracts import Candidates, Clock, RecallCache, RecordStore
from memory_mcp.errors import ConflictError, EmbedderNotReadyError, MemoryNotFoundError, RequestError, TierError
from memory_mcp.models import (
    GLOBAL_NAMESPACE,
    Caller,
    Changes,
    Draft,
    Embedding,
    Filter,
    Hit,
    Memory,
    Operation,
    Recalled,
    Scope,
    Verdict,
    Version,
)
from memory_mcp.passages import PASSAGE_TOKENS, beginning, weight
from memory_mcp.recall.calibration import nearly, verdict
from memory_mcp.recall.gather import Budgets, Sources, gather
from memory_mcp.recall.ranking import JUDGED, SPARE, ranked_anew, shortlist, still_valid
from memory_mcp.recall.reinforce import Reinforcer
from memory_mcp.recall.scale import Scale
from memory_mcp.recall.signals import SignalWeights
from memory_mcp.recall.similar import likely, nearest, null_of
from memory_mcp.remember import door
from memory_mcp.remember.confirmation import confirmation
from memory_mcp.remember.drafts import RememberRequest, draft, fingerprint
from memory_mcp.remember.embed import embed_texts
from memory_mcp.remember.indexer import Indexer
from memory_mcp.timing import Stages, memory_used

PROMPT_TOKENS = 16 * PASSAGE_TOKENS
"""A text of up to so many is embedded while its caller waits: a quarter of a second on two cores."""
INLINE_CHARACTERS = 100_000
"""Texts of up to so many together are ranked on the event loop, in a few milliseconds; more of them in a worker thread."""
EVERY_NAMESPACE = "*"
SURE_THEN = 0.5
"""Likeness from which on an answer about the past is called strong."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the configuration may set about remembering and recalling."""

    weights: SignalWeights = field(default_factory=SignalWeights)
    budgets: Budgets = field(default_factory=Budgets)
    candidates: int = 100
    similar_shown: int = 3
    similar_from: float = 0.6


@dataclass(slots=True)
class MemoryService:
    """One tenant-aware memory over whatever backends the composition root chose.

    Attributes:
        figures: Per tier, a function that tells its figures for `stats`.
    """

    records: RecordStore
    sources: Sources
    cache: RecallCache
    scale: Scale
    indexer: Indexer
    reinforcer: Reinforcer
    clock: Clock
    tuning: Tuning = field(default_factory=Tuning)
    stages: Stages = field(default_factory=Stages)
    started: float = field(default_factory=time.monotonic)
    figures: Mapping[str, Any] = field(default_factory=dict)

    # remember

    async def remember(self, request: RememberRequest, caller: Caller, namespace: str = "") -> Receipt:
        """Store a text; the receipt is sent after the commit.

        Raises:
            RequestError, ConflictError, MemoryNotFoundError: The request is at fault; nothing was stored.
        """
        with self.stages.measure("remember"):
            scopes = self._scopes(caller, namespace)
            new = draft(request, scopes[0], caller, self.clock())
            embedding = await self._embed(new.content)
            with self.stages.measure("commit"):
                added = await self.records.add(new, embedding, within=await self._reach(new, caller))
            if added.status == "already_known":
                self.reinforcer.note(caller.tenant, [added.id])
                return Receipt(added, scopes[0].namespace)
            if embedding is None:
                self.indexer.wake()
                pending = "its meaning is indexed as soon as the embedding model gets to it; until then it is found by its words"
                return Receipt(added, scopes[0].namespace, pending=pending)
            similar = await self._similar(embedding, scopes[:1], leave_out={added.id, *added.replaced})
            return Receipt(added, scopes[0].namespace, similar)

    async def _reach(self, new: Draft, caller: Caller) -> Sequence[Scope]:
        """Where the memories may lie that a draft supersedes by their ids."""
        return await self.records.scopes(caller.tenant) if new.supersedes else [new.scope]

    async def _embed(self, text: str) -> Embedding | None:
        """None where there is no vector to be had at once."""
        if weight(text) > PROMPT_TOKENS:
            return None  # others would wait for it; the indexer lets them go first
        try:
            with self.stages.measure("embed"), anyio.fail_after(self.tuning.budgets.embed_seconds):
                (embedding,) = await embed_texts(self.sources.embedder, [text], urgent=True)
        except (EmbedderNotReadyError, TimeoutError):
            return None
        return embedding

    async def _similar(self, embedding: Embedding, scopes: Sequence[Scope], leave_out: set[UUID]) -> list[Recalled]:
        where = Filter(now=self._this_second())
        shown, least = self.tuning.similar_shown, self.tuning.similar_from
        try:
            with anyio.fail_after(self.tuning.budgets.vector_seconds), self.stages.measure("vector_search"):
                hits = await nearest(self.sources, embedding, scopes, where, limit=shown, least=least, leave_out=leave_out)
        except (TierError, TimeoutError):
            return []  # the receipt's truth does not hang on it
        score = {hit.id: hit.score for hit in hits}
        return [Recalled(memory, score[memory.id]) for memory in await self._read(hits, scopes, where)]

    async def _read(self, hits: Sequence[Hit], scopes: Sequence[Scope], where: Filter) -> list[Memory]:
        """The memories of these hits that are still what the search took them for."""
        memories = await self.records.get_many(scopes, [hit.id for hit in hits]) if hits else []
        now = self.clock()
        return [memory for memory in memories if still_valid(memory, where, now)]

    def _this_second(self) -> datetime:
        """Now, for filters: searches of one second ask the same, and what expires within it is left out on the fresh record."""
        return self.clock().replace(microsecond=0)

    # recall

    async def recall(self, request: RecallRequest, caller: Caller) -> Answer:
        """The memories that answer the query best, best first; being recalled strengthens them.

        Raises:
            RequestError: The request is at fault.
        """
        with self.stages.measure("recall"):
            scopes = await self._readable(caller, request.namespace)
            where = self._where(request)
            door.fraction(request.min_score, "min_score")
            limit = door.limit(request.limit)
            query = door.query(request.query).strip()
            moment = door.moment(request.as_of, "as_of")
            if moment is not None:
                answer = await self._recall_as_of(query, scopes, where, moment, limit, request.offset)
            elif not query:
                answer = await self._newest(scopes, where, limit, request.offset)
            else:
                answer = await self._recall_best(query, scopes, where, limit, request.offset, request.min_score)
                self.reinforcer.note(caller.tenant, (hit.memory.id for hit in answer.hits))
            return answer

    def _where(self, request: RecallRequest) -> Filter:
        since, until = door.moment(request.since, "since"), door.moment(request.until, "until")
        if since is not None and until is not None and since >= until:
            raise RequestError("since must lie before until.")
        return Filter(
            kinds=door.kinds(request.kinds),
            tags=frozenset(door.tags(request.tags)),
            since=since,
            until=until,
            now=self._this_second(),
        )

    async def _recall_best(self, query: str, scopes: Sequence[Scope], where: Filter, limit: int, offset: int, min_score: float) -> Answer:
        revisions = await self.records.revisions(scopes)
        written = {scope: revision for scope, revision in zip(scopes, revisions, strict=True) if revision}
        if not written:
            return Answer([], "none", scopes[0].namespace)
        candidates = await self._candidates(query, written, where)
        wanted = offset + limit
        best = shortlist(candidates, self.tuning.weights, query, self.clock(), max(wanted, JUDGED) + SPARE)
        with self.stages.measure("hydrate"):
            memories = await self.records.get_many(scopes, list(best))
        with self.stages.measure("rank"):
            now = self.clock()
            valid = [memory for memory in memories if still_valid(memory, where, now)]
            looked_at = valid[: max(wanted + 1, JUDGED)]
            rank = partial(ranked_anew, looked_at, best, candidates, query, self.scale.model)
            short = sum(len(memory.content) for memory in looked_at) <= INLINE_CHARACTERS
            ranked = rank() if short else await anyio.to_thread.run_sync(rank)
        return _told(ranked, scopes[0].namespace, offset, limit, min_score, candidates.degraded)

    async def _candidates(self, query: str, revisions: Mapping[Scope, int], where: Filter) -> Candidates:
        scopes = list(revisions)
        epoch = self.sources.embedder.state.epoch
        key = _cache_key(query, scopes, where, self.tuning.candidates)
        stamp = f"{list(revisions.values())} {epoch} {__version__}"
        candidates = await self.cache.lookup(key, stamp)
        if candidates is None:
            with self.stages.measure("gather"):
                candidates = await gather(
                    self.sources, query, revisions, where, limit=self.tuning.candidates, budgets=self.tuning.budgets, stages=self.stages
                )
            if candidates.whole:
                await self.cache.store(key, stamp, candidates)
        return candidates

    async def _newest(self, scopes: Sequence[Scope], where: Filter, limit: int, offset: int) -> Answer:
        memories = await self.records.newest(scopes, where, limit=limit + 1, offset=offset)
        hits = [Recalled(memory, 1.0) for memory in memories[:limit]]
        return Answer(hits, "strong" if hits else "none", scopes[0].namespace, offset, more=len(memories) > limit)

    async def _recall_as_of(self, query: str, scopes: Sequence[Scope], where: Filter, moment: datetime, limit: int, offset: int) -> Answer:
        embedding = await self._embed(query) if query else None
        vector = None if embedding is None else embedding.vectors[0]
        wanted = offset + limit
        then = Filter(where.kinds, where.domains, where.tags, where.since, where.until, now=moment)
        found = await self.records.as_of(scopes, then, moment, vector, query, limit=wanted + 1)
        hits = [Recalled(memory, score) for memory, score in found]
        best = max((hit.score for hit in hits), default=None)
        word: Verdict = "none" if best is None else "strong" if best >= SURE_THEN or not query else "weak"
        return Answer(hits[offset:wanted], word, scopes[0].namespace, offset, more=len(hits) > wanted)

    async def find_similar(
        self,
        text: str,
        memory_id: str,
        caller: Caller,
        *,
        limit: int = 8,
        kinds: Sequence[str] = (),
        namespace: str = "",
        min_score: float = 0.0,
    ) -> Answer:
        """The memories closest in meaning to a text or to a memory; a long text counts by its beginning.

        Raises:
            RequestError: Neither or both of text and id are given.
            EmbedderNotReadyError: There is no vector to compare with.
        """
        if bool(text.strip()) == bool(memory_id):
            raise RequestError("Give either text or id, one of the two.")
        scopes = await self._readable(caller, namespace)
        door.fraction(min_score, "min_score")
        where = Filter(kinds=door.kinds(kinds), now=self.clock())
        itself: set[UUID] = set()
        if memory_id:
            itself = {door.memory_id(memory_id)}
            found = await self.records.get_many(await self.records.scopes(caller.tenant), list(itself))
            if not found:
                raise MemoryNotFoundError([memory_id])
            text = found[0].content
        door.text(text, "text", max_characters=door.MAX_CONTENT_BYTES)
        text = beginning(text, PROMPT_TOKENS)
        embedding = await self._embed(text)
        if embedding is None:
            raise EmbedderNotReadyError(
                "The embedding model is not ready yet, so nothing can be compared by meaning. Use recall, or try again."
            )
        wanted = door.limit(limit)
        with self.stages.measure("vector_search"):
            hits = await nearest(self.sources, embedding, scopes, where, limit=wanted + SPARE, least=-1.0, leave_out=itself)
            null = await null_of(self.sources, scopes, embedding.epoch, self.scale.model)
        ranked = likely(hits, await self._read(hits, scopes, where), text, null, self.scale.model)
        return _told(ranked, scopes[0].namespace, 0, wanted, min_score)

    async def context(self, task: str, caller: Caller, namespace: str = "") -> Mapping[str, Sequence[Recalled]]:
        """What a session should start from, by heading, each memory once: rules, what the task recalls, decisions, open errors."""
        scopes = self._scopes(caller, namespace)
        now = self.clock()
        sections: dict[str, list[Recalled]] = {}
        rules = await self.records.newest(scopes, Filter(kinds=frozenset({"rule"}), now=now), limit=30)
        sections["rules"] = [Recalled(memory, 1.0) for memory in sorted(rules, key=lambda memory: -memory.importance)]
        if task.strip():
            answer = await self.recall(RecallRequest(query=task, limit=10, namespace=namespace), caller)
            sections["relevant to the task"] = list(answer.hits) if answer.verdict != "none" else []
        for heading, kind in (("recent decisions", "decision"), ("open errors", "error")):
            newest = await self.records.newest(scopes, Filter(kinds=frozenset({kind}), now=now), limit=5)
            sections[heading] = [Recalled(memory, 1.0) for memory in newest]
        if not any(sections.values()):
            newest = await self.records.newest(scopes, Filter(now=now), limit=5)
            sections["newest"] = [Recalled(memory, 1.0) for memory in newest]
        return _each_once(sections)

    # what is known about single memories

    async def get(self, ids: Sequence[str], caller: Caller, *, history: bool = False) -> list[tuple[Memory, list[Version]]]:
        """Whole memories, superseded ones too, with their past forms if asked for.

        Raises:
            MemoryNotFoundError: One of them is not visible to the caller.
        """
        wanted = door.memory_ids(ids)
        scopes = await self.records.scopes(caller.tenant)
        memories = await self.records.get_many(scopes, wanted)
        if missing := set(wanted) - {memory.id for memory in memories}:
            raise MemoryNotFoundError(sorted(missing))
        return [(memory, await self.records.history(scopes, memory.id) if history else []) for memory in memories]

    async def update(
        self,
        memory_id: str,
        caller: Caller,
        *,
        content: str = "",
        tags: Sequence[str] | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires_in: str = "",
    ) -> Operation:
        """Change a memory in place; what is not given stays.

        Raises:
            RequestError: Nothing to change is given, or a value is not allowed.
            MemoryNotFoundError, ConflictError: See `RecordStore.revise`.
        """
        target, scopes, now = door.memory_id(memory_id), await self.records.scopes(caller.tenant), self.clock()
        memories = await self.records.get_many(scopes, [target])
        if not memories:
            raise MemoryNotFoundError([target])
        (memory,) = memories
        changes = Changes(
            content=door.content(content) if content else None,
            fingerprint=fingerprint(content, memory.kind, memory.session_id, memory.occurred_at) if content else None,
            tags=None if tags is None else door.tags(tags),
            metadata=None if metadata is None else door.metadata(metadata),
            importance=None if importance is None else door.fraction(importance, "importance"),
            expires_at=door.lifetime(expires_in, "expires_in", now),
            embedding=await self._embed(content) if content else None,
        )
        if changes == Changes():
            raise RequestError("Nothing to change: give content, tags, importance, metadata or expires_in.")
        operation = await self.records.revise(scopes, target, changes, caller.provenance, now)
        if content and changes.embedding is None:
            self.indexer.wake()
        return operation

    async def forget(self, ids: Sequence[str], caller: Caller) -> Forgotten:
        """Take single memories out of every answer; `undo` brings them back."""
        wanted, scopes = door.memory_ids(ids), await self.records.scopes(caller.tenant)
        memories = await self.records.get_many(scopes, wanted)
        operation = await self.records.forget(scopes, wanted, caller.provenance, self.clock())
        return Forgotten(operation.scope.namespace, memories, operation)

    async def forget_selected(self, selection: Selection, caller: Caller, namespace: str, token: str) -> Forgotten:
        """Forget all memories of a namespace that the selection means; without the token of a dry run, only tell which.

        Raises:
            ConflictError: The memories are no longer those of the dry run.
        """
        scope = self._scopes(caller, namespace)[0]
        where = Filter(
            kinds=door.kinds(selection.kinds), tags=frozenset(door.tags(selection.tags)), until=door.moment(selection.before, "before")
        )
        memories = await self.records.newest([scope], where, limit=100_000)
        expected = confirmation(scope, [memory.id for memory in memories])
        if not token or not memories:
            return Forgotten(scope.namespace, memories, token=expected if memories else "")
        if token.strip() != expected:
            raise ConflictError("The memories meant are not those of the dry run any more. Call forget without confirm to see them again.")
        operation = await self.records.forget([scope], [memory.id for memory in memories], caller.provenance, self.clock())
        return Forgotten(scope.namespace, memories, operation)

    async def undo(self, which: str, caller: Caller, namespace: str = "") -> Operation:
        """Reverse an operation by its number, or the `last` one of this client in the namespace."""
        number = None if which.strip() == "last" else door.operation_number(which)
        return await self.records.undo(self._scopes(caller, namespace)[0], number, caller.provenance, self.clock())

    async def stats(self, caller: Caller) -> Statistics:
        """How much there is, and how each part is doing."""
        state = self.sources.embedder.state
        return Statistics(
            namespace=caller.namespace,
            counts=await self.records.counts(caller.tenant),
            tiers={name: tell() for name, tell in self.figures.items()},
            latency=self.stages.summary(),
            model={
                "name": state.model,
                "phase": state.phase,
                "epoch": state.epoch or "",
                **({"detail": state.detail} if state.detail else {}),
                **(state.figures or {}),
            },
            engine={"version": __version__, "pid": os.getpid(), "uptime_seconds": round(time.monotonic() - self.started), **memory_used()},
        )

    async def _readable(self, caller: Caller, namespace: str) -> list[Scope]:
        """The scopes to search: as `_scopes`, or for `*` every one that the caller may read, his own first."""
        if namespace.strip() != EVERY_NAMESPACE:
            return self._scopes(caller, namespace)
        return list(dict.fromkeys([*self._scopes(caller, ""), *await self.records.scopes(caller.tenant)]))

    def _scopes(self, caller: Caller, namespace: str) -> list[Scope]:
        """The scope that is meant, and the global one that is read beside it."""
        own = Scope(caller.tenant, door.namespace(namespace) if namespace else caller.namespace)
        shared = Scope(caller.tenant, GLOBAL_NAMESPACE)
        return [own] if own == shared else [own, shared]


def _told(ranked: Sequence[Recalled], namespace: str, offset: int, limit: int, min_score: float, degraded: Sequence[str] = ()) -> Answer:
    """Of ranked memories what to tell: nothing where none is likely enough, and of the others `limit` from `offset` on."""
    word = verdict(max((hit.score for hit in ranked[:JUDGED]), default=None))
    if word == "none":
        return Answer([], word, namespace, below=sum(nearly(hit.score) for hit in ranked[:JUDGED]), degraded=degraded)
    likely_enough = [hit for hit in ranked if hit.score >= min_score]
    more = len(likely_enough) > offset + limit
    return Answer(likely_enough[offset : offset + limit], word, namespace, offset, more, degraded=degraded)


def _cache_key(query: str, scopes: Sequence[Scope], where: Filter, limit: int) -> str:
    """Equal for the same question of the same scopes; `now` is left out, since expiry is checked on the fresh record."""
    parts = [
        query,
        [[scope.tenant, scope.namespace] for scope in scopes],
        sorted(where.kinds),
        sorted(where.domains),
        sorted(where.tags),
        str(where.since),
        str(where.until),
        limit,
    ]
    return f"{scopes[0].tenant}/{hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()}"


def _each_once(sections: Mapping[str, Sequence[Recalled]]) -> dict[str, list[Recalled]]:
    seen: set[UUID] = set()
    once: dict[str, list[Recalled]] = {}
    for heading, hits in sections.items():
        fresh = [hit for hit in hits if hit.memory.id not in seen]
        seen.update(hit.memory.id for hit in fresh)
        if fresh:
            once[heading] = fresh
    return once
