"""Finding memories: by a question, and by likeness."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread

from memory_mcp import __version__
from memory_mcp.answers import Answer, RecallRequest
from memory_mcp.config import WeightSettings
from memory_mcp.contracts import Candidates
from memory_mcp.errors import EmbedderNotReadyError, MemoryNotFoundError, RequestError, TierError
from memory_mcp.models import (
    Caller,
    Filter,
    Memory,
    Recalled,
    Scope,
    Verdict,
)
from memory_mcp.pages import NOTHING, Behind, Page, Told
from memory_mcp.recall.calibration import WEAK, Scales, nearly, telling, verdict
from memory_mcp.recall.gather import asking_records, gather
from memory_mcp.recall.overview import Overview, names_of, overview
from memory_mcp.recall.ranking import JUDGED, SPARE, best_passage, looked_for, ranked_anew, shortlist, still_valid
from memory_mcp.recall.similar import likely, nearest, null_of
from memory_mcp.remember import door
from memory_mcp.service.known import Question, Stamp
from memory_mcp.service.parts import EVERY_NAMESPACE, PROMPT_TOKENS, Parts
from memory_mcp.text.languages import ENGLISH, language_of, language_told
from memory_mcp.text.passages import beginning
from memory_mcp.text.terms import says_all
from memory_mcp.text.timewords import TimeSpan, time_spans
from memory_mcp.text.words import same_label

INLINE_CHARACTERS = 100_000
"""Texts of up to so many together are ranked on the event loop, in a few milliseconds; more of them in a worker thread."""
READ_ON = 4
"""Times as many memories are looked at where those that were say fewer than `JUDGED` different things."""
WIDE = 400
"""Candidates taken from each search where the usual number say fewer than `JUDGED` different things: one has crowded out the others."""
_SPELLED_BY = 1_000
"""Memories that tell how tags are spelled."""
SURE_THEN = 0.5
"""Likeness from which on an answer about the past is called strong."""

T = TypeVar("T")


class _Asked(NamedTuple):
    """A question as it is judged by: with the times that it names, what the model gives its language, and what signals count in that.

    Attributes:
        said: Words without which nothing answers it.
    """

    query: str
    times: Sequence[TimeSpan]
    now: datetime
    scales: Scales
    weights: WeightSettings
    said: str


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
            moment = door.looked_back_from(request.as_of, "as_of", self.clock())
            page, least = request.page, request.min_score

            async def answered(where: Filter) -> Answer:
                if moment is not None:
                    return await self._recall_as_of(query, scopes, where, moment, limit, page=page, min_score=least)
                if not query:
                    return await self._newest(scopes, where, limit, page)
                return await self._recall_best(query, scopes, where, limit, page=page, min_score=least)

            answer = await answered(where)
            if where.tags and not answer.hits and (tags := await self._spelled_there(scopes, where.tags)) != where.tags:
                answer = await answered(replace(where, tags=tags))
            if query and moment is None:
                self.reinforcer.note(caller.tenant, (hit.memory.id for hit in answer.hits))
                if self.questions is not None and page is None and not least:
                    self.questions.note(self._asked_in(caller, scopes[0]), query, answered=answer.verdict != "none")
            return answer if page is not None else await self._with_emptiness(answer, caller, request.namespace)

    async def _with_emptiness(self, answer: Answer, caller: Caller, namespace: str) -> Answer:
        """An answer that has nothing of the namespace that was meant, with whether that was ever written to, and what is called like it."""
        if namespace.strip() == EVERY_NAMESPACE:
            return answer
        own = self._own(caller, namespace)
        if any(hit.memory.scope in own for hit in answer.hits) or any(await self.records.revisions(own)):
            return answer
        near = await self._named_like(own, caller)
        return replace(answer, empty=True, near=near, shown={})  # names may change while the answer is still known

    async def _spelled_there(self, scopes: Sequence[Scope], tags: frozenset[str]) -> frozenset[str]:
        """Tags as the newest memory that has them all spells them, where none has them as they are: `People` may mean `people`."""
        newest = await self.records.newest(scopes, Filter(now=self.clock()), limit=_SPELLED_BY)
        if any(tags.issubset(memory.tags) for memory in newest):
            return tags
        wanted = {same_label(tag) for tag in tags}
        spelled = ({same_label(tag): tag for tag in memory.tags} for memory in newest)
        return next((frozenset(there[tag] for tag in wanted) for there in spelled if wanted <= there.keys()), tags)

    def _where(self, request: RecallRequest) -> Filter:
        since, until = door.moment(request.since, "since"), door.moment(request.until, "until")
        if since is not None and until is not None and since >= until:
            raise RequestError("since must lie before until, which is not included: for one day, until is the day after it.")
        return Filter(
            kinds=door.kinds(request.kinds),
            tags=frozenset(door.tags(request.tags)),
            since=since,
            until=until,
            now=self._this_second(),
        )

    async def _recall_best(
        self, query: str, scopes: Sequence[Scope], where: Filter, limit: int, *, page: Page | None = None, min_score: float = 0.0
    ) -> Answer:
        with asking_records(self.recall_settings):
            revisions = await self.records.revisions(scopes)
        written = {scope: revision for scope, revision in zip(scopes, revisions, strict=True) if revision}
        if not written:
            return Answer([], "none", scopes[0].namespace)
        question = Question(query, tuple(scopes), replace(where, now=None), limit, min_score, page)
        language = language_of(query)
        scales, weights = self.scale.scales(language), self.recall_settings.weights
        if language != ENGLISH:  # similarity that tells texts less apart counts less
            weights = weights.model_copy(update={"dense": weights.dense * telling(scales, language)})
        stamp = Stamp(revisions, self.sources.embedder.state.epoch, scales, weights)
        now = self.clock()
        if (known := self.known.lookup(question, stamp, now)) is not None:
            return known
        times = time_spans(query, now)
        told = page if isinstance(page, Told) else NOTHING
        wanted = overview(query, times, now)
        said = names_of(times, query) if wanted is not None and not wanted.kinds else ""
        if wanted is not None and not told.count and (narrowed := _narrowed(where, wanted)) is not None:  # a ranking is gone on with as one
            answer = await self._newest(scopes, narrowed, limit, page)
            if answer.hits or page is not None or not (wanted.kinds or said):  # else a kind or time may have been meant as a topic
                return answer
        width, look_at = self.recall_settings.candidates, max(told.count + limit + 1, JUDGED)
        candidates = await self._candidates(query, written, where, width)
        while True:
            looked_at, ranked = await self._look_at(look_at, candidates, _Asked(query, times, now, scales, weights, said), scopes, where)
            answer = _page_of(ranked, scopes[0].namespace, told, limit, min_score, candidates.degraded)
            if len(ranked) >= JUDGED and (answer.more or answer.verdict == "none"):
                break  # as a rule at once
            if look_at < len(candidates.ids):
                look_at = look_at * READ_ON if len(ranked) < JUDGED else len(candidates.ids)
            elif len(ranked) < JUDGED and width <= len(candidates.ids) and width < WIDE:
                width = WIDE
                candidates = await self._candidates(query, written, where, width)
            else:
                break
        answer = _none_that_likely(answer, ranked)
        if candidates.whole:
            expiring = min((memory.expires_at for memory in looked_at if memory.expires_at is not None), default=None)
            self.known.store(question, stamp, answer, now, expiring)
        return answer

    async def _look_at(
        self, number: int, candidates: Candidates, asked: _Asked, scopes: Sequence[Scope], where: Filter
    ) -> tuple[list[Memory], list[Recalled]]:
        """The so many best of the candidates that may be an answer, as they are now; and ranked, each thing said once."""
        best = shortlist(candidates, asked.weights, asked.query, asked.times, asked.now, number + SPARE)
        with self.stages.measure("hydrate"), asking_records(self.recall_settings):
            looked_at = await self._still_valid(list(best), scopes, where, number)
        if asked.said:
            looked_at = [memory for memory in looked_at if says_all(memory.content, asked.said)]
        if not language_told(asked.query):  # then that of what is found counts
            for memory in looked_at[:JUDGED]:
                self.scale.want(language_of(memory.content))
        with self.stages.measure("rank"):
            rank = partial(ranked_anew, looked_at, best, candidates, asked.query, asked.times, asked.scales)
            return looked_at, await _off_the_loop(looked_at, rank)

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

    async def _candidates(self, query: str, revisions: Mapping[Scope, int], where: Filter, width: int) -> Candidates:
        """What another process has found and shared, or else what is found here: `width` from each search."""
        if self.shared is None:
            return await self._gather(query, revisions, where, width)
        key = _cache_key(query, list(revisions), where, width, names=self.sources.graph is not None)
        stamp = f"{list(revisions.values())} {self.sources.embedder.state.epoch} {__version__}"
        with suppress(TierError):  # a cache that fails has nothing
            if (candidates := await self.shared.lookup(key, stamp)) is not None:
                return candidates
        candidates = await self._gather(query, revisions, where, width)
        if candidates.whole:
            await self.shared.store(key, stamp, candidates)
        return candidates

    async def _gather(self, query: str, revisions: Mapping[Scope, int], where: Filter, width: int) -> Candidates:
        with self.stages.measure("gather"):
            return await gather(self.sources, query, revisions, where, limit=width, settings=self.recall_settings, stages=self.stages)

    async def _newest(self, scopes: Sequence[Scope], where: Filter, limit: int, page: Page | None) -> Answer:
        after = page if isinstance(page, Behind) else None
        memories = await self.records.newest(scopes, where, limit=limit + 1, after=after)
        hits = [Recalled(memory, 1.0) for memory in memories[:limit]]
        return Answer(hits, "strong" if hits else "none", scopes[0].namespace, None, more=len(memories) > limit)

    async def _recall_as_of(
        self, query: str, scopes: Sequence[Scope], where: Filter, moment: datetime, limit: int, *, page: Page | None, min_score: float
    ) -> Answer:
        embedding = await self._embed(query) if query else None
        vector = None if embedding is None else embedding.vectors[0]
        told = page if isinstance(page, Told) else NOTHING
        then = replace(where, now=moment)
        found = await self.records.as_of(scopes, then, moment, vector, query, limit=told.count + limit + 1)
        sought, memories = looked_for(query), [memory for memory, _ in found]
        spans = await _off_the_loop(memories, lambda: [best_passage(memory.content, sought) for memory in memories])
        hits = [Recalled(memory, score if query else 1.0, passage=span) for (memory, score), span in zip(found, spans, strict=True)]
        best = max((hit.score for hit in hits), default=None)
        word: Verdict = "none" if best is None else "strong" if best >= SURE_THEN else "weak"
        rest = told.rest(hit for hit in hits if hit.score >= min_score)
        return _none_that_likely(Answer(rest[:limit], word, scopes[0].namespace, told, more=len(rest) > limit), hits)

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
        memories = await self._read(hits, scopes, where)
        ranked = await _off_the_loop(memories, partial(likely, hits, memories, text, null, scales))
        answer = _none_that_likely(_page_of(ranked, scopes[0].namespace, NOTHING, wanted, min_score), ranked)
        return await self._with_emptiness(answer, caller, namespace)


async def _off_the_loop(memories: Sequence[Memory], rank: Callable[[], T]) -> T:
    """Do what takes a while for long texts, in a worker thread if they are."""
    short = sum(len(memory.content) for memory in memories) <= INLINE_CHARACTERS
    return rank() if short else await anyio.to_thread.run_sync(rank)


def _narrowed(where: Filter, wanted: Overview) -> Filter | None:
    """What passes the filter and is wanted; None where the filter leaves out the kinds that are."""
    kinds = where.kinds & wanted.kinds if where.kinds and wanted.kinds else where.kinds or wanted.kinds
    if wanted.kinds and not kinds:
        return None
    since = max((moment for moment in (wanted.since, where.since) if moment is not None), default=None)
    return replace(where, kinds=kinds, since=since, until=min(wanted.until, where.until or wanted.until))


def _page_of(ranked: Sequence[Recalled], namespace: str, told: Told, limit: int, min_score: float, degraded: Sequence[str] = ()) -> Answer:
    """Of ranked memories what to tell: nothing where none is likely enough, and of the others the `limit` best that are not told yet."""
    word = verdict(max((hit.score for hit in ranked[:JUDGED]), default=None))
    if word == "none":
        return Answer([], word, namespace, below=sum(nearly(hit.score) for hit in ranked[:JUDGED]), degraded=degraded)
    rest = told.rest(hit for hit in ranked if hit.score >= min_score)
    return Answer(rest[:limit], word, namespace, told, len(rest) > limit, degraded=degraded)


def _none_that_likely(answer: Answer, ranked: Sequence[Recalled]) -> Answer:
    """Where `min_score` leaves nothing of what would do, that is what is said, with how many lie below it."""
    if answer.hits or answer.verdict == "none" or answer.told != NOTHING:
        return answer
    return replace(answer, verdict="none", below=sum(hit.score >= WEAK for hit in ranked[:JUDGED]))


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
