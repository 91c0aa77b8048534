"""Calls over HTTP: how many a second, how long each takes and where the time goes, beside a trivial tool over the same HTTP.

All servers are there at once, on one store, and are asked in turns; a server that is not asked does nothing. The clients
need processor time of their own, so that on two cores a second worker has little to work with. What a call costs the server
in processor time is told as well: on a machine that is busy with something else it is the steadier figure.
"""

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from memory_mcp.remember.drafts import RememberRequest
from tests.benchmarks.figures import TARGET, Table, Tables, progress, say
from tests.benchmarks.filling import fill, questions_like, texts_like
from tests.benchmarks.http_load import Call, Line, Load, put_on
from tests.benchmarks.sets import EvalSet
from tests.http_servers import new_token, serving
from tests.memories import CALLER, open_service, settings_for

SIZE, ROUNDS = 10_000, 3
CLIENTS = (1, 8, 64)
CALLS = 60
SCRIPT = Path(__file__).parent / "trivial_server.py"
TRIVIAL, DOOR, KNOWN, NEW, STORED = "trivial tool", "our door: a call that is refused", "known question", "new question", "remember"
OPEN = "[http.limits]\ncalls_per_minute = 0\naddress_calls_per_minute = 0\nrequests_per_minute = 0\nmegabytes_per_minute = 0\n"
SERVERS = {
    "one worker": OPEN,
    "one worker, no cache": f"{OPEN}[cache]\nmax_entries = 0\n",
    "two workers": f"[http]\nworkers = 2\n{OPEN}",
}
STAGES = ("embed", "vector_search", "text_search", "gather", "hydrate", "rank", "recall")


async def run(
    sets: Sequence[EvalSet], size: int = SIZE, clients: Sequence[int] = CLIENTS, rounds: int = ROUNDS, calls: int = CALLS
) -> Tables:
    """With `size` memories stored, at least so many calls of each kind in a round."""
    say(f"  {size:,} memories")
    asked = calls + sum(max(calls, 3 * count) for count in clients) * (rounds + 1)
    texts = texts_like(sets, size + 2 * asked)
    questions = [f"{question} ({n})" for n, question in zip(range(2 * asked), itertools.cycle(questions_like(sets, 500)), strict=False)]
    with TemporaryDirectory(prefix="memory-mcp-bench-") as place, ExitStack() as stack:
        folder = Path(place) / "data"
        async with open_service(settings_for(folder)) as service:
            await fill(service, {str(i): RememberRequest(text) for i, text in enumerate(texts[:size])})
        tokens = [await new_token(folder, CALLER.tenant, f"client-{n}", "admin", (CALLER.namespace,)) for n in range(max(clients))]
        port, pid = stack.enter_context(_trivial())
        servers = {name: stack.enter_context(serving(folder, more)) for name, more in SERVERS.items()}
        ports = {TRIVIAL: port, **{name: server.port for name, server in servers.items()}}
        pids = {TRIVIAL: pid, **dict.fromkeys((DOOR, KNOWN, NEW, STORED), servers["one worker"].process.pid)}
        lines = {name: [stack.enter_context(closing(Line("127.0.0.1", port, token))) for token in tokens] for name, port in ports.items()}
        works = _works(lines, questions, texts[size:])
        await _warm(lines)
        table = {f"where the time of a call goes at {size:,} memories, one client, ms": await _spent(lines, works, calls)}
        return table | await _loads(works, pids, clients, rounds, calls)


@contextmanager
def _trivial() -> Iterator[tuple[int, int]]:
    """Its port, and its process."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(SCRIPT), str(port)])
    try:
        while True:
            with suppress(ConnectionRefusedError), closing(socket.create_connection(("127.0.0.1", port))):
                yield port, process.pid
                return
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True, slots=True)
class _Work:
    """Calls of one kind to one server."""

    lines: Sequence[Line]
    make: Callable[[], Call]
    refused: bool = False

    async def put_on(self, clients: int, calls: int, load: Load) -> None:
        await put_on(self.lines[:clients], calls, self.make, load, refused=self.refused)


def _works(lines: Mapping[str, Sequence[Line]], questions: Sequence[str], texts: Sequence[str]) -> dict[str, _Work]:
    fresh, new = iter(questions[1:]), iter(texts)
    known: Call = ("recall", {"query": questions[0]})
    one, two = "one worker", "two workers"
    return {
        TRIVIAL: _Work(lines[TRIVIAL], lambda: ("echo", {"text": questions[0]})),
        DOOR: _Work(lines[one], lambda: ("recall", {"nothing": questions[0]}), refused=True),
        KNOWN: _Work(lines[one], lambda: known),
        f"{KNOWN}, no cache": _Work(lines["one worker, no cache"], lambda: known),
        f"{KNOWN}, {two}": _Work(lines[two], lambda: known),
        NEW: _Work(lines[one], lambda: ("recall", {"query": next(fresh)})),
        f"{NEW}, {two}": _Work(lines[two], lambda: ("recall", {"query": next(fresh)})),
        STORED: _Work(lines[one], lambda: ("remember", {"content": next(new)})),
        f"{STORED}, {two}": _Work(lines[two], lambda: ("remember", {"content": next(new)})),
    }


async def _warm(lines: Mapping[str, Sequence[Line]]) -> None:
    """Until every server has its model and its index; of two workers each has answered after some connections."""
    for name in SERVERS:
        line, ready = lines[name][0], 0
        while ready < 8:
            await line.open()
            answer = json.loads(_data(await line.call("stats", {"section": "model"})))
            ready += answer["result"]["structuredContent"]["model"]["phase"] == "ready"
            await line.call("recall", {"query": f"Is it warm, {ready}?"})


def _data(answer: bytes) -> bytes:
    return answer[answer.index(b"{") : answer.rindex(b"}") + 1]


async def _spent(lines: Mapping[str, Sequence[Line]], works: Mapping[str, _Work], calls: int) -> Table:
    """One client alone; what the engine tells of its own stages is of the same calls."""
    loads = {name: Load() for name in (TRIVIAL, NEW, DOOR, KNOWN)}
    for _ in progress(range(calls), "asked"):
        for name in (TRIVIAL, NEW, DOOR):
            await works[name].put_on(1, 1, loads[name])
    await lines["one worker"][0].open()
    stats = json.loads(_data(await lines["one worker"][0].call("stats", {"section": "latency"})))
    stages = stats["result"]["structuredContent"]["latency"]
    beside = Load()
    for _ in range(calls):  # in turns as well, else the trivial tool would be the one that comes cold from other work
        await works[TRIVIAL].put_on(1, 1, beside)
        await works[KNOWN].put_on(1, 1, loads[KNOWN])
    ms = {name: load.quantile(0.5) for name, load in loads.items()}
    table: Table = {f"{name}, over HTTP": {"p50": value} for name, value in ms.items()}
    table |= {f"- {stage}, in the engine": {"p50": stages[stage]["p50_ms"]} for stage in STAGES if stage in stages}
    floor = stages["embed"]["p50_ms"] + stages["vector_search"]["p50_ms"] + ms[TRIVIAL]
    table[f"{NEW} / (embed + vector search + trivial)"] = {"p50": ms[NEW] / floor, TARGET: 1.25}
    table[f"{KNOWN} / trivial"] = {"p50": ms[KNOWN] / beside.quantile(0.5), TARGET: 1.3}
    return table


async def _loads(works: Mapping[str, _Work], pids: Mapping[str, int], clients: Sequence[int], rounds: int, calls: int) -> Tables:
    """All works in turns, those that write after those that read, since a write makes what is cached stale."""
    rates, shares, p50, p95 = ({name: {} for name in works} for _ in range(4))
    spent: Table = {name: {} for name in pids}
    for count in clients:
        number = max(calls, 3 * count)
        loads: dict[str, Load] = {}
        taken: dict[str, list[float]] = {}
        for names in ([n for n in works if not n.startswith(STORED)], [n for n in works if n.startswith(STORED)]):
            for turn in progress(range(rounds + 1), f"{count} clients"):
                for name in names:
                    began = _processor_seconds(pids.get(name))
                    # the first round does not count
                    await works[name].put_on(count, number, loads.setdefault(name, Load()) if turn else Load())
                    taken.setdefault(name, []).append(1000 * (_processor_seconds(pids.get(name)) - began) / number)
        column = f"{count} clients" if count > 1 else "1 client"
        for name in spent:
            spent[name][column] = median(taken[name])
        for name, load in loads.items():
            rates[name][column] = load.rate
            shares[name][column] = load.rate / loads[TRIVIAL].rate
            p50[name][column], p95[name][column] = load.quantile(0.5), load.quantile(0.95)
    shares[DOOR][TARGET] = 0.75
    tables = {"calls a second": rates, "calls a second, share of the trivial tool's": shares, "p50, ms": p50, "p95, ms": p95}
    return tables | ({"processor time of the server a call, ms": spent} if any(map(sum, (row.values() for row in spent.values()))) else {})


def _processor_seconds(pid: int | None) -> float:
    """What a process has used; 0 where that is not told."""
    stat = Path(f"/proc/{pid}/stat")
    if pid is None or not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
