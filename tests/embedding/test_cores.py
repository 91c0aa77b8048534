"""A container's share of the processor counts, not all that its host has."""

import os
from pathlib import Path

import pytest

from memory_mcp.embedding.cores import usable_cores

HERE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000\n", HERE),
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),
        ("150000 100000\n", min(2, HERE)),
        ("100000 0\n", HERE),
        ("", HERE),
        ("nonsense", HERE),
        (None, HERE),
    ],
)
def test_the_limit_of_a_container_is_kept_to(limit: str | None, cores: int, tmp_path: Path) -> None:
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)

    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1\n", HERE), ("100000\n", 1), ("nonsense", HERE)])
def test_so_is_one_of_the_first_version(quota: str, cores: int, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")

    assert usable_cores(tmp_path) == cores


def test_without_any_limit_there_are_those_it_may_run_on() -> None:
    assert 1 <= usable_cores() <= HERE
