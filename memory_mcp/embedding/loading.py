"""An embedder whose model loads in the background, when asked, as often as it takes."""

import asyncio
import atexit
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import structlog

from memory_mcp.contracts import EmbedderState
from memory_mcp.embedding.batching import SHUT_DOWN, BatchingEmbedder, described
from memory_mcp.embedding.encoder import Encoder
from memory_mcp.errors import EmbedderNotReadyError, MemoryMcpError
from memory_mcp.models import Matrix

log = structlog.get_logger(__name__)

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 2.0, 600.0

LAST_STEP_SECONDS = 1.0
"""How long the end of the process waits for a load in progress; that of a compiled model takes 0.3 s."""


def _nobody_listens(detail: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to load a model, as whoever loads it sees it.

    Attributes:
        stop: Set when nobody waits any longer.
        say: Takes a sentence on what is going on, for people.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    say: Callable[[str], None] = _nobody_listens


class LoadingEmbedder:
    """An `Embedder` that is not ready until its model is loaded; `start` begins that, `close` ends everything.

    Loads in a daemon thread of its own: a pool's would hold up the end of the process until the import of a heavy
    library is through. A failed attempt is repeated, after a delay that grows from 2 s to 10 min.
    """

    def __init__(
        self,
        model: str,
        load: Callable[[Attempt], Encoder],
        *,
        cache_entries: int = 10_000,
        first_delay_seconds: float = FIRST_DELAY_SECONDS,
    ) -> None:
        self._load, self._cache_entries, self._delay_seconds = load, cache_entries, first_delay_seconds
        self._lock = threading.Lock()
        self._attempt = Attempt(say=self._say)
        self._thread: threading.Thread | None = None
        self._ready: BatchingEmbedder | None = None
        self._state = EmbedderState(model, "loading", detail=f"The embedding model {model} is not being loaded yet.")
        self._failure = ""  # what was said of the last one
        self._waiting: list[Future[None]] = []
        self._callbacks: list[Callable[[], None]] = []

    @property
    def state(self) -> EmbedderState:
        """Never waits."""
        return self._state if self._ready is None else self._ready.state

    def start(self) -> None:
        """Begin to load; once."""
        with self._lock:
            if self._thread is None and not self._attempt.stop.is_set():
                self._say(f"The embedding model {self._state.model} is being loaded.")
                self._thread = threading.Thread(target=self._run, name="embedding-load", daemon=True)
                self._thread.start()
                atexit.register(self._leave)

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> tuple[Matrix, str]:
        """As the protocol says.

        Raises:
            EmbedderNotReadyError: At once, unless the model is loaded.
        """
        if self._ready is None:
            raise EmbedderNotReadyError(self._state.detail)
        return await self._ready.embed(texts, urgent=urgent)

    def holds(self, text: str) -> bool:
        """Whether the text's vector is at hand."""
        return self._ready is not None and self._ready.holds(text)

    def clear(self) -> None:
        """Forget every text's vector."""
        if self._ready is not None:
            self._ready.clear()

    async def wait_ready(self, timeout_seconds: float) -> None:
        """Return as soon as the model is loaded.

        Raises:
            EmbedderNotReadyError: It is broken, or the time is up.
        """
        settled: Future[None] = Future()
        with self._lock:
            if self._ready is not None:
                return
            if self._state.phase == "broken":
                raise EmbedderNotReadyError(self._state.detail)
            self._waiting.append(settled)
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.wrap_future(settled)
        except TimeoutError:
            raise EmbedderNotReadyError(self._state.detail) from None

    def on_ready(self, callback: Callable[[], None]) -> None:
        """Call this once when the model is loaded, from another thread; at once if it is."""
        with self._lock:
            if self._ready is None:
                self._callbacks.append(callback)
                return
        callback()

    def close(self) -> None:
        """End loading and embedding; waits for neither."""
        with self._lock:
            self._attempt.stop.set()
            if self._ready is None:
                self._state = replace(self._state, phase="broken", detail=SHUT_DOWN)
            else:
                self._ready.close()
        self._settle()

    def _leave(self) -> None:
        """Native code that a daemon thread is in when the interpreter ends would abort the process."""
        self.close()
        if self._thread is not None:
            self._thread.join(LAST_STEP_SECONDS)

    def _run(self) -> None:
        self._load_until_it_works()
        atexit.unregister(self._leave)

    def _load_until_it_works(self) -> None:
        stop, delay = self._attempt.stop, self._delay_seconds
        while not stop.is_set():
            try:
                encoder = self._load(self._attempt)
            except Exception as error:  # noqa: BLE001 - whatever a library dies of, words still work, and it is tried again
                self._broke(error, delay)
                stop.wait(delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            else:
                self._loaded(encoder)
                return

    def _loaded(self, encoder: Encoder) -> None:
        with self._lock:
            if self._attempt.stop.is_set():
                encoder.close()
                return
            self._ready = BatchingEmbedder(encoder, model=self._state.model, cache_entries=self._cache_entries)
            callbacks, self._callbacks = self._callbacks, []
        log.info("embedder_ready", model=self._state.model, epoch=encoder.epoch)
        self._settle()
        for callback in callbacks:
            callback()

    def _broke(self, error: Exception, delay: float) -> None:
        model = self._state.model
        known = isinstance(error, MemoryMcpError)
        detail = str(error) if known else f"The embedding model {model} could not be loaded; the log has the details."
        with self._lock:
            if self._attempt.stop.is_set():
                return
            again, self._failure = known and detail == self._failure, detail
            self._state = replace(self._state, phase="broken", detail=f"{detail} (It is tried again.)")
        facts = {"error": type(error).__name__, "reason": "the same as before"} if again else described(error)
        log.warning("embedder_load_failed", model=model, retry_seconds=delay, **facts)
        self._settle()

    def _say(self, detail: str) -> None:
        self._state = replace(self._state, detail=detail)

    def _settle(self) -> None:
        """Wake all who wait: with success, or with what the state says."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.set_running_or_notify_cancel():
                continue
            if self._ready is None:
                future.set_exception(EmbedderNotReadyError(self._state.detail))
            else:
                future.set_result(None)
