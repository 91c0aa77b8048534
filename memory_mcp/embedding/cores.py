"""How many processor cores this process may keep busy."""

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
"""Where a container sees its own limits."""


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Those that it may run on, or as many as its container may use the time of (`docker run --cpus`), rounded up; at least 1.

    Source:
        https://docs.kernel.org/admin-guide/cgroup-v2.html (`cpu.max`), https://docs.kernel.org/scheduler/sched-bwc.html (version 1)
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(cgroup))))


def _quota(cgroup: Path) -> float:
    """Seconds of processor time in each second; infinite where nothing limits it, or nothing tells."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        granted, period = (cgroup / "cpu.max").read_text().split()
        return int(granted) / int(period)  # "max" is no number
    with suppress(OSError, ValueError, ZeroDivisionError):
        granted, period = ((cgroup / "cpu" / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        return int(granted) / int(period) if int(granted) > 0 else math.inf
    return math.inf
