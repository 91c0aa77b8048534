"""What a client feels: start-up, first recall, and round trips over stdio, beside a trivial server on the same SDK.

Start-up and round trips are those of an isolated server; what sharing one engine saves is a table of its own.
"""

import itertools
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import anyio
from mcp import StdioServerParameters

from memory_mcp.remember.drafts import RememberRequest
from tests.benchmarks.figures import TARGET, Table, Tables, in_turns, progress, say
from tests.benchmarks.filling import fill, questions_like, texts_like
from tests.benchmarks.lines import Lines, resident_megabytes, talking_to
from tests.benchmarks.sets import EvalSet
from tests.engines import data_directory, front, status
from tests.memories import CALLER, open_service, settings_for, stdio_server

SIZE, STARTS, ROUNDS, CLIENTS = 1_000, 7, 101, 8
TRIVIAL = Path(__file__).parent / "trivial_server.py"


def run(sets: Sequence[EvalSet], size: int = SIZE) -> Tables:
    """Start-up and round trips with `size` memories stored."""
    with TemporaryDirectory(prefix="memory-mcp-bench-") as folder:
        say(f"  {size:,} memories")
        texts = texts_like(sets, size + ROUNDS + 1)
        anyio.run(_prepare, Path(folder), texts[:size])
        ours = stdio_server(Path(folder), namespace=CALLER.namespace)
        trivial = StdioServerParameters(command=sys.executable, args=[str(TRIVIAL)], env=ours.env, cwd=ours.cwd)
        return {
            "start-up, seconds": _starts(ours, trivial),
            f"{CLIENTS} clients at once, medians of the second to the last": _sharing(Path(folder), ours),
            f"round trips over stdio at {size:,} memories, ms": _round_trips(ours, trivial, texts[size:], questions_like(sets, ROUNDS + 1)),
        }


async def _prepare(folder: Path, texts: Sequence[str]) -> None:
    async with open_service(settings_for(folder)) as service:
        await fill(service, {str(i): RememberRequest(text) for i, text in enumerate(texts)})


def _starts(ours: StdioServerParameters, trivial: StdioServerParameters) -> Table:
    listed: dict[str, list[float]] = {"trivial": [], "memory": []}
    recalled: list[float] = []
    for turn in progress(range(STARTS + 1), "started"):
        with talking_to(trivial) as server:
            listed["trivial"].append(server.handshake())
        with talking_to(ours) as server:
            listed["memory"].append(server.handshake())
            server.call("recall", {"query": "what was decided?"})
            recalled.append(server.age())
        if turn == 0:  # files that were not in memory yet
            listed, recalled = {"trivial": [], "memory": []}, []
    floor, ms = median(listed["trivial"]), median(listed["memory"])
    return {
        "process start to first tools/list": {"trivial": floor, "memory": ms, "ratio": ms / floor, TARGET: 1.3},
        "process start to first recall": {"memory": median(recalled), TARGET: 1.5},
    }


def _sharing(folder: Path, isolated: StdioServerParameters) -> Table:
    """Eight clients, of which the first has started the engine, beside eight servers of their own."""
    table: Table = {"start to first tools/list, ms": {TARGET: 150}, "resident memory of each, MB": {TARGET: 30}, "of the engine, MB": {}}
    with data_directory(folder) as shared:
        for column, server in {"one engine": front(shared, namespace=CALLER.namespace), "isolated": isolated}.items():
            with ExitStack() as stack:
                seconds, servers = [], []
                for _ in progress(range(CLIENTS), f"{column}: started"):
                    servers.append(stack.enter_context(talking_to(server)))
                    seconds.append(servers[-1].handshake())
                    servers[-1].call("recall", {"query": "what was decided?"})
                table["start to first tools/list, ms"][column] = median(seconds[1:]) * 1000
                table["resident memory of each, MB"][column] = median(each.resident_megabytes() for each in servers[1:])
                if column == "one engine":
                    table["of the engine, MB"][column] = resident_megabytes(status(shared)["pid"])
    return table


def _round_trips(ours: StdioServerParameters, trivial: StdioServerParameters, texts: Sequence[str], questions: Sequence[str]) -> Table:
    with talking_to(trivial) as floor, talking_to(ours) as memory:
        floor.handshake()
        memory.handshake()
        _until_embedded(memory)
        memory.call("recall", {"query": questions[0]})
        fresh, new = itertools.cycle(questions), iter(texts)
        works: dict[str, Callable[[], object]] = {
            "trivial tool": lambda: floor.call("echo", {"text": questions[0]}),
            "recall from the cache": lambda: memory.call("recall", {"query": questions[0]}),
            "recall": lambda: memory.call("recall", {"query": next(fresh)}),
        }
        ms = in_turns(works, rounds=ROUNDS - 1)
        say("    remember")
        ms |= in_turns({"remember": lambda: memory.call("remember", {"content": next(new)})}, rounds=ROUNDS - 1)
        resident = memory.resident_megabytes()
    table: Table = {name: {"p50": value, "x trivial": value / ms["trivial tool"]} for name, value in ms.items()}
    table["recall from the cache"][TARGET] = 1.3
    if resident:
        table["resident memory, MB"] = {"p50": resident, TARGET: 300}
    return table


def _until_embedded(memory: Lines) -> None:
    deadline = perf_counter() + 60
    while memory.call("stats", {"section": "model"})["structuredContent"]["model"]["phase"] != "ready":
        if perf_counter() > deadline:
            raise RuntimeError("The embedding model does not get ready.")
        sleep(0.1)
