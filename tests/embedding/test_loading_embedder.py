import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import structlog

from memory_mcp.embedding.encoder import Encoder
from memory_mcp.embedding.loading import Attempt, LoadingEmbedder
from memory_mcp.embedding.local import load_local
from memory_mcp.embedding.onnx import OnnxEncoder
from memory_mcp.embedding.opening import open_embedder
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.errors import EmbedderNotReadyError, TierError


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a state of another thread, which tells nobody
            await asyncio.sleep(0.005)


async def test_nothing_is_loaded_before_it_is_asked_for(encoder: OnnxEncoder) -> None:
    loads: list[Attempt] = []

    def load(attempt: Attempt) -> Encoder:
        loads.append(attempt)
        return encoder

    embedder = LoadingEmbedder("m", load)
    with pytest.raises(EmbedderNotReadyError, match="not being loaded yet"):
        await embedder.embed(["a"])
    assert not loads
    embedder.start()
    embedder.start()
    await embedder.wait_ready(5)
    await embedder.wait_ready(0)
    vectors, epoch = await embedder.embed(["a"])
    embedder.close()

    assert len(loads) == 1
    assert epoch == encoder.epoch == embedder.state.epoch
    assert np.allclose(vectors, encoder.encode(["a"]), atol=1e-6)


async def test_while_loading_the_answer_is_not_yet_and_comes_at_once(encoder: OnnxEncoder) -> None:
    go_on = threading.Event()

    def load(attempt: Attempt) -> Encoder:
        attempt.say("The model is being carried upstairs.")
        assert go_on.wait(10)
        return encoder

    embedder = LoadingEmbedder("m", load)
    embedder.start()
    await until(lambda: "upstairs" in embedder.state.detail)
    started = time.perf_counter()
    with pytest.raises(EmbedderNotReadyError, match="carried upstairs"):
        await embedder.embed(["a"])
    assert time.perf_counter() - started < 5
    assert embedder.state.phase == "loading"
    with pytest.raises(EmbedderNotReadyError, match="carried upstairs"):
        await embedder.wait_ready(0.05)

    woken = asyncio.Event()
    loop = asyncio.get_running_loop()
    embedder.on_ready(lambda: loop.call_soon_threadsafe(woken.set) and None)
    waiting = [asyncio.create_task(embedder.wait_ready(5)) for _ in range(3)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    go_on.set()
    await asyncio.gather(*waiting[1:])
    await asyncio.wait_for(woken.wait(), 5)
    late: list[str] = []
    embedder.on_ready(lambda: late.append("at once"))

    assert embedder.state.phase == "ready"
    assert late == ["at once"]
    embedder.close()
    assert embedder.state.phase == "broken"


async def test_a_failed_load_is_repeated_with_growing_delays(encoder: OnnxEncoder) -> None:
    moments: list[float] = []

    def load(_: Attempt) -> Encoder:
        moments.append(time.monotonic())
        if len(moments) <= 2:
            raise TierError("embedder", "The hub is away.")
        if len(moments) == 3:
            raise RuntimeError("https://user:secret@host")
        return encoder

    embedder = LoadingEmbedder("m", load, first_delay_seconds=0.1)
    embedder.start()
    with pytest.raises(EmbedderNotReadyError, match="The hub is away"):
        await embedder.wait_ready(5)
    assert embedder.state.phase == "broken"
    with pytest.raises(EmbedderNotReadyError, match="The hub is away"):
        await embedder.embed(["a"])
    await until(lambda: len(moments) == 3)
    await until(lambda: "could not be loaded" in embedder.state.detail)
    assert "secret" not in embedder.state.detail
    await until(lambda: embedder.state.phase == "ready")
    embedder.close()
    waits = np.diff(moments)

    assert waits[0] >= 0.1
    assert waits[1] >= 0.2
    assert waits[2] >= 0.4


async def test_a_failure_that_comes_again_is_traced_once(encoder: OnnxEncoder) -> None:
    faults = [EmbedderNotReadyError("Away."), EmbedderNotReadyError("Away."), ValueError("odd"), ValueError("odd")]

    def load(attempt: Attempt) -> Encoder:
        if faults:
            raise faults.pop(0)
        return encoder

    with structlog.testing.capture_logs() as logs:
        embedder = LoadingEmbedder("m", load, first_delay_seconds=0.01)
        embedder.start()
        await until(lambda: embedder.state.phase == "ready")
        embedder.close()

    failures = [line for line in logs if line["event"] == "embedder_load_failed"]
    assert ["trace" in line for line in failures] == [True, False, True, True], "what is not known is worth a trace each time"
    assert [line["reason"] for line in failures] == ["Away.", "the same as before", "", ""]


async def test_closing_while_loading_wakes_who_waits_and_keeps_nothing(encoder: OnnxEncoder) -> None:
    attempts: list[Attempt] = []

    def load(attempt: Attempt) -> Encoder:
        attempts.append(attempt)
        assert attempt.stop.wait(5)
        return encoder

    embedder = LoadingEmbedder("m", load)
    embedder.start()
    waiting = asyncio.create_task(embedder.wait_ready(5))
    await until(lambda: bool(attempts))
    await asyncio.sleep(0.01)
    embedder.close()
    with pytest.raises(EmbedderNotReadyError, match="shut down"):
        await waiting
    await asyncio.sleep(0.05)
    embedder.start()

    assert embedder.state.phase == "broken"
    assert len(attempts) == 1


async def test_settings_open_a_local_model(compiled: Path, tmp_path: Path) -> None:
    embedder = open_embedder(EmbeddingSettings(model=str(compiled), threads=1, cache_entries=5), tmp_path)
    assert embedder.state.model == "all-MiniLM-L6-v2"
    embedder.start()
    with structlog.testing.capture_logs():
        await embedder.wait_ready(20)
    vectors, _ = await embedder.embed(["hello"], urgent=True)
    embedder.close()

    assert vectors.shape == (1, 384)
    assert not (tmp_path / "models").exists()


LOAD_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import onnxruntime, tokenizers
from memory_mcp.embedding.loading import Attempt
from memory_mcp.embedding.local import load_local
from memory_mcp.errors import EmbedderNotReadyError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 80_000_000, -1))
try:
    load_local("all-MiniLM-L6-v2", Path(sys.argv[1]), Attempt())
except EmbedderNotReadyError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_model_for_which_there_is_no_memory_is_kept(compiled: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(compiled, tmp_path / "all-MiniLM-L6-v2"))
    done = subprocess.run([sys.executable, "-c", LOAD_WITH_LITTLE_MEMORY, str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "memory may be short" in done.stdout
    assert OnnxEncoder(folder).dimension == 384


def test_a_damaged_model_is_removed_to_be_made_anew(compiled: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(compiled, tmp_path / "all-MiniLM-L6-v2"))
    with (folder / "model.onnx").open("r+b") as file:
        file.truncate(1000)

    with pytest.raises(EmbedderNotReadyError, match="made again"):
        load_local("all-MiniLM-L6-v2", tmp_path, Attempt())

    assert not folder.exists()


async def test_settings_that_name_nothing_give_a_broken_state_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    embedder = open_embedder(EmbeddingSettings(model=str(tmp_path / "empty")), tmp_path)
    embedder.start()
    with pytest.raises(EmbedderNotReadyError, match="no model"):
        await embedder.wait_ready(20)
    embedder.close()


async def test_a_remote_model_that_is_away_is_broken_until_it_answers(tmp_path: Path) -> None:
    settings = EmbeddingSettings(provider="remote", model="m", base_url="http://127.0.0.1:9/v1")
    embedder = open_embedder(settings, tmp_path)
    embedder.start()
    with pytest.raises(EmbedderNotReadyError, match="does not answer"):
        await embedder.wait_ready(20)
    embedder.close()


def test_a_process_that_is_loading_ends_at_once() -> None:
    code = """
import asyncio, time
from memory_mcp.embedding.loading import LoadingEmbedder

def load(attempt):
    time.sleep(60)

async def main():
    embedder = LoadingEmbedder("m", load)
    embedder.start()
    await asyncio.sleep(0.1)

asyncio.run(main())
"""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)

    assert time.monotonic() - started < 10


def test_a_process_that_embeds_ends_at_once(compiled: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from memory_mcp.embedding.settings import EmbeddingSettings
from memory_mcp.embedding.opening import open_embedder

async def main():
    embedder = open_embedder(EmbeddingSettings(model=sys.argv[1]), Path("/nowhere"))
    embedder.start()
    await embedder.wait_ready(20)
    task = asyncio.create_task(embedder.embed(["a long text of words " * 50 + str(i) for i in range(2000)]))
    await asyncio.sleep(0.1)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code, str(compiled)], check=True, timeout=10, capture_output=True)

    assert b"Traceback" not in done.stderr
