"""A pytest plugin under which every block has a mirror on a device, emulated or real, from its first search on.

With it the tests of blocks and of vector indexes run as they are: `pytest -p mirrored --mirror cuda tests/unit/test_resident_block.py`.
At the end it tells how many searches were answered with candidates of the device. Coroutines run without pytest-asyncio, too.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from drivers import DRIVERS, driver_of
from numpy.typing import NDArray

from memory_mcp.models import Filter, Hit, Matrix
from memory_mcp.tiers.resident.block import Block
from memory_mcp.tiers.resident.driver import Gpu
from memory_mcp.tiers.resident.gpu import GpuRows
from memory_mcp.tiers.resident.mirror import Proposed

EMULATED_EXAMPLES = 12
counts: Counter[str] = Counter()


class CountedRows(GpuRows):
    """Tells whether it was of use."""

    def propose(self, passing: NDArray[np.bool_], survivors: int, queries: Matrix, limit: int) -> Proposed | None:
        proposed = super().propose(passing, survivors, queries, limit)
        counts["proposed" if proposed is not None and any(rows is not None for rows in proposed) else "declined"] += 1
        return proposed


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mirror", choices=DRIVERS, required=True, help="what mirrors the rows of every block")


@pytest.fixture(autouse=True)
def _every_block_has_a_mirror(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(driver_of(request.config.getoption("mirror")))
    plainly: Callable[..., list[list[Hit]]] = Block.search

    def search(self: Block, vectors: Matrix, where: Filter, limit: int) -> list[list[Hit]]:
        if self._mirror is None and self.dimension:
            self.attach(CountedRows(gpu, self.dimension))
        return plainly(self, vectors, where, limit)

    monkeypatch.setattr(Block, "search", search)


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: Any) -> None:
    """The emulation takes its time: fewer examples of what makes up its own."""
    settings = getattr(obj, "settings", None) if inspect.isclass(obj) else None
    if settings is not None and type(settings).__module__.startswith("hypothesis") and collector.config.getoption("mirror") == "emulated":
        obj.settings = type(settings)(settings, max_examples=min(settings.max_examples, EMULATED_EXAMPLES))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"{counts['proposed']} searches with candidates of the device, {counts['declined']} without")
