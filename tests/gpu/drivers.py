"""The drivers that tests run over: kernels emulated on the processor, and a GPU."""

from functools import cache

import pytest
from emulation import EmulatedDriver, compiler

from memory_mcp.tiers.resident.device import open_cuda
from memory_mcp.tiers.resident.driver import DeviceLostError, Driver

DRIVERS = ("emulated", "cuda")


def driver_of(kind: str) -> Driver:
    """One of `DRIVERS`; the test is skipped where it cannot be had."""
    if kind == "cuda":
        driver, reason = cuda()
        return driver or pytest.skip(reason)
    if compiler is None:
        pytest.skip("no g++ to compile the kernels of the GPU with")
    return EmulatedDriver()


@cache
def cuda() -> tuple[Driver | None, str]:
    """The GPU, or why there is none; one for all tests of a process: what it gave to some is free again for others."""
    try:
        return open_cuda(), ""
    except DeviceLostError as error:
        return None, f"no GPU: {error}"
