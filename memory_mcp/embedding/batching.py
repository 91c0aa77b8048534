"""Gathers what many callers want embedded into the runs a model is fastest with, and remembers what it said."""

import asyncio
import atexit
import hashlib
import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import structlog

from memory_mcp.contracts import EmbedderState
from memory_mcp.embedding.encoder import Encoder
from memory_mcp.errors import EmbedderNotReadyError, MemoryMcpError, TierError, TierUnavailableError
from memory_mcp.handover import Awaited, wake
from memory_mcp.models import Matrix

log = structlog.get_logger(__name__)

SMALL_REQUEST = 8
"""Requests of up to so many texts, which somebody waits for, go before longer ones."""

SHUT_DOWN = "The embedding model is shut down."

LAST_RUN_SECONDS = 1.0
"""How long the end of the process waits for the runs in progress; a local one takes 0.05 s."""

FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 1.0, 30.0


class BatchingEmbedder:
    """An `Embedder` over an encoder: as many threads as it may be called from, no timer, the most urgent first.

    A thread takes its share of whatever came while all were busy, shortest first, in runs within the encoder's bounds,
    and looks anew between runs; so an urgent text waits for one run at most. A text that several want is encoded once. A text
    nobody waits for any longer is not encoded. An encoder that is away is left alone for a while, which grows from
    1 to 30 s. May be used from several event loops.
    """

    def __init__(self, encoder: Encoder, *, model: str, cache_entries: int = 10_000) -> None:
        self._encoder, self._model = encoder, model
        self._epoch, self._dimension = encoder.epoch, encoder.dimension
        self._changed = threading.Condition()  # its lock may be taken again by its holder
        self._lanes = (_Lane(), _Lane(), _Lane())  # urgent, small, bulk
        self._wanted: dict[bytes, _Text] = {}
        self._cache = _Cache(cache_entries)
        self._rest = _Rest()
        self._counts = _Counts()
        self._workers: list[threading.Thread] = []
        self._closed = False

    @property
    def state(self) -> EmbedderState:
        """Ready, or broken while the encoder is away."""
        with self._changed:
            trouble = SHUT_DOWN if self._closed else self._rest.reason if self._rest.resting() else ""
            return EmbedderState(
                model=self._model,
                phase="broken" if trouble else "ready",
                epoch=self._epoch,
                dimension=self._dimension,
                detail=trouble,
                figures=self._counts.figures(queued=len(self._wanted), cached=len(self._cache)),
            )

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> tuple[Matrix, str]:
        """(n, d) vectors of n texts and their epoch.

        Raises:
            EmbedderNotReadyError: The encoder failed on one of these texts, or is away.
        """
        request = self._submit(texts, urgent=urgent)
        if request.missing:
            try:
                await request.done.settled()
            except asyncio.CancelledError:
                request.done.future.cancel()  # nobody waits for its texts any longer
                raise
        return request.vectors, self._epoch

    def holds(self, text: str) -> bool:
        """Whether the text's vector is at hand, so that `embed` need not wait for the encoder."""
        with self._changed:
            return _key(text) in self._cache

    def clear(self) -> None:
        """Forget every text's vector."""
        with self._changed:
            self._cache.clear()

    def close(self) -> None:
        """Refuse what waits and what comes; runs in progress end unheard."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            waiting = list(self._wanted.values())
            self._wanted.clear()
            self._changed.notify_all()
            unused = not self._workers
        if unused:
            self._encoder.close()
        _fail(waiting, SHUT_DOWN)

    def _submit(self, texts: Sequence[str], *, urgent: bool) -> "_Request":
        keys = [_key(text) for text in texts]
        request = _Request(np.empty((len(texts), self._dimension), dtype=np.float32))
        with self._changed:
            places: dict[bytes, list[int]] = {}
            for place, key in enumerate(keys):
                vector = self._cache.get(key)
                if vector is None:
                    places.setdefault(key, []).append(place)
                else:
                    request.vectors[place] = vector
            request.missing = len(places)
            if places:
                self._refuse_if_away()
                self._queue(request, places, texts, urgent=urgent)
            self._counts.asked(len(texts), missed=len(places))
        return request

    def _refuse_if_away(self) -> None:
        if self._closed:
            raise EmbedderNotReadyError(SHUT_DOWN)
        if self._rest.resting():
            raise EmbedderNotReadyError(self._rest.reason)

    def _queue(self, request: "_Request", places: Mapping[bytes, list[int]], texts: Sequence[str], *, urgent: bool) -> None:
        lane = self._lanes[0 if urgent else 1 if len(places) <= SMALL_REQUEST else 2]
        for key, at in places.items():
            text = self._wanted.get(key)
            if text is None:
                text = self._wanted[key] = _Text(texts[at[0]], key)
            text.waiting.append((request, at))
            if not text.taken:
                lane.arrived.append(text)  # a text may stand in two lanes: whichever comes first takes it
        if not self._workers:
            self._workers = [threading.Thread(target=self._work, name="embedding", daemon=True) for _ in range(self._encoder.callers)]
            for worker in self._workers:
                worker.start()
            atexit.register(self._leave)
        self._changed.notify(len(places))

    def _work(self) -> None:
        while run := self._next_run():
            finished = self._encode(run)
            with self._changed:
                self._counts.ended()  # before they are told, since what they ask next is shared among those that rest
            for request in finished:
                request.resolve()
            wake(request.done for request in finished)
        with self._changed:
            self._workers.remove(threading.current_thread())
            if self._workers:
                return
        self._encoder.close()
        atexit.unregister(self._leave)

    def _leave(self) -> None:
        """Native code that a daemon thread is in when the interpreter ends would abort the process."""
        self.close()
        deadline = time.monotonic() + LAST_RUN_SECONDS
        for worker in list(self._workers):
            worker.join(max(0.0, deadline - time.monotonic()))

    def _next_run(self) -> list["_Text"]:
        """Waits for work; empty when closed."""
        with self._changed:
            while not self._closed:
                for lane in self._lanes:
                    if run := self._take(lane):
                        self._counts.began()
                        return run
                self._changed.wait()
        return []

    def _take(self, lane: "_Lane") -> list["_Text"]:
        share = -(-len(lane) // (len(self._workers) - self._counts.running))  # two small runs at once are sooner done than a larger one
        run: list[_Text] = []
        while len(run) < min(share, self._encoder.run_texts) and (text := lane.first()) is not None:
            if text.taken or self._dropped(text):
                lane.drop_first()
                continue
            if run and (len(run) + 1) * text.tokens > self._encoder.run_tokens:
                break
            lane.drop_first()
            text.taken = True
            run.append(text)
        return run

    def _dropped(self, text: "_Text") -> bool:
        """Forget a text if nobody waits for it any longer; whoever asks for it from now on asks anew."""
        with self._changed:
            if not text.abandoned():
                return False
            text.taken = True  # it may stand in another lane as well
            if self._wanted.get(text.key) is text:
                del self._wanted[text.key]
            return True

    def _encode(self, run: Sequence["_Text"]) -> list["_Request"]:
        """The requests that have everything now."""
        try:
            vectors = self._encoder.encode([text.content for text in run])
            if vectors.shape != (len(run), self._dimension):
                raise TierError("embedder", "The embedding model did not give one vector for each text.")
        except TierUnavailableError as error:
            self._leave_alone(error)
        except Exception as error:  # noqa: BLE001 - whatever a model dies of concerns these texts only
            if len(run) == 1:
                self._give_up(run[0], error)
            else:
                return [request for text in run if not self._dropped(text) for request in self._encode([text])]
        else:
            return self._deliver(run, vectors)
        return []

    def _deliver(self, run: Sequence["_Text"], vectors: Matrix) -> list["_Request"]:
        finished: list[_Request] = []
        with self._changed:
            self._rest.over()
            self._counts.done += len(run)
            for text, vector in zip(run, vectors, strict=True):
                self._wanted.pop(text.key, None)
                self._cache.put(text.key, vector.copy())
                for request, places in text.waiting:
                    request.vectors[places] = vector
                    request.missing -= 1
                    if not request.missing:
                        finished.append(request)
        return finished

    def _give_up(self, text: "_Text", error: Exception) -> None:
        log.error("embedding_failed", model=self._model, **described(error))
        with self._changed:
            self._wanted.pop(text.key, None)
        _fail([text], "The embedding model failed on a text; other texts are not concerned.", error)

    def _leave_alone(self, error: TierUnavailableError) -> None:
        """Nothing that waits can be served: say so at once, rather than after each one's own time limit."""
        with self._changed:
            seconds = self._rest.begin(str(error))
            waiting = list(self._wanted.values())
            self._wanted.clear()
            for lane in self._lanes:
                lane.clear()
        log.warning("embedder_away", model=self._model, rest_seconds=seconds, waiting=len(waiting), **described(error))
        _fail(waiting, str(error), error)


@dataclass(slots=True, eq=False)
class _Request:
    """One call of `embed`. `missing` counts the different texts it still waits for."""

    vectors: Matrix
    missing: int = 0
    done: Awaited[None] = field(default_factory=Awaited)

    def resolve(self, error: Exception | None = None) -> None:
        with suppress(InvalidStateError):  # it was cancelled or has failed already
            if error is None:
                self.done.future.set_result(None)
            else:
                self.done.future.set_exception(error)


@dataclass(slots=True, eq=False)
class _Text:
    """A text that is wanted, with where in which requests its vector belongs."""

    content: str
    key: bytes
    waiting: list[tuple[_Request, list[int]]] = field(default_factory=list)
    taken: bool = False

    @property
    def tokens(self) -> int:
        """An estimate; the encoder counts for itself."""
        return len(self.content.encode("utf-8", "surrogatepass")) // 5 + 2

    def abandoned(self) -> bool:
        """All who wanted it were cancelled, or have failed by another of their texts."""
        return all(request.done.future.done() for request, _ in self.waiting)


@dataclass(slots=True)
class _Lane:
    """Texts of one urgency. What arrived while the last batch was worked off becomes the next, shortest first."""

    arrived: list[_Text] = field(default_factory=list)
    batch: deque[_Text] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.batch) + len(self.arrived)

    def first(self) -> _Text | None:
        if not self.batch and self.arrived:
            self.batch.extend(sorted(self.arrived, key=lambda text: text.tokens))
            self.arrived.clear()
        return self.batch[0] if self.batch else None

    def drop_first(self) -> None:
        self.batch.popleft()

    def clear(self) -> None:
        self.arrived.clear()
        self.batch.clear()


class _Cache:
    """Vectors by digest of their text, the least lately used forgotten first."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._vectors: OrderedDict[bytes, Matrix] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def __contains__(self, key: bytes) -> bool:
        return key in self._vectors

    def clear(self) -> None:
        self._vectors.clear()

    def get(self, key: bytes) -> Matrix | None:
        vector = self._vectors.get(key)
        if vector is not None:
            self._vectors.move_to_end(key)
        return vector

    def put(self, key: bytes, vector: Matrix) -> None:
        self._vectors[key] = vector
        if len(self._vectors) > self._entries:
            self._vectors.popitem(last=False)


@dataclass(slots=True)
class _Rest:
    """How long an encoder that is away is left alone."""

    reason: str = ""
    until: float = 0.0
    seconds: float = 0.0

    def resting(self) -> bool:
        return bool(self.reason) and time.monotonic() < self.until

    def begin(self, reason: str) -> float:
        self.seconds = min(max(2 * self.seconds, FIRST_REST_SECONDS), LONGEST_REST_SECONDS)
        self.reason, self.until = reason, time.monotonic() + self.seconds
        return self.seconds

    def over(self) -> None:
        self.reason, self.seconds = "", 0.0


@dataclass(slots=True)
class _Counts:
    """Since the start; and how many runs there are now."""

    texts: int = 0
    misses: int = 0
    done: int = 0
    running: int = 0
    busy_seconds: float = 0.0
    busy_until: float = 0.0

    def asked(self, texts: int, *, missed: int) -> None:
        self.texts += texts
        self.misses += missed

    def began(self) -> None:
        self._note()
        self.running += 1

    def ended(self) -> None:
        self._note()
        self.running -= 1

    def _note(self) -> None:
        now = time.monotonic()
        if self.running:
            self.busy_seconds += now - self.busy_until
        self.busy_until = now

    def figures(self, *, queued: int, cached: int) -> dict[str, float]:
        return {
            "hits": self.texts - self.misses,
            "misses": self.misses,
            "hit_rate": round((self.texts - self.misses) / self.texts, 3) if self.texts else 0.0,
            "texts_per_second": round(self.done / self.busy_seconds, 1) if self.busy_seconds else 0.0,
            "queued": queued,
            "cached": cached,
        }


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _fail(texts: Iterable[_Text], message: str, cause: Exception | None = None) -> None:
    waiting = [request for text in texts for request, _ in text.waiting]
    for request in waiting:
        error = EmbedderNotReadyError(message)
        error.__cause__ = cause
        request.resolve(error)
    wake(request.done for request in waiting)


def described(error: Exception) -> dict[str, str]:
    """The trace without values: an exception of a driver may quote what it was given."""
    return {
        "error": type(error).__name__,
        "cause": type(error.__cause__).__name__ if error.__cause__ else "",
        "reason": str(error) if isinstance(error, MemoryMcpError) else "",
        "trace": "".join(traceback.format_tb(error.__traceback__)),
    }
