"""Which blocks have their rows on the GPU as well, as long as there is one."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from threading import Lock
from time import monotonic, perf_counter
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np

from memory_mcp.models import Matrix
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.driver import DeviceFullError, DeviceLostError, Driver, Gpu
from memory_mcp.tiers.resident.gpu import GpuRows
from memory_mcp.tiers.resident.mirror import Proposer
from memory_mcp.tiers.resident.quantized import QuantizedRows, is_available
from memory_mcp.tiers.resident.scan import View, closest

Choice = Literal["auto", "cpu", "gpu"]

PROBED_ROWS = (8192, 16384, 32768, 65536, 131072)
"""Sizes at which a search here and one there are timed; the first at which the device clearly wins is the least that it gets.
Below the first nobody waits for CuPy: a search takes half a millisecond there."""
PROBES, PROBED_LIMIT, CLEARLY = 5, 100, 0.8
FREE_SHARE = 2
"""Without a budget, one over this of the memory that is free when the device is opened."""
KEPT_SECONDS = 10.0
"""Rows used so lately make no room for others, and what found no room asks again so late: two scopes that fit one by one only
do not chase each other."""


def open_cuda() -> Driver:
    """The GPU.

    Raises:
        DeviceLostError: There is none, or it cannot be used; the message says why.
    """
    try:
        from memory_mcp.tiers.resident.cuda import Cuda  # noqa: PLC0415 - a second, and CuPy may be absent
    except ImportError:
        raise DeviceLostError(
            "CuPy is not installed. Install `memory-mcp[gpu]`, or `memory-mcp[gpu-cuda13]` for a driver of CUDA 13."
        ) from None
    try:
        return Cuda()
    except DeviceFullError:
        raise DeviceLostError("The GPU has no memory left to begin with.") from None


@dataclass
class Device:
    """The GPU, opened when a block is first large enough, and given up for good when it fails.

    Every decision is one of speed: a block answers the same with a mirror and without. What there is no memory for, and what
    failed, is searched in this machine's memory, where all rows stay.

    Attributes:
        choice: cpu: never; auto: silently not where there is none; gpu: said once where there is none.
        budget_bytes: Memory for rows; 0: half of what is free at opening.
        say: Told a sentence when a GPU that was asked for cannot be used, or one in use is lost.
        least_rows: From how many rows on it is quicker than this machine; None: not known yet.
    """

    choice: Choice = "auto"
    budget_bytes: int = 0
    say: Callable[[str], object] = lambda sentence: None
    open_driver: Callable[[], Driver] = open_cuda
    clock: Callable[[], float] = monotonic
    least_rows: int | None = None
    note: str = ""
    _gpu: Gpu | None = None
    _lock: Lock = field(default_factory=Lock)
    _table: Lock = field(default_factory=Lock)  # around changes of _mirrors and looks at all of them, nothing else
    _mirrors: "WeakKeyDictionary[Block, GpuRows]" = field(default_factory=WeakKeyDictionary)
    _used_at: "WeakKeyDictionary[Block, float]" = field(default_factory=WeakKeyDictionary)
    _refused_until: "WeakKeyDictionary[Block, float]" = field(default_factory=WeakKeyDictionary)
    _evictions: int = 0
    _off: bool = False

    def wants(self, block: Block) -> bool:
        """Whether `hold` is worth calling; told of every search, since it also keeps account of use."""
        if self._off or self.choice == "cpu" or len(block) < (self.least_rows or PROBED_ROWS[0]):
            return False
        now = self.clock()
        self._used_at[block] = now
        if block in self._mirrors:
            return self._bytes() > self.budget_bytes
        return self._refused_until.get(block, now) <= now

    def hold(self, block: Block) -> None:
        """Copy a block's rows to the device, if it is there and has room; or make room for what has grown. Takes its time."""
        with self._lock:
            gpu = self._opened(block.dimension)
            if gpu is None or self.least_rows is None or len(block) < self.least_rows:
                return
            if block in self._mirrors:
                self._make_room(0, lately=True)
                return
            rows = GpuRows(gpu, block.dimension, self.least_rows)
            if not self._make_room(rows.bytes_for(block.capacity)):
                self._refused_until[block] = self.clock() + KEPT_SECONDS
                return
            with self._table:
                self._mirrors[block] = rows
            try:
                block.attach(rows)
            except MemoryError:  # here, for what a copy needs on the way
                self._drop(block, rows)
                self._refused_until[block] = self.clock() + KEPT_SECONDS

    def figures(self) -> dict[str, int | str]:
        """For people: what is on the device, or why nothing is."""
        state = "cpu" if self._off or self.choice == "cpu" else "not asked for yet" if self._gpu is None else "gpu"
        counts = {"device_bytes": self._bytes(), "device_budget_bytes": self.budget_bytes, "device_scopes": len(self._held())}
        known = {} if self.least_rows is None else {"device_least_rows": self.least_rows}
        said: dict[str, int | str] = {"device": state, **({"device_note": self.note} if self.note else {})}
        return said if self._gpu is None else {**said, **counts, **known, "device_evictions": self._evictions}

    def _opened(self, dimension: int) -> Gpu | None:
        if self._gpu is None and not self._off:
            try:
                driver = self.open_driver()
                with driver.at_work():
                    self.budget_bytes = self.budget_bytes or driver.free_bytes() // FREE_SHARE
            except (DeviceLostError, DeviceFullError) as error:
                self._off = True
                self.note = str(error)
                if self.choice == "gpu":
                    self.say(f"Vectors stay in this machine's memory: {self.note}")
                return None
            self._gpu = Gpu(driver, on_full=self._on_full, on_lost=self._on_lost)
        if self._gpu is not None and self.least_rows is None:
            self._probe(self._gpu, dimension)
        return None if self._off else self._gpu

    def _probe(self, gpu: Gpu, dimension: int) -> None:
        """Time a search here and there, on rows of this dimension, until the device wins."""
        rng = np.random.default_rng(0)
        rows = rng.random((PROBED_ROWS[-1], dimension), np.float32) - np.float32(0.5)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        ids = np.zeros((len(rows), 2), np.uint64)
        mirror = GpuRows(gpu, dimension)
        mirror.put(np.arange(len(rows)), rows)
        quantized = QuantizedRows(len(rows), dimension)
        if is_available():
            quantized.put(np.arange(len(rows)), rows)
        for n in PROBED_ROWS:
            passing = np.ones(n, np.bool_)
            ways: list[list[Proposer]] = [[quantized] if is_available() else [], [mirror]]
            here, there = (View(rows[:n], ids[:n], passing, None, n, way) for way in ways)
            if _seconds(there, rows[:1]) < CLEARLY * _seconds(here, rows[:1]):
                self.least_rows = n
                break
        if self.least_rows is None and not self._off:
            self._off = True
            if not mirror.closed:
                self.note = f"The GPU is not quicker than this machine at {PROBED_ROWS[-1]:,} rows."
        mirror.close()
        with suppress(DeviceFullError, DeviceLostError), gpu.driver.at_work():
            gpu.driver.give_back()

    def _make_room(self, more: int, *, lately: bool = False) -> bool:
        """Whether so many bytes more are within the budget, others let go if need be."""
        if more > self.budget_bytes:
            return False
        now = self.clock()
        by_use = sorted(self._held(), key=lambda item: self._used_at.get(item[0], 0.0))
        for block, mirror in by_use:
            if self._bytes() + more <= self.budget_bytes:
                break
            if lately or now - self._used_at.get(block, 0.0) >= KEPT_SECONDS:
                self._drop(block, mirror)
                self._evictions += 1
        return self._bytes() + more <= self.budget_bytes

    def _drop(self, block: Block, mirror: GpuRows) -> None:
        block.detach()
        mirror.close()
        self._forget(block)

    def _held(self) -> list[tuple[Block, GpuRows]]:
        with self._table:
            return list(self._mirrors.items())

    def _forget(self, block: Block) -> None:
        with self._table:
            self._mirrors.pop(block, None)

    def _bytes(self) -> int:
        return sum(mirror.nbytes for _, mirror in self._held())

    def _on_full(self, rows: GpuRows) -> None:
        """Somebody else has taken the memory: be content with what is held, and leave this block alone."""
        self.budget_bytes = min(self.budget_bytes, self._bytes())
        self.note = "The GPU's memory ran out; its budget is now what was held then."
        for block in [block for block, mirror in self._held() if mirror is rows]:
            self._forget(block)
            self._refused_until[block] = float("inf")
            block.detach()

    def _on_lost(self, reason: str) -> None:
        self._off = True
        self.note = reason
        for block, _ in self._held():
            block.detach()
            self._forget(block)
        self.say(f"Vectors are searched in this machine's memory from now on. {reason}")


def _seconds(view: View, queries: Matrix) -> float:
    """Of one search, the median; the first one does not count."""
    taken = []
    for _ in range(PROBES + 1):
        started = perf_counter()
        closest(view, queries, PROBED_LIMIT)
        taken.append(perf_counter() - started)
    return median(taken[1:])
