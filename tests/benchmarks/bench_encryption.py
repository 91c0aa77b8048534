"""What encryption costs: opening the store, asking, storing and copying it, beside the same store without, in turns."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from memory_mcp.answers import RecallRequest
from memory_mcp.models import Filter, Scope
from memory_mcp.remember.drafts import RememberRequest
from memory_mcp.tiers.sqlite import backup
from memory_mcp.tiers.sqlite.keys import find_key
from memory_mcp.tiers.sqlite.settings import NOT_ENCRYPTED, EncryptionSettings
from memory_mcp.tiers.sqlite.store import SqliteStore
from tests.benchmarks.figures import Tables, progress, say
from tests.benchmarks.filling import embed, fill, questions_like, texts_like
from tests.benchmarks.sets import EvalSet
from tests.memories import CALLER, open_service, settings_for

SIZE, ROUNDS, OPENINGS = 10_000, 150, 15
KINDS = {
    "none": NOT_ENCRYPTED,
    "key": EncryptionSettings(key="0123456789abcdef" * 4),
    "passphrase": EncryptionSettings(key="a passphrase of some length"),
}
SCOPE = Scope(CALLER.tenant, CALLER.namespace)


async def run(sets: Sequence[EvalSet], size: int = SIZE) -> Tables:
    """Medians in milliseconds, and how many times those of the plain store they are."""
    say(f"  {size:,} memories")
    texts, questions = texts_like(sets, size + ROUNDS + 1), questions_like(sets, ROUNDS + 1)
    with TemporaryDirectory(prefix="memory-mcp-bench-") as place:
        folders = {kind: Path(place) / kind for kind in KINDS}
        async with open_service(settings_for(folders["none"])) as service:
            await fill(service, {str(i): RememberRequest(text) for i, text in enumerate(texts[:size])})
        copied = {}
        for kind, encryption in KINDS.items():
            key = find_key(encryption, folders[kind])
            if key is not None:
                backup.backup(folders["none"], Path(place) / "copy.db", force=True)
                backup.restore(folders[kind], Path(place) / "copy.db", datetime.now(UTC), key)
            began = perf_counter()
            backup.backup(folders[kind], Path(place) / "timed.db", key, force=True)
            copied[kind] = 1000 * (perf_counter() - began)
        opened = await _in_turns({kind: lambda _, kind=kind: _open(folders[kind], KINDS[kind]) for kind in KINDS}, OPENINGS)
        async with AsyncExitStack() as stack:
            services = {
                kind: await stack.enter_async_context(open_service(settings_for(folder).model_copy(update={"encryption": KINDS[kind]})))
                for kind, folder in folders.items()
            }
            for service in services.values():  # what is measured is the store
                await embed(service, [*questions, *texts[size:]])
            asked = await _in_turns({k: lambda n, s=s: s.recall(RecallRequest(questions[n]), CALLER) for k, s in services.items()}, ROUNDS)
            stored = await _in_turns(
                {k: lambda n, s=s: s.remember(RememberRequest(texts[size + n]), CALLER) for k, s in services.items()}, ROUNDS
            )
        cold = await _in_turns({kind: lambda _, kind=kind: _read_all(folders[kind], KINDS[kind]) for kind in KINDS}, OPENINGS)
    rows = {"open, first read": opened, "read all vectors": cold, "recall": asked, "remember": stored, "backup": copied}
    return {f"encryption at {size:,} memories, ms; embeddings known": {row: _beside(figures) for row, figures in rows.items()}}


async def _open(folder: Path, encryption: EncryptionSettings) -> None:
    async with SqliteStore.open(folder, encryption) as store:
        await store.newest([SCOPE], Filter(), limit=1)


async def _read_all(folder: Path, encryption: EncryptionSettings) -> None:
    """What an engine does when it first searches a namespace."""
    async with SqliteStore.open(folder, encryption) as store:
        epoch = await store.active_epoch()
        assert epoch is not None
        await store.vector_changes(SCOPE, 0, epoch)


async def _in_turns(works: Mapping[str, Callable[[int], Awaitable[object]]], rounds: int) -> dict[str, float]:
    """As `figures.in_turns`, of work that awaits and is told the round."""
    taken: dict[str, list[float]] = {kind: [] for kind in works}
    for turn in progress(range(rounds + 1), "rounds"):
        for kind, work in works.items():
            began = perf_counter()
            await work(turn)
            if turn:
                taken[kind].append(1000 * (perf_counter() - began))
    return {kind: median(times) for kind, times in taken.items()}


def _beside(figures: Mapping[str, float]) -> dict[str, float]:
    return {**figures, **{f"{kind} x none": figures[kind] / figures["none"] for kind in figures if kind != "none"}}
