"""A `Driver` that runs `kernels.cu` on the processor, compiled by g++ as plain C++ (`off_device.h`).

Everything above the driver and the kernels themselves are the product's own; memory is NumPy's, and `product` is a matrix
product of halves summed in float32. What this cannot show: speed, races, and whether CuPy does what `cuda` asks of it.
"""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory_mcp.tiers.resident import driver
from memory_mcp.tiers.resident.driver import DeviceFullError

KERNELS = Path(driver.__file__).with_name("kernels.cu")
HERE = Path(__file__).parent
NAMES = (
    "clear",
    "scatter",
    "threshold",
    "choose",
    "sift",
    "sample_product",
    *(f"{kind}_{n}" for kind in ("sample", "scan") for n in (1, 2, 3, 4)),
)
PROCESSORS = 1

compiler = shutil.which("g++")


@cache
def compiled() -> ctypes.CDLL:
    """The kernels with their launchers, compiled once a process."""
    assert compiler
    folder = Path(mkdtemp(prefix="memory-mcp-kernels-"))
    launchers = "\n".join(f"LAUNCHER({name})" for name in NAMES)
    source = f'#include "{HERE / "off_device.h"}"\n#include "{KERNELS}"\n{launchers}\n'
    command = [compiler, "-std=c++17", "-O2", "-ffp-contract=off", "-Wall", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-x", "c++", "-"]
    subprocess.run([*command, "-o", str(folder / "kernels.so")], input=source, text=True, check=True, timeout=120)
    library = ctypes.CDLL(str(folder / "kernels.so"))
    shutil.rmtree(folder)  # it stays mapped
    return library


def declared_kernels() -> set[str]:
    """Names of the kernels in the source, those of the macro not expanded."""
    return set(re.findall(r"__launch_bounds__\(THREADS\)\s+(\w+)\(", KERNELS.read_text("utf-8"))) - {"sample_", "scan_"}


class EmulatedDriver:
    """See the module.

    Attributes:
        room: Bytes that may still be taken; what is given back does not count.
        fault: When set, the next launch fails with it.
        launched: Names of the kernels, in order; `product` as well.
    """

    processors = PROCESSORS
    multiplies = True

    def __init__(self, room: int = 1 << 40) -> None:
        self.room = room
        self.fault: Exception | None = None
        self.launched: list[str] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        yield

    def free_bytes(self) -> int:
        return self.room

    def empty(self, items: int, dtype: type[np.generic]) -> NDArray[Any]:
        buffer = np.zeros(items * np.dtype(dtype).itemsize + 16, np.uint8)
        start = -buffer.ctypes.data % 16  # as aligned as the kernels want it
        buffer = buffer[start : start + items * np.dtype(dtype).itemsize].view(dtype)
        if buffer.nbytes > self.room:
            raise DeviceFullError
        self.room -= buffer.nbytes
        buffer.view(np.uint8)[:] = 0xA5  # what was there before
        return buffer

    def upload(self, values: NDArray[Any], into: NDArray[Any]) -> None:
        assert values.dtype == into.dtype
        assert values.flags.c_contiguous
        into[: len(values)] = values

    def download(self, source: NDArray[Any]) -> NDArray[Any]:
        return source.copy()

    def launch(self, kernel: str, grid: tuple[int, int], shared_bytes: int, *arguments: Any) -> None:
        self.launched.append(kernel)
        if self.fault is not None:
            raise self.fault
        given = [ctypes.c_uint32(one) if isinstance(one, int) else ctypes.c_void_p(_address(one)) for one in arguments]
        pointers = (ctypes.c_void_p * len(given))(*(ctypes.addressof(one) for one in given))
        getattr(compiled(), f"launch_{kernel}")(*grid, driver.THREADS, shared_bytes, pointers)

    def product(self, rows: NDArray[Any], step: int, count: int, queries: NDArray[Any], width: int, scores: NDArray[Any]) -> None:
        self.launched.append("product")
        apart = np.lib.stride_tricks.as_strided(rows.view(np.float16), (count, width), (2 * step * width, 2))
        asked = queries.view(np.float16)[: len(scores) // count * width].reshape(-1, width)
        scores[:] = (asked.astype(np.float32) @ apart.astype(np.float32).T).reshape(-1)

    def give_back(self) -> None:
        pass


def _address(buffer: NDArray[Any] | None) -> int | None:
    if buffer is None:
        return None
    assert buffer.flags.c_contiguous
    return buffer.ctypes.data
