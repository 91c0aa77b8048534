"""The suites of blocks and indexes, unchanged, with every block mirrored on a device; and what the GPU's part may import."""

import re
import subprocess
import sys

import pytest
from check import ROOT, environment, suites
from drivers import DRIVERS, driver_of

PARTS = ("block", "scan", "topk", "columns", "mirror", "driver", "proposing", "gpu", "device")
BARE = ["memory_mcp.models", "memory_mcp.contracts", "memory_mcp.errors", *(f"memory_mcp.tiers.resident.{part}" for part in PARTS)]
ABSENT = (
    *("anyio", "apsw", "mcp", "numkong", "pydantic", "structlog", "redis", "qdrant_client", "psycopg", "cupy", "threadpoolctl", "Stemmer"),
)


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_mirrored_block_passes_the_tests_of_blocks_and_indexes(kind: str) -> None:
    driver_of(kind)
    done = subprocess.run(suites(kind), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    (proposed,) = re.findall(r"(\d+) searches with candidates of the device", done.stdout)
    assert int(proposed) > 50, "the suites went around the device"


@pytest.mark.parametrize("module", BARE)
def test_it_needs_numpy_and_nothing_else(module: str) -> None:
    """So that it can be tested and measured on a machine that has a GPU and little more; CuPy is imported when a GPU is opened."""
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stderr
