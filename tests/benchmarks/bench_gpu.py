"""Search on a GPU, against one read of the same rows at the speed of its memory.

    python tests/benchmarks/bench_gpu.py [--sizes 100000,1000000,10000000] [--json FILE]

384 numbers a row, the 10 closest of evenly spread unit rows, medians; needs NumPy and CuPy alone, and for 10,000,000 rows 8 GB on
the device and some minutes. For each number of rows and queries:

- `floor_ms`: rows in halves once at the speed of a copy on this device, measured in the same run (bytes read and written count);
- `device_ms`: from the first to the last thing that a search asks of the device, by its own clock, copies and gaps included;
- `wall_ms`: the same seen from here, candidates in hand; `block_ms`: a whole search of a block (up to 1,000,000 rows);
- `recall`: share of the true ten, found in float64, that are proposed; `proposed`: how many are, on average.

And from how many rows on a search on the device is quicker than here (`crossover_rows`), as the index finds out for itself.
"""

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

import cupy
import numpy as np
from numpy.typing import NDArray

from memory_mcp.models import NEVER, Filter, Matrix, Points
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.cuda import Cuda
from memory_mcp.tiers.resident.device import Device
from memory_mcp.tiers.resident.driver import Gpu
from memory_mcp.tiers.resident.gpu import GpuRows

DIMENSION, LIMIT, ROUNDS = 384, 10, 21
SIZES, BATCHES = (100_000, 1_000_000, 10_000_000), (1, 4, 32, 256)
PART = 100_000
BLOCK_ROWS = 1_000_000
COPY_BYTES = 4 << 30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--json", help="write the figures here, too")
    arguments = parser.parse_args()
    driver = Cuda()
    figures: dict[str, Any] = {"device": driver.name, "copy_gb_per_s": _copy_bytes_per_second(driver) / 1e9}
    print(json.dumps(figures), flush=True)
    for size in map(int, arguments.sizes.split(",")):
        for batch, values in _figures(driver, size, figures["copy_gb_per_s"] * 1e9).items():
            figures[f"{size}x{batch}"] = values
            print(f"{size:>12,} rows {batch:>4} queries", json.dumps(values), flush=True)
    figures["crossover_rows"] = _crossover(driver)
    print(json.dumps(figures))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)


def _figures(driver: Cuda, size: int, bytes_per_second: float) -> dict[int, dict[str, float]]:
    rng = np.random.default_rng(size)
    queries = _unit_rows(rng, max(BATCHES))
    rows = GpuRows(Gpu(driver), DIMENSION)
    rows.reserve(size)
    parts, best, where = [], np.full((len(queries), LIMIT), -np.inf), np.zeros((len(queries), LIMIT), np.intp)
    for start in range(0, size, PART):
        vectors = _unit_rows(rng, min(PART, size - start))
        rows.put(np.arange(start, start + len(vectors)), vectors)
        best, where = _closest_so_far(best, where, start, vectors, queries)
        if size <= BLOCK_ROWS:
            parts.append(vectors)
    block = _block(np.concatenate(parts)) if parts else None
    if block is not None:
        block.attach(rows)
    passing = np.ones(size, np.bool_)
    return {batch: _measured(driver, rows, block, passing, queries[:batch], where, bytes_per_second) for batch in BATCHES}


def _measured(
    driver: Cuda, rows: GpuRows, block: Block | None, passing: NDArray[np.bool_], queries: Matrix, where: NDArray[np.intp], speed: float
) -> dict[str, float]:
    def propose() -> Any:
        return rows.propose(passing, len(passing), queries, LIMIT)

    proposed = propose()
    found = sum(len(set(slots.tolist()) & set(true.tolist())) for slots, true in zip(proposed, where, strict=False))
    floor_ms = len(passing) * DIMENSION * 2 / speed * 1000
    device_ms = median(_device_ms(driver, propose) for _ in range(ROUNDS))
    figures = {
        "floor_ms": floor_ms,
        "device_ms": device_ms,
        "device_per_floor": device_ms / floor_ms,
        "wall_ms": _wall_ms(propose),
        "recall": found / (len(queries) * LIMIT),
        "proposed": sum(map(len, proposed)) / len(queries),
    }
    return figures if block is None else {**figures, "block_ms": _wall_ms(lambda: block.search(queries, Filter(), LIMIT))}


def _device_ms(driver: Cuda, work: Callable[[], object]) -> float:
    started, ended = cupy.cuda.Event(), cupy.cuda.Event()
    with driver.at_work():
        started.record()
    work()
    with driver.at_work():
        ended.record()
    ended.synchronize()
    return float(cupy.cuda.get_elapsed_time(started, ended))


def _wall_ms(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = perf_counter()
        work()
        taken.append((perf_counter() - started) * 1000)
    return median(taken)


def _copy_bytes_per_second(driver: Cuda) -> float:
    with driver.at_work():
        source = driver.empty(COPY_BYTES, np.uint8)
        target = driver.empty(COPY_BYTES, np.uint8)
        source.fill(1)
    ms = median([_device_ms(driver, lambda: _copy(driver, source, target)) for _ in range(ROUNDS)])
    return 2 * COPY_BYTES / (ms / 1000)


def _copy(driver: Cuda, source: Any, target: Any) -> None:
    with driver.at_work():
        target[:] = source


def _crossover(driver: Cuda) -> int | None:
    """As the index measures it, when a block is first large enough."""
    device = Device("gpu", open_driver=lambda: driver, say=print)
    device.hold(_block(_unit_rows(np.random.default_rng(1), 10_000)))
    return device.least_rows


def _closest_so_far(
    best: NDArray[np.float64], where: NDArray[np.intp], start: int, vectors: Matrix, queries: Matrix
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The closest in float64 of the rows so far and these."""
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    top = np.argpartition(-scores, LIMIT, axis=1)[:, :LIMIT]
    best = np.concatenate((best, np.take_along_axis(scores, top, axis=1)), axis=1)
    where = np.concatenate((where, top + start), axis=1)
    order = np.argsort(-best, axis=1)[:, :LIMIT]
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(where, order, axis=1)


def _block(vectors: Matrix) -> Block:
    n = len(vectors)
    ids, empty = [UUID(int=i) for i in range(n)], [""] * n
    return Block(Points(ids, vectors, empty, empty, [()] * n, np.zeros(n, np.int64), np.full(n, NEVER, np.int64)))


def _unit_rows(rng: np.random.Generator, size: int) -> Matrix:
    rows = rng.standard_normal((size, DIMENSION), dtype=np.float32)
    return np.divide(rows, np.linalg.norm(rows, axis=1, keepdims=True), out=rows)


if __name__ == "__main__":
    main()
