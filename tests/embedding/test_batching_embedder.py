import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import structlog

from memory_mcp.contracts import Embedder
from memory_mcp.embedding.batching import BatchingEmbedder
from memory_mcp.embedding.encoder import unit_rows
from memory_mcp.embedding.onnx import OnnxEncoder
from memory_mcp.errors import EmbedderNotReadyError, TierError
from memory_mcp.models import Matrix


def vector_of(text: str) -> Matrix:
    return unit_rows(np.random.default_rng(crc32(text.encode())).standard_normal((1, 4)), 1, 4)[0]


class Pondering:
    """An encoder that shows what it was given, and can be held up."""

    epoch, dimension, run_texts, run_tokens = "pondering@1/4", 4, 4, 64

    def __init__(self, callers: int = 1) -> None:
        self.callers = callers
        self.runs: list[list[str]] = []
        self.go_on, self.began = threading.Event(), threading.Event()
        self.go_on.set()
        self.fails: Callable[[Sequence[str]], Exception | None] = lambda texts: None
        self.closed = 0

    def encode(self, texts: Sequence[str]) -> Matrix:
        self.runs.append(list(texts))
        self.began.set()
        assert self.go_on.wait(10)
        if (error := self.fails(texts)) is not None:
            raise error
        return np.stack([vector_of(text) for text in texts])

    def close(self) -> None:
        self.closed += 1

    @property
    def encoded(self) -> list[str]:
        return [text for run in self.runs for text in run]


@asynccontextmanager
async def held_up(encoder: Pondering, embedder: Embedder) -> AsyncIterator[None]:
    """Inside, the encoder ponders on one text; what is asked for meanwhile is waiting."""
    encoder.go_on.clear()
    encoder.began.clear()
    first = asyncio.create_task(embedder.embed(["first"]))
    await asyncio.to_thread(encoder.began.wait, 5)
    yield
    await asyncio.sleep(0.05)
    encoder.go_on.set()
    await first


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.002)


@pytest.fixture
def encoder() -> Pondering:
    return Pondering()


@pytest.fixture
def embedder(encoder: Pondering) -> BatchingEmbedder:
    return BatchingEmbedder(encoder, model="pondering", cache_entries=100)


async def test_each_text_gets_its_own_vector(embedder: Embedder) -> None:
    texts = [f"text {i % 30} " + "x" * (i % 17) for i in range(100)]
    vectors, epoch = await embedder.embed(texts)

    assert epoch == "pondering@1/4"
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, np.stack([vector_of(text) for text in texts]))


async def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert (await embedder.embed([]))[0].shape == (0, 4)


async def test_a_text_is_encoded_once_however_many_want_it(encoder: Pondering, embedder: Embedder) -> None:
    async with held_up(encoder, embedder):
        tasks = [asyncio.create_task(embedder.embed(["same", "same", f"own {i}"])) for i in range(5)]
    for i, task in enumerate(tasks):
        assert np.array_equal((await task)[0], [vector_of("same"), vector_of("same"), vector_of(f"own {i}")])
    await embedder.embed(["same", "first"], urgent=True)

    assert sorted(encoder.encoded) == sorted(["first", "same", *(f"own {i}" for i in range(5))])


async def test_figures_tell_hits_from_misses(embedder: Embedder) -> None:
    await embedder.embed(["a", "b", "a"])
    await embedder.embed(["a", "b", "c", "a"])
    figures = embedder.state.figures

    assert figures is not None
    assert (figures["hits"], figures["misses"]) == (4, 3)
    assert figures["hit_rate"] == pytest.approx(4 / 7, abs=0.001)
    assert figures["cached"] == 3
    assert figures["queued"] == 0
    assert figures["texts_per_second"] > 0


async def test_what_waits_is_encoded_together_shortest_first_within_the_bounds(encoder: Pondering, embedder: Embedder) -> None:
    texts = ["x" * n for n in (200, 12, 4, 120, 8, 16, 20)]
    async with held_up(encoder, embedder):
        tasks = [asyncio.create_task(embedder.embed([text])) for text in texts]
    await asyncio.gather(*tasks)

    assert [[len(text) for text in run] for run in encoder.runs[1:]] == [[4, 8, 12, 16], [20, 120], [200]]


async def test_the_urgent_overtake_and_the_few_go_before_the_many(encoder: Pondering, embedder: Embedder) -> None:
    async with held_up(encoder, embedder):
        many = asyncio.create_task(embedder.embed([f"many {i}" for i in range(20)]))
        await asyncio.sleep(0)
        few = asyncio.create_task(embedder.embed(["few"]))
        await asyncio.sleep(0)
        urgent = asyncio.create_task(embedder.embed(["urgent", "many 19"], urgent=True))
        await asyncio.sleep(0)
    await asyncio.gather(many, few, urgent)

    assert encoder.runs[:3] == [["first"], ["urgent", "many 19"], ["few"]]
    assert encoder.encoded.count("many 19") == 1


async def test_an_urgent_text_waits_for_one_run_of_a_bulk(encoder: Pondering, embedder: Embedder) -> None:
    encoder.go_on.clear()
    bulk = asyncio.create_task(embedder.embed([f"bulk {i}" for i in range(1000)]))
    await asyncio.to_thread(encoder.began.wait, 5)
    urgent = asyncio.create_task(embedder.embed(["urgent"], urgent=True))
    await asyncio.sleep(0)
    encoder.go_on.set()
    await asyncio.gather(bulk, urgent)

    assert encoder.runs[1] == ["urgent"]
    assert len(encoder.runs) == 251


async def test_an_encoder_of_several_callers_gets_even_shares_at_once() -> None:
    encoder = Pondering(callers=2)
    embedder = BatchingEmbedder(encoder, model="pondering", cache_entries=100)
    encoder.go_on.clear()
    first = asyncio.create_task(embedder.embed(["first"]))
    await until(lambda: len(encoder.runs) == 1)
    second = asyncio.create_task(embedder.embed(["second"]))
    await until(lambda: len(encoder.runs) == 2)
    bulk = asyncio.create_task(embedder.embed([f"{i}" for i in range(11)]))
    few = [asyncio.create_task(embedder.embed([f"few {i}"])) for i in range(2)]
    await asyncio.sleep(0.05)
    encoder.go_on.set()
    vectors, _ = await bulk
    await asyncio.gather(first, second, *few)
    together = encoder.encoded

    assert np.array_equal(vectors, np.stack([vector_of(f"{i}") for i in range(11)]))
    assert sorted(together) == sorted({"first", "second", "few 0", "few 1", *(f"{i}" for i in range(11))})
    assert encoder.runs[:2] == [["first"], ["second"]]

    encoder.go_on.clear()
    many = asyncio.create_task(embedder.embed([f"more {i}" for i in range(6)]))
    await until(lambda: len(encoder.encoded) == len(together) + 6)
    shares = [len(run) for run in encoder.runs[-2:]]
    encoder.go_on.set()
    await many

    assert shares == [3, 3]
    assert embedder.state.figures is not None
    assert embedder.state.figures["queued"] == 0


async def test_time_in_which_two_runs_are_at_work_counts_once() -> None:
    encoder = Pondering(callers=2)
    embedder = BatchingEmbedder(encoder, model="pondering", cache_entries=100)
    encoder.go_on.clear()
    started = time.monotonic()
    both = asyncio.gather(embedder.embed(["a"]), embedder.embed(["b"]))
    await until(lambda: len(encoder.runs) == 2)
    await asyncio.sleep(0.3)
    encoder.go_on.set()
    await both
    elapsed = time.monotonic() - started
    await until(lambda: embedder.state.figures is not None and embedder.state.figures["texts_per_second"] > 0)
    await asyncio.sleep(0.05)
    figures = embedder.state.figures

    assert figures is not None
    assert figures["texts_per_second"] > 1.5 / elapsed


@pytest.mark.parametrize("callers", [1, 3])
@pytest.mark.parametrize("seed", range(5))
async def test_whatever_is_cancelled_or_fails_everyone_else_is_answered(seed: int, callers: int) -> None:
    """Many callers of few texts, so that texts are shared, given up and asked for anew at every moment."""
    encoder = Pondering(callers)
    rng = random.Random(seed)
    encoder.fails = lambda texts: ValueError() if "5" in texts else None
    embedder = BatchingEmbedder(encoder, model="m", cache_entries=3)
    answered = 0

    async def call() -> None:
        nonlocal answered
        texts = [str(rng.randrange(20)) for _ in range(rng.choice((1, 2, 12)))]
        with suppress(TimeoutError, EmbedderNotReadyError):
            patience = rng.choice((0, 0.0005, 0.002, 5))
            vectors, _ = await asyncio.wait_for(embedder.embed(texts, urgent=rng.random() < 0.3), patience)
            assert np.array_equal(vectors, np.stack([vector_of(text) for text in texts]))
            answered += 1

    async def calls() -> None:
        for _ in range(40):
            started = time.perf_counter()
            await call()
            assert time.perf_counter() - started < 4

    with structlog.testing.capture_logs():
        await asyncio.gather(*(calls() for _ in range(10)))

    assert answered > 50


async def test_texts_nobody_waits_for_any_longer_are_not_encoded(encoder: Pondering, embedder: Embedder) -> None:
    async with held_up(encoder, embedder):
        given_up = asyncio.create_task(embedder.embed(["lost", "shared"]))
        kept = asyncio.create_task(embedder.embed(["shared"]))
        await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
    await kept
    again, _ = await embedder.embed(["lost"])

    assert encoder.runs[1] == ["shared"]
    assert encoder.encoded.count("lost") == 1
    assert np.array_equal(again, [vector_of("lost")])


async def test_a_text_given_up_in_two_lanes_and_asked_for_anew_is_answered(encoder: Pondering, embedder: BatchingEmbedder) -> None:
    async with held_up(encoder, embedder):
        given_up = [
            asyncio.create_task(embedder.embed(["wanted", *(f"{i}" for i in range(20))])),
            asyncio.create_task(embedder.embed(["wanted"], urgent=True)),
        ]
        await asyncio.sleep(0.01)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
    vectors, _ = await asyncio.wait_for(embedder.embed(["wanted"]), 5)

    assert np.array_equal(vectors, [vector_of("wanted")])
    assert encoder.encoded.count("wanted") == 1


async def test_an_encoder_that_gives_too_few_vectors_fails_its_texts_and_goes_on(
    encoder: Pondering, embedder: BatchingEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "encode", lambda texts: np.ones((1, 3), dtype=np.float32))
    with pytest.raises(EmbedderNotReadyError):
        await asyncio.wait_for(embedder.embed(["a", "b"]), 5)
    monkeypatch.undo()

    assert (await asyncio.wait_for(embedder.embed(["a", "b"]), 5))[0].shape == (2, 4)


async def test_a_text_that_fails_does_not_sink_the_others(encoder: Pondering, embedder: Embedder) -> None:
    encoder.fails = lambda texts: ValueError(f"cannot encode {texts}") if "secret evil" in texts else None
    with structlog.testing.capture_logs() as logs:
        async with held_up(encoder, embedder):
            tasks = [asyncio.create_task(embedder.embed([text])) for text in ("a", "secret evil", "b")]
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(results[1], EmbedderNotReadyError)
    assert not isinstance(results[0], BaseException)
    assert np.array_equal(results[0][0], [vector_of("a")])
    assert not isinstance(results[2], BaseException)
    assert embedder.state.phase == "ready"
    assert [(entry["event"], entry["error"]) for entry in logs] == [("embedding_failed", "ValueError")]
    assert "in encode" in logs[0]["trace"]
    assert "secret" not in str(logs)
    assert "secret" not in str(results[1])
    with pytest.raises(EmbedderNotReadyError):
        await embedder.embed(["secret evil"])


async def test_an_encoder_that_is_away_is_left_alone_for_a_while(encoder: Pondering, embedder: Embedder) -> None:
    await embedder.embed(["known"])
    encoder.fails = lambda texts: EmbedderNotReadyError("The endpoint does not answer.")
    results = await asyncio.gather(*(embedder.embed([f"{i} {j}" for j in range(5)]) for i in range(4)), return_exceptions=True)
    state, runs = embedder.state, len(encoder.runs)
    with pytest.raises(EmbedderNotReadyError, match="does not answer"):
        await embedder.embed(["new"])
    known, _ = await embedder.embed(["known"])
    encoder.fails = lambda texts: None
    await asyncio.sleep(1.05)
    new, _ = await embedder.embed(["0 0", "new"])

    assert all(isinstance(result, EmbedderNotReadyError) for result in results)
    assert (state.phase, state.detail) == ("broken", "The endpoint does not answer.")
    assert runs == 2
    assert np.array_equal(known, [vector_of("known")])
    assert np.array_equal(new, [vector_of("0 0"), vector_of("new")])
    assert embedder.state.phase == "ready"


async def test_the_least_lately_used_is_forgotten_first(encoder: Pondering) -> None:
    embedder = BatchingEmbedder(encoder, model="m", cache_entries=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        await embedder.embed([text])

    assert encoder.encoded == ["a", "b", "c", "b"]


async def test_more_texts_than_the_cache_holds(encoder: Pondering) -> None:
    texts = [f"{i}" for i in range(50)]
    vectors, _ = await BatchingEmbedder(encoder, model="m", cache_entries=0).embed(texts)

    assert np.array_equal(vectors, np.stack([vector_of(text) for text in texts]))


async def test_what_was_given_out_may_be_altered(embedder: Embedder) -> None:
    vectors, _ = await embedder.embed(["a"])
    vectors[:] = 0

    assert np.array_equal((await embedder.embed(["a"]))[0], [vector_of("a")])


async def test_a_lone_surrogate_is_a_text_like_any_other_to_the_queue(compiled_embedder: BatchingEmbedder) -> None:
    good, bad = await asyncio.gather(compiled_embedder.embed(["fine"]), compiled_embedder.embed(["\ud800"]), return_exceptions=True)

    assert not isinstance(good, BaseException)
    assert isinstance(bad, EmbedderNotReadyError)


@pytest.mark.parametrize("callers", [1, 3])
async def test_closing_refuses_what_waits_and_what_comes(callers: int) -> None:
    encoder = Pondering(callers)
    embedder = BatchingEmbedder(encoder, model="pondering", cache_entries=100)
    encoder.go_on.clear()
    waiting = asyncio.create_task(embedder.embed(["a", "b"]))
    await asyncio.to_thread(encoder.began.wait, 5)
    embedder.close()
    assert not encoder.closed
    with pytest.raises(EmbedderNotReadyError, match="shut down"):
        await waiting
    with pytest.raises(EmbedderNotReadyError, match="shut down"):
        await embedder.embed(["c"])
    encoder.go_on.set()
    for _ in range(100):
        if not encoder.closed:
            await asyncio.sleep(0.01)

    embedder.close()
    assert encoder.closed == 1


def test_one_embedder_serves_one_loop_after_another(encoder: Pondering, embedder: Embedder) -> None:
    async def give_up_half_way() -> None:
        encoder.go_on.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(embedder.embed(["slow"]), 0.05)

    asyncio.run(give_up_half_way())
    encoder.go_on.set()
    for i in range(3):
        vectors, _ = asyncio.run(embedder.embed([f"{i}", "slow"]))
        assert np.array_equal(vectors, [vector_of(f"{i}"), vector_of("slow")])


def test_one_embedder_serves_loops_side_by_side(encoder: Pondering) -> None:
    embedder = BatchingEmbedder(encoder, model="pondering", cache_entries=1000)
    failures: list[BaseException] = []

    def ask(name: str) -> None:
        async def many() -> None:
            for i in range(50):
                texts = [f"{i}", f"{name} {i}"]
                assert np.array_equal((await embedder.embed(texts))[0], [vector_of(text) for text in texts])

        try:
            asyncio.run(many())
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(f"thread {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert not failures
    assert len(set(encoder.encoded)) == len(encoder.encoded) == 250


@pytest.fixture
def compiled_embedder(compiled: Path) -> BatchingEmbedder:
    return BatchingEmbedder(OnnxEncoder(compiled), model="all-MiniLM-L6-v2")


def test_a_tier_error_of_the_encoder_becomes_not_ready(encoder: Pondering, embedder: Embedder) -> None:
    encoder.fails = lambda texts: TierError("embedder", "The embedding model gave a vector that is zero or not finite.")

    with pytest.raises(EmbedderNotReadyError) as caught:
        asyncio.run(embedder.embed(["a"]))
    assert isinstance(caught.value.__cause__, TierError)
