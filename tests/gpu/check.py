"""Everything that wants a GPU, in one command, on a machine with CUDA, Python, NumPy, CuPy, pytest and hypothesis:

    python tests/gpu/check.py [--mirror emulated] [--quick]

It runs, from any folder and without the project's own pytest configuration (which needs all that the project needs):

1. tests/gpu: kernels, proposals, faults; over emulated kernels (if there is g++) and over the GPU;
2. the unit tests of blocks and the contract of vector indexes (this one if there is anyio) with every block mirrored on the GPU;
3. tests/benchmarks/bench_gpu.py, with --quick for 100,000 rows alone.

`--mirror emulated` does the second without a GPU, and leaves out the third. The exit status is 0 if all went well.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT, CONTRACT = "tests/unit/test_resident_block.py", "tests/contracts/test_vector_index.py"
PYTEST = (sys.executable, "-m", "pytest", "-q", "-rs", "-c", os.devnull, "--rootdir", str(ROOT), "--noconftest", "-p", "no:cacheprovider")
TOO_SLOW_TO_EMULATE = ("--deselect", f"{UNIT}::test_searches_and_changes_side_by_side")
"""Its threads wait for each other half a minute at most; `tests/gpu` has a smaller one."""


def environment() -> dict[str, str]:
    """Where modules and helpers are found."""
    folders = (ROOT, ROOT / "tests", ROOT / "tests" / "gpu")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "PYTHONDONTWRITEBYTECODE": "1"}


def suites(mirror: str) -> Sequence[str]:
    """The command that runs the suites of blocks and indexes with mirrors."""
    there = [UNIT, *([CONTRACT] if importlib.util.find_spec("anyio") else [])]
    chosen = (*(TOO_SLOW_TO_EMULATE if mirror == "emulated" else ()), "-k", "not qdrant and not brute_force")  # these have no block
    return (*PYTEST, "-p", "mirrored", "--mirror", mirror, *chosen, *there)


def main() -> None:
    """Run all, and tell which failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", choices=("cuda", "emulated"), default="cuda")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    commands = {"tests/gpu": (*PYTEST, "tests/gpu"), "suites with mirrors": suites(arguments.mirror)}
    if arguments.mirror == "cuda":
        sizes = ("--sizes", "100000") if arguments.quick else ()
        commands["benchmark"] = (sys.executable, "tests/benchmarks/bench_gpu.py", *sizes)
    failed = []
    for name, command in commands.items():
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode:
            failed.append(name)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
