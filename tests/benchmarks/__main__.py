"""Measure speed and quality: python -m tests.benchmarks [PART ...]

Without data of your own, recall is measured on the small set of the project; MEMORY_MCP_BENCH_DATA names more files
of its form (see tests/benchmarks/sets.py), separated like those of PATH. Floors and peers are measured in the same run,
since times of two runs do not compare.
"""

import argparse
import asyncio
import inspect
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

from memory_mcp import __version__
from memory_mcp.log import configure_log
from tests.benchmarks import (
    bench_ablation,
    bench_cache,
    bench_embedding,
    bench_encryption,
    bench_http,
    bench_latency,
    bench_quality,
    bench_start,
    bench_text,
    bench_tiers,
    bench_vectors,
)
from tests.benchmarks.figures import TARGET, Tables, as_text, say, transposed
from tests.benchmarks.sets import EvalSet, paths, read_sets


def _vectors(_: Sequence[EvalSet], sizes: Sequence[int]) -> Tables:
    table = transposed(bench_vectors.run(sizes or bench_vectors.SIZES))
    for row, target in bench_vectors.TARGETS.items():
        table[row][TARGET] = target
    return {"exact search, by rows": table}


PARTS: Mapping[str, Callable[[Sequence[EvalSet], Sequence[int]], Any]] = {
    "quality": lambda sets, _: bench_quality.run(sets),
    "ablation": lambda sets, _: bench_ablation.run(sets),
    "latency": lambda sets, sizes: bench_latency.run(sets, sizes or bench_latency.SIZES),
    "vectors": _vectors,
    "text": lambda sets, sizes: bench_text.run(sizes or bench_text.SIZES, sets),
    "tiers": lambda sets, sizes: bench_tiers.run(sets, sizes or bench_tiers.SIZES),
    "cache": lambda sets, _: bench_cache.run(sets),
    "embedding": lambda sets, _: bench_embedding.run(sets),
    "encryption": lambda sets, sizes: bench_encryption.run(sets, *sizes[:1]),
    "http": lambda sets, sizes: bench_http.run(sets, *sizes[:1]),
    "start": lambda sets, sizes: bench_start.run(sets, *sizes[:1]),
}
"""What each measures; sizes: those asked for, if any."""


def main() -> None:
    """Measure, print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--sizes", default="", help="numbers of memories, like 1000,10000, for all parts that can be of a size")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="where the figures go (default: %(default)s)")
    given = parser.parse_args()
    if unknown := set(given.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    sizes = [int(size) for size in given.sizes.replace("_", "").split(",") if size]
    configure_log("warning")
    sets = read_sets(paths())
    done: dict[str, Tables] = {}
    for part in given.parts or PARTS:
        say(part)
        started = monotonic()
        measured = PARTS[part](sets, sizes)
        done[part] = asyncio.run(measured) if inspect.iscoroutine(measured) else measured
        say(f"  {monotonic() - started:.0f} s")
        for title, table in done[part].items():
            print("\n" + as_text(title, table), flush=True)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"of": _circumstances(sets), "parts": done}, indent=1) + "\n")
    say(f"\n{given.json}")


def _circumstances(sets: Sequence[EvalSet]) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "sets": [one.name for one in sets],
    }


if __name__ == "__main__":
    main()
