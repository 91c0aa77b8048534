"""The `driver.Driver` that is a GPU, through CuPy: the only file that imports it, and nothing here decides anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cupy
import numpy as np
from cupy.cuda import runtime
from numpy.typing import NDArray

from memory_mcp.tiers.resident.driver import THREADS, Buffer, DeviceFullError, DeviceLostError

KERNELS = Path(__file__).with_name("kernels.cu")
STAGING_BYTES = 8 << 20
"""Pinned memory that copies to the device go through, and as much for those from it; larger ones go in parts."""


class Cuda:
    """The first device that CUDA names, with a stream of its own."""

    def __init__(self) -> None:
        """Open the device and compile the kernels, about a second; CuPy keeps them on disk for the next time.

        Raises:
            DeviceLostError: There is no device, or it cannot be used; the message says why, for people.
        """
        with _faults("could not be opened"):
            self._device = cupy.cuda.Device(0)
            properties = runtime.getDeviceProperties(0)
            self.name = properties["name"].decode()
            self.processors = int(properties["multiProcessorCount"])
            with self._device:
                self._stream = cupy.cuda.Stream(non_blocking=True)
                self._staging, self._landing = (
                    np.frombuffer(cupy.cuda.alloc_pinned_memory(STAGING_BYTES), np.uint8, STAGING_BYTES) for _ in range(2)
                )
                self._staged = 0
                module = cupy.RawModule(code=KERNELS.read_text("utf-8"), options=("-std=c++17",))
                module.compile()
        self._module = module
        self._kernels: dict[str, Any] = {}
        self._cublas, self._handle = _open_cublas(self._device)
        self.multiplies = self._cublas is not None
        self._one, self._zero = np.ones(1, np.float32), np.zeros(1, np.float32)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """See `driver.Driver`."""
        with _faults("failed"), self._device, self._stream:
            yield

    def free_bytes(self) -> int:
        """See `driver.Driver`."""
        return int(runtime.memGetInfo()[0])

    def empty(self, items: int, dtype: type[np.generic]) -> Buffer:
        """See `driver.Driver`."""
        return cupy.empty(items, dtype)

    def upload(self, values: NDArray[Any], into: Buffer) -> None:
        """See `driver.Driver`."""
        source, at = values.reshape(-1).view(np.uint8), into.data.ptr
        for start in range(0, len(source), STAGING_BYTES):
            part = source[start : start + STAGING_BYTES]
            if self._staged + len(part) > STAGING_BYTES:
                self._wait()
            staged = self._staging[self._staged : self._staged + len(part)]
            staged[:] = part
            runtime.memcpyAsync(at + start, staged.ctypes.data, len(part), runtime.memcpyHostToDevice, self._stream.ptr)
            self._staged += -(-len(part) // 256) * 256

    def download(self, source: Buffer) -> NDArray[Any]:
        """See `driver.Driver`."""
        values = np.empty(len(source), source.dtype)
        into = values.view(np.uint8)
        for start in range(0, len(into), STAGING_BYTES):
            part = into[start : start + STAGING_BYTES]
            at = source.data.ptr + start
            runtime.memcpyAsync(self._landing.ctypes.data, at, len(part), runtime.memcpyDeviceToHost, self._stream.ptr)
            self._wait()
            part[:] = self._landing[: len(part)]
        return values

    def launch(self, kernel: str, grid: tuple[int, int], shared_bytes: int, *arguments: Buffer | int | None) -> None:
        """See `driver.Driver`."""
        function = self._kernels.get(kernel)
        if function is None:
            function = self._kernels[kernel] = self._module.get_function(kernel)
        given = tuple(np.uint32(one) if isinstance(one, int) else np.uint64(0) if one is None else one for one in arguments)
        function(grid, (THREADS, 1, 1), given, shared_mem=shared_bytes)

    def product(self, rows: Buffer, step: int, count: int, queries: Buffer, width: int, scores: Buffer) -> None:
        """See `driver.Driver`; to cuBLAS, which counts by columns, rows and queries are matrices of `width` rows."""
        blas, one, zero = self._cublas, self._one.ctypes.data, self._zero.ctypes.data
        blas.gemmEx(
            self._handle, blas.CUBLAS_OP_T, blas.CUBLAS_OP_N, count, len(scores) // count, width,
            one, rows.data.ptr, runtime.CUDA_R_16F, step * width, queries.data.ptr, runtime.CUDA_R_16F, width,
            zero, scores.data.ptr, runtime.CUDA_R_32F, count, blas.CUBLAS_COMPUTE_32F, blas.CUBLAS_GEMM_DEFAULT,
        )  # fmt: skip

    def _wait(self) -> None:
        """Until all is done that was asked for; then all pinned memory is free."""
        self._stream.synchronize()
        self._staged = 0

    def give_back(self) -> None:
        """See `driver.Driver`."""
        cupy.get_default_memory_pool().free_all_blocks()


def _open_cublas(device: Any) -> tuple[Any, int]:
    """The library and a handle to it; None where it is not installed: it is no part of CuPy."""
    try:
        from cupy.cuda import cublas  # noqa: PLC0415 - the library may be absent
    except ImportError:
        return None, 0
    with _faults("could not be opened"), device:
        return cublas, cublas.create()


@contextmanager
def _faults(happened: str) -> Iterator[None]:
    """CuPy's errors stop here. Those of all its libraries are RuntimeErrors, but for memory and compilation."""
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        cupy.get_default_memory_pool().free_all_blocks()
        raise DeviceFullError from error
    except (RuntimeError, ImportError, cupy.cuda.compiler.CompileException) as error:
        said = str(error).partition(":")[0]  # a code; what follows may hold paths, and is the cause's to tell
        named = type(error).__name__ if "\n" in said or "/" in said else f"{type(error).__name__}: {said}"
        raise DeviceLostError(f"The GPU {happened} ({named}).") from error
