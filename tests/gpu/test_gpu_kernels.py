"""The kernels compile for the devices they are meant for, where no such device is."""

import shutil
import subprocess
from pathlib import Path

import emulation
import pytest
from emulation import KERNELS

from memory_mcp.tiers.resident import driver

ARCHITECTURES = (80, 90)  # Ampere and Hopper


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_compiles_them(architecture: int) -> None:
    """As CuPy does at run time: no header, no host compiler."""
    compiler = pytest.importorskip("cupy", reason="no CuPy to compile with", exc_type=ImportError).cuda.compiler
    try:
        compiled = compiler._NVRTCProgram(KERNELS.read_text("utf-8"), "kernels.cu", ())
    except (ImportError, RuntimeError):
        pytest.skip("CuPy finds no NVRTC here")
    image, _ = compiled.compile(("-std=c++17", f"-arch=sm_{architecture}"))

    assert all(name.encode() in image for name in emulation.NAMES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvcc_compiles_them(architecture: int, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc of CUDA here")
    command = [nvcc, "-std=c++17", f"-arch=sm_{architecture}", "-cubin", "-o", str(tmp_path / "kernels.cubin"), str(KERNELS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert all(name.encode() in (tmp_path / "kernels.cubin").read_bytes() for name in emulation.NAMES)


def test_host_and_kernels_agree_on_sizes() -> None:
    source = KERNELS.read_text("utf-8")

    assert f"GROUPS = {driver.GROUPS};" in source
    assert f"THREADS = {driver.THREADS};" in source
    assert f"LANES = {driver.LANES};" in source
    assert f"AT_ONCE = {driver.ROWS_PER_BLOCK * driver.LANES // driver.THREADS};" in source
    assert emulation.declared_kernels() <= set(emulation.NAMES)
