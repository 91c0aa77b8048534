"""Finding memories: by a question, and by likeness."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

import anyio
import anyio.to_thread

from memory_mcp import __version__
from memory_mcp.answers import Answer, RecallRequest
from memory_mcp.contracts import Candidates
from memory_mcp.errors import EmbedderNotReadyError, MemoryNotFoundError, RequestError, TierError
from memory_mcp.languages import language_of
from memory_mcp.models import (
    Caller,
    Filter,
    Memory,
    Recalled,
    Scope,
    Verdict,
)
from memory_mcp.passages import beginning
from memory_mcp.recall.calibration import nearly, verdict
from memory_mcp.recall.gather import asking_records, gather
from memory_mcp.recall.overview import Overview, overview
from memory_mcp.recall.ranking import JUDGED, SPARE, ranked_anew, shortlist, still_valid
from memory_mcp.recall.similar import likely, nearest, null_of
from memory_mcp.remember import door
from memory_mcp.service.known import Question, Stamp
from memory_mcp.service.parts import PROMPT_TOKENS, Parts
from memory_mcp.timewords import time_spans

INLINE_CHARACTERS = 100_000
"""Texts of up to so many together are ranked on the event loop, in a few milliseconds; more of them in a worker thread."""
SURE_THEN = 0.5
"""Likeness from which on an answer about the past is called strong."""


class Recalling(Parts):
    """The use cases `recall` and `find_similar`."""

    __slots__ = ()

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
                answer = await self._recall_best(query, scopes, where, limit, offset=request.offset, min_score=request.min_score)
                self.reinforcer.note(caller.tenant, (hit.memory.id for hit in answer.hits))
                if self.questions is not None and not request.offset:
                    self.questions.note(self._asked_in(caller, scopes[0]), query, answered=answer.verdict != "none")
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

    async def _recall_best(
        self, query: str, scopes: Sequence[Scope], where: Filter, limit: int, *, offset: int = 0, min_score: float = 0.0
    ) -> Answer:
        with asking_records(self.tuning.budgets):
            revisions = await self.records.revisions(scopes)
        written = {scope: revision for scope, revision in zip(scopes, revisions, strict=True) if revision}
        if not written:
            return Answer([], "none", scopes[0].namespace)
        question = Question(query, tuple(scopes), replace(where, now=None), limit, offset, min_score)
        scales = self.scale.scales(language_of(query))
        stamp = Stamp(revisions, self.sources.embedder.state.epoch, scales, self.tuning.weights)
        now = self.clock()
        if (known := self.known.lookup(question, stamp, now)) is not None:
            return known
        times = time_spans(query, now)
        wanted = overview(query, times, now)
        if wanted is not None and (narrowed := _narrowed(where, wanted)) is not None:
            answer = await self._newest(scopes, narrowed, limit, offset)
            if answer.hits or offset or not wanted.kinds:  # else the word may have been meant as a topic
                return answer
        candidates = await self._candidates(query, written, where)
        needed = max(offset + limit + 1, JUDGED)
        best = shortlist(candidates, self.tuning.weights, query, times, now, needed + SPARE)
        with self.stages.measure("hydrate"), asking_records(self.tuning.budgets):
            looked_at = await self._still_valid(list(best), scopes, where, needed)
        with self.stages.measure("rank"):
            rank = partial(ranked_anew, looked_at, best, candidates, query, times, scales)
            short = sum(len(memory.content) for memory in looked_at) <= INLINE_CHARACTERS
            ranked = rank() if short else await anyio.to_thread.run_sync(rank)
        answer = _told(ranked, scopes[0].namespace, offset, limit, min_score, candidates.degraded)
        if candidates.whole:
            expiring = min((memory.expires_at for memory in looked_at if memory.expires_at is not None), default=None)
            self.known.store(question, stamp, answer, now, expiring)
        return answer

    async def _still_valid(self, ids: Sequence[UUID], scopes: Sequence[Scope], where: Filter, needed: int) -> list[Memory]:
        """The first `needed` of these memories, read afresh, that may be an answer; further ones take the place of those that may not."""
        valid: list[Memory] = []
        read = 0
        while len(valid) < needed and read < len(ids):
            some = ids[read : read + needed - len(valid)]
            now = self.clock()
            valid += [memory for memory in await self.records.get_many(scopes, some) if still_valid(memory, where, now)]
            read += len(some)
        return valid

    async def _candidates(self, query: str, revisions: Mapping[Scope, int], where: Filter) -> Candidates:
        """What another process has found and shared, or else what is found here."""
        if self.shared is None:
            return await self._gather(query, revisions, where)
        key = _cache_key(query, list(revisions), where, self.tuning.candidates, names=self.sources.graph is not None)
        stamp = f"{list(revisions.values())} {self.sources.embedder.state.epoch} {__version__}"
        with suppress(TierError):  # a cache that fails has nothing
            if (candidates := await self.shared.lookup(key, stamp)) is not None:
                return candidates
        candidates = await self._gather(query, revisions, where)
        if candidates.whole:
            await self.shared.store(key, stamp, candidates)
        return candidates

    async def _gather(self, query: str, revisions: Mapping[Scope, int], where: Filter) -> Candidates:
        tuning = self.tuning
        with self.stages.measure("gather"):
            return await gather(self.sources, query, revisions, where, limit=tuning.candidates, budgets=tuning.budgets, stages=self.stages)

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
            found = await self.records.get_many(await self._open_to(caller), list(itself))
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
            scales = self.scale.scales(language_of(text))
            null = await null_of(self.sources, scopes, embedding.epoch, scales)
        ranked = likely(hits, await self._read(hits, scopes, where), text, null, scales)
        return _told(ranked, scopes[0].namespace, 0, wanted, min_score)


def _narrowed(where: Filter, wanted: Overview) -> Filter | None:
    """What passes the filter and is wanted; None where the filter leaves out the kinds that are."""
    kinds = where.kinds & wanted.kinds if where.kinds and wanted.kinds else where.kinds or wanted.kinds
    if wanted.kinds and not kinds:
        return None
    since = max((moment for moment in (wanted.since, where.since) if moment is not None), default=None)
    return replace(where, kinds=kinds, since=since, until=min(wanted.until, where.until or wanted.until))


def _told(ranked: Sequence[Recalled], namespace: str, offset: int, limit: int, min_score: float, degraded: Sequence[str] = ()) -> Answer:
    """Of ranked memories what to tell: nothing where none is likely enough, and of the others `limit` from `offset` on."""
    word = verdict(max((hit.score for hit in ranked[:JUDGED]), default=None))
    if word == "none":
        return Answer([], word, namespace, below=sum(nearly(hit.score) for hit in ranked[:JUDGED]), degraded=degraded)
    likely_enough = [hit for hit in ranked if hit.score >= min_score]
    more = len(likely_enough) > offset + limit
    return Answer(likely_enough[offset : offset + limit], word, namespace, offset, more, degraded=degraded)


def _cache_key(query: str, scopes: Sequence[Scope], where: Filter, limit: int, *, names: bool) -> str:
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
        names,
    ]
    return f"{scopes[0].tenant}/{hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()}"
